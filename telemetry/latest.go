package telemetry

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"cuulong/devices"
)

// Latest is the newest observation by phenomenon time of every datastream.
// Safe for concurrent use; Ingest alone writes.
//
// Datastreams are numbered in the order they were first seen, so that the
// committer's own tables are slices and an observation costs no map entry.
type Latest struct {
	mu      sync.RWMutex
	devices map[devices.ID]*datastreams
	by      []Observation // by number; Flag 0: known but nothing stored yet
	order   []uint32      // numbers by (device, metric); valid while as long as by
	loaded  bool
}

// datastreams are one device's: names and numbers side by side. A few names
// are found faster by looking at each than by a map.
type datastreams struct {
	names   []string
	numbers []uint32
	byName  map[string]uint32 // when there are many
}

const manyNames = 24

func (d *datastreams) find(metric string) (uint32, bool) {
	if d.byName != nil {
		n, ok := d.byName[metric]
		return n, ok
	}
	for i, name := range d.names {
		if name == metric {
			return d.numbers[i], true
		}
	}
	return 0, false
}

func (d *datastreams) add(metric string, n uint32) {
	d.names = append(d.names, metric)
	d.numbers = append(d.numbers, n)
	if len(d.names) == manyNames {
		d.byName = make(map[string]uint32, 2*manyNames)
		for i, name := range d.names {
			d.byName[name] = d.numbers[i]
		}
	} else if d.byName != nil {
		d.byName[metric] = n
	}
}

// NewLatest returns an empty one; Load fills it from a Store, which NewIngest does where it was not done.
func NewLatest() *Latest { return &Latest{devices: map[devices.ID]*datastreams{}} }

// Load fills it from what the store kept.
func (l *Latest) Load(ctx context.Context, s Store) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := s.Newest(ctx, func(o Observation) bool {
		n := l.number(o.Device, o.Metric)
		if cur := &l.by[n]; cur.Flag == 0 || o.At >= cur.At {
			o.Device, o.Metric = cur.Device, cur.Metric
			l.by[n] = o
		}
		return true
	})
	l.loaded = err == nil
	return err
}

// number returns a datastream's number, a new one where it has none. l.mu is held for writing.
func (l *Latest) number(id devices.ID, metric string) uint32 {
	d := l.devices[id]
	if d == nil {
		d = &datastreams{}
		id = devices.ID(strings.Clone(string(id))) // do not keep a whole payload for a name
		l.devices[id] = d
	}
	if n, ok := d.find(metric); ok {
		return n
	}
	if len(d.numbers) > 0 {
		id = l.by[d.numbers[0]].Device
	}
	if m, ok := byName[metric]; ok {
		metric = m.Name
	} else {
		metric = strings.Clone(metric)
	}
	n := uint32(len(l.by))
	l.by = append(l.by, Observation{Device: id, Metric: metric})
	d.add(metric, n)
	return n
}

// store puts what a commit stored in its place; numbers are the datastreams' of obs.
func (l *Latest) store(obs []Observation, numbers []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range obs {
		o, cur := &obs[i], &l.by[numbers[i]]
		if cur.Flag == 0 || o.At >= cur.At {
			cur.At, cur.Seen, cur.Value, cur.Flag, cur.Test = o.At, o.Seen, o.Value, o.Flag, o.Test
		}
	}
}

// Get returns the newest observation of a datastream.
func (l *Latest) Get(id devices.ID, metric string) (Observation, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	d := l.devices[id]
	if d == nil {
		return Observation{}, false
	}
	n, ok := d.find(metric)
	if !ok || l.by[n].Flag == 0 {
		return Observation{}, false
	}
	return l.by[n], true
}

// Of returns a device's newest observations, by metric name.
func (l *Latest) Of(id devices.ID) []Observation {
	l.mu.RLock()
	defer l.mu.RUnlock()
	d := l.devices[id]
	if d == nil {
		return nil
	}
	out := make([]Observation, 0, len(d.numbers))
	for _, n := range d.numbers {
		if l.by[n].Flag != 0 {
			out = append(out, l.by[n])
		}
	}
	slices.SortFunc(out, func(a, b Observation) int { return cmp.Compare(a.Metric, b.Metric) })
	return out
}

// All returns everything, ordered by (device, metric).
func (l *Latest) All() []Observation {
	l.sort()
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]Observation, 0, len(l.order))
	for _, n := range l.order { // a datastream of this instant may be missing, which is no gap: it is newer
		if l.by[n].Flag != 0 {
			out = append(out, l.by[n])
		}
	}
	return out
}

// Len is the number of datastreams.
func (l *Latest) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.by)
}

// sort brings order up to date; datastreams are seldom new, so that mostly it finds nothing to do.
func (l *Latest) sort() {
	l.mu.RLock()
	ready := len(l.order) == len(l.by)
	l.mu.RUnlock()
	if ready {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := len(l.order); n < len(l.by); n++ {
		l.order = append(l.order, uint32(n))
	}
	slices.SortFunc(l.order, func(a, b uint32) int {
		x, y := &l.by[a], &l.by[b]
		return cmp.Or(cmp.Compare(x.Device, y.Device), cmp.Compare(x.Metric, y.Metric))
	})
}
