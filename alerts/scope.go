package alerts

import (
	"maps"
	"slices"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
)

// rule is a Rule made ready for judging. It is never changed: another Rule is another rule.
type rule struct {
	Rule
	flags   uint16 // bit n: flag n is judged
	devices map[devices.ID]bool
	kinds   map[devices.Kind]bool
	zones   map[string]bool
	tags    map[string]bool
	unit    string // of a metric that the catalogue does not know
	from    uint64 // the log's record after which it began to judge
}

func compile(r Rule) *rule {
	c := &rule{Rule: r, devices: set(r.Scope.Devices), kinds: set(r.Scope.Kinds), zones: set(r.Scope.Zones), tags: set(r.Scope.Tags)}
	flags := r.Flags
	if len(flags) == 0 {
		flags = []telemetry.Flag{telemetry.Pass, telemetry.NotEvaluated}
	}
	for _, f := range flags {
		c.flags |= 1 << f
	}
	return c
}

// set is nil for none: absent = all.
func set[T comparable](vs []T) map[T]bool {
	if len(vs) == 0 {
		return nil
	}
	m := make(map[T]bool, len(vs))
	for _, v := range vs {
		m[v] = true
	}
	return m
}

func (r *rule) accepts(f telemetry.Flag) bool { return f < 16 && r.flags&(1<<f) != 0 }

// facts are what scopes and staleness ask of a device.
type facts struct {
	known      bool
	kind       devices.Kind
	tags       []string
	zones      []string
	intervalMS int64
}

// stale says whether a value of phenomenon time at greys at our time now: after three intervals.
func (f *facts) stale(at, now int64) bool { return now-at > 3*f.intervalMS }

func (e *Engine) factsOf(id devices.ID) facts {
	d, ok := e.o.Registry.Get(id)
	if !ok {
		return facts{}
	}
	f := facts{known: true, kind: d.Kind, tags: d.Tags, intervalMS: d.Interval().Milliseconds()}
	if d.Position != nil && e.o.Atlas != nil {
		for _, z := range e.o.Atlas.ZonesAt(*d.Position) {
			f.zones = append(f.zones, z.ID)
		}
	}
	return f
}

// covers says whether a device lies in the rule's scope. A device that the registry does not know lies in none.
func (r *rule) covers(id devices.ID, f *facts) bool {
	return f.known &&
		(r.devices == nil || r.devices[id]) &&
		(r.kinds == nil || r.kinds[f.kind]) &&
		(r.zones == nil || slices.ContainsFunc(f.zones, func(z string) bool { return r.zones[z] })) &&
		(r.tags == nil || slices.ContainsFunc(f.tags, func(t string) bool { return r.tags[t] }))
}

// newStream begins to follow a datastream; at our time now. mu is held.
func (e *Engine) newStream(id devices.ID, metric string, now int64) *stream {
	j := &e.judges
	st := &stream{key: streamKey{id, metric}, facts: e.factsOf(id)}
	st.lastAt = e.before(st.key, now)
	for _, r := range j.byMetric[metric] {
		if r.covers(id, &st.facts) {
			st.rules = append(st.rules, r)
		}
	}
	j.streams[st.key] = st
	j.byDevice[id] = append(j.byDevice[id], st)
	return st
}

// before is the newest phenomenon time of what came before our time now; 0:
// nothing did. What Latest has from an earlier commit makes older values late.
// What came with this commit does not: the values before it are about to be judged.
func (e *Engine) before(k streamKey, now int64) int64 {
	if at, ok := e.judges.past[k]; ok {
		return at
	}
	if o, ok := e.o.Latest.Get(k.device, k.metric); ok && o.Seen < now {
		return o.At
	}
	return 0
}

// judgeLatest lets a rule that is new to a datastream judge its newest value, unless stale. mu is held.
func (e *Engine) judgeLatest(st *stream, r *rule, now int64) {
	if o, ok := e.o.Latest.Get(st.key.device, st.key.metric); ok {
		e.judges.judgeOld(st, r, &o, now)
	}
}

// judgeOld lets a rule judge a value that came before, unless stale. mu is held.
func (j *judges) judgeOld(st *stream, r *rule, o *telemetry.Observation, now int64) {
	// As with any observation, an old one may still end an alarm.
	if t := st.track(r); t != nil && t.inAlarm || !st.facts.stale(o.At, now) {
		j.judge(st, r, o, now)
		if t := st.track(r); t != nil {
			j.touch(t)
		}
	}
}

// Rescope resolves all scopes again: zones have changed. It returns at once; Run does it.
func (e *Engine) Rescope() {
	e.judges.mu.Lock()
	e.judges.allDirty = true
	e.judges.mu.Unlock()
	e.poke()
}

// DeviceChanged resolves the scopes of one device again: it was made, moved,
// tagged or deleted. It returns at once; Run does it.
func (e *Engine) DeviceChanged(id devices.ID) {
	e.judges.mu.Lock()
	e.judges.dirty[id] = struct{}{}
	e.judges.mu.Unlock()
	e.poke()
}

const outOfScope = "no longer in the rule's scope"

// rescopedAtOnce bounds how long Observe waits for a rescope.
const rescopedAtOnce = 500

// rescope does what Rescope and DeviceChanged asked for.
func (e *Engine) rescope() {
	j := &e.judges
	j.mu.Lock()
	ids := j.dirty
	if len(ids) == 0 && !j.allDirty {
		j.mu.Unlock()
		return
	}
	j.dirty = map[devices.ID]struct{}{}
	if j.allDirty {
		for id := range j.byDevice {
			ids[id] = struct{}{}
		}
	}
	all := j.allDirty
	j.allDirty = false
	j.mu.Unlock()
	if all {
		for _, d := range e.o.Registry.All() { // one that came back is not followed yet
			ids[d.ID] = struct{}{}
		}
	}

	now := e.now().UnixMilli()
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(ids)), rescopedAtOnce) {
		j.mu.Lock()
		for _, id := range chunk {
			e.rescopeDevice(id, now)
		}
		j.mu.Unlock()
	}
}

// rescopeDevice is called with mu held.
func (e *Engine) rescopeDevice(id devices.ID, now int64) {
	j := &e.judges
	f := e.factsOf(id)
	for _, st := range j.byDevice[id] {
		st.facts = f
		was := st.rules
		st.rules = nil
		for _, r := range j.byMetric[st.key.metric] {
			if r.covers(id, &f) {
				st.rules = append(st.rules, r)
			}
		}
		for _, t := range slices.Clone(st.tracks) {
			if !slices.Contains(st.rules, t.rule) {
				j.leave(t, now, outOfScope)
			}
		}
		for _, r := range st.rules {
			if !slices.Contains(was, r) {
				e.judgeLatest(st, r, now)
			}
		}
	}
	if !f.known {
		for _, st := range j.byDevice[id] {
			delete(j.streams, st.key)
		}
		delete(j.byDevice, id)
		return
	}
	// A device that comes back has values already.
	for _, o := range e.o.Latest.Of(id) {
		e.follow(streamKey{id, o.Metric}, now)
	}
}

// follow begins with a datastream that has a value, where a rule names its
// metric and it is not followed yet; the rules judge it. mu is held.
func (e *Engine) follow(k streamKey, now int64) *stream {
	j := &e.judges
	if st := j.streams[k]; st != nil || len(j.byMetric[k.metric]) == 0 {
		return st
	}
	st := e.newStream(k.device, k.metric, now)
	if o, ok := e.o.Latest.Get(k.device, k.metric); ok {
		st.lastAt = o.At
	}
	for _, r := range st.rules {
		e.judgeLatest(st, r, now)
	}
	return st
}

// position and agency of a device as they are now.
func (e *Engine) whereabouts(id devices.ID) (p *geo.Point, agency string, ok bool) {
	d, ok := e.o.Registry.Get(id)
	if !ok {
		return nil, "", false
	}
	if d.Position != nil {
		q := *d.Position
		p = &q
	}
	return p, d.Agency, true
}
