package ui

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cuulong/telemetry"
)

// Quarantine is the log as far as it holds what was set aside.
type Quarantine interface {
	// SetAsideBefore yields the entries of records before seq before, the newest
	// first, until yield says false; i counts within a record. It passes over what
	// was written before since. After about most bytes of log (0: no bound) it ends
	// with the before to go on with, or 0.
	SetAsideBefore(ctx context.Context, before uint64, since time.Time, most int64, yield func(seq uint64, i int, a telemetry.SetAside) bool) (rest uint64, err error)
}

type quarantineQuery struct {
	From   timeParam `query:"from" doc:"received at or after"`
	To     timeParam `query:"to" doc:"received before"`
	Reason []string  `query:"reason,explode" maxLength:"64"`
	Source string    `query:"source" maxLength:"256" doc:"a part of the source, such as a device's id"`
	Paging
}

type quarantineItem struct {
	ID       string    `json:"id"`
	Seen     time.Time `json:"seen" doc:"receive time"`
	Source   string    `json:"source" doc:"topic or route, with the sender's identity"`
	Reason   string    `json:"reason" doc:"bad_json, bad_time, not_finite, ..."`
	Detail   string    `json:"detail"`
	Count    int       `json:"count" doc:"how many values this stands for"`
	Payload  string    `json:"payload" doc:"as it came, where kept"`
	Encoding string    `json:"payload_encoding,omitempty" enum:"base64" doc:"base64 where the payload is not UTF-8"`
}

func quarantined(seq uint64, i int, a telemetry.SetAside) quarantineItem {
	q := quarantineItem{
		ID: entryID(seq, i), Seen: time.UnixMilli(a.Seen).UTC(), Source: a.Source, Reason: a.Reason, Detail: a.Detail,
		Count: max(a.Count, 1), Payload: string(a.Payload),
	}
	if !utf8.Valid(a.Payload) {
		q.Payload, q.Encoding = base64.StdEncoding.EncodeToString(a.Payload), "base64"
	}
	return q
}

// eachQuarantined yields the entries that a query asks for, the newest first,
// behind the id after. Where most bytes of log (0: no bound) did not reach the
// end, rest is the id to go on behind.
func (s *Server) eachQuarantined(ctx context.Context, in *quarantineQuery, after string, most int64, yield func(quarantineItem) bool) (rest string, err error) {
	seq, index := uint64(1<<63), 0
	if after != "" {
		var ok bool
		if seq, index, ok = parseEntry(after); !ok {
			return "", invalid("query.cursor", "not a cursor of this list")
		}
	}
	before := seq + 1
	if after == "" {
		before = seq
	}
	var since time.Time
	if in.From.Set {
		since = time.UnixMilli(in.From.MS - quarantineDisorder)
	}
	next, err := s.o.Quarantine.SetAsideBefore(ctx, before, since, most, func(n uint64, i int, a telemetry.SetAside) bool {
		if in.From.Set && a.Seen < in.From.MS-quarantineDisorder {
			return false
		}
		switch {
		case after != "" && n == seq && i >= index,
			in.From.Set && a.Seen < in.From.MS,
			in.To.Set && a.Seen >= in.To.MS,
			len(in.Reason) > 0 && !slices.Contains(in.Reason, a.Reason),
			!strings.Contains(a.Source, in.Source):
			return true
		}
		return yield(quarantined(n, i, a))
	})
	if next > 0 {
		rest = entryID(next-1, behindAll)
	}
	return rest, err
}

// behindAll is above every index within a record.
const behindAll = 1<<31 - 1

func entryID(seq uint64, i int) string { return fmt.Sprintf("%d-%d", seq, i) }

// parseEntry reads the id of an entry: seq-index.
func parseEntry(id string) (seq uint64, index int, ok bool) {
	a, b, found := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(a, 10, 62)
	index64, err2 := strconv.ParseUint(b, 10, 31)
	return seq, int(index64), found && err == nil && err2 == nil
}

func (s *Server) quarantineRoutes() {
	route(s, "GET /api/v1/quarantine", "What could not be stored, the newest first, as far as the log still holds it; for administrators, since payloads are shown as they came. A page reads some 64 MiB of the log at most: it may be short, or empty, and yet have a next", http.StatusOK,
		func(ctx context.Context, in *quarantineQuery) (*answer[list[quarantineItem]], error) {
			after, err := decodeCursor(in.Cursor)
			if err != nil {
				return nil, err
			}
			if wantsCSV(ctx) {
				return csvAnswer[list[quarantineItem]](func(w *csvWriter) error {
					w.row("id", "seen", "source", "reason", "detail", "count", "payload", "payload_encoding")
					_, err := s.eachQuarantined(ctx, in, after, 0, func(q quarantineItem) bool {
						return w.row(q.ID, q.Seen.Format(time.RFC3339Nano), q.Source, q.Reason, q.Detail, strconv.Itoa(q.Count), q.Payload, q.Encoding)
					})
					return err
				}), nil
			}
			out := list[quarantineItem]{Items: []quarantineItem{}}
			size := 0
			rest, err := s.eachQuarantined(ctx, in, after, s.quarantineScan, func(q quarantineItem) bool {
				if len(out.Items) == in.Limit || size > maxQuarantinePage {
					out.Next = encodeCursor(out.Items[len(out.Items)-1].ID)
					return false
				}
				size += len(q.Payload)
				out.Items = append(out.Items, q)
				return true
			})
			if err != nil {
				return nil, err
			}
			if rest != "" {
				out.Next = encodeCursor(rest)
			}
			return jsonAnswer(s, out), nil
		}, csvToo[list[quarantineItem]](s))
}

// quarantineDisorder is by how much receive times in the log may be out of order, ms: the
// clock may have been set back.
const quarantineDisorder = 3600_000

// maxQuarantineScan is how many bytes of log end a page.
const maxQuarantineScan = 64 << 20

// maxQuarantinePage is how many bytes of payloads end a page before its limit: each may be 1 MiB.
const maxQuarantinePage = 8 << 20
