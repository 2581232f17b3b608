package tsdb

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cuulong/telemetry"
)

// The sample store was made by
//
//	go test ./telemetry/tsdb -run TestSampleStore -make-sample
//
// and is read as it is: who changes the format without knowing it fails here.
var makeSample = flag.Bool("make-sample", false, "write testdata/store anew")

const sampleStore = "testdata/store"

// TestSampleStore reads a store that an earlier build has written: FORMAT.md is what it was.
func TestSampleStore(t *testing.T) {
	if *makeSample {
		if err := os.RemoveAll(sampleStore); err != nil {
			t.Fatal(err)
		}
		db := openAt(t, sampleStore, Options{})
		sampleRecords(t, db)
		if err := db.Compact(t.Context(), time.UnixMilli(t0+2*dayMillis)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(sampleStore, "series", "LOCK")); err != nil {
			t.Fatal(err)
		}
	}
	dir := copyOf(t, sampleStore)
	if stats, faults := faultsOf(t, dir); len(faults) > 0 || stats.Records != 300 || stats.RolledUpDays == 0 {
		t.Errorf("%+v, faults %v", stats, faults)
	}
	db := openAt(t, dir, Options{})
	if db.recovered.records != 0 {
		t.Errorf("%d records were refilled: the series hold them", db.recovered.records)
	}
	want := model{}
	for i := range 300 {
		want.apply(sampleRecord(i).Observations)
	}
	for of := range want {
		if got, want := pointsOf(t, db, of, 0, 2*t0), want.points(of, 0, 2*t0); !slices.Equal(got, want) {
			t.Errorf("%v: %d points, want %d", of, len(got), len(want))
		}
	}
	if got, want := windowsOf(t, db, name{"tram-1", "level"}, 0, 2*t0, telemetry.Every{Millis: dayMillis}), want.windows(name{"tram-1", "level"}, 0, 2*t0, telemetry.Every{Millis: dayMillis}); !sameWindows(got, want) {
		t.Errorf("days %v\nwant %v", got, want)
	}
	// Also where only the log is left.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "series")); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, dir, Options{})
	for of := range want {
		if got, want := pointsOf(t, db, of, 0, 2*t0), want.points(of, 0, 2*t0); !slices.Equal(got, want) {
			t.Errorf("%v from the log: %d points, want %d", of, len(got), len(want))
		}
	}
}

func sampleRecord(i int) *telemetry.Record {
	at := int64(t0) + int64(i)*600_000
	r := &telemetry.Record{Observations: []telemetry.Observation{
		{Device: "tram-1", Metric: "level", At: at, Seen: at + 400, Value: float64(i%37) / 100, Flag: telemetry.Pass},
		{Device: "tram-1", Metric: "salinity", At: at, Seen: at + 1400, Value: float64(i) / 3, Flag: telemetry.Fail, Test: telemetry.TestGrossRange},
		{Device: "tram-2", Metric: "ph", At: at - int64(i%3)*dayMillis, Seen: at, Value: 7, Flag: telemetry.NotEvaluated},
	}}
	if i%90 == 0 {
		r.SetAside = []telemetry.SetAside{{Source: "devices/tram-1/telemetry", Reason: telemetry.BadJSON, Detail: fmt.Sprint(i), Payload: []byte("{"), Seen: at, Count: 1}}
	}
	return r
}

func sampleRecords(t *testing.T, db *DB) {
	t.Helper()
	for i := range 300 {
		r := sampleRecord(i)
		if err := db.Append(r); err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
}
