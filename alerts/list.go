package alerts

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxComment is the length of a comment, in runes.
const maxComment = 2000

// Snapshot returns the alarms not closed, by priority then newest, and the journal's seq they stand at.
func (e *Engine) Snapshot() (seq uint64, open []Alarm) {
	e.board.mu.RLock()
	seq = e.board.seq
	open = e.board.sortedLocked()
	e.board.mu.RUnlock()
	for i := range open {
		open[i] = e.refreshed(open[i])
	}
	return seq, open
}

func (b *board) sorted() []Alarm {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.sortedLocked()
}

func (b *board) sortedLocked() []Alarm {
	out := make([]Alarm, 0, len(b.open))
	for _, a := range b.open {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Alarm) int {
		return cmp.Or(cmp.Compare(b.Priority.rank(), a.Priority.rank()), b.Raised.Compare(a.Raised), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// refreshed says where the subject stands now, while it is registered.
func (e *Engine) refreshed(a Alarm) Alarm {
	if ownRule(a.Rule) {
		return a // of the server, which stands nowhere
	}
	if p, agency, ok := e.whereabouts(a.Subject); ok {
		a.Position, a.Agency = p, agency
	}
	return a
}

// Filter narrows Alarms; the zero value means all that are not closed.
type Filter struct {
	States     []State
	Priorities []Priority
	Zone       string // that holds the alarm's position; an unknown one holds none
	Limit      int    // at most 1,000, 100 where it is 0
	Cursor     string // next of the page before
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Alarms lists alarms, newest raised first; closed ones where f names that
// state. next is the cursor of the following page, empty on the last.
// Errors: FieldErrors, or the database's.
func (e *Engine) Alarms(ctx context.Context, f Filter) (alarms []Alarm, next string, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	at, id, err := f.check()
	if err != nil {
		return nil, "", err
	}
	alarms = []Alarm{}
	// A page is filled by reads of bounded size, so that the one connection is
	// given back between them however few alarms lie in the zone.
	for {
		tail, args := f.query(at, id, limit+1)
		n := 0
		var last Alarm
		err := eachAlarm(ctx, e.db, tail, args, func(a Alarm) {
			n++
			last = a
			a = e.refreshed(a)
			if f.Zone == "" || a.Position != nil && e.o.Atlas != nil && e.o.Atlas.InZone(f.Zone, *a.Position) {
				alarms = append(alarms, a)
			}
		})
		if err != nil {
			return nil, "", wrap("list alarms", err)
		}
		if len(alarms) > limit {
			alarms = alarms[:limit]
			l := alarms[limit-1]
			return alarms, fmt.Sprintf("%d.%s", l.Raised.UnixMilli(), l.ID), nil
		}
		if n <= limit {
			return alarms, "", nil
		}
		at, id = last.Raised.UnixMilli(), last.ID
	}
}

// check reads the cursor and refuses unknown words.
func (f Filter) check() (at int64, id string, err error) {
	var faults FieldErrors
	for _, s := range f.States {
		if !s.Valid() {
			faults.Add("state", "must be active, acknowledged, returned or closed")
		}
	}
	for _, p := range f.Priorities {
		if !p.Valid() {
			faults.Add("priority", "must be low, medium, high or urgent")
		}
	}
	if f.Cursor != "" {
		ms, rest, ok := strings.Cut(f.Cursor, ".")
		if at, err = strconv.ParseInt(ms, 10, 64); err != nil || !ok || rest == "" {
			faults.Add("cursor", "is not one of ours")
		}
		id = rest
	}
	return at, id, faults.Err()
}

// query continues after (at, id); id is empty at the beginning.
func (f Filter) query(at int64, id string, limit int) (tail string, args []any) {
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	var where []string
	if len(f.States) == 0 {
		where = append(where, `state <> 'closed'`)
	} else {
		where = append(where, `state IN (`+list(f.States, arg)+`)`)
	}
	if len(f.Priorities) > 0 {
		where = append(where, `priority IN (`+list(f.Priorities, arg)+`)`)
	}
	if id != "" {
		a := arg(at)
		where = append(where, `(raised < `+a+` OR raised = `+a+` AND id < `+arg(id)+`)`)
	}
	return `WHERE ` + strings.Join(where, ` AND `) + ` ORDER BY raised DESC, id DESC LIMIT ` + strconv.Itoa(limit), args
}

func list[T ~string](vs []T, arg func(any) string) string {
	marks := make([]string, len(vs))
	for i, v := range vs {
		marks[i] = arg(string(v))
	}
	return strings.Join(marks, ", ")
}

// Alarm finds an alarm, closed or not.
func (e *Engine) Alarm(ctx context.Context, id string) (Alarm, error) {
	a, ok := e.board.get(id)
	if !ok {
		var err error
		if a, err = readAlarm(ctx, e.db, id); err != nil {
			return Alarm{}, wrap("read alarm", err)
		}
	}
	return e.refreshed(a), nil
}

// Ack is actor having seen the alarm. Once more, or on a closed alarm, it
// changes nothing and is no event. Errors: FieldErrors, ErrNotFound, or the database's.
func (e *Engine) Ack(ctx context.Context, id, actor, comment string) (Alarm, error) {
	if !plainLines(comment, maxComment) {
		return Alarm{}, FieldErrors{{Field: "comment", Why: commentWhy}}
	}
	return e.byHand(ctx, id, func(r *record, a Alarm, now time.Time) (Alarm, error) {
		a, kind, ok := a.acknowledged(now)
		if !ok {
			return a, nil
		}
		if err := r.update(a); err != nil {
			return a, err
		}
		return a, r.journal(kind, now, actor, comment, a)
	})
}

// Comment adds actor's words to an alarm, closed or not. Errors as Ack.
func (e *Engine) Comment(ctx context.Context, id, actor, text string) (Alarm, error) {
	if strings.TrimSpace(text) == "" || !plainLines(text, maxComment) {
		return Alarm{}, FieldErrors{{Field: "text", Why: "must not be empty; " + commentWhy}}
	}
	return e.byHand(ctx, id, func(r *record, a Alarm, now time.Time) (Alarm, error) {
		return a, r.journal(EventCommented, now, actor, text, a)
	})
}

const commentWhy = "at most 2000 characters, no control characters but line ends and tabs"

// plainLines is plain, with line ends and tabs.
func plainLines(s string, n int) bool {
	return plain(strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(s), n)
}

// byHand does what a person asks, in the one order of transitions.
func (e *Engine) byHand(ctx context.Context, id string, f func(r *record, a Alarm, now time.Time) (Alarm, error)) (Alarm, error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	var a Alarm
	err := e.write(ctx, func(r *record) error {
		var ok bool
		var err error
		if a, ok = e.board.get(id); !ok {
			if a, err = readAlarm(ctx, r.tx, id); err != nil {
				return err
			}
		}
		a, err = f(r, e.refreshed(a), e.now().UTC().Truncate(time.Millisecond))
		return err
	})
	if err != nil {
		return Alarm{}, wrap("change alarm", err)
	}
	return a, nil
}

// Journal lists the events of an alarm, oldest first.
func (e *Engine) Journal(ctx context.Context, id string) ([]Event, error) {
	events, err := e.events(ctx, `WHERE alarm = $1 ORDER BY seq`, id)
	if err == nil && len(events) == 0 { // an alarm begins with an event
		return nil, ErrNotFound
	}
	return events, err
}

// Since lists the journal after seq, oldest first, at most limit.
func (e *Engine) Since(ctx context.Context, seq uint64, limit int) ([]Event, error) {
	return e.events(ctx, `WHERE seq > $1 ORDER BY seq LIMIT $2`, int64(min(seq, 1<<62)), limit)
}

func (e *Engine) events(ctx context.Context, tail string, args ...any) ([]Event, error) {
	rows, err := e.db.QueryContext(ctx, `SELECT seq, type, at, actor, comment, body FROM alerts_journal `+tail, args...)
	if err != nil {
		return nil, wrap("read journal", err)
	}
	defer rows.Close()
	out := []Event{}
	for rows.Next() {
		var ev Event
		var seq, at int64
		var body sql.RawBytes
		if err := rows.Scan(&seq, &ev.Type, &at, &ev.Actor, &ev.Comment, &body); err != nil {
			return nil, wrap("read journal", err)
		}
		ev.Seq, ev.At = uint64(seq), time.UnixMilli(at).UTC()
		if err := json.Unmarshal(body, &ev.Alarm); err != nil {
			return nil, fmt.Errorf("read journal, seq %d: %w", seq, err)
		}
		out = append(out, ev)
	}
	return out, wrap("read journal", rows.Err())
}
