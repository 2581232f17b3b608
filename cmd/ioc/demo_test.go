package main

import (
	"path/filepath"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// A demo that was killed while it wrote its past, or that is started again
// after days, has no hole in it.
func TestDemoPastHasNoHole(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	db, err := openRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	atlas, err := geo.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := devices.Open(ctx, db, nil)
	if err != nil {
		t.Fatal(err)
	}
	series, err := tsdb.Open(filepath.Join(dir, "series"), tsdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer series.Close()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	latest := telemetry.NewLatest()
	for _, at := range []time.Time{now.Add(-9 * 24 * time.Hour), now, now} {
		if _, err := seedDemo(ctx, registry, atlas, latest, series, at); err != nil {
			t.Fatal(err)
		}
	}
	from := now.Add(-demoPast)
	perDay := make([]int, 14)
	err = series.Points(ctx, "sal-cua-tieu-1", "salinity", from.UnixMilli(), now.UnixMilli(), func(p telemetry.Point) bool {
		perDay[time.UnixMilli(p.At).Sub(from)/(24*time.Hour)]++
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for day, n := range perDay {
		if n < 60 || n > 96 { // of 96 quarters of an hour; drop-outs are part of the field
			t.Errorf("day %d has %d values: %v", day, n, perDay)
		}
	}
}
