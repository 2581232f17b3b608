package telemetry

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"cuulong/devices"
)

// Window is one aggregate of one window of a series.
type Window struct {
	Start                int64 // Unix ms
	Mean, Min, Max, Last float64
	Count                int
	Flag                 Flag // the worst of it
}

const (
	secondMillis = 1000
	minuteMillis = 60 * secondMillis
	hourMillis   = 60 * minuteMillis
	dayMillis    = 24 * hourMillis

	// localOffset is Asia/Ho_Chi_Minh's: UTC+7, no daylight saving time since 1975.
	// A constant, so that days are right on a machine without tzdata.
	localOffset = 7 * hourMillis

	maxEvery    = 366 * dayMillis
	autoWindows = 1000 // what every=auto aims to stay within
)

// Every is the width of windows; days are local (Asia/Ho_Chi_Minh).
type Every struct{ Millis int64 }

// autoWidths are the widths that every=auto chooses from.
var autoWidths = []int64{
	secondMillis, 5 * secondMillis, 10 * secondMillis, 30 * secondMillis,
	minuteMillis, 2 * minuteMillis, 5 * minuteMillis, 10 * minuteMillis, 15 * minuteMillis, 30 * minuteMillis,
	hourMillis, 2 * hourMillis, 3 * hourMillis, 6 * hourMillis, 12 * hourMillis,
	dayMillis, 2 * dayMillis, 7 * dayMillis, 30 * dayMillis, 90 * dayMillis, maxEvery,
}

// ParseEvery reads 30s, 10m, 1h, 1d, at most 366d; auto chooses the finest
// width that cuts [from, to) (Unix ms) into at most 1,000 windows.
func ParseEvery(s string, from, to int64) (Every, error) {
	if s == "auto" {
		span := max(to-from, 0)
		if to > from && to-from < 0 {
			span = math.MaxInt64
		}
		for _, w := range autoWidths {
			if span/w < autoWindows {
				return Every{w}, nil
			}
		}
		return Every{maxEvery}, nil
	}
	if len(s) < 2 {
		return Every{}, badEvery(s)
	}
	var unit int64
	switch s[len(s)-1] {
	case 's':
		unit = secondMillis
	case 'm':
		unit = minuteMillis
	case 'h':
		unit = hourMillis
	case 'd':
		unit = dayMillis
	default:
		return Every{}, badEvery(s)
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil || n == 0 || int64(n) > maxEvery/unit {
		return Every{}, badEvery(s)
	}
	return Every{int64(n) * unit}, nil
}

func badEvery(s string) error {
	return fmt.Errorf("every %.16q: want a number and s, m, h or d, such as 10m, at most 366d, or auto", s)
}

// Floor is the start of the window that holds at. Widths of whole days start
// at local midnight; others on the UTC epoch's multiples.
func (e Every) Floor(at int64) int64 {
	var offset int64
	if e.Millis%dayMillis == 0 {
		offset = localOffset
	}
	at += offset
	r := at % e.Millis
	if r < 0 {
		r += e.Millis
	}
	return at - r - offset
}

// Windows yields the windows of a series that hold anything, in rising time.
// A window that from or to cuts holds only what is inside them.
func Windows(ctx context.Context, s Store, id devices.ID, metric string, from, to int64, every Every, yield func(Window) bool) error {
	if every.Millis <= 0 {
		return fmt.Errorf("windows of %d ms", every.Millis)
	}
	if by, ok := s.(Windower); ok {
		return by.Windows(ctx, id, metric, from, to, every, nil, yield)
	}
	return gatherPoints(ctx, s, id, metric, from, to, every, yield)
}

func gatherPoints(ctx context.Context, s Store, id devices.ID, metric string, from, to int64, every Every, yield func(Window) bool) error {
	g := NewGatherer(every, yield)
	err := s.Points(ctx, id, metric, from, to, g.Point)
	if err == nil {
		g.Flush()
	}
	return err
}

// Part is what a stretch of a series adds to the window that holds its start: a point, or a roll-up of many.
type Part struct {
	Start               int64 // Unix ms
	Sum, Min, Max, Last float64
	Count               int
	Flag                Flag // the worst of it
}

// Gatherer makes windows of parts that come in rising time.
type Gatherer struct {
	every   Every
	yield   func(Window) bool
	w       Window
	sum     Sum
	end     int64 // of the open window
	stopped bool
}

// NewGatherer yields windows of a width until yield says false.
func NewGatherer(every Every, yield func(Window) bool) *Gatherer {
	return &Gatherer{every: every, yield: yield}
}

// Point adds one point; false when yield has said so.
func (g *Gatherer) Point(p Point) bool {
	return g.Part(Part{Start: p.At, Sum: p.Value, Min: p.Value, Max: p.Value, Last: p.Value, Count: 1, Flag: p.Flag})
}

// Part adds many points at once; false when yield has said so.
func (g *Gatherer) Part(p Part) bool {
	w := &g.w
	if w.Count == 0 || p.Start >= g.end {
		if !g.Flush() {
			return false
		}
		start := g.every.Floor(p.Start)
		g.end = start + g.every.Millis
		g.w, g.sum = Window{Start: start, Min: p.Min, Max: p.Max}, Sum{}
	}
	w.Count += p.Count
	g.sum.Add(p.Sum)
	w.Min, w.Max, w.Last = min(w.Min, p.Min), max(w.Max, p.Max), p.Last
	w.Flag = Worse(w.Flag, p.Flag)
	return true
}

// Flush yields the open window. It is called once more after the last part.
func (g *Gatherer) Flush() bool {
	w := &g.w
	if w.Count == 0 || g.stopped {
		return !g.stopped
	}
	if w.Mean = min(max(g.sum.Mean(w.Count), w.Min), w.Max); !finite(w.Mean) {
		w.Mean = w.Min/2 + w.Max/2 // of roll-ups whose sum is beyond a float64: JSON must hold an answer
	}
	g.stopped = !g.yield(*w)
	w.Count = 0
	return !g.stopped
}

// Sum adds without losing small values beside a large counter (Kahan), and
// without an end: it counts in units of 2^64, which a float64 divides by exactly.
type Sum struct{ sum, c float64 }

const sumUnit = 1 << 64

// Add adds a value.
func (k *Sum) Add(v float64) {
	y := v/sumUnit - k.c
	t := k.sum + y
	k.c = (t - k.sum) - y
	k.sum = t
}

// Value is the sum of all that was added, infinite where no float64 holds it.
func (k *Sum) Value() float64 { return k.sum * sumUnit }

// Mean is the mean of all that was added, which stood for n values.
func (k *Sum) Mean(n int) float64 { return k.sum / float64(n) * sumUnit }
