package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Engine is a store under test and how to close and open it again with what it has kept.
type Engine struct {
	telemetry.Store
	Reopen func(t *testing.T) telemetry.Store
}

// Run puts an engine through the suite; open makes an empty one for each part.
func Run(t *testing.T, open func(t *testing.T) Engine) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, e Engine)
	}{
		{"order", order},
		{"bounds", bounds},
		{"revision", revision},
		{"duplicate", duplicate},
		{"values to the bit", exact},
		{"apart", apart},
		{"unknown", unknown},
		{"newest", newest},
		{"reopen", reopen},
		{"early stop", earlyStop},
		{"cancelled", cancelled},
		{"many series", manySeries},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// T0 is when the suite's observations begin: 2026-03-01T00:00:00Z, Unix ms.
const T0 = 1_772_323_200_000

func obs(id string, metric string, at int64, v float64) telemetry.Observation {
	return telemetry.Observation{Device: devices.ID(id), Metric: metric, At: at, Seen: at + 250, Value: v, Flag: telemetry.Pass}
}

func apply(t *testing.T, s telemetry.Store, seq uint64, list ...telemetry.Observation) {
	t.Helper()
	if err := s.Apply(&telemetry.Record{Seq: seq, Observations: list}); err != nil {
		t.Fatalf("Apply %d: %v", seq, err)
	}
}

func points(t *testing.T, s telemetry.Store, id, metric string, from, to int64) []telemetry.Point {
	t.Helper()
	var out []telemetry.Point
	err := s.Points(t.Context(), devices.ID(id), metric, from, to, func(p telemetry.Point) bool {
		out = append(out, p)
		return true
	})
	if err != nil {
		t.Fatalf("Points %s/%s: %v", id, metric, err)
	}
	return out
}

func want(t *testing.T, got []telemetry.Point, want ...telemetry.Point) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("points\n got %v\nwant %v", got, want)
	}
}

func pt(at int64, v float64) telemetry.Point {
	return telemetry.Point{At: at, Value: v, Flag: telemetry.Pass}
}

// order: what came late stands where it belongs.
func order(t *testing.T, e Engine) {
	apply(t, e, 1, obs("s", "salinity", T0+3000, 3), obs("s", "salinity", T0+1000, 1))
	apply(t, e, 2, obs("s", "salinity", T0+2000, 2))
	want(t, points(t, e, "s", "salinity", T0, T0+10_000), pt(T0+1000, 1), pt(T0+2000, 2), pt(T0+3000, 3))
}

// bounds: from is inclusive, to is exclusive, and nonsense is empty.
func bounds(t *testing.T, e Engine) {
	apply(t, e, 1, obs("s", "level", T0, 0), obs("s", "level", T0+1, 1), obs("s", "level", T0+2, 2))
	want(t, points(t, e, "s", "level", T0, T0+2), pt(T0, 0), pt(T0+1, 1))
	want(t, points(t, e, "s", "level", T0+1, T0+1))
	want(t, points(t, e, "s", "level", T0+2, T0))
	want(t, points(t, e, "s", "level", math.MinInt64, math.MaxInt64), pt(T0, 0), pt(T0+1, 1), pt(T0+2, 2))
}

// revision: a later value at the same time replaces the earlier, flag and all.
func revision(t *testing.T, e Engine) {
	apply(t, e, 1, obs("s", "salinity", T0, 1))
	o := obs("s", "salinity", T0, 60)
	o.Flag, o.Test = telemetry.Fail, telemetry.TestGrossRange
	apply(t, e, 2, o)
	want(t, points(t, e, "s", "salinity", T0, T0+1), telemetry.Point{At: T0, Value: 60, Flag: telemetry.Fail})
	apply(t, e, 3, obs("s", "salinity", T0, 2), obs("s", "salinity", T0, 3)) // within one record, too
	want(t, points(t, e, "s", "salinity", T0, T0+1), pt(T0, 3))
}

// duplicate: a record applied again changes nothing, although a later one replaced its value.
func duplicate(t *testing.T, e Engine) {
	apply(t, e, 1, obs("s", "salinity", T0, 1))
	apply(t, e, 2, obs("s", "salinity", T0, 2))
	apply(t, e, 2, obs("s", "salinity", T0, 2))
	apply(t, e, 1, obs("s", "salinity", T0, 1))
	want(t, points(t, e, "s", "salinity", T0, T0+1), pt(T0, 2))
}

// exact: values come back to the bit, times to the millisecond.
func exact(t *testing.T, e Engine) {
	values := []float64{0, 0.1, -0.1, 1.0 / 3, 1e-300, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1<<53 + 2, 123456.789, -0.001}
	var list []telemetry.Observation
	var all []telemetry.Point
	for i, v := range values {
		list = append(list, obs("s", "ec", T0+int64(i), v))
		all = append(all, pt(T0+int64(i), v))
	}
	apply(t, e, 1, list...)
	want(t, points(t, e, "s", "ec", T0, T0+100), all...)
}

// apart: series whose names run into each other are not mixed up.
func apart(t *testing.T, e Engine) {
	apply(t, e, 1,
		obs("a", "bc", T0, 1), obs("ab", "c", T0, 2), obs("a", "b", T0, 3), obs("a-b", "c", T0, 4), obs("a.b", "c", T0, 5), obs("A", "b", T0, 6))
	for i, s := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"a", "b"}, {"a-b", "c"}, {"a.b", "c"}, {"A", "b"}} {
		want(t, points(t, e, s[0], s[1], T0-1, T0+1), pt(T0, float64(i+1)))
	}
}

func unknown(t *testing.T, e Engine) {
	want(t, points(t, e, "nobody", "salinity", 0, math.MaxInt64))
	if list := all(t, e); len(list) != 0 {
		t.Errorf("an empty store has %v", list)
	}
}

func all(t *testing.T, s telemetry.Store) map[string]telemetry.Observation {
	t.Helper()
	out := map[string]telemetry.Observation{}
	err := s.Newest(t.Context(), func(o telemetry.Observation) bool {
		k := string(o.Device) + "/" + o.Metric
		if _, twice := out[k]; twice {
			t.Errorf("Newest yields %s twice", k)
		}
		out[k] = o
		return true
	})
	if err != nil {
		t.Fatalf("Newest: %v", err)
	}
	return out
}

// newest: by phenomenon time, whole, one for each datastream.
func newest(t *testing.T, e Engine) {
	bad := obs("b", "salinity", T0+9, 99)
	bad.Flag, bad.Test = telemetry.Fail, telemetry.TestGrossRange
	apply(t, e, 1, obs("a", "salinity", T0+5, 5), obs("a", "salinity", T0+1, 1), obs("a", "ph", T0, 7), bad)
	apply(t, e, 2, obs("a", "salinity", T0+4, 4), obs("a", "ph", T0, 8))
	got := all(t, e)
	for k, w := range map[string]telemetry.Observation{
		"a/salinity": obs("a", "salinity", T0+5, 5), "a/ph": obs("a", "ph", T0, 8), "b/salinity": bad,
	} {
		if got[k] != w {
			t.Errorf("newest %s\n got %+v\nwant %+v", k, got[k], w)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d datastreams, want 3", len(got))
	}
	n := 0
	if err := e.Newest(t.Context(), func(telemetry.Observation) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("Newest went on to %d after yield said false, %v", n, err)
	}
}

func reopen(t *testing.T, e Engine) {
	apply(t, e, 1, obs("a", "salinity", T0, 1), obs("b", "salinity", T0, 2))
	apply(t, e, 2, obs("a", "salinity", T0+1, 3))
	s := e.Reopen(t)
	want(t, points(t, s, "a", "salinity", T0, T0+10), pt(T0, 1), pt(T0+1, 3))
	if got := all(t, s); got["a/salinity"] != obs("a", "salinity", T0+1, 3) || len(got) != 2 {
		t.Errorf("newest after reopening: %v", got)
	}
	apply(t, s, 3, obs("c", "salinity", T0, 4), obs("a", "salinity", T0+2, 5)) // and it goes on
	want(t, points(t, s, "c", "salinity", T0, T0+10), pt(T0, 4))
	want(t, points(t, s, "a", "salinity", T0, T0+10), pt(T0, 1), pt(T0+1, 3), pt(T0+2, 5))
}

func earlyStop(t *testing.T, e Engine) {
	var list []telemetry.Observation
	for i := range int64(100) {
		list = append(list, obs("s", "level", T0+i, float64(i)))
	}
	apply(t, e, 1, list...)
	n := 0
	err := e.Points(t.Context(), "s", "level", T0, T0+100, func(telemetry.Point) bool {
		n++
		return n < 7
	})
	if err != nil || n != 7 {
		t.Errorf("yielded %d, want 7; %v", n, err)
	}
}

func cancelled(t *testing.T, e Engine) {
	var list []telemetry.Observation
	for i := range int64(5000) {
		list = append(list, obs("s", "level", T0+i, float64(i)))
	}
	apply(t, e, 1, list...)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := e.Points(ctx, "s", "level", T0, T0+5000, func(telemetry.Point) bool {
		if n++; n == 10 {
			cancel()
		}
		return true
	})
	if !errors.Is(err, context.Canceled) || n == 5000 {
		t.Errorf("after %d points: %v; want it to stop with context.Canceled", n, err)
	}
	if err := e.Newest(ctx, func(telemetry.Observation) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("Newest: %v, want context.Canceled", err)
	}
}

// manySeries: 2,000 devices with 3 metrics in records that mix them.
func manySeries(t *testing.T, e Engine) {
	const n = 2000
	metrics := []string{"salinity", "level", "battery"}
	for seq := range uint64(4) {
		var list []telemetry.Observation
		for i := range n {
			for m, metric := range metrics {
				list = append(list, obs(fmt.Sprintf("dev-%d", i), metric, T0+int64(seq)*60_000, float64(i*10+m)+float64(seq)/10))
			}
		}
		apply(t, e, seq+1, list...)
	}
	if got := all(t, e); len(got) != n*len(metrics) || got["dev-1234/level"] != obs("dev-1234", "level", T0+180_000, 12341.3) {
		t.Errorf("newest: %d datastreams, %+v", len(got), got["dev-1234/level"])
	}
	want(t, points(t, e, "dev-77", "battery", T0+60_000, T0+180_000), pt(T0+60_000, 772.1), pt(T0+120_000, 772.2))
}
