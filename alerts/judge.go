package alerts

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/telemetry"
)

// judges is the half in memory: what each rule makes of each datastream.
type judges struct {
	mu sync.Mutex // guards all below; held for memory only

	rules    map[string]*rule
	byMetric map[string][]*rule
	streams  map[streamKey]*stream
	byDevice map[devices.ID][]*stream
	waiting  map[*track]struct{} // a condition holds, its delay runs

	// pending is what Run is to commit, in order. At maxPending, which a
	// database that fails for long reaches, only the newest transition of each
	// (rule, subject) is kept beyond it, in late.
	pending   []transition
	late      map[alarmKey]transition
	coalesced prometheus.Counter // transitions lost to that; nil without metrics

	dirty    map[devices.ID]struct{} // devices whose scopes are to be resolved again
	allDirty bool
}

const maxPending = 100_000

// clockLag is how far a device's clock may lag behind ours before its values
// count as old when they come, however short its interval.
const clockLag = int64(time.Minute / time.Millisecond)

type streamKey struct {
	device devices.ID
	metric string
}

type alarmKey struct {
	rule    string
	subject devices.ID
}

// stream is a datastream that at least one rule names the metric of.
type stream struct {
	key    streamKey
	facts  facts
	rules  []*rule  // in whose scope it lies
	lastAt int64    // newest phenomenon time heard; older observations are late
	tracks []*track // few: only where a condition holds or an alarm stands
}

// track is what one rule waits for at one datastream: On, or Off once in alarm.
type track struct {
	stream  *stream
	rule    *rule
	inAlarm bool
	since   int64 // phenomenon time since which the awaited condition holds; 0: it does not
	at      int64 // newest judged
	value   float64
}

// transition is what judging hands to recording.
type transition struct {
	rule    *rule
	subject devices.ID
	raised  bool // else it returned
	started int64
	at      int64 // our clock, Unix ms
	value   float64
	comment string
}

func (t transition) key() alarmKey { return alarmKey{t.rule.ID, t.subject} }

// Observe flips states in memory and marks pending transitions. It never blocks.
func (e *Engine) Observe(rec *telemetry.Record) {
	obs := rec.Observations
	j := &e.judges
	j.mu.Lock()
	before := len(j.pending) + len(j.late)
	for i := range obs {
		o := &obs[i]
		if len(j.byMetric[o.Metric]) == 0 {
			continue
		}
		st := j.streams[streamKey{o.Device, o.Metric}]
		if st == nil {
			st = e.newStream(o.Device, o.Metric, o.Seen)
		}
		if o.At < st.lastAt {
			continue // late: it raises no present-tense alarm
		}
		st.lastAt = o.At
		for _, r := range st.rules {
			j.judge(st, r, o, o.Seen)
		}
	}
	more := len(j.pending)+len(j.late) > before
	j.mu.Unlock()
	if more {
		e.poke()
	}
}

// Tick does what passes with time alone: delays that end without another value.
func (e *Engine) Tick(now time.Time) {
	ms := now.UnixMilli()
	j := &e.judges
	j.mu.Lock()
	more := false
	for t := range j.waiting {
		switch {
		case t.stream.facts.stale(t.at, ms):
			delete(j.waiting, t) // a silent device proves nothing; its next value does
		case ms-t.since >= t.delay():
			j.flip(t, ms)
			more = true
		}
	}
	j.mu.Unlock()
	if more {
		e.poke()
	}
}

// judge lets r judge o at our time now. mu is held.
func (j *judges) judge(st *stream, r *rule, o *telemetry.Observation, now int64) {
	if !r.accepts(o.Flag) {
		return
	}
	t := st.track(r)
	if t == nil {
		if !r.On.holds(o.Value) {
			return
		}
		t = &track{stream: st, rule: r}
		st.tracks = append(st.tracks, t)
	}
	if o.At < t.at {
		return
	}
	t.at, t.value = o.At, o.Value
	if !t.awaits().holds(o.Value) {
		delete(j.waiting, t)
		t.since = 0
		if !t.inAlarm {
			st.drop(t)
		}
		return
	}
	if t.since == 0 {
		t.since = o.At
	}
	// A value that is old already when it comes may end an alarm, but raises none.
	if o.At-t.since >= t.delay() && (t.inAlarm || now-o.At <= clockLag || !st.facts.stale(o.At, now)) {
		j.flip(t, now)
	} else {
		j.waiting[t] = struct{}{}
	}
}

// flip notes a transition. mu is held.
func (j *judges) flip(t *track, now int64) {
	delete(j.waiting, t)
	j.note(transition{rule: t.rule, subject: t.stream.key.device, raised: !t.inAlarm,
		started: t.since, at: now, value: t.value})
	t.since = 0
	t.inAlarm = !t.inAlarm
	if !t.inAlarm {
		t.stream.drop(t)
	}
}

// leave ends what r held at a datastream that it judges no more. mu is held.
func (j *judges) leave(t *track, now int64, why string) {
	if t.inAlarm {
		j.note(transition{rule: t.rule, subject: t.stream.key.device, at: now, value: t.value, comment: why})
	}
	delete(j.waiting, t)
	t.stream.drop(t)
}

// note queues a transition for the committer. mu is held.
func (j *judges) note(t transition) {
	if _, beyond := j.late[t.key()]; beyond || len(j.pending) >= maxPending {
		j.late[t.key()] = t // in place of the one before, so that it stays in order
		if beyond && j.coalesced != nil {
			j.coalesced.Inc()
		}
		return
	}
	j.pending = append(j.pending, t)
}

// awaits is the limit that would change the track's state.
func (t *track) awaits() Limit {
	if t.inAlarm {
		return t.rule.Off
	}
	return t.rule.On
}

// delay is how long that limit must hold, in ms.
func (t *track) delay() int64 { return int64(t.awaits().ForS) * 1000 }

func (st *stream) track(r *rule) *track {
	for _, t := range st.tracks {
		if t.rule == r {
			return t
		}
	}
	return nil
}

func (st *stream) drop(t *track) {
	if i := slices.Index(st.tracks, t); i >= 0 {
		st.tracks = slices.Delete(st.tracks, i, i+1)
	}
}
