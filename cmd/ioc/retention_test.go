package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cuulong/telemetry/tsdb"
)

func TestRetention(t *testing.T) {
	load := func(text string) (Config, error) {
		file := filepath.Join(t.TempDir(), "ioc.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return loadConfig(file, false, func(string) string { return "" })
	}
	const day = 24 * time.Hour
	c, err := load("retention:\n  raw: 400d\n  5m: 800d\n  metrics:\n    uptime: {raw: 30d, 5m: 30d}\n    salinity: {raw: \"\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	policy := c.Retention.policy()
	for metric, want := range map[string]tsdb.Keep{
		"level":    {Raw: 400 * day, FiveMinutes: 800 * day},
		"uptime":   {Raw: 30 * day, FiveMinutes: 30 * day},
		"salinity": {FiveMinutes: 800 * day},
	} {
		if got := policy(metric); got != want {
			t.Errorf("%s: %+v, want %+v", metric, got, want)
		}
	}
	if c, err = load("data_dir: x\n"); err != nil || c.Retention.policy() != nil {
		t.Errorf("without retention everything is kept: %v", err)
	}
	_, err = load("retention:\n  raw: soon\n  1h: 0d\n  2h: 5d\n  metrics:\n    PH: {raw: 1d}\n    level: {weeks: 2d, raw: 99999999d}\n")
	for _, want := range []string{"retention.raw", "retention.1h", "retention.2h", `"PH"`, "retention.metrics.level.weeks", "retention.metrics.level.raw"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault names %s: %v", want, err)
		}
	}
}
