package influx

import (
	"testing"

	"cuulong/telemetry"
)

// TestOthers: what came from InfluxDB is not brought back, until it was revised here: also back to what it was.
func TestOthers(t *testing.T) {
	var o others
	at := func(v float64) *telemetry.Observation {
		return &telemetry.Observation{Device: "a", Metric: "ph", At: 1000, Value: v}
	}
	o.add([]telemetry.Observation{*at(7)})
	for i, c := range []struct {
		of   *telemetry.Observation
		want bool
	}{
		{at(7), true},
		{&telemetry.Observation{Device: "a", Metric: "ph", At: 2000, Value: 8}, false},
		{&telemetry.Observation{Device: "b", Metric: "ph", At: 1000, Value: 8}, false},
		{at(7), true},
		{at(8), false},
		{at(7), false},
	} {
		if got := o.has(c.of); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}
