package alerts

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Consumer is the engine's name among the consumers of the log.
const Consumer = "alarms"

// cursor is where in the log judging stands: an observation of a record.
type cursor struct {
	seq uint64
	nth int32
}

// whole is the nth of a record that is done with.
const whole = math.MaxInt32

func (c cursor) compare(d cursor) int {
	return cmp.Or(cmp.Compare(c.seq, d.seq), cmp.Compare(c.nth, d.nth))
}

// A place is what a checkpoint records, so that judging can go on from there:
// the seq up to which all is judged and committed, and the tracks that moved
// since the checkpoint before.
type place struct {
	seq   uint64
	clock int64
	moved []*track
	waits []wait // of moved
	fresh bool   // the log is another one: older cursors mean nothing
}

// wait is a track as it is recorded.
type wait struct {
	key   alarmKey
	gone  bool
	since int64
	at    int64
	heard int64
	value float64
}

// touch notes that the next checkpoint must record t. mu is held.
func (j *judges) touch(t *track) {
	if j.keeps && !t.touched {
		t.touched = true
		j.touched = append(j.touched, t)
	}
}

// takePlace is the checkpoint as it stands; nil where nothing has moved. What
// is pending must be part of the same transaction. mu is held.
func (j *judges) takePlace() *place {
	if !j.keeps || j.at.seq == j.placed && len(j.touched) == 0 && !j.fresh {
		return nil
	}
	p := &place{seq: j.at.seq, clock: j.clock, moved: j.touched, waits: make([]wait, len(j.touched)), fresh: j.fresh}
	for i, t := range j.touched {
		t.touched = false
		p.waits[i] = wait{key: alarmKey{t.rule.ID, t.stream.key.device}, gone: t.gone,
			since: t.since, at: t.at, heard: t.stream.lastAt, value: t.value}
	}
	j.touched, j.fresh = nil, false
	return p
}

// putBack undoes takePlace, since it was not committed. mu is held.
func (j *judges) putBack(p *place) {
	since := j.touched
	j.touched, j.fresh = nil, j.fresh || p.fresh
	for _, t := range since {
		t.touched = false
	}
	for _, t := range p.moved { // first, so that a key's tracks stay in the order they were made in
		j.touch(t)
	}
	for _, t := range since {
		j.touch(t)
	}
}

// write records a checkpoint.
func (p *place) write(r *record) error {
	if p.fresh {
		for _, q := range []string{`UPDATE alerts_alarms SET log_seq = 0, log_nth = 0 WHERE log_seq > $1`, `UPDATE alerts_rules SET log_seq = 0 WHERE log_seq > $1`} {
			if _, err := r.exec(q, int64(p.seq)); err != nil {
				return err
			}
		}
	}
	for _, w := range p.waits {
		var err error
		if w.gone {
			_, err = r.exec(`DELETE FROM alerts_waits WHERE rule = $1 AND subject = $2`, w.key.rule, string(w.key.subject))
		} else {
			_, err = r.exec(`INSERT INTO alerts_waits (rule, subject, since, at, heard, value) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (rule, subject) DO UPDATE SET since = excluded.since, at = excluded.at, heard = excluded.heard, value = excluded.value`,
				w.key.rule, string(w.key.subject), w.since, w.at, w.heard, w.value)
		}
		if err != nil {
			return err
		}
	}
	_, err := r.exec(`INSERT INTO alerts_place (one, seq, clock) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, clock = excluded.clock`, int64(p.seq), p.clock)
	return err
}

// waitIsOver forgets what was waited for at the checkpoint, which a transition ends.
func (e *Engine) waitIsOver(r *record, k alarmKey) error {
	if e.o.Feed == nil {
		return nil
	}
	_, err := r.exec(`DELETE FROM alerts_waits WHERE rule = $1 AND subject = $2`, k.rule, string(k.subject))
	return err
}

// loadPlace reads the checkpoint; ok is false where there is none.
func loadPlace(ctx context.Context, db *sql.DB) (seq uint64, clock int64, ok bool, err error) {
	var n int64
	err = db.QueryRowContext(ctx, `SELECT seq, clock FROM alerts_place`).Scan(&n, &clock)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, false, nil
	}
	return uint64(n), clock, err == nil, err
}

// firstPlace begins to follow a log that may hold records from before: they
// were judged by an engine that kept no place, or by none.
func (e *Engine) firstPlace(ctx context.Context) (seq uint64, err error) {
	err = e.o.Feed.Records(ctx, 1, func(r *telemetry.Record) bool {
		seq = r.Seq
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	_, err = e.db.ExecContext(ctx, `INSERT INTO alerts_place (one, seq, clock) VALUES (1, $1, 0)`, int64(seq))
	return seq, err
}

// forgetPlace ends the following of a log: what comes to it from now on is not for us to judge.
func forgetPlace(ctx context.Context, db *sql.DB) error {
	for _, q := range []string{`DELETE FROM alerts_place`, `DELETE FROM alerts_waits`} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// loadWaits takes up what the rules waited for at the checkpoint, where no
// transition was committed after it. mu is held.
func (e *Engine) loadWaits(ctx context.Context) error {
	j := &e.judges
	rows, err := e.db.QueryContext(ctx, `SELECT rule, subject, since, at, heard, value FROM alerts_waits`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var w wait
		if err := rows.Scan(&w.key.rule, &w.key.subject, &w.since, &w.at, &w.heard, &w.value); err != nil {
			return err
		}
		j.resumeWait(e, w)
	}
	return rows.Err()
}

func (j *judges) resumeWait(e *Engine, w wait) {
	r := j.rules[w.key.rule]
	if r == nil {
		return
	}
	k := streamKey{w.key.subject, r.Metric}
	st := j.streams[k]
	if st == nil {
		st = e.newStream(k.device, k.metric, 0)
	}
	t := st.track(r)
	_, moved := j.marks[w.key]
	switch {
	case !slices.Contains(st.rules, r), moved && t == nil:
		t = &track{stream: st, rule: r, gone: true} // to be deleted
		j.touch(t)
		return
	case t == nil:
		t = &track{stream: st, rule: r}
		st.tracks = append(st.tracks, t)
	}
	st.lastAt, t.at, t.value = w.heard, w.at, w.value
	if w.since != 0 && !moved {
		t.since = w.since
		j.waiting[t] = struct{}{}
	}
}

// loadMarks finds what was committed after the checkpoint: of each (rule,
// subject) the cursor of its newest transition. The log's records up to
// there are judged already. mu is held.
func (e *Engine) loadMarks(ctx context.Context, after uint64) error {
	rows, err := e.db.QueryContext(ctx, `SELECT rule, subject, log_seq, log_nth FROM alerts_alarms WHERE log_seq > $1`, int64(after))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k alarmKey
		var seq int64
		var p cursor
		if err := rows.Scan(&k.rule, &k.subject, &seq, &p.nth); err != nil {
			return err
		}
		p.seq = uint64(seq)
		if old, ok := e.judges.marks[k]; !ok || old.compare(p) < 0 {
			e.judges.marks[k] = p
		}
	}
	return rows.Err()
}

// judged says whether r had judged the observation at which judging stands, and
// what came of it was committed, before the crash. mu is held.
func (j *judges) judged(r *rule, subject devices.ID) bool {
	if j.at.seq <= r.from {
		return true
	}
	m, ok := j.marks[alarmKey{r.ID, subject}]
	return ok && j.at.compare(m) <= 0
}
