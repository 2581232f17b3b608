package field

import (
	"math"
	"testing"
	"time"
)

func at(t *testing.T, s string) int64 {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v.UnixMilli()
}

// Speeds in degrees an hour are published to seven places (Schureman 1940,
// table 2); they pin Doodson's numbers and the longitudes' rates at once.
func TestConstituentsTurnAtPublishedSpeeds(t *testing.T) {
	published := map[string]float64{"M2": 28.9841042, "K1": 15.0410686, "O1": 13.9430356, "S2": 30, "SA": 0.0410686,
		"P1": 14.9589314, "N2": 28.4397295, "K2": 30.0821373, "Q1": 13.3986609, "SSA": 0.0821373, "NU2": 28.5125831, "MU2": 27.9682084}
	// Six hours within one day, so that the hour angle does not wrap.
	a, b := skyAt(at(t, "2026-03-20T03:00:00Z")), skyAt(at(t, "2026-03-20T09:00:00Z"))
	if len(published) != len(vungTau) {
		t.Fatalf("%d constituents, want %d", len(vungTau), len(published))
	}
	for _, c := range vungTau {
		if got := (c.argument(b) - c.argument(a)) / 6; math.Abs(got-published[c.name]) > 2e-6 {
			t.Errorf("%s: %.7f °/h, want %.7f", c.name, got, published[c.name])
		}
	}
}

// At J2000, 2000-01-01 12:00 UT: s 218.3164, h 280.4665, p 83.3532, N 125.0445.
// By hand: M2 = 2·180 - 2s + 2h = 484.300 = 124.300; K1 = 180 + h + 90 = 190.466;
// O1 = 180 - 2s + h - 90 = -66.166 = 293.834; S2 = 0.
// M2's height: f = 1 - 0.037·cos N = 1.02124, u = -2.1·sin N = -1.719;
// 1.02124 · 0.773 · cos(124.300 - 1.719 - 193.8) = 0.78942 · cos(-71.219) = 0.25416 m.
func TestArgumentsAtJ2000ByHand(t *testing.T) {
	a := skyAt(j2000)
	want := map[string]float64{"M2": 124.300, "K1": 190.466, "O1": 293.834, "S2": 0}
	for _, c := range vungTau {
		w, ok := want[c.name]
		if !ok {
			continue
		}
		got := math.Mod(math.Mod(c.argument(a), 360)+360, 360)
		if math.Abs(got-w) > 0.001 {
			t.Errorf("%s: V = %.4f°, want %.3f°", c.name, got, w)
		}
	}
	if got := vungTau[0].height(a); math.Abs(got-0.2542) > 5e-4 {
		t.Errorf("M2 at J2000: %.4f m, want 0.2542", got)
	}
}

// The argument may not jump at midnight, where the hour angle begins again.
func TestTideIsContinuous(t *testing.T) {
	start := at(t, "2026-03-19T22:00:00Z")
	before, _ := seaLevel(start)
	for i := int64(1); i < 5*60; i++ {
		now, _ := seaLevel(start + i*60e3)
		if math.Abs(now-before) > 0.02 {
			t.Fatalf("minute %d: %.3f m after %.3f m", i, now, before)
		}
		before = now
	}
}

// Within every month the springs' daily range is far greater than the neaps'.
func TestSpringsAndNeaps(t *testing.T) {
	for month := range 24 {
		start := time.Date(2025, time.Month(1+month), 1, 0, 0, 0, 0, time.UTC).UnixMilli()
		most, least := 0.0, math.Inf(1)
		for day := range int64(29) {
			low, high := math.Inf(1), math.Inf(-1)
			for hour := range int64(25) {
				h, _ := seaLevel(start + day*dayMS + hour*3600e3)
				low, high = min(low, h), max(high, h)
			}
			most, least = max(most, high-low), min(least, high-low)
		}
		if ratio := most / least; ratio < 1.3 || ratio > 4.5 {
			t.Errorf("month %d of 2025-26: ranges %.2f to %.2f m, ratio %.2f", month+1, least, most, ratio)
		}
		if most < 2.4 || most > 4.8 {
			t.Errorf("month %d: greatest daily range %.2f m is not Vũng Tàu's", month+1, most)
		}
	}
}
