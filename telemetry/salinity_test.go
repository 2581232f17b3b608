package telemetry

import (
	"math"
	"testing"
)

// TestPracticalSalinity holds it to the published check values (R, t on IPTS-68, p → S).
func TestPracticalSalinity(t *testing.T) {
	for _, c := range []struct{ ratio, t, p, want float64 }{
		{1, 15, 0, 35},
		{1.2, 20, 2000, 37.245628},
		{0.65, 5, 1500, 27.995347},
		{1.888091, 40, 10000, 40},
	} {
		if got := practicalSalinity(c.ratio, c.t, c.p); math.Abs(got-c.want) > 5e-6 {
			t.Errorf("R %v, %v °C, %v dbar: %.6f, want %.6f", c.ratio, c.t, c.p, got, c.want)
		}
	}
	// Brackish water, where the farmers' thresholds are: Hill's extension below 2.
	for want, ec25 := range map[float64]float64{0.5: 1.015, 1: 1.969, 2: 3.796, 4: 7.276} {
		if got := SalinityOfEC25(ec25); math.Abs(got-want) > 0.001 {
			t.Errorf("EC25 %v mS/cm: %.4f, want %.1f", ec25, got, want)
		}
	}
	if got := PracticalSalinity(0, 25, 0); got < 0 || got > 0.01 {
		t.Errorf("pure water: %v", got)
	}
	last := 0.0
	for ec := 0.0; ec < 60; ec += 0.01 {
		s := SalinityOfEC25(ec)
		if s < last || s-last > 0.05 {
			t.Fatalf("EC25 %v: %v after %v", ec, s, last)
		}
		last = s
	}
	for _, bad := range []float64{math.NaN(), -1} {
		if got := PracticalSalinity(bad, 25, 0); !math.IsNaN(got) {
			t.Errorf("conductivity %v: %v", bad, got)
		}
	}
}
