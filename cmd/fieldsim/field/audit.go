package field

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuulong/devices"
)

// Stored yields the raw values of one datastream that a store holds, oldest
// first, from inclusive, to exclusive (Unix ms), every row that it holds.
type Stored func(ctx context.Context, device devices.ID, metric string, from, to int64, yield func(at int64, value float64) bool) error

// AuditResult counts observations.
type AuditResult struct {
	Devices int   `json:"devices"`
	Sent    int64 `json:"sent"`
	Acked   int64 `json:"acked"`   // with reason success
	Refused int64 `json:"refused"` // acknowledged with another reason: need not be stored
	Stored  int64 `json:"stored"`  // rows found

	Lost    int64 `json:"lost"`    // acknowledged, not stored
	Doubled int64 `json:"doubled"` // the same (device, metric, time) again
	Altered int64 `json:"altered"` // stored with another value
	Alien   int64 `json:"alien"`   // stored within the load's time, never sent

	Examples []string `json:"examples,omitempty"` // the first of what is wrong
}

const auditExamples = 20

// OK says whether acknowledged ⊆ stored ⊆ sent, values equal and none doubled.
func (r AuditResult) OK() bool {
	return r.Lost == 0 && r.Doubled == 0 && r.Altered == 0 && r.Alien == 0
}

func (r *AuditResult) wrong(count *int64, format string, args ...any) {
	*count++
	if len(r.Examples) < auditExamples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// Audit holds a store against every ledger of a folder. The error is about
// reading either; what does not agree is in the result.
func Audit(ctx context.Context, dir string, stored Stored) (AuditResult, error) {
	var r AuditResult
	entries, err := os.ReadDir(dir)
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ledgerSuffix) {
			continue
		}
		if err := r.device(ctx, filepath.Join(dir, e.Name()), stored); err != nil {
			return r, err
		}
		r.Devices++
	}
	if r.Devices == 0 {
		return r, fmt.Errorf("%s holds no ledger", dir)
	}
	return r, nil
}

// verdict is what became of a message.
type verdict uint8

const (
	unacked verdict = iota
	acked
	refused
)

// sentMessage is one message of a ledger.
type sentMessage struct {
	seq  uint64
	row  int64
	n    uint16
	cell uint8
	fate verdict
}

// readMessages reads one device's ledger. Messages come in rising sequence and time.
func readMessages(path string) (ledgerHead, []sentMessage, error) {
	f, err := os.Open(path)
	if err != nil {
		return ledgerHead{}, nil, err
	}
	defer f.Close()
	var all []sentMessage
	h, _, err := readLedger(f, func(r record) error {
		if r.kind == recordSent {
			if n := len(all); n > 0 && r.seq < all[n-1].seq+uint64(all[n-1].n) {
				return fmt.Errorf("%w: sequence %d again", ErrLedgerDamaged, r.seq)
			}
			all = append(all, sentMessage{seq: r.seq, row: r.ts, n: r.n, cell: r.extra})
			return nil
		}
		i, ok := slices.BinarySearchFunc(all, r.seq, func(m sentMessage, seq uint64) int { return cmp.Compare(m.seq, seq) })
		if !ok {
			return fmt.Errorf("%w: acknowledgement of %d, which was not sent", ErrLedgerDamaged, r.seq)
		}
		all[i].fate = acked
		if r.extra >= 0x80 {
			all[i].fate = refused
		}
		return nil
	})
	if err != nil {
		return h, nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, all, nil
}

func (r *AuditResult) device(ctx context.Context, path string, stored Stored) error {
	h, messages, err := readMessages(path)
	if err != nil {
		return err
	}
	if len(messages) == 0 {
		return nil
	}
	last := messages[len(messages)-1]
	end, _ := advance(last.row, int(last.cell), int(last.n)-1, len(h.Metrics))
	for _, m := range messages {
		r.Sent += int64(m.n)
		switch m.fate {
		case acked:
			r.Acked += int64(m.n)
		case refused:
			r.Refused += int64(m.n)
		}
	}
	for metric := range h.Metrics {
		c := cursor{head: h, metric: metric, messages: messages}
		if err := r.series(ctx, &c, messages[0].row, end+1, stored); err != nil {
			return err
		}
	}
	return nil
}

// series walks what was sent of one datastream beside what is stored.
func (r *AuditResult) series(ctx context.Context, c *cursor, from, to int64, stored Stored) error {
	device, metric := c.head.Device, c.head.Metrics[c.metric]
	previous := int64(math.MinInt64)
	var broken error
	err := stored(ctx, device, metric, from, to, func(at int64, value float64) bool {
		r.Stored++
		if at < previous {
			broken = fmt.Errorf("audit: %s/%s: the store gives %d after %d", device, metric, at, previous)
			return false
		}
		if at == previous {
			r.wrong(&r.Doubled, "%s/%s at %d: twice", device, metric, at)
			return true
		}
		previous = at
		r.missingBefore(c, at)
		sent, want, _, ok := c.peek()
		switch {
		case !ok || sent != at:
			r.wrong(&r.Alien, "%s/%s at %d: never sent", device, metric, at)
			return true
		case value != want:
			r.wrong(&r.Altered, "%s/%s at %d: %v stored, %v sent", device, metric, at, value, want)
		}
		c.k++
		return true
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return err
	}
	r.missingBefore(c, math.MaxInt64)
	return nil
}

// missingBefore passes what was sent for times before at, which the store has not got.
func (r *AuditResult) missingBefore(c *cursor, at int64) {
	for {
		sent, _, fate, ok := c.peek()
		if !ok || sent >= at {
			return
		}
		if fate == acked {
			r.wrong(&r.Lost, "%s/%s at %d: acknowledged, not stored", c.head.Device, c.head.Metrics[c.metric], sent)
		}
		c.k++
	}
}

// A cursor stands at the k-th observation of one metric within message i.
type cursor struct {
	head     ledgerHead
	metric   int
	messages []sentMessage
	i, k     int
}

// peek is the observation at the cursor: phenomenon time, value and what became of its message.
func (c *cursor) peek() (at int64, value float64, fate verdict, ok bool) {
	width := len(c.head.Metrics)
	for ; c.i < len(c.messages); c.i, c.k = c.i+1, 0 {
		m := &c.messages[c.i]
		j := ((c.metric-int(m.cell))%width+width)%width + c.k*width
		if j < int(m.n) {
			row, _ := advance(m.row, int(m.cell), j, width)
			return row, LoadValue(c.head.Seed, c.head.Device, m.seq+uint64(j)), m.fate, true
		}
	}
	return 0, 0, unacked, false
}
