package tsdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Options configure the engine; the zero value is good.
type Options struct {
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	SegmentBytes int64 // size of a log segment; 64 MiB by default
	KeepBytes    int64 // what the log keeps in any case, though nobody needs it; 256 MiB by default
	ReserveBytes int64 // free disk space below which nothing is appended; 64 MiB by default, negative for none

	// Beyond these the log does not wait for a consumer that has not read on:
	// what it loses is logged and counted. 4 GiB and 7 days by default.
	MaxBytes int64
	MaxAge   time.Duration

	// Retention says how long a metric's series are kept; nil: for ever.
	Retention func(metric string) Keep
	// HeadSamples is how many samples wait in memory before they are written as
	// chunks, 24 bytes each; 1,000,000 by default and at most.
	HeadSamples int

	dense    int                                       // see series; tests set it low
	fs       vfs.FS                                    // of the series; tests crash it
	openFile func(path string, flag int) (file, error) // of the log; tests put faults in
}

// DB is the engine: a telemetry.Log and a telemetry.Store.
type DB struct {
	o   Options
	log *slog.Logger

	appendMu sync.Mutex // held while a record is written; guards segs
	segs     seglog

	series   *series
	appended atomic.Uint64 // seq of the last record that is durable

	mu      sync.Mutex
	err     error         // guarded by mu; final
	moved   chan struct{} // guarded by mu; closed when applied or err moved on
	waiting bool          // guarded by mu: somebody holds moved

	expired atomic.Int32 // the day on which retention was last applied

	keeping sync.Mutex // held while segments are deleted, or must stay

	places *places
	hints  hints

	tidy    chan struct{}   // asks the janitor to delete old segments
	fullUp  chan struct{}   // asks the flusher to write the head
	cancel  func()          // ends stopped
	stopped context.Context // ends with the engine
	done    sync.WaitGroup

	closed    sync.Once
	closeErr  error
	recovered recovery
	damaged   prometheus.Counter
}

// errClosed is what follows Close.
var errClosed = errors.New("tsdb: closed")

// Open opens or makes the engine in dir and refills the series from the log.
func Open(dir string, o Options) (*DB, error) {
	o = o.defaults()
	logDir, seriesDir := filepath.Join(dir, "log"), filepath.Join(dir, "series")
	if err := os.MkdirAll(logDir, 0o750); err != nil {
		return nil, err
	}
	if o.fs == vfs.Default {
		if err := os.MkdirAll(seriesDir, 0o750); err != nil {
			return nil, err
		}
		if err := CheckRoom(seriesDir); err != nil {
			return nil, err
		}
	}
	db := &DB{
		o: o, log: o.Logger, moved: make(chan struct{}),
		tidy: make(chan struct{}, 1), fullUp: make(chan struct{}, 1),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_log_damaged_total", Help: "Stretches of the log that should hold records and do not.",
		}),
	}
	var err error
	if db.places, err = openPlaces(logDir); err != nil {
		return nil, err
	}
	if o.Metrics != nil {
		for _, c := range append(db.counters(), db.damaged, db.places.skipped) {
			if err := o.Metrics.Register(c); err != nil {
				return nil, err
			}
		}
	}
	// First the series: Pebble locks its folder, so that a second process ends here.
	db.series, err = openSeries(seriesDir, o.fs, o.dense, logger{
		info: func(string) {},
		errs: func(s string) { db.log.Error("series: " + s) },
		fail: func(err error) { db.fail(err) },
	})
	if err != nil {
		return nil, err
	}
	db.segs = seglog{dir: logDir, roll: o.SegmentBytes, openFile: o.openFile, log: o.Logger}
	if err := db.refill(); err != nil {
		return nil, errors.Join(err, db.series.close())
	}
	db.appended.Store(db.segs.next - 1)
	if err := db.holdPlaces(); err != nil {
		return nil, errors.Join(err, db.segs.f.Close(), db.series.close())
	}
	db.stopped, db.cancel = context.WithCancel(context.Background())
	db.done.Go(db.janitor)
	db.done.Go(db.flusher)
	db.done.Go(db.compactor)
	return db, nil
}

func (o Options) defaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.KeepBytes <= 0 {
		o.KeepBytes = 256 << 20
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 4 << 30
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.HeadSamples <= 0 || o.HeadSamples > 1_000_000 {
		o.HeadSamples = 1_000_000
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 64 << 20
	}
	if o.dense <= 0 {
		o.dense = defaultDense
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.openFile == nil {
		o.openFile = func(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o640) }
	}
	return o
}

// counters are those of the series.
func (db *DB) counters() []prometheus.Collector {
	count := func(name, help string, of func(*series) *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of(db.series).Load()) })
	}
	return []prometheus.Collector{
		count("ioc_series_corrupt_total", "Reads of the series that met a damaged block.", func(s *series) *atomic.Uint64 { return &s.corrupt }),
		count("ioc_late_passed_over_total", "Late values of days whose values retention has deleted, in windows that roll-ups know already.",
			func(s *series) *atomic.Uint64 { return &s.passed }),
	}
}

// refill brings the records of the log that the series do not hold into them,
// many to a Pebble batch.
func (db *DB) refill() error {
	const group = 4096 // observations
	var rec telemetry.Record
	var obs []telemetry.Observation
	var seq uint64
	put := func() error {
		if seq == 0 {
			return nil
		}
		db.series.apply(seq, obs)
		obs, seq = obs[:0], 0
		if db.series.size() < db.o.HeadSamples {
			return nil
		}
		return db.series.flush()
	}
	var err error
	applied := db.series.applied.Load()
	db.recovered, err = openLog(&db.segs, applied, func(f frame) error {
		if err := decodeBody(f.body, &rec); err != nil { // its CRC is right: a fault of the writer, never silent
			return fmt.Errorf("record %d: %w", f.seq, err)
		}
		obs, seq = append(obs, rec.Observations...), f.seq
		if len(obs) < group {
			return nil
		}
		return put()
	})
	if err != nil {
		return err
	}
	db.damaged.Add(float64(db.recovered.damages))
	if err := put(); err != nil {
		return err
	}
	db.log.Info("telemetry store is open", "seq", db.segs.next-1, "refilled_records", db.recovered.records, "series", len(db.series.names))
	return nil
}

// Append makes r durable as one record and gives it its Seq; it returns after
// fsync. After ErrNoSpace nothing of r was kept and appending may work again later;
// after any other error nothing is appended any more: Err tells it.
func (db *DB) Append(r *telemetry.Record) error {
	db.appendMu.Lock()
	defer db.appendMu.Unlock()
	if err := db.Err(); err != nil {
		return err
	}
	if err := db.checkSpace(); err != nil {
		return err
	}
	rolled, err := db.segs.append(r)
	if errors.Is(err, telemetry.ErrNoSpace) {
		return err
	}
	if err != nil {
		return db.fail(fmt.Errorf("log: %w", err))
	}
	db.appended.Store(r.Seq)
	db.wake()
	if rolled {
		select {
		case db.tidy <- struct{}{}:
		default:
		}
	}
	return nil
}

// checkSpace is asked before every append, since others fill disks too; it
// costs little beside the fsync.
func (db *DB) checkSpace() error {
	if db.o.ReserveBytes < 0 {
		return nil
	}
	free, err := freeBytes(db.segs.dir)
	if err != nil {
		return nil // cannot tell: writing will
	}
	if free < uint64(db.o.ReserveBytes) {
		return fmt.Errorf("%w: %d MiB are free, %d MiB are kept in reserve", telemetry.ErrNoSpace, free>>20, db.o.ReserveBytes>>20)
	}
	return nil
}

// Space is what is free on the log's disk and what of it is kept in reserve, in
// bytes: with less nothing is appended.
func (db *DB) Space() (free, reserve uint64, err error) {
	free, err = freeBytes(db.segs.dir)
	return free, uint64(max(db.o.ReserveBytes, 0)), err
}

// Apply brings a record into the series. One that they hold already changes nothing.
func (db *DB) Apply(r *telemetry.Record) error {
	if r.Seq <= db.series.applied.Load() {
		return nil
	}
	if err := db.Err(); err != nil {
		return err
	}
	if err := db.makeRoom(); err != nil {
		return err
	}
	db.series.apply(r.Seq, r.Observations)
	db.wake()
	return nil
}

// fail ends all writing; the first reason stays.
func (db *DB) fail(err error) error {
	db.mu.Lock()
	if db.err == nil {
		db.err = err
		if err != errClosed {
			db.log.Error("telemetry store has failed: nothing is written any more", "err", err)
		}
	}
	err = db.err
	db.mu.Unlock()
	db.wake()
	return err
}

// wake tells readers that wait for a record that applied or err has moved.
func (db *DB) wake() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.waiting {
		close(db.moved)
		db.moved, db.waiting = make(chan struct{}), false
	}
}

// caughtUp waits until the series hold every record appended before the call:
// who was told that a value is stored finds it.
func (db *DB) caughtUp(ctx context.Context) error {
	seq := db.appended.Load()
	for db.series.applied.Load() < seq {
		db.mu.Lock()
		err, moved := db.err, db.moved
		db.waiting = true
		db.mu.Unlock()
		if db.series.applied.Load() >= seq {
			break
		}
		if err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// Points yields a raw series in rising time, from inclusive, to exclusive, until yield says false.
func (db *DB) Points(ctx context.Context, id devices.ID, metric string, from, to int64, yield func(telemetry.Point) bool) error {
	if err := db.caughtUp(ctx); err != nil {
		return err
	}
	n, ok := db.series.find(id, metric)
	if !ok {
		return nil
	}
	return db.series.points(ctx, n, from, to, yield)
}

// Find yields the points of a series that are at exactly these times (Unix ms), which rise.
func (db *DB) Find(ctx context.Context, id devices.ID, metric string, at []int64, yield func(telemetry.Point)) error {
	if err := db.caughtUp(ctx); err != nil {
		return err
	}
	n, ok := db.series.find(id, metric)
	if !ok {
		return nil
	}
	err := db.series.at(ctx, n, at, func(v *sample) { yield(telemetry.Point{At: v.at, Value: v.value, Flag: v.flag}) })
	if err != nil && damaged(err) {
		db.log.Error("series: what came late could not be held against what is there", "device", id, "metric", metric, "err", err)
		err = fmt.Errorf("%w: %w", telemetry.ErrDamaged, err)
	}
	return err
}

// Newest yields the newest observation of every datastream.
func (db *DB) Newest(ctx context.Context, yield func(telemetry.Observation) bool) error {
	if err := db.caughtUp(ctx); err != nil {
		return err
	}
	db.series.latest(yield)
	return ctx.Err()
}

// Err says why the engine stopped writing, nil while it writes (/readyz).
func (db *DB) Err() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.err
}

// Close flushes the series and closes all files. Nothing may be called after it, nor run beside it.
func (db *DB) Close() error {
	db.closed.Do(func() {
		db.cancel()
		db.done.Wait()
		db.appendMu.Lock()
		defer db.appendMu.Unlock()
		err := db.Err()
		_ = db.fail(errClosed)
		db.closeErr = errors.Join(err, db.segs.f.Close(), db.series.close())
	})
	return db.closeErr
}

// janitor deletes old segments once the series hold them whatever happens.
func (db *DB) janitor() {
	hourly := time.NewTicker(time.Hour) // segments age also where nothing is appended
	defer hourly.Stop()
	for {
		select {
		case <-db.stopped.Done():
			return
		case <-hourly.C:
		case <-db.tidy:
		}
		if err := db.clean(); err != nil {
			db.log.Error("log: old segments stay", "err", err)
		}
	}
}

func (db *DB) clean() error {
	db.keeping.Lock()
	defer db.keeping.Unlock()
	db.appendMu.Lock()
	nothing := len(db.segs.sealed) == 0
	db.appendMu.Unlock()
	if nothing {
		return nil
	}
	if err := db.flush(); err != nil {
		return err
	}
	if err := db.series.toDisk(); err != nil {
		return err
	}
	durable, err := db.series.durable()
	if err != nil {
		return err
	}
	needed := db.places.needed()
	db.appendMu.Lock()
	old := db.segs.drop(bounds{
		durable: durable, needed: needed, keep: db.o.KeepBytes, most: db.o.MaxBytes, youngest: time.Now().Add(-db.o.MaxAge),
	})
	gone := uint64(0)
	if len(old) > 0 {
		gone = db.segs.oldest() - 1
	}
	db.appendMu.Unlock()
	for consumer, n := range db.places.passOver(gone) {
		db.log.Error("log: its bounds deleted records that a consumer had not read", "consumer", consumer, "records", n)
	}
	for _, s := range old {
		if err := os.Remove(s.path); err != nil {
			return err
		}
	}
	return nil
}
