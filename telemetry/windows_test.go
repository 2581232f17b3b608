package telemetry_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"cuulong/devices"
	. "cuulong/telemetry"
)

// list is a Store of one series.
type list []Point

func (l list) Apply(*Record) error                                  { return errors.New("read only") }
func (l list) Newest(context.Context, func(Observation) bool) error { return nil }
func (l list) Points(_ context.Context, _ devices.ID, _ string, from, to int64, yield func(Point) bool) error {
	for _, p := range l {
		if p.At >= from && p.At < to && !yield(p) {
			return nil
		}
	}
	return nil
}

func windows(t *testing.T, s Store, from, to int64, every string) []Window {
	t.Helper()
	e, err := ParseEvery(every, from, to)
	if err != nil {
		t.Fatal(err)
	}
	var out []Window
	if err := Windows(t.Context(), s, "d", "m", from, to, e, func(w Window) bool { out = append(out, w); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWindows(t *testing.T) {
	const hour, day = 3_600_000, 86_400_000
	midnight := time.Date(2026, 3, 1, 0, 0, 0, 0, time.FixedZone("Asia/Ho_Chi_Minh", 7*3600)).UnixMilli()
	s := list{
		{midnight - 1, 9, Pass}, {midnight, 1, Pass}, {midnight + 1, 2, NotEvaluated}, {midnight + hour - 1, 6, Pass},
		{midnight + hour, 4, Fail}, {midnight + 5*hour, 5, Pass}, {midnight + day, 7, Suspect},
	}
	all := func(every string) []Window { return windows(t, s, midnight-day, midnight+2*day, every) }
	for _, c := range []struct {
		name string
		got  []Window
		want []Window
	}{
		{"hours, empty ones left out", all("1h"), []Window{
			{midnight - hour, 9, 9, 9, 9, 1, Pass}, {midnight, 3, 1, 6, 6, 3, NotEvaluated}, {midnight + hour, 4, 4, 4, 4, 1, Fail},
			{midnight + 5*hour, 5, 5, 5, 5, 1, Pass}, {midnight + day, 7, 7, 7, 7, 1, Suspect}}},
		{"days begin at local midnight", all("1d"), []Window{
			{midnight - day, 9, 9, 9, 9, 1, Pass}, {midnight, 3.6, 1, 6, 5, 5, Fail}, {midnight + day, 7, 7, 7, 7, 1, Suspect}}},
		{"6 hours stand on the epoch", windows(t, s, midnight-1, midnight+2, "6h"), []Window{
			{midnight - 5*hour, 4, 1, 9, 2, 3, NotEvaluated}}},
		{"cut by from and to", windows(t, s, midnight+1, midnight+hour-1, "1h"), []Window{{midnight, 2, 2, 2, 2, 1, NotEvaluated}}},
		{"nothing", windows(t, s, 0, 1000, "1h"), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s\n got %+v\nwant %+v", c.name, c.got, c.want)
		}
	}
	// Windows stop when yield does, without the one that was being filled.
	n := 0
	if err := Windows(t.Context(), s, "d", "m", 0, math.MaxInt64, Every{Millis: hour}, func(Window) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("%d windows after yield said false, %v", n, err)
	}
}

// TestWindowsAgainstNaive compares with sums done the plain way on a day of values.
func TestWindowsAgainstNaive(t *testing.T) {
	var s list
	for i := range int64(1440) {
		s = append(s, Point{now + i*60_000, 5 + 4*math.Sin(float64(i)/120), Pass})
	}
	got := windows(t, s, now, now+86_400_000, "30m")
	if len(got) != 48 {
		t.Fatalf("%d windows, want 48", len(got))
	}
	for k, w := range got {
		part := s[k*30 : (k+1)*30]
		sum := 0.0
		for _, p := range part {
			sum += p.Value
		}
		if w.Start != part[0].At || w.Count != 30 || math.Abs(w.Mean-sum/30) > 1e-12 || w.Last != part[29].Value {
			t.Errorf("window %d: %+v", k, w)
		}
	}
}

// TestWindowsAtTheEdge: values whose sum overflows still give finite means, and a large counter's mean is exact.
func TestWindowsAtTheEdge(t *testing.T) {
	huge := windows(t, list{{now, math.MaxFloat64, Pass}, {now + 1, math.MaxFloat64, Pass}, {now + 2, -math.MaxFloat64, Pass}}, now, now+10, "1h")
	if m := huge[0].Mean; math.IsNaN(m) || math.IsInf(m, 0) {
		t.Errorf("mean %v", m)
	}
	var s list
	for i := range int64(1000) {
		s = append(s, Point{now + i, 1e15 + 0.125, Pass})
	}
	if m := windows(t, s, now, now+1000, "1h")[0].Mean; m != 1e15+0.125 {
		t.Errorf("mean %v of a constant", m)
	}
}

// TestMeanOfHugeValues: the mean of finite values is theirs, though their sum is beyond a float64.
func TestMeanOfHugeValues(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{1.7e308, 1.7e308}, 1.7e308},
		{append(slices.Repeat([]float64{0}, 98), 1.7e308, 1.7e308), 3.4e306},
		{[]float64{1e308, 1e308, -1e308, -1e308}, 0},
		{[]float64{-1.7e308, -1.7e308, 1.7e308}, -1.7e308 / 3},
		{[]float64{1, 2, 6}, 3},
	} {
		var l list
		for i, v := range c.values {
			l = append(l, Point{At: now + int64(i), Value: v, Flag: Pass})
		}
		got := windows(t, l, now-1, now+1000, "1d")
		if len(got) != 1 || math.Abs(got[0].Mean-c.want) > 1e-12*math.Abs(c.want) {
			t.Errorf("%v: %+v, want a mean of %g", c.values[:min(len(c.values), 5)], got, c.want)
		}
	}
}

func TestParseEvery(t *testing.T) {
	const day = 86_400_000
	for s, want := range map[string]int64{"30s": 30_000, "10m": 600_000, "1h": 3_600_000, "24h": day, "1d": day, "7d": 7 * day, "366d": 366 * day} {
		if e, err := ParseEvery(s, 0, 1); err != nil || e.Millis != want {
			t.Errorf("%s is %d ms, %v; want %d", s, e.Millis, err, want)
		}
	}
	for _, s := range []string{"", "m", "0m", "-1m", "1.5h", "1w", "10", "1 h", "+1h", "367d", "99999999999999999999d", "4294967295d", "1H", "autos"} {
		if e, err := ParseEvery(s, 0, 1); err == nil {
			t.Errorf("%q is read as %d ms", s, e.Millis)
		}
	}
	for span, want := range map[int64]string{0: "1s", 60_000: "1s", 3_600_000: "5s", day: "2m0s", 7 * day: "15m0s", 30 * day: "1h0m0s", 365 * day: "12h0m0s", 3650 * day: "168h0m0s", -5: "1s"} {
		e, err := ParseEvery("auto", now-span, now)
		if err != nil || time.Duration(e.Millis*1e6).String() != want {
			t.Errorf("auto over %s is %s, want %s", time.Duration(span*1e6), time.Duration(e.Millis*1e6), want)
		}
		if span/e.Millis > 1000 {
			t.Errorf("auto cuts %d ms into %d windows", span, span/e.Millis)
		}
	}
	if e, _ := ParseEvery("auto", math.MinInt64, math.MaxInt64); e.Millis != 366*day {
		t.Errorf("auto over all time is %d ms", e.Millis)
	}
}
