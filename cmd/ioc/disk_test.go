package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"cuulong/alerts"
)

// What the operators are told as a disk fills, overflows, is cleared and breaks.
func TestDiskTellsWhatHolds(t *testing.T) {
	const mib = 1 << 20
	var free uint64
	var failed, blind error
	holds := map[string]bool{}
	var values []float64
	d := &disk{
		log: slog.New(slog.DiscardHandler), dir: t.TempDir() + "/none", text: diskTexts["vi"],
		space: func() (uint64, uint64, error) { return free, 64 * mib, blind },
		err:   func() error { return failed },
		tell: func(c alerts.Condition, is bool, value float64, comment string) {
			if c.Title == "" || is != (comment != "") || !c.Priority.Valid() {
				t.Errorf("%+v, %q", c, comment)
			}
			holds[c.ID] = is
			if c.ID == alerts.DiskFull {
				values = append(values, value)
			}
		},
	}
	for _, step := range []struct {
		free                uint64
		low, full, notReady bool
	}{
		{1000, false, false, false},
		{128, false, false, false}, // twice the reserve
		{127, true, false, false},
		{64, true, false, false},
		{63, true, true, true},
		{79, true, true, false}, // taken in again, but the alarm stands until there is some room
		{80, true, false, false},
		{159, true, false, false},
		{160, false, false, false},
	} {
		free = step.free * mib
		d.look()
		if holds[alerts.DiskLow] != step.low || holds[alerts.DiskFull] != step.full || holds[alerts.LogFailed] {
			t.Errorf("%d MiB: %v", step.free, holds)
		}
		if err := d.ready(); (err != nil) != step.notReady {
			t.Errorf("%d MiB: ready says %v", step.free, err)
		}
	}
	if values[4] != 63 {
		t.Errorf("told %v MiB", values)
	}
	free, blind = 0, errors.New("no such folder")
	d.look()
	if holds[alerts.DiskFull] || d.ready() != nil {
		t.Error("full, though nobody can tell")
	}
	failed = errors.New("input/output error")
	d.look()
	if !holds[alerts.LogFailed] || d.ready() != failed {
		t.Errorf("the log has failed: %v, %v", holds, d.ready())
	}
}

func TestLowSpace(t *testing.T) {
	const mib, gib = uint64(1 << 20), uint64(1 << 30)
	for _, tc := range []struct{ size, want uint64 }{
		{0, 128 * mib}, {gib, 128 * mib}, {10 * gib, gib}, {20 * gib, 2 * gib}, {1000 * gib, 2 * gib},
	} {
		if got := lowSpace(tc.size, 64*mib); got != tc.want {
			t.Errorf("of %d MiB: %d MiB, want %d", tc.size/mib, got/mib, tc.want/mib)
		}
	}
}

// Both languages say everything.
func TestDiskTexts(t *testing.T) {
	for lang, x := range diskTexts {
		for _, s := range []string{x.low, x.lowWhy, x.full, x.fullWhy, x.failed, x.failedWhy} {
			if strings.TrimSpace(s) == "" || len(s) > 200 {
				t.Errorf("%s: %q", lang, s)
			}
		}
	}
	if len(diskTexts) != 2 {
		t.Error("one text a locale of the configuration")
	}
}
