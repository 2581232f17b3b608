package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cuulong/devices"
)

// stage finds out what of a batch is new, a revision or a duplicate, and gives
// a time to what has none. It is the committer's: what it knows of a
// datastream includes the batch it has staged, which may not be durable yet.
type stage struct {
	latest *Latest
	store  Store
	heads  []head // by datastream number

	numbers    []uint32 // of the batch's observations that stay
	duplicates int
	revised    int

	of    []uint32          // the number of each of the batch's observations, or unnumbered
	late  []place           // of those that are not newer than what is stored
	at    []int64           // of those of one datastream; scratch
	found map[place]float64 // what the store holds there

	// here finds what this batch holds itself. It is built when the first late
	// value comes, which in most batches never happens.
	here map[place]float64

	aside   []SetAside // of the message at hand; scratch
	quality quality

	device  devices.ID // the device of the last observation: mostly it is that of the next, too
	streams *datastreams
}

// head is the newest observation of a datastream, staged or stored.
type head struct {
	at    int64
	value float64
	// from..to is a run of times, each of which holds a value, given to what
	// told no time; a burst in one millisecond need not walk it again.
	from, to int64
}

// unnumbered is an observation beyond its device's bound of datastreams.
const unnumbered = math.MaxUint32

// place is where an observation stands.
type place struct {
	number uint32
	at     int64
}

func (s *stage) begin(l *Latest, store Store) {
	s.latest, s.store = l, store
	s.heads = make([]head, len(l.by))
	for i := range l.by {
		s.heads[i] = stored(&l.by[i])
	}
}

// newHead is that of a datastream without a value.
var newHead = head{at: math.MinInt64, from: 1, to: 0}

// stored is the head of a datastream whose newest stored observation is o.
func stored(o *Observation) head {
	h := newHead
	if o.Flag != 0 {
		h.at, h.value = o.At, o.Value
	}
	return h
}

// resolve leaves in b.obs what is to be stored, in order, with times, and their
// numbers in s.numbers; it counts duplicates and revisions. What goes over the
// bound of datastreams, or finds no time, is added to b.aside with its message.
func (s *stage) resolve(b *batch) error {
	s.numbers, s.duplicates, s.revised = s.numbers[:0], 0, 0
	clear(s.here)
	s.quality.begin()
	if err := s.lookUp(b.obs); err != nil {
		return err
	}
	kept, at := 0, 0
	for i := range b.msgs {
		m := &b.msgs[i]
		aside := Batch{SetAside: s.aside[:0]}
		for ; at < m.end; at++ {
			o, n := &b.obs[at], s.of[at]
			if n == unnumbered {
				aside.setAside(refused(o, m.source, m.payload, TooManyNames, fmt.Sprintf("%s: more than %d datastreams", o.Device, MaxMetrics)))
				continue
			}
			keep, err := s.one(b.obs[:kept], n, o)
			switch {
			case err == errNoTime:
				aside.setAside(refused(o, m.source, m.payload, BadTime, fmt.Sprintf("%.64q: %v", o.Metric, err)))
			case err != nil:
				return err
			case keep:
				if kept != at {
					b.obs[kept] = *o
				}
				kept++
			}
		}
		if s.aside = aside.SetAside; len(s.aside) > 0 {
			s.setAside(b, i)
		}
	}
	clear(b.obs[kept:])
	b.obs = b.obs[:kept]
	return nil
}

// revert forgets the batch that resolve staged and the log did not take, so that
// it is no duplicate of itself when it is sent again.
func (s *stage) revert() {
	s.quality.revert()
	for _, n := range s.numbers {
		s.heads[n] = stored(&s.latest.by[n])
	}
}

// setAside gives message i what of it cannot be kept, after what it has; rare,
// so that moving the others is no matter.
func (s *stage) setAside(b *batch, i int) {
	b.aside = slices.Insert(b.aside, b.msgs[i].asideEnd, s.aside...)
	for ; i < len(b.msgs); i++ {
		b.msgs[i].asideEnd += len(s.aside)
	}
}

// lookUp finds the batch's datastreams, and what the store holds where a value
// comes late. It asks once for each datastream: values late at random, over months,
// would have the store decode a day for each, and all others wait meanwhile.
func (s *stage) lookUp(obs []Observation) error {
	s.device, s.streams = "", nil
	s.of, s.late = s.of[:0], s.late[:0]
	clear(s.found)
	for i := range obs {
		o := &obs[i]
		n, ok := s.number(o)
		if !ok {
			n = unnumbered
		} else if o.At != 0 && o.At <= s.heads[n].at {
			s.late = append(s.late, place{n, o.At})
		}
		s.of = append(s.of, n)
	}
	if len(s.late) == 0 {
		return nil
	}
	if s.found == nil {
		s.found = map[place]float64{}
	}
	slices.SortFunc(s.late, func(a, b place) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.at, b.at)) })
	s.late = slices.Compact(s.late)
	for i := 0; i < len(s.late); {
		n := s.late[i].number
		s.at = s.at[:0]
		for ; i < len(s.late) && s.late[i].number == n; i++ {
			if h := &s.heads[n]; s.late[i].at == h.at {
				s.found[s.late[i]] = h.value
			} else {
				s.at = append(s.at, s.late[i].at)
			}
		}
		of := &s.latest.by[n]
		if err := find(context.Background(), s.store, of.Device, of.Metric, s.at, func(p Point) { s.found[place{n, p.At}] = p.Value }); err != nil {
			return err
		}
	}
	return nil
}

// number finds an observation's datastream, and shares the names that Latest
// holds. ok is false for one beyond the device's bound.
func (s *stage) number(o *Observation) (n uint32, ok bool) {
	// The committer alone writes Latest's tables, so that it may read them without the lock.
	if s.streams == nil || o.Device != s.device {
		s.device, s.streams = o.Device, s.latest.devices[o.Device]
	}
	if s.streams != nil {
		if n, ok = s.streams.find(o.Metric); ok {
			known := &s.latest.by[n]
			o.Device, o.Metric = known.Device, known.Metric
			return n, true
		}
		if len(s.streams.numbers) >= MaxMetrics {
			return 0, false
		}
	}
	s.latest.mu.Lock()
	n = s.latest.number(o.Device, o.Metric)
	s.latest.mu.Unlock()
	s.streams = s.latest.devices[o.Device]
	s.heads = append(s.heads, newHead)
	return n, true
}

// one judges an observation against all that came before it; kept is what of
// this batch stays so far. keep is false for a duplicate.
func (s *stage) one(kept []Observation, n uint32, o *Observation) (keep bool, err error) {
	h := &s.heads[n]
	if o.At == 0 {
		if o.At, err = s.freeTime(kept, n, o); err != nil {
			return false, err
		}
	} else if o.At <= h.at {
		old, ok := s.inBatch(kept, place{n, o.At})
		if !ok {
			old, ok = s.found[place{n, o.At}]
		}
		switch {
		case ok && same(old, o.Value):
			s.duplicates++
			return false, nil
		case ok:
			s.revised++
		}
	}
	s.quality.judge(n, o, o.At <= h.at)
	if o.At >= h.at {
		h.at, h.value = o.At, o.Value
	}
	if len(s.here) > 0 {
		s.here[place{n, o.At}] = o.Value
	}
	s.numbers = append(s.numbers, n)
	return true, nil
}

// same compares values as they are stored: to the bit, but that 0 and -0 are one.
func same(a, b float64) bool { return a == b }

// inBatch looks for what a datastream holds at a time, if it is its newest or
// this batch has brought it.
func (s *stage) inBatch(kept []Observation, at place) (v float64, ok bool) {
	if h := &s.heads[at.number]; at.at >= h.at {
		return h.value, at.at == h.at
	}
	if len(s.here) == 0 {
		if s.here == nil {
			s.here = map[place]float64{}
		}
		for i := range kept {
			s.here[place{s.numbers[i], kept[i].At}] = kept[i].Value
		}
	}
	v, ok = s.here[at]
	return v, ok
}

// errNoTime is that of a value without ts when those before it have used up what
// a time may run ahead.
var errNoTime = errors.New("without ts, and every millisecond up to five minutes ahead is taken")

// freeTime is receive time, moved on by 1 ms while the datastream has a value there.
func (s *stage) freeTime(kept []Observation, n uint32, o *Observation) (at int64, err error) {
	h := &s.heads[n]
	at = o.Seen
	if at >= h.from && at <= h.to {
		at = h.to + 1
	}
	for at <= h.at {
		_, ok := s.inBatch(kept, place{n, at})
		if !ok {
			if err := find(context.Background(), s.store, o.Device, o.Metric, []int64{at}, func(Point) { ok = true }); err != nil {
				return 0, err
			}
		}
		if !ok {
			break
		}
		at++
	}
	if at > o.Seen+ahead {
		return 0, errNoTime
	}
	if o.Seen >= h.from && o.Seen <= h.to+1 {
		h.to = at
	} else {
		h.from, h.to = o.Seen, at
	}
	return at, nil
}
