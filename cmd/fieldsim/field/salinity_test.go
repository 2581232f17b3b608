package field

import (
	"math"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

func TestEC25CheckValues(t *testing.T) {
	for s, want := range map[float64]float64{0.5: 1.015, 1: 1.969, 2: 3.796, 4: 7.276} {
		if got := EC25(s); math.Abs(got-want) > 0.0006 {
			t.Errorf("EC25(%v) = %.4f mS/cm, want %.3f", s, got, want)
		}
	}
	// Standard sea water at 25 °C: 53.0 mS/cm (53.0647 with all digits of rt).
	if got := EC25(35); math.Abs(got-53.065) > 0.01 {
		t.Errorf("EC25(35) = %.3f", got)
	}
	if EC25(0) != 0 {
		t.Error("fresh water conducts")
	}
}

func stations(t *testing.T) []site {
	t.Helper()
	var s []site
	for _, x := range sites() {
		if x.river != "" {
			s = append(s, x)
		}
	}
	if len(s) != 14 {
		t.Fatalf("%d salinity stations", len(s))
	}
	return s
}

func TestSalinityIsBoundedAndFallsWithDistance(t *testing.T) {
	w := world{tide: 1}
	start := at(t, "2025-01-01T00:00:00Z")
	mean := map[string][]float64{}
	for _, s := range stations(t) {
		sum, low, high := 0.0, math.Inf(1), math.Inf(-1)
		const n = 2500
		for i := range int64(n) {
			x := w.salinity(&s, start+i*7*3600e3)
			sum, low, high = sum+x, min(low, x), max(high, x)
		}
		if low < 0.02 || high > 33 {
			t.Errorf("%s: %.2f to %.2f g/l", s.device.ID, low, high)
		}
		if high-low < 0.2 {
			t.Errorf("%s: the tide is not to be seen: %.2f to %.2f g/l", s.device.ID, low, high)
		}
		mean[s.river] = append(mean[s.river], sum/n) // the file lists a river from its mouth
	}
	for river, m := range mean {
		for i := 1; i < len(m); i++ {
			if m[i] >= m[i-1] {
				t.Errorf("%s: station %d is saltier than the one nearer the sea: %.2f", river, i+1, m)
			}
		}
	}
}

func TestBoundaryMovesWithTheTide(t *testing.T) {
	start := at(t, "2026-02-01T00:00:00Z")
	for river, e := range estuaries {
		for day := range int64(60) {
			low, high := math.Inf(1), math.Inf(-1)
			for q := range int64(100) {
				x := e.boundary(start + day*dayMS + q*900e3)
				low, high = min(low, x), max(high, x)
			}
			if low < 24 || high > 45 {
				t.Fatalf("%s day %d: 4 g/l at km %.1f to %.1f", river, day, low, high)
			}
			if high-low < 2 || high-low > 12 {
				t.Fatalf("%s day %d: the boundary swings %.1f km", river, day, high-low)
			}
		}
		if got := e.profile(30, 30); math.Abs(got-4) > 1e-9 {
			t.Errorf("%s: %.4f g/l at its own 4 g/l boundary", river, got)
		}
	}
}

// Whatever the start and the tide's speed, the intake is fresh when a field
// starts, above the urgent rule's limit before two minutes are over, and below
// its return limit again later.
func TestPulseRaisesOneAlarmAndLetsItReturn(t *testing.T) {
	s := siteOf(t, pulseStation)
	rule := Rules()[0]
	on, off := *rule.On.Above, *rule.Off.Below
	for i := range int64(400) {
		start := at(t, "2025-01-01T00:00:00Z") + i*(41*3600e3+1234567)
		for _, tide := range []float64{1, DemoTide, 240} {
			w := world{start: start, tide: tide, live: true, seed: uint64(i % 3)}
			if v := w.salinity(s, start); v >= off {
				t.Fatalf("start %d tide %v: %.2f g/l at the start", start, tide, v)
			}
			rose := int64(-1)
			for ms := start; ms < start+110e3; ms += 5000 {
				if w.salinity(s, ms) > on {
					rose = ms - start
					break
				}
			}
			if rose < pulseRise.Milliseconds() {
				t.Fatalf("start %d tide %v: rose after %d ms", start, tide, rose)
			}
			for ms := start + pulseOver.Milliseconds(); ms < start+pulsePeriod.Milliseconds(); ms += 240e3 {
				if v := w.salinity(s, ms); v >= off {
					t.Fatalf("start %d tide %v: still %.2f g/l after the pulse", start, tide, v)
				}
			}
		}
	}
}

func siteOf(t *testing.T, id devices.ID) *site {
	t.Helper()
	all := sites()
	for i := range all {
		if all[i].device.ID == id {
			return &all[i]
		}
	}
	t.Fatalf("no site %s", id)
	return nil
}

// The last of the past and the first of the present are the same function.
func TestHistoryAndLiveJoin(t *testing.T) {
	start := time.UnixMilli(at(t, "2026-03-20T09:00:00Z"))
	live := world{start: start.UnixMilli(), tide: DemoTide, live: true}
	past := world{tide: 1}
	for i := range sites() {
		s := &sites()[i]
		a, b := past.read(s, start.UnixMilli(), nil), live.read(s, start.UnixMilli(), nil)
		if len(a) == 0 || len(a) != len(b) {
			t.Fatalf("%s: %d and %d readings", s.device.ID, len(a), len(b))
		}
		for j := range a {
			if a[j] != b[j] {
				t.Errorf("%s: %v in history, %v live", s.device.ID, a[j], b[j])
			}
		}
	}
	// And nothing jumps just behind it: 10 s of the demo are 5 min of water.
	for _, s := range stations(t) {
		a, b := live.salinity(&s, start.UnixMilli()), live.salinity(&s, start.UnixMilli()+10_000)
		if math.Abs(b-a) > 0.15+0.15*a {
			t.Errorf("%s: %.2f g/l, ten seconds later %.2f", s.device.ID, a, b)
		}
	}
	last := int64(0)
	History(start.Add(-24*time.Hour), start, func(obs []telemetry.Observation) bool {
		for _, o := range obs {
			if o.At < last {
				t.Fatalf("%d after %d", o.At, last)
			}
			last = o.At
		}
		return true
	})
	if gap := start.UnixMilli() - last; gap > salinityStep.Milliseconds() {
		t.Errorf("history ends %d ms before its end", gap)
	}
}

func TestTideSpeedsTheWaterOnly(t *testing.T) {
	start := at(t, "2026-03-20T09:00:00Z")
	slow, fast := world{start: start, tide: 1, live: true}, world{start: start, tide: 60, live: true}
	s := siteOf(t, "sal-cua-tieu-4")
	if fast.salinity(s, start+60e3) != (world{tide: 1}).salinity(s, start+3600e3) {
		t.Error("a minute at tide 60 is not an hour of water")
	}
	air := siteOf(t, "air-1")
	a, b := slow.read(air, start+60e3, nil), fast.read(air, start+60e3, nil)
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("the tide moved %s: %v, %v", a[i].metric, a[i].value, b[i].value)
		}
	}
}
