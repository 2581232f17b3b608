package influx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/storetest"
)

// onlyPoints hides a store's Windows, so that telemetry's own answer.
type onlyPoints struct{ telemetry.Store }

func windows(t testing.TB, s telemetry.Store, from, to int64, every telemetry.Every) []telemetry.Window {
	t.Helper()
	var out []telemetry.Window
	if err := telemetry.Windows(t.Context(), s, "w", "salinity", from, to, every, func(w telemetry.Window) bool {
		out = append(out, w)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWindows: Flux answers what telemetry makes of the points, over gaps,
// several chunks, flags of every kind, local days and cut ends.
func TestWindows(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	s := open(t, server, Options{})
	const seed = 20261128
	r := rand.New(rand.NewPCG(seed, 1))
	flags := []telemetry.Flag{1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 9}
	var list []telemetry.Observation
	at := int64(storetest.T0)
	for i := range 20_000 {
		at += 1 + r.Int64N(2*60_000)
		if i%5000 == 4999 {
			at += 40 * 24 * 3600_000 // a gap
		}
		list = append(list, telemetry.Observation{Device: "w", Metric: "salinity", At: at, Seen: at, Value: math.Round(r.Float64()*3000) / 100, Flag: flags[r.IntN(len(flags))]})
	}
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: list}); err != nil {
		t.Fatal(err)
	}
	for _, every := range []string{"30s", "7m", "1h", "1d", "2d", "30d", "auto"} {
		for _, cut := range [][2]int64{{storetest.T0 - 5, at + 5}, {storetest.T0 + 1_234_567, at - 7_654_321}, {list[100].At, list[100].At + 1}, {list[7].At + 1, list[8].At}} {
			t.Run(fmt.Sprintf("%s/%d", every, cut[0]), func(t *testing.T) {
				width, err := telemetry.ParseEvery(every, cut[0], cut[1])
				if err != nil {
					t.Fatal(err)
				}
				got, want := windows(t, s, cut[0], cut[1], width), windows(t, onlyPoints{s}, cut[0], cut[1], width)
				if !slices.EqualFunc(got, want, alike) {
					t.Fatalf("seed %d: %d windows, want %d\n got %v\nwant %v", seed, len(got), len(want), got[:min(3, len(got))], want[:min(3, len(want))])
				}
			})
		}
	}
	t.Run("large values", func(t *testing.T) { largeValues(t, open(t, server, Options{})) })
	n := 0
	if err := s.Windows(t.Context(), "w", "salinity", 0, math.MaxInt64, telemetry.Every{Millis: 3600_000}, func(telemetry.Window) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("%d windows after yield said false, %v", n, err)
	}
}

// alike: the mean is the same sum in another order.
func alike(a, b telemetry.Window) bool {
	mean := a.Mean - b.Mean
	a.Mean, b.Mean = 0, 0
	return a == b && math.Abs(mean) < 1e-9
}

// largeValues: a sum beyond a float has a mean within what was measured.
func largeValues(t *testing.T, s *Store) {
	var list []telemetry.Observation
	for i := range int64(4) {
		list = append(list, telemetry.Observation{Device: "w", Metric: "salinity", At: storetest.T0 + i, Value: math.MaxFloat64, Flag: telemetry.Pass})
	}
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: list}); err != nil {
		t.Fatal(err)
	}
	got := windows(t, s, storetest.T0, storetest.T0+1000, telemetry.Every{Millis: 1000})
	if len(got) != 1 || got[0].Mean != math.MaxFloat64 || got[0].Count != 4 {
		t.Errorf("windows %+v", got)
	}
}
