package tsdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cuulong/telemetry"
)

// TestPowerCut loses what the series had not synced, at moments of every kind:
// before, during and after flushes. The log refills them to the last record.
func TestPowerCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	fs := vfs.NewCrashableMem()
	db := openAt(t, dir, Options{fs: fs, SegmentBytes: 3000})
	n := 0
	for round := range 25 {
		upTo := n + 1 + rng.IntN(12)
		appendAll(t, db, n+1, upTo)
		n = upTo
		var flushed <-chan struct{}
		if rng.IntN(2) == 0 {
			err := db.series.flush()
			if err == nil && rng.IntN(2) == 0 {
				err = db.Compact(t.Context(), time.UnixMilli(t0).Add(time.Duration(rng.IntN(80))*time.Hour))
			}
			if err == nil {
				flushed, err = db.series.db.AsyncFlush()
			}
			if err != nil {
				t.Fatal(err)
			}
			if rng.IntN(2) == 0 {
				<-flushed
			}
		}
		// The power fails now: of the unsynced blocks some stay.
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rng.IntN(3)], RNG: rng})
		crashed := lose(t, dir)
		again := openAt(t, crashed, Options{fs: after, SegmentBytes: 3000})
		var want []int
		for i := 1; i <= n; i++ {
			want = append(want, i)
		}
		has(t, again, want...)
		appendAll(t, again, n+1, n+1) // and it goes on, with the same numbers for the same names
		has(t, again, append(want, n+1)...)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// TestDurable: what the janitor deletes by is what a crash leaves, not what was written.
func TestDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	db := openAt(t, t.TempDir(), Options{fs: fs})
	appendAll(t, db, 1, 5)
	if seq, err := db.series.durable(); err != nil || seq != 0 {
		t.Errorf("durable %d before any flush, %v", seq, err)
	}
	if err := errors.Join(db.series.flush(), db.series.db.Flush()); err != nil {
		t.Fatal(err)
	}
	appendAll(t, db, 6, 7)
	if seq, err := db.series.durable(); err != nil || seq != 5 {
		t.Errorf("durable %d, want 5, %v", seq, err)
	}
}

// faulty is a log file whose next write or sync fails.
type faulty struct {
	file
	write, sync *atomic.Bool
}

var errDisk = errors.New("input/output error")

func (f faulty) WriteAt(b []byte, at int64) (int, error) {
	if f.write.Load() {
		n, _ := f.file.WriteAt(b[:len(b)/2], at) // a full disk takes a part
		return n, errDisk
	}
	return f.file.WriteAt(b, at)
}

func (f faulty) Sync() error {
	if f.sync.Load() {
		return errDisk
	}
	return f.file.Sync()
}

// TestDiskFault: after a failed write or sync nothing more is appended, though
// the disk recovers; what was acknowledged is there after a restart.
func TestDiskFault(t *testing.T) {
	for _, c := range []string{"write", "sync"} {
		t.Run(c, func(t *testing.T) {
			var write, sync atomic.Bool
			dir := t.TempDir()
			o := Options{openFile: func(path string, flag int) (file, error) {
				f, err := os.OpenFile(path, flag, 0o640)
				return faulty{f, &write, &sync}, err
			}}
			db := openAt(t, dir, o)
			appendAll(t, db, 1, 3)
			fault := map[string]*atomic.Bool{"write": &write, "sync": &sync}[c]
			fault.Store(true)
			if err := db.Append(numbered(4)); !errors.Is(err, errDisk) {
				t.Errorf("Append: %v", err)
			}
			fault.Store(false)
			if err := db.Append(numbered(4)); !errors.Is(err, errDisk) || !errors.Is(db.Err(), errDisk) {
				t.Errorf("Append after the fault: %v, Err: %v; a sync that failed is never tried again", err, db.Err())
			}
			if err := db.Close(); !errors.Is(err, errDisk) {
				t.Errorf("Close: %v", err)
			}
			db = openAt(t, dir, Options{})
			n := 3
			if c == "sync" { // it was written, and nobody was told either way
				n = int(db.segs.next - 1)
			}
			appendAll(t, db, n+1, 6)
			if n == 3 {
				has(t, db, 1, 2, 3, 4, 5, 6)
			}
		})
	}
}

// TestSeriesFault: when Pebble cannot write, the process lives, Err tells, and the log still holds everything.
func TestSeriesFault(t *testing.T) {
	dir := t.TempDir()
	broken := &atomic.Bool{}
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errDisk
		}
		return nil
	}))
	db := openAt(t, dir, Options{fs: fs})
	appendAll(t, db, 1, 5)
	broken.Store(true)
	failed := make(chan struct{})
	go func() { // readers that wait are told, too
		defer close(failed)
		db.appended.Add(1)
		if err := db.caughtUp(t.Context()); err == nil {
			t.Error("a reader was told that all is well")
		}
	}()
	if _, err := db.series.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	<-failed
	if err := db.Err(); !errors.Is(err, errDisk) && !strings.Contains(fmt.Sprint(err), errDisk.Error()) {
		t.Errorf("Err: %v", err)
	}
	if err := db.Append(numbered(6)); err == nil {
		t.Error("more was acknowledged than the series can follow")
	}
	broken.Store(false)
	_ = db.Close()
	has(t, openAt(t, lose(t, dir), Options{}), 1, 2, 3, 4, 5)
}

// TestCloseOnADeadDisk: Pebble flushes again and again without end; the engine still stops.
func TestCloseOnADeadDisk(t *testing.T) {
	broken := &atomic.Bool{}
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errDisk
		}
		return nil
	}))
	dir := t.TempDir()
	db, err := Open(dir, Options{fs: fs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, db, 1, 5)
	broken.Store(true)
	if err := db.Close(); err == nil {
		t.Error("closed as if all were well")
	}
	has(t, openAt(t, lose(t, dir), Options{}), 1, 2, 3, 4, 5)
}

// TestBackupOnAFullDisk: Pebble flushes again and again until there is space; a
// backup and the janitor end and say so, and the next ones work.
func TestBackupOnAFullDisk(t *testing.T) {
	isFull := &atomic.Bool{}
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isFull.Load() && strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	}))
	dir := t.TempDir()
	db := openAt(t, dir, Options{fs: fs, SegmentBytes: 1})
	appendAll(t, db, 1, 5)
	isFull.Store(true)
	if err := db.Backup(t.TempDir()); !errors.Is(err, telemetry.ErrNoSpace) {
		t.Errorf("Backup: %v", err)
	}
	if err := db.clean(); !errors.Is(err, telemetry.ErrNoSpace) {
		t.Errorf("clean: %v", err)
	}
	isFull.Store(false)
	appendAll(t, db, 6, 6)
	to := t.TempDir()
	if err := db.Backup(to); err != nil {
		t.Fatal(err)
	}
	has(t, openAt(t, to, Options{}), 1, 2, 3, 4, 5, 6)
}

// TestFatalf: Pebble's last word marks the engine failed; the default would end the process.
func TestFatalf(t *testing.T) {
	var said bytes.Buffer
	db := openAt(t, t.TempDir(), Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	logger{fail: func(err error) { _ = db.fail(err) }}.Fatalf("MANIFEST write failed: %v", errDisk)
	if err := db.Err(); err == nil || !strings.Contains(err.Error(), "MANIFEST") {
		t.Errorf("Err: %v", err)
	}
	if err := db.Append(numbered(1)); err == nil || !strings.Contains(said.String(), "level=ERROR") {
		t.Errorf("Append: %v; said %s", err, said.String())
	}
}

// TestReserve: below the reserve of free space nothing is appended, so that a
// person can still clean up; with space again it goes on.
func TestReserve(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{ReserveBytes: 1 << 62})
	if err := db.Append(numbered(1)); !errors.Is(err, telemetry.ErrNoSpace) || !strings.Contains(err.Error(), "reserve") || db.Err() != nil {
		t.Errorf("Append: %v, Err: %v", err, db.Err())
	}
	db.o.ReserveBytes = 1
	appendAll(t, db, 1, 2)
	has(t, db, 1, 2)
}

// full is a log file on a disk that has room for a part of what is written.
type full struct {
	file
	now *atomic.Bool
}

func (f full) WriteAt(b []byte, at int64) (int, error) {
	if f.now.Load() {
		n, _ := f.file.WriteAt(b[:len(b)/2], at)
		return n, &os.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	return f.file.WriteAt(b, at)
}

// TestNoSpace: a record that finds no space leaves the log as it was, in the
// midst of a segment and at the begin of one.
func TestNoSpace(t *testing.T) {
	var now atomic.Bool
	dir := t.TempDir()
	o := Options{SegmentBytes: 1, openFile: func(path string, flag int) (file, error) {
		f, err := os.OpenFile(path, flag, 0o640)
		return full{f, &now}, err
	}}
	for _, roll := range []int64{1, 1 << 20} {
		o.SegmentBytes = roll
		db := openAt(t, dir, o)
		first := int(db.segs.next)
		appendAll(t, db, first, first+2)
		for range 3 {
			now.Store(true)
			if err := db.Append(numbered(first + 3)); !errors.Is(err, telemetry.ErrNoSpace) || db.Err() != nil {
				t.Errorf("Append: %v, Err: %v", err, db.Err())
			}
		}
		now.Store(false)
		appendAll(t, db, first+3, first+5)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := openAt(t, dir, o)
	if db.recovered.torn != 0 || db.recovered.damages != 0 {
		t.Errorf("after full disks %+v", db.recovered)
	}
	has(t, db, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
}

// TestReadsWait: a read that begins after Append sees that record, though Apply comes later.
func TestReadsWait(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{})
	appendAll(t, db, 1, 1)
	r := numbered(2)
	if err := db.Append(r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Points(ctx, "sal-1", "salinity", 0, 2*t0, func(telemetry.Point) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("Points: %v, want context.Canceled", err)
	}
	read := make(chan int)
	for range 3 {
		go func() {
			n := 0
			if err := db.Points(t.Context(), "sal-1", "salinity", 0, 2*t0, func(telemetry.Point) bool { n++; return true }); err != nil {
				t.Error(err)
			}
			read <- n
		}()
	}
	if err := db.Apply(r); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n := <-read; n != 2 {
			t.Errorf("read %d points, want 2", n)
		}
	}
}

// TestOneProcess: a second engine on the same folder is refused.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	openAt(t, dir, Options{})
	if db, err := Open(dir, Options{Logger: quiet()}); err == nil {
		_ = db.Close()
		t.Error("two engines on one folder")
	}
}

// TestAllocates holds the hot path to a ceiling: encoding and appending a record
// costs nothing, bringing it into the series next to nothing per observation.
func TestAllocates(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{fs: vfs.NewMem()})
	r := &telemetry.Record{}
	for i := range 1000 {
		r.Observations = append(r.Observations, numbered(i%50).Observations...)
	}
	if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
		t.Fatal(err)
	}
	per := testing.AllocsPerRun(20, func() {
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Error(err)
		}
	}) / float64(len(r.Observations))
	if per > 0.05 {
		t.Errorf("%.3f allocations for each observation, at most 0.05", per)
	}
}

// BenchmarkOpen opens an engine whose series are lost: a log of 1,000,000 records of one observation.
func BenchmarkOpen(b *testing.B) {
	const records = 1_000_000
	dir := b.TempDir()
	db, err := Open(dir, Options{Logger: quiet(), openFile: unsynced})
	if err != nil {
		b.Fatal(err)
	}
	for i := range records {
		r := &telemetry.Record{Observations: []telemetry.Observation{
			{Device: "station-00001", Metric: "salinity", At: t0 + int64(i)*1000, Seen: t0 + int64(i)*1000 + 90, Value: float64(i%4000) / 100, Flag: telemetry.Pass},
		}}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := os.RemoveAll(filepath.Join(dir, "series")); err != nil {
			b.Fatal(err)
		}
		db, err := Open(dir, Options{Logger: quiet()})
		if err != nil {
			b.Fatal(err)
		}
		if db.recovered.records != records {
			b.Errorf("%d records", db.recovered.records)
		}
		_ = db.Close()
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkNewest reads the newest of 100,000 series, as every start does.
func BenchmarkNewest(b *testing.B) {
	db := openAt(b, b.TempDir(), Options{openFile: unsynced})
	r := &telemetry.Record{}
	for k := range 10 {
		r.Observations = r.Observations[:0]
		for i := range 100_000 {
			o := numbered(k).Observations[0]
			o.Device += "-x"
			o.Metric = fmt.Sprint("m", i)
			r.Observations = append(r.Observations, o)
		}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		if err := db.Newest(b.Context(), func(telemetry.Observation) bool { n++; return true }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}

type lazy struct{ *os.File }

func (lazy) Sync() error { return nil }

func unsynced(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o640)
	return lazy{f}, err
}
