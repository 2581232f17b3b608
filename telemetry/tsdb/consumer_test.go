package tsdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/telemetry"
)

// drain reads a consumer's records from a seq on.
func drain(t *testing.T, db *DB, from uint64, most int) (got []int) {
	t.Helper()
	err := db.Records(t.Context(), from, func(r *telemetry.Record) bool {
		got = append(got, int(r.Seq))
		return len(got) < most
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func numbers(from, to int) (out []int) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// TestConsumer reads on in steps while the log grows and rolls: each record once, in order.
func TestConsumer(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{SegmentBytes: 2000})
	var got []int
	n := 0
	for step := range 30 {
		appendAll(t, db, n+1, n+7)
		n += 7
		for range 1 + step%3 {
			got = append(got, drain(t, db, uint64(len(got)+1), 1+step%5)...)
		}
	}
	got = append(got, drain(t, db, uint64(len(got)+1), n)...)
	if !slices.Equal(got, numbers(1, n)) {
		t.Errorf("read %v", got)
	}
}

// TestAwait: it returns for what is durable and for nothing else.
func TestAwait(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{})
	appendAll(t, db, 1, 1)
	if err := db.Await(t.Context(), 0); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error)
	go func() { told <- db.Await(ctx, 2) }()
	go func() { told <- db.Await(t.Context(), 1) }()
	appendAll(t, db, 2, 2)
	if err := <-told; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { told <- db.Await(t.Context(), 2) }()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := <-told; err == nil {
		t.Error("Await outlives the engine")
	}
}

// TestPlace: a consumer's place survives, holds its segments, and is passed over at the log's bound, which is counted.
func TestPlace(t *testing.T) {
	dir := t.TempDir()
	metrics := prometheus.NewRegistry()
	o := Options{SegmentBytes: 2000, KeepBytes: 1, MaxBytes: 10_000, Metrics: metrics}
	db := openAt(t, dir, o)
	if err := db.SetPlace("../x", 1); err == nil {
		t.Error("a place outside the folder")
	}
	appendAll(t, db, 1, 30)
	if err := db.SetPlace("forward", 20); err != nil {
		t.Fatal(err)
	}
	if err := db.clean(); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, db, 21, 1); !slices.Equal(got, []int{21}) {
		t.Errorf("after cleaning the consumer finds %v, wants 21", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	o.Metrics = prometheus.NewRegistry()
	db = openAt(t, dir, o)
	if seq, err := db.Place("forward"); seq != 20 || err != nil {
		t.Errorf("place %d, %v", seq, err)
	}
	appendAll(t, db, 31, 300)
	if err := db.clean(); err != nil {
		t.Fatal(err)
	}
	first := drain(t, db, 21, 1)[0]
	if lost := testutil.ToFloat64(db.places.skipped.WithLabelValues("forward")); first <= 21 || int(lost) != first-21 {
		t.Errorf("the oldest record is %d, counted as lost %v", first, lost)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// A damaged place begins again.
	path := filepath.Join(dir, "log", "forward"+placeExt)
	if err := os.WriteFile(path, []byte(strings.Repeat("x", placeSize)), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Metrics = nil
	db = openAt(t, dir, o)
	if seq, err := db.Place("forward"); seq != 0 || err != nil {
		t.Errorf("a damaged place is %d, %v", seq, err)
	}
}

// TestForget: a consumer that is no more keeps nothing, also after a restart.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentBytes: 2000, KeepBytes: 1}
	db := openAt(t, dir, o)
	if err := errors.Join(db.SetPlace("alarms", 1), db.Forget("nobody")); err != nil {
		t.Fatal(err)
	}
	appendAll(t, db, 1, 30)
	before := db.Consumers()
	if err := db.Forget("alarms"); err != nil {
		t.Fatal(err)
	}
	if after := db.Consumers(); len(before) != 1 || before[0] != "alarms" || len(after) != 0 {
		t.Errorf("consumers %v, then %v", before, after)
	}
	if err := db.clean(); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, db, 1, 1); len(got) == 0 || got[0] == 1 {
		t.Errorf("after cleaning the log begins at %v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, dir, o)
	if seq, err := db.Place("alarms"); seq != 0 || err != nil {
		t.Errorf("place %d, %v", seq, err)
	}
}

// TestPlaceAhead: a place ahead of the log, which a damaged or restored log may
// leave, passes over nothing that comes then, also after another crash.
func TestPlaceAhead(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	appendAll(t, db, 1, 3)
	if err := errors.Join(db.SetPlace("influx", 9), db.SetPlace("alarms", 2), db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db = openAt(t, dir, Options{})
		for consumer, want := range map[string]uint64{"influx": 3, "alarms": 2} {
			if got, err := db.Place(consumer); err != nil || got != want {
				t.Errorf("%s stands at %d, %v, want %d", consumer, got, err, want)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSetAsideBefore yields the newest first, across segments, from where a page ended.
func TestSetAsideBefore(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{SegmentBytes: 3000})
	appendAll(t, db, 1, 101)
	var want []int
	for n := 101; n > 0; n -= 2 {
		want = append(want, n)
	}
	for before := uint64(1 << 60); len(want) > 0; {
		page := want[:min(7, len(want))]
		var got []int
		_, err := db.SetAsideBefore(t.Context(), before, time.Time{}, 0, func(seq uint64, i int, a telemetry.SetAside) bool {
			if i != 0 || a.Detail != fmt.Sprint(seq) || len(a.Payload) != int(seq)+2 {
				t.Errorf("record %d, %d: %+v", seq, i, a)
			}
			got = append(got, int(seq))
			return len(got) < len(page)
		})
		if err != nil || !slices.Equal(got, page) {
			t.Fatalf("before %d: %v, %v; want %v", before, got, err, page)
		}
		want, before = want[len(page):], uint64(got[len(got)-1])
	}
	// A bound of bytes ends behind a whole segment, and its rest goes on there.
	got, steps := 0, 0
	for before := uint64(1 << 60); before > 0; steps++ {
		rest, err := db.SetAsideBefore(t.Context(), before, time.Time{}, 1, func(seq uint64, _ int, _ telemetry.SetAside) bool {
			if want := 101 - 2*got; seq != uint64(want) || seq >= before {
				t.Errorf("record %d before %d, want %d", seq, before, want)
			}
			got++
			return true
		})
		if err != nil || rest >= before {
			t.Fatalf("rest %d of %d, %v", rest, before, err)
		}
		before = rest
	}
	if got != 51 || steps < 3 {
		t.Errorf("%d entries in %d steps", got, steps)
	}
	// Segments last written before since are not read.
	since := time.Now()
	for _, s := range db.segs.sealed[:len(db.segs.sealed)-1] {
		if err := os.Chtimes(s.path, time.Time{}, since.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	first := db.segs.sealed[len(db.segs.sealed)-1].first
	oldest := uint64(0)
	rest, err := db.SetAsideBefore(t.Context(), 1<<60, since.Add(-time.Minute), 0, func(seq uint64, _ int, _ telemetry.SetAside) bool { oldest = seq; return true })
	if err != nil || rest != 0 || oldest < first || oldest > first+1 {
		t.Errorf("the oldest is of record %d, want %d; rest %d, %v", oldest, first, rest, err)
	}
}

// Entries cost what they are long, however many there are, and a reader who has
// gone ends the reading.
func TestSetAsideBeforeCost(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{})
	const n, size = 1000, 1000
	for seq := uint64(1); seq <= n; seq++ {
		r := &telemetry.Record{SetAside: []telemetry.SetAside{{Source: "s", Reason: telemetry.BadJSON, Payload: make([]byte, size)}}}
		if err := db.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	got := 0
	runtime.ReadMemStats(&before)
	_, err := db.SetAsideBefore(t.Context(), 1<<60, time.Time{}, 0, func(uint64, int, telemetry.SetAside) bool { got++; return true })
	runtime.ReadMemStats(&after)
	if err != nil || got != n {
		t.Fatalf("%d entries, %v", got, err)
	}
	// The log once, each record once more, and its copy.
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 8*n*size {
		t.Errorf("%d bytes allocated for %d of log", bytes, n*size)
	}
	ctx, leave := context.WithCancel(t.Context())
	got = 0
	_, err = db.SetAsideBefore(ctx, 1<<60, time.Time{}, 0, func(uint64, int, telemetry.SetAside) bool { got++; leave(); return true })
	if got != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d entries after the reader has gone, %v", got, err)
	}
}
