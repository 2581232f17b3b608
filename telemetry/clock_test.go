package telemetry

import (
	"testing"

	"cuulong/devices"
)

// TestClocks: what a station's delays say of its clock, and what a backlog does not.
func TestClocks(t *testing.T) {
	const minute = 60_000
	for _, c := range []struct {
		name   string
		delay  func(minute int64) int64 // of the message of that minute
		offset int64                    // at the end
		flagAt int64                    // the first minute that is flagged; -1: none
	}{
		{"right", func(m int64) int64 { return 300 + m%5*100 }, -300, -1},
		{"a little ahead", func(int64) int64 { return -90_000 }, 90_000, -1},
		{"ahead", func(int64) int64 { return -3 * minute }, 3 * minute, 0},
		{"behind", func(m int64) int64 { return 3600_000 + m%7*1000 }, -3600_000, 5},
		{"a backlog of hours, sent within half an hour", func(m int64) int64 { return max(300, (280-m*10)*minute) }, -300, -1},
		{"hourly, each time the last hour", func(m int64) int64 { return (60 - m%60) * minute }, -31 * minute, -1},
	} {
		clocks, first := NewClocks(), int64(-1)
		for m := range int64(30) {
			seen := march + m*minute
			obs := []Observation{{Device: "s", Metric: "level", At: seen - c.delay(m), Seen: seen, Flag: Pass}, {Device: "s", Metric: "ph", Seen: seen, Flag: Pass}}
			if clocks.judge(obs); obs[0].Flag == Suspect && first < 0 {
				if first = m; obs[0].Test != TestClockSkew {
					t.Errorf("%s: by %q", c.name, obs[0].Test)
				}
			}
			if obs[1].Flag != Pass {
				t.Errorf("%s: what tells no time is flagged", c.name)
			}
		}
		if got, ok := clocks.Offset("s"); !ok || got != c.offset || first != c.flagAt {
			t.Errorf("%s: offset %d, first flagged in minute %d; want %d and %d", c.name, got, first, c.offset, c.flagAt)
		}
	}
	if _, ok := NewClocks().Offset(devices.ID("nobody")); ok {
		t.Error("a clock that nobody has")
	}
}
