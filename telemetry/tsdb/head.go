package tsdb

import (
	"slices"
	"sort"
	"sync"

	"cuulong/devices"
	"cuulong/telemetry"
)

// head is what the series hold in memory: the names of all datastreams and
// their newest observations, and the samples that are not in chunks yet. A
// crash loses it; the log refills it.
//
// One goroutine at a time adds; any may read.
type head struct {
	mu      sync.RWMutex
	numbers map[devices.ID]map[string]uint32
	names   []name    // by number
	newest  []newest  // by number
	open    []stretch // by number: what came since the last freeze
	frozen  []stretch // by number: what is being written as chunks; nil when nothing is
	count   int       // samples in open
	tests   testTable
}

// All fields of head are guarded by mu; the one that adds may read without it.

type name struct {
	device devices.ID
	metric string
}

// stretch is what waits of a series. What is late stands apart, so that a backlog
// behind newer values does not move them for each of its own. Both lists rise in
// time, and no time is in both.
type stretch struct {
	samples, late []sample
}

// newest is a datastream's newest observation, whole.
type newest struct {
	at, seen int64
	value    float64
	flag     telemetry.Flag // 0: none yet
	test     uint8
}

// testTable numbers the tests that flags name; there are few.
type testTable struct{ list []string }

func (t *testTable) number(test []byte) uint8 {
	for i := range t.list {
		if t.list[i] == string(test) {
			return uint8(i)
		}
	}
	if len(t.list) == 256 {
		return 255 // more than anyone names: the last stands for the rest
	}
	t.list = append(t.list[:len(t.list):len(t.list)], string(test)) // readers keep the list they have
	return uint8(len(t.list) - 1)
}

func (t *testTable) of(test string) uint8 {
	if test == "" {
		return 0
	}
	for i := range t.list {
		if t.list[i] == test {
			return uint8(i)
		}
	}
	return t.number([]byte(test))
}

func newHead() *head {
	return &head{numbers: map[devices.ID]map[string]uint32{}, tests: testTable{[]string{""}}}
}

// put notes a series under its number. mu is held.
func (h *head) put(n uint32, of name) {
	for uint32(len(h.names)) <= n {
		h.names = append(h.names, name{})
		h.newest = append(h.newest, newest{})
		h.open = append(h.open, stretch{})
	}
	h.names[n] = of
	m := h.numbers[of.device]
	if m == nil {
		m = map[string]uint32{}
		h.numbers[of.device] = m
	}
	m[of.metric] = n
}

func (h *head) find(id devices.ID, metric string) (uint32, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n, ok := h.numbers[id][metric]
	return n, ok
}

// add puts observations in their places.
func (h *head) add(obs []telemetry.Observation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var (
		device  devices.ID
		numbers map[string]uint32
	)
	for i := range obs {
		o := &obs[i]
		if i == 0 || o.Device != device {
			device, numbers = o.Device, h.numbers[o.Device]
		}
		n, ok := numbers[o.Metric]
		if !ok {
			n = uint32(len(h.names))
			h.put(n, name{o.Device, o.Metric})
			numbers = h.numbers[o.Device]
		}
		test := h.tests.of(o.Test)
		if h.open[n].put(sample{at: o.At, value: o.Value, delay: wholeSeconds(o.Seen - o.At), flag: o.Flag, test: test}) {
			h.count++
		}
		if w := &h.newest[n]; w.flag == 0 || o.At >= w.at {
			*w = newest{o.At, o.Seen, o.Value, o.Flag, test}
		}
	}
}

func wholeSeconds(ms int64) int32 {
	return int32(max(min(floorDiv(ms, 1000), 1<<31-1), -1<<31))
}

// put takes a sample in, in place of one of the same time; fresh tells that there
// was none. What comes in order, nearly all, is appended.
func (s *stretch) put(v sample) (fresh bool) {
	if n := len(s.samples); n == 0 || s.samples[n-1].at < v.at {
		s.samples = append(s.samples, v)
		return true
	}
	if old := find(s.samples, v.at); old != nil {
		*old = v
		return false
	}
	if n := len(s.late); n == 0 || s.late[n-1].at < v.at {
		s.late = append(s.late, v)
		return true
	}
	i := sort.Search(len(s.late), func(i int) bool { return s.late[i].at >= v.at })
	if s.late[i].at == v.at {
		s.late[i] = v
		return false
	}
	s.late = slices.Insert(s.late, i, v)
	return true
}

// at finds the sample of a time; nil where there is none.
func (s *stretch) at(at int64) *sample {
	if v := find(s.samples, at); v != nil {
		return v
	}
	return find(s.late, at)
}

// all is what waits, rising in time.
func (s *stretch) all() []sample {
	if len(s.late) == 0 {
		return s.samples
	}
	return merged(slices.Concat(s.late, s.samples))
}

func (s *stretch) len() int { return len(s.samples) + len(s.late) }

// find looks for a time in samples that rise.
func find(list []sample, at int64) *sample {
	if n := len(list); n == 0 || at < list[0].at || at > list[n-1].at {
		return nil
	}
	i := sort.Search(len(list), func(i int) bool { return list[i].at >= at })
	if list[i].at != at {
		return nil
	}
	return &list[i]
}

// between is the part of a list within two times, from inclusive, to exclusive.
func between(list []sample, from, to int64) []sample {
	i := sort.Search(len(list), func(i int) bool { return list[i].at >= from })
	j := sort.Search(len(list), func(i int) bool { return list[i].at >= to })
	return list[i:max(i, j)]
}

// samples copies what the head holds of a series between two times; of two at one time the newer.
func (h *head) samples(n uint32, from, to int64) []sample {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var out []sample
	for _, side := range [][]stretch{h.frozen, h.open} {
		if int(n) < len(side) {
			out = append(out, between(side[n].late, from, to)...)
			out = append(out, between(side[n].samples, from, to)...)
		}
	}
	return merged(out)
}

// at finds one sample.
func (h *head) at(n uint32, at int64) (sample, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, side := range [][]stretch{h.open, h.frozen} {
		if int(n) < len(side) {
			if v := side[n].at(at); v != nil {
				return *v, true
			}
		}
	}
	return sample{}, false
}

// merged sorts samples by time and leaves, of those at one time, the last in the list.
func merged(list []sample) []sample {
	ordered := true
	for i := 1; i < len(list) && ordered; i++ {
		ordered = list[i-1].at < list[i].at
	}
	if ordered {
		return list
	}
	slices.SortStableFunc(list, func(a, b sample) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	kept := 0
	for i := range list {
		if kept > 0 && list[kept-1].at == list[i].at {
			kept--
		}
		list[kept] = list[i]
		kept++
	}
	return list[:kept]
}

// freeze takes what is open aside, to be written; false when there is nothing or
// the last is still being written.
func (h *head) freeze() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen != nil || h.count == 0 {
		return false
	}
	h.frozen = h.open
	h.open = make([]stretch, len(h.names))
	h.count = 0
	return true
}

// thaw drops what is written, or, where the writing has failed, takes it back.
func (h *head) thaw(written bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !written {
		for n := range h.frozen {
			if h.frozen[n].len() > 0 {
				back := merged(slices.Concat(h.frozen[n].all(), h.open[n].all())) // of one time the newer
				h.count += len(back) - h.open[n].len()
				h.open[n] = stretch{samples: back}
			}
		}
	}
	h.frozen = nil
}

// size is how many samples wait to be frozen.
func (h *head) size() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.count
}

// latest yields the newest observation of each series.
func (h *head) latest(yield func(telemetry.Observation) bool) {
	h.mu.RLock()
	names, list := slices.Clone(h.names), slices.Clone(h.newest)
	tests := h.tests.list
	h.mu.RUnlock()
	for i, w := range list {
		if w.flag != 0 && !yield(telemetry.Observation{
			Device: names[i].device, Metric: names[i].metric, At: w.at, Seen: w.seen, Value: w.value, Flag: w.flag, Test: tests[w.test],
		}) {
			return
		}
	}
}
