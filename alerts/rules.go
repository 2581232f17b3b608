package alerts

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

func loadRules(ctx context.Context, db *sql.DB) ([]*rule, error) {
	rows, err := db.QueryContext(ctx, `SELECT id, body, log_seq FROM alerts_rules ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*rule
	for rows.Next() {
		var id, body string
		var from int64
		if err := rows.Scan(&id, &body, &from); err != nil {
			return nil, err
		}
		var r Rule
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			return nil, fmt.Errorf("rule %s: %w", id, err)
		}
		if err := r.Validate(); err != nil {
			return nil, fmt.Errorf("rule %s: %w", id, err)
		}
		c := compile(r)
		c.from = uint64(from)
		out = append(out, c)
	}
	return out, rows.Err()
}

// resume takes up judging where the board stands. With a log the rest follows
// in Run, which reads it; without one Latest is judged again here.
func (e *Engine) resume(ctx context.Context, rules []*rule) error {
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rules = map[string]*rule{}
	j.byMetric = map[string][]*rule{}
	j.streams = map[streamKey]*stream{}
	j.byDevice = map[devices.ID][]*stream{}
	j.waiting = map[*track]struct{}{}
	j.late = map[alarmKey]transition{}
	j.dirty = map[devices.ID]struct{}{}
	j.marks = map[alarmKey]cursor{}
	for _, r := range rules {
		j.rules[r.ID] = r
		j.byMetric[r.Metric] = append(j.byMetric[r.Metric], r)
	}
	if err := e.resumePlace(ctx); err != nil {
		return err
	}
	now := e.now().UnixMilli()
	for _, a := range e.board.open {
		if !a.inAlarm() || ownRule(a.Rule) {
			continue
		}
		// A rule goes with its alarms, so it is there; its scope may have moved off while we were away.
		r := j.rules[a.Rule]
		st := j.streams[streamKey{a.Subject, a.Metric}]
		if st == nil {
			st = e.newStream(a.Subject, a.Metric, 0)
		}
		if !slices.Contains(st.rules, r) {
			j.note(transition{rule: compile(Rule{ID: a.Rule}), subject: a.Subject, at: now, comment: outOfScope})
			continue
		}
		st.tracks = append(st.tracks, &track{stream: st, rule: r, inAlarm: true})
	}
	if j.live {
		e.judgeAgain(e.o.Latest.All(), now)
	} else if err := e.loadWaits(ctx); err != nil {
		return err
	}
	if len(j.pending) > 0 {
		e.poke()
	}
	return nil
}

// resumePlace takes up the checkpoint. mu is held.
func (e *Engine) resumePlace(ctx context.Context) error {
	j := &e.judges
	if e.o.Feed == nil {
		j.live = true
		return forgetPlace(ctx, e.db)
	}
	seq, clock, ok, err := loadPlace(ctx, e.db)
	if err == nil && !ok {
		seq, err = e.firstPlace(ctx)
	}
	if err != nil {
		return err
	}
	j.keeps = true
	j.at = cursor{seq, whole}
	j.base, j.placed, j.clock = seq, seq, clock
	return e.loadMarks(ctx, seq)
}

// Rules lists all rules by id.
func (e *Engine) Rules() []Rule {
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Rule, 0, len(j.rules))
	for _, r := range j.rules {
		out = append(out, r.Rule)
	}
	slices.SortFunc(out, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Rule finds a rule.
func (e *Engine) Rule(id string) (Rule, bool) {
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.rules[id]
	if r == nil {
		return Rule{}, false
	}
	return r.Rule, true
}

// CreateRule keeps a rule and judges Latest by it at once, unless stale.
// Created is set here. Errors: FieldErrors, ErrExists, or the database's.
func (e *Engine) CreateRule(ctx context.Context, r Rule) (Rule, error) {
	if err := r.Validate(); err != nil {
		return Rule{}, err
	}
	e.writing.Lock()
	defer e.writing.Unlock()
	if _, taken := e.Rule(r.ID); taken || ownRule(r.ID) {
		return Rule{}, ErrExists
	}
	r.Created = e.now().UTC().Truncate(time.Millisecond)
	body, err := json.Marshal(r)
	if err != nil {
		return Rule{}, err
	}
	c := compile(r)
	c.from = e.newest()
	if _, err := e.db.ExecContext(ctx, `INSERT INTO alerts_rules (id, body, created, log_seq) VALUES ($1, $2, $3, $4)`,
		r.ID, string(body), r.Created.UnixMilli(), int64(c.from)); err != nil {
		return Rule{}, wrap("create rule", err)
	}
	e.adopt(c, nil)
	return r, nil
}

// UpdateRule replaces a rule; what it holds in alarm is judged again by the
// new limits, and returns where it lies out of the new scope or metric.
// Created stays. Errors: FieldErrors, ErrNotFound, or the database's.
func (e *Engine) UpdateRule(ctx context.Context, r Rule) (Rule, error) {
	if err := r.Validate(); err != nil {
		return Rule{}, err
	}
	e.writing.Lock()
	defer e.writing.Unlock()
	old, ok := e.Rule(r.ID)
	if !ok {
		return Rule{}, ErrNotFound
	}
	r.Created = old.Created
	body, err := json.Marshal(r)
	if err != nil {
		return Rule{}, err
	}
	c := compile(r)
	c.from = e.newest()
	if _, err := e.db.ExecContext(ctx, `UPDATE alerts_rules SET body = $1, log_seq = $2 WHERE id = $3`, string(body), int64(c.from), r.ID); err != nil {
		return Rule{}, wrap("update rule", err)
	}
	e.judges.mu.Lock()
	was := e.judges.rules[r.ID]
	e.judges.mu.Unlock()
	e.adopt(c, was)
	return r, nil
}

// newest is the seq of the newest record that we know of.
func (e *Engine) newest() uint64 {
	e.judges.mu.Lock()
	defer e.judges.mu.Unlock()
	return max(e.judges.at.seq, e.judges.told)
}

// adopt puts a committed rule to work, in place of the one it replaces, if any. writing is held.
func (e *Engine) adopt(r, was *rule) {
	j := &e.judges
	now := e.now().UnixMilli()
	// Read before the lock: this is a copy of everything.
	latest := slices.DeleteFunc(e.o.Latest.All(), func(o telemetry.Observation) bool { return o.Metric != r.Metric })
	j.mu.Lock()
	defer j.mu.Unlock()
	if was != nil {
		j.retire(was, r, now)
	}
	j.rules[r.ID] = r
	j.byMetric[r.Metric] = append(j.byMetric[r.Metric], r)
	for _, st := range j.streams {
		if st.key.metric == r.Metric && r.covers(st.key.device, &st.facts) {
			st.rules = append(st.rules, r)
		}
	}
	if !j.live {
		return // Latest is judged at the end of the catching up
	}
	for _, o := range latest {
		k := streamKey{o.Device, o.Metric}
		st := j.streams[k]
		if st == nil {
			e.follow(k, now)
		} else if slices.Contains(st.rules, r) {
			e.judgeLatest(st, r, now)
		}
	}
	e.poke()
}

// retire takes a rule out of judging. What it held passes to its successor
// where that judges the same datastream, and returns elsewhere; with no
// successor it is forgotten, since its alarms are closed. mu is held.
func (j *judges) retire(was, next *rule, now int64) {
	delete(j.rules, was.ID)
	j.byMetric[was.Metric] = slices.DeleteFunc(slices.Clone(j.byMetric[was.Metric]), func(r *rule) bool { return r == was })
	if len(j.byMetric[was.Metric]) == 0 {
		delete(j.byMetric, was.Metric)
	}
	for k, st := range j.streams {
		if k.metric != was.Metric {
			continue
		}
		st.rules = slices.DeleteFunc(st.rules, func(r *rule) bool { return r == was })
		t := st.track(was)
		switch {
		case t == nil:
		case next == nil:
			j.drop(t)
		case t.inAlarm && next.Metric == was.Metric && next.covers(st.key.device, &st.facts):
			delete(j.waiting, t)
			t.rule, t.since = next, 0
			j.touch(t)
		default:
			j.leave(t, now, outOfScope)
		}
		if len(j.byMetric[k.metric]) == 0 && (next == nil || next.Metric != k.metric) {
			j.forget(st) // Observe passes it by from here on, so it would not know what is late
		}
	}
}

// forget ends the following of a datastream. mu is held.
func (j *judges) forget(st *stream) {
	delete(j.streams, st.key)
	left := slices.DeleteFunc(j.byDevice[st.key.device], func(o *stream) bool { return o == st })
	if len(left) == 0 {
		delete(j.byDevice, st.key.device)
	} else {
		j.byDevice[st.key.device] = left
	}
}

// DeleteRule deletes a rule; its open alarms close, by actor.
// Errors: ErrNotFound, or the database's.
func (e *Engine) DeleteRule(ctx context.Context, id, actor string) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if _, ok := e.Rule(id); !ok {
		return ErrNotFound
	}
	now := e.now().UTC().Truncate(time.Millisecond)
	err := e.write(ctx, func(r *record) error {
		if _, err := r.tx.ExecContext(ctx, `DELETE FROM alerts_rules WHERE id = $1`, id); err != nil {
			return err
		}
		for _, a := range e.board.sorted() {
			if a.Rule != id {
				continue
			}
			a, kind, ok := a.closed(now)
			if !ok {
				continue
			}
			if err := r.update(a); err != nil {
				return err
			}
			if err := r.journal(kind, now, actor, "the rule was deleted", a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return wrap("delete rule", err)
	}
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	j.retire(j.rules[id], nil, now.UnixMilli())
	// What it would still have raised or returned is void.
	j.pending = slices.DeleteFunc(j.pending, func(t transition) bool { return t.rule.ID == id })
	for k := range j.late {
		if k.rule == id {
			delete(j.late, k)
		}
	}
	return nil
}
