package telemetry

import (
	"math"
	"sync/atomic"

	"cuulong/devices"
)

// The names of QARTOD's tests that give flags, and of ours.
const (
	TestSpike        = "spike"
	TestRateOfChange = "rate_of_change"
	TestFlatLine     = "flat_line"
	TestGap          = "gap"
	TestClockSkew    = "clock_skew" // ours: the device's clock is wrong
)

// LimitsOf tells the tests of a datastream; nil where the catalogue's gross range is all.
type LimitsOf func(devices.ID, string) *devices.Limits

// quality runs QARTOD's tests of each datastream that has limits, as its values
// come. It judges what is in order; of what is late the range alone, since what
// came before and after it is not known here. QARTOD's spike test looks at the
// value after the spike, too: an alarm cannot wait for it, so that here a value is
// held against the mean of the two before, and the first after a step is suspect.
//
// It is the committer's, like stage.
type quality struct {
	of      LimitsOf
	changes atomic.Uint64 // rises when limits have changed
	seen    uint64        // the changes that tests know of
	tests   []*test       // by datastream number; nil: not asked yet, or none
	asked   []bool        // by datastream number
	undo    []undo        // of the batch that is staged
}

// test is what the tests of one datastream remember.
type test struct {
	limits *devices.Limits
	memory
}

type memory struct {
	last, before   float64 // the newest value and the one before
	at             int64   // of the newest
	known          int8    // how many of them are
	runFrom, runTo float64 // the span of the flat line that ends with last
	runLength      int
}

type undo struct {
	of *test
	memory
}

// begin forgets what the last batch would need to be undone.
func (q *quality) begin() {
	q.undo = q.undo[:0]
	if q.of == nil {
		return
	}
	if n := q.changes.Load(); n != q.seen {
		q.seen = n
		clear(q.asked)
	}
}

// revert forgets the staged batch.
func (q *quality) revert() {
	for i := len(q.undo) - 1; i >= 0; i-- {
		q.undo[i].of.memory = q.undo[i].memory
	}
	q.undo = q.undo[:0]
}

// find returns a datastream's tests; nil where it has none.
func (q *quality) find(n uint32, o *Observation) *test {
	for uint32(len(q.asked)) <= n {
		q.asked, q.tests = append(q.asked, false), append(q.tests, nil)
	}
	if q.asked[n] {
		return q.tests[n]
	}
	q.asked[n] = true
	limits := q.of(o.Device, o.Metric)
	switch {
	case limits == nil:
		q.tests[n] = nil
	case q.tests[n] == nil:
		q.tests[n] = &test{limits: limits}
	default:
		q.tests[n].limits = limits // what it remembers stays
	}
	return q.tests[n]
}

// judge gives o the worst flag of its tests. late: something newer was there.
func (q *quality) judge(n uint32, o *Observation, late bool) {
	if q.of == nil {
		return
	}
	t := q.find(n, o)
	if t == nil {
		return
	}
	inRange(t.limits, o)
	if late {
		return
	}
	q.undo = append(q.undo, undo{t, t.memory})
	t.compare(o)
}

// mark gives o a flag unless it has one as bad.
func mark(o *Observation, f Flag, by string) {
	if rank(f) > rank(o.Flag) {
		o.Flag, o.Test = f, by
	}
}

func inRange(l *devices.Limits, o *Observation) {
	outside := func(r *[2]float64) bool { return r != nil && (o.Value < r[0] || o.Value > r[1]) }
	switch {
	case outside(l.Fail):
		mark(o, Fail, TestGrossRange)
	case outside(l.Suspect):
		mark(o, Suspect, TestGrossRange)
	}
}

// compare holds o against what came before it, and remembers it.
func (t *test) compare(o *Observation) {
	l, m := t.limits, &t.memory
	if l.GapS > 0 && m.known > 0 && o.At-m.at > int64(l.GapS)*secondMillis {
		*m = memory{}
		mark(o, NotEvaluated, TestGap)
	}
	if l.Spike != nil && m.known == 2 {
		switch far := math.Abs(o.Value - (m.last+m.before)/2); {
		case far > l.Spike[1]:
			mark(o, Fail, TestSpike)
		case far > l.Spike[0]:
			mark(o, Suspect, TestSpike)
		}
	}
	if l.RatePerHour > 0 && m.known > 0 && o.At > m.at {
		if math.Abs(o.Value-m.last)*hourMillis/float64(o.At-m.at) > l.RatePerHour {
			mark(o, Suspect, TestRateOfChange)
		}
	}
	if l.Flat != nil {
		t.flat(o)
	}
	m.before, m.last, m.at = m.last, o.Value, o.At
	m.known = min(m.known+1, 2)
}

func (t *test) flat(o *Observation) {
	f, m := t.limits.Flat, &t.memory
	low, high := min(m.runFrom, o.Value), max(m.runTo, o.Value)
	if m.runLength == 0 || high-low > f.Eps {
		m.runFrom, m.runTo, m.runLength = o.Value, o.Value, 1
		return
	}
	m.runFrom, m.runTo = low, high
	m.runLength++
	switch {
	case f.Fail > 0 && m.runLength >= f.Fail:
		mark(o, Fail, TestFlatLine)
	case f.Suspect > 0 && m.runLength >= f.Suspect:
		mark(o, Suspect, TestFlatLine)
	}
}
