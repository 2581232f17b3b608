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

	conditions map[string]bool // about the server itself, by id: whether they hold, as last told

	dirty    map[devices.ID]struct{} // devices whose scopes are to be resolved again
	allDirty bool

	// Where in the log judging stands; see place.go and replay.go.
	keeps   bool // there is a log
	live    bool // Observe judges; before, the log is read
	at      cursor
	told    uint64              // newest record that Observe was told of
	base    uint64              // the checkpoint this process began with
	placed  uint64              // the checkpoint as committed
	fresh   bool                // the log is not the one that the checkpoint is of
	touched []*track            // moved since the checkpoint was taken
	marks   map[alarmKey]cursor // until live: what was committed after the checkpoint
	clock   int64               // our time when the newest record came; until live, of the tick before; Unix ms
	past    map[streamKey]int64 // until live: newest phenomenon time as at the checkpoint, where Latest cannot tell
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
	touched bool // the next checkpoint records it
	gone    bool // dropped
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
	cur     cursor // in the log
}

func (t transition) key() alarmKey { return alarmKey{t.rule.ID, t.subject} }

// Observe judges what the log has just made durable: it flips states in memory
// and marks pending transitions. It never blocks. Until Run has caught up with
// the log it only notes how far the log is.
func (e *Engine) Observe(rec *telemetry.Record) {
	j := &e.judges
	j.mu.Lock()
	j.told = max(j.told, rec.Seq)
	if !j.live || rec.Seq > 0 && rec.Seq <= j.at.seq && !e.begunAnew(rec.Seq) {
		j.mu.Unlock()
		return
	}
	before := len(j.pending) + len(j.late)
	e.judgeRecord(rec)
	more := len(j.pending)+len(j.late) > before
	j.mu.Unlock()
	if more {
		e.poke()
	}
}

// begunAnew says whether a log gives numbers that it had given before we
// began: then it is another log, as after its folder was deleted. mu is held.
func (e *Engine) begunAnew(seq uint64) bool {
	j := &e.judges
	if seq > j.base {
		return false
	}
	e.log.Warn("the log has begun anew: alarms go on with it", "checkpoint", j.base, "record", seq)
	j.base, j.fresh = 0, true
	return true
}

// judgeRecord lets the rules judge a record. mu is held.
func (e *Engine) judgeRecord(rec *telemetry.Record) {
	j := &e.judges
	if rec.Seq > 0 {
		j.at.seq = rec.Seq
	}
	if j.live && len(rec.Observations) > 0 {
		j.clock = max(j.clock, rec.Observations[0].Seen)
	}
	for i := range rec.Observations {
		o := &rec.Observations[i]
		if len(j.byMetric[o.Metric]) == 0 {
			continue
		}
		j.at.nth = int32(i)
		st := j.streams[streamKey{o.Device, o.Metric}]
		if st == nil {
			st = e.newStream(o.Device, o.Metric, o.Seen)
		} else if !j.live && st.lastAt == 0 {
			st.lastAt = e.before(st.key, o.Seen)
		}
		if o.At < st.lastAt {
			continue // late: it raises no present-tense alarm
		}
		st.lastAt = o.At
		for _, r := range st.rules {
			if !j.live && j.judged(r, o.Device) {
				continue
			}
			j.judge(st, r, o, o.Seen)
		}
		for _, t := range st.tracks {
			j.touch(t)
		}
	}
	j.at.nth = whole
}

// Tick does what passes with time alone: delays that end without another value.
func (e *Engine) Tick(now time.Time) {
	j := &e.judges
	j.mu.Lock()
	more := j.live && j.pass(now.UnixMilli(), false)
	j.mu.Unlock()
	if more {
		e.poke()
	}
}

// tickMS is how often Run ticks, in ms.
const tickMS = 1000

// pass ends the delays that have passed at our time now and says whether any
// has. What the log tells afterwards is dated by the tick that it was due at. mu is held.
func (j *judges) pass(now int64, afterwards bool) (more bool) {
	for t := range j.waiting {
		at, due := now, t.since+t.delay()
		if afterwards {
			at = max(due, j.clock+tickMS)
		}
		switch {
		case at > now:
		case t.stream.facts.stale(t.at, at):
			delete(j.waiting, t) // a silent device proves nothing; its next value does
		case due <= at:
			j.flip(t, at)
			more = true
		}
	}
	return more
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
			j.drop(t)
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
	j.touch(t)
	if !t.inAlarm {
		j.drop(t)
	}
}

// leave ends what r held at a datastream that it judges no more. mu is held.
func (j *judges) leave(t *track, now int64, why string) {
	if t.inAlarm {
		j.note(transition{rule: t.rule, subject: t.stream.key.device, at: now, value: t.value, comment: why})
	}
	j.drop(t)
}

// note queues a transition for the committer. mu is held.
func (j *judges) note(t transition) {
	t.cur = j.at
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

// drop ends a track. mu is held.
func (j *judges) drop(t *track) {
	delete(j.waiting, t)
	j.touch(t)
	t.gone = true
	st := t.stream
	if i := slices.Index(st.tracks, t); i >= 0 {
		st.tracks = slices.Delete(st.tracks, i, i+1)
	}
}
