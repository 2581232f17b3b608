package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
)

// ErrSetAside is what done gets when the batch is durable but something of it
// was set aside; the sender is acknowledged, since sending again cannot help.
var ErrSetAside = errors.New("set aside")

// ErrClosed is what done gets when Ingest was closed before the batch was submitted.
var ErrClosed = errors.New("ingest is closed")

// Options configure Ingest.
type Options struct {
	Log   Log
	Store Store
	// Latest is kept by Ingest and read by everyone.
	Latest *Latest

	Logger  *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time
	Limits  LimitsOf // QARTOD tests of datastreams; nil: the catalogue's gross range alone
	Clocks  *Clocks  // estimates devices' clocks; nil: nobody does

	// Attributes makes durable what a device said of itself among its values; nil:
	// that is passed over. why is what makes it none; err ends the message.
	Attributes func(id devices.ID, said map[string]any) (why string, err error)

	MaxBatchBytes int // bound of the open batch, 4 MiB by default; Submit blocks beyond it

	// OnStored gets each record that the log took, in order, after fsync and
	// before the done funcs: late values included, duplicates not, and none where
	// all was set aside. It must not block, and must not keep the record.
	OnStored func(*Record)
	// OnCommit is called after all done funcs of a commit (the broker flushes its acknowledgements then).
	OnCommit func()
}

// Ingest is the one way in: it checks, commits in groups, and only then says done.
//
// Two goroutines: the committer takes the open batch, drops what the store has,
// appends one log record, fsyncs, and says done; the applier brings the record
// into the series behind it. While one batch syncs, the next one fills. Batches
// go round: open → committer → applier → free, so their number bounds memory, and a
// store that cannot follow holds up the committer, which holds up Submit.
type Ingest struct {
	o     Options
	log   *slog.Logger
	count counters

	mu      sync.Mutex
	room    sync.Cond // the open batch was taken, or the end has come
	work    sync.Cond // the open batch holds something, or the end has come
	open    *batch    // guarded by mu
	closing bool      // guarded by mu
	err     error     // guarded by mu; final: nothing is taken in any more

	free  chan *batch // batches to be filled
	apply chan *batch // durable, for the applier
	done  sync.WaitGroup

	stage stage // owned by the committer
}

// batch is what one commit holds, gathered from many messages.
type batch struct {
	obs   []Observation
	aside []SetAside
	msgs  []message
	bytes int
	rec   Record
}

// message is one Submit in a batch.
type message struct {
	done     func(error)
	end      int // its observations end here
	asideEnd int
	source   string
	payload  []byte
}

// The costs of what waits, for MaxBatchBytes: memory, roughly.
const (
	obsBytes     = 96
	asideBytes   = 128
	messageBytes = 72

	defaultBatchBytes = 4 << 20
	rounds            = 4 // batches in the round
)

func (b *batch) reset() {
	clear(b.obs)
	clear(b.aside)
	clear(b.msgs)
	b.obs, b.aside, b.msgs, b.bytes, b.rec = b.obs[:0], b.aside[:0], b.msgs[:0], 0, Record{}
}

// NewIngest starts the committer. It loads Latest from the store unless that
// was done; if it cannot, every Submit gets the error, and so does Err.
func NewIngest(o Options) *Ingest {
	if o.Latest == nil {
		o.Latest = NewLatest()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = defaultBatchBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	in := &Ingest{
		o: o, log: o.Logger, count: newCounters(o.Metrics),
		open: &batch{}, free: make(chan *batch, rounds), apply: make(chan *batch, rounds),
	}
	in.room.L, in.work.L = &in.mu, &in.mu
	for range rounds - 1 {
		in.free <- &batch{}
	}
	if !o.Latest.loaded {
		if err := o.Latest.Load(context.Background(), o.Store); err != nil {
			in.err = fmt.Errorf("load the newest observations: %w", err)
		}
	}
	in.stage.begin(o.Latest, o.Store)
	in.stage.quality.of = o.Limits
	in.done.Add(2)
	go in.commits()
	go in.applies()
	return in
}

// Submit checks b, adds it to the open batch and returns; it blocks while that
// batch is full, which is the back-pressure. done is called once, by the
// committer, in the order of submission, after fsync: nil or ErrSetAside mean
// durable, any other error that the store could not keep it: ErrNoSpace passes
// when the disk has space again, all others are final. After Close or a
// failure done is called by Submit itself, with the error. Submit keeps b's
// payloads and names but not its slices, which it may change.
func (in *Ingest) Submit(b Batch, done func(error)) {
	good, err := in.check(&b)
	if err != nil {
		done(err)
		return
	}
	size := messageBytes + len(good)*obsBytes + len(b.Payload)
	for i := range b.SetAside {
		size += asideBytes + len(b.SetAside[i].Payload) + len(b.SetAside[i].Detail)
	}
	in.mu.Lock()
	for in.open.bytes > 0 && in.open.bytes+size > in.o.MaxBatchBytes && in.err == nil && !in.closing {
		in.room.Wait()
	}
	if in.err != nil || in.closing {
		err := in.err
		in.mu.Unlock()
		if err == nil {
			err = ErrClosed
		}
		done(err)
		return
	}
	first := in.open.bytes == 0
	in.open.bytes += size
	in.open.obs = append(in.open.obs, good...)
	in.open.aside = append(in.open.aside, b.SetAside...)
	in.open.msgs = append(in.open.msgs, message{done, len(in.open.obs), len(in.open.aside), b.Source, b.Payload})
	if first {
		in.work.Signal()
	}
	in.mu.Unlock()
}

// check judges each observation and moves what cannot be kept to b.SetAside.
func (in *Ingest) check(b *Batch) ([]Observation, error) {
	var now int64
	good := b.Observations[:0]
	for i := range b.Observations {
		o := &b.Observations[i]
		if o.Seen == 0 {
			if now == 0 {
				now = in.o.Now().UnixMilli()
			}
			o.Seen = now
		}
		if reason := refusal(o); reason != "" {
			b.setAside(refused(o, b.Source, b.Payload, reason, fmt.Sprintf("%.64q %v at %d", o.Metric, o.Value, o.At)))
			continue
		}
		judge(o)
		if len(good) == i {
			good = b.Observations[:i+1] // nothing moved: spare the copy
		} else {
			good = append(good, *o)
		}
	}
	if in.o.Clocks != nil {
		in.o.Clocks.judge(good)
	}
	return good, in.takeWords(b, good)
}

// setAside adds an entry; one stands for all that a source brought of a reason.
func (b *Batch) setAside(e SetAside) {
	for i := range b.SetAside {
		if a := &b.SetAside[i]; a.Reason == e.Reason && a.Source == e.Source {
			a.Count += e.Count
			return
		}
	}
	b.SetAside = append(b.SetAside, e)
}

// refused is the entry of an observation that cannot be kept. Where no message
// brought it, as with a history that is read in, its device is the source.
func refused(o *Observation, source string, payload []byte, reason, detail string) SetAside {
	if source == "" {
		source = string(o.Device)
	}
	return SetAside{Source: source, Reason: reason, Detail: detail, Payload: payload, Seen: o.Seen, Count: 1}
}

// Write is Submit, waiting for done. When ctx ends first the batch may still be kept.
func (in *Ingest) Write(ctx context.Context, b Batch) error {
	result := make(chan error, 1)
	in.Submit(b, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// LimitsChanged makes the tests ask for limits again, from the next batch on.
func (in *Ingest) LimitsChanged() { in.stage.quality.changes.Add(1) }

// Err says why nothing is taken in any more; nil while it is.
func (in *Ingest) Err() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// Close commits what was submitted, brings it into the series and stops. A second call does nothing more.
func (in *Ingest) Close() error {
	in.mu.Lock()
	in.closing = true
	in.work.Broadcast()
	in.room.Broadcast()
	in.mu.Unlock()
	in.done.Wait()
	return in.Err()
}

// fail ends the taking in; the first reason stays.
func (in *Ingest) fail(err error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
		in.log.Error("nothing is taken in any more", "err", err)
	}
	in.work.Broadcast()
	in.room.Broadcast()
	return in.err
}

// commits is the committer.
func (in *Ingest) commits() {
	defer in.done.Done()
	defer close(in.apply)
	for {
		b, err := in.take()
		switch {
		case b == nil:
			return
		case err == nil:
			err = in.commit(b)
		}
		if err != nil {
			if !errors.Is(err, ErrNoSpace) { // which passes: who sent is not acknowledged and sends again
				err = in.fail(err)
			}
			for _, m := range b.msgs {
				m.done(err)
			}
			if in.o.OnCommit != nil {
				in.o.OnCommit()
			}
			b.reset()
			in.free <- b
			continue // what was submitted before the failure is told too
		}
		in.apply <- b
	}
}

// take waits for the open batch to hold something and puts a free one in its
// place; nil at the end. The error is that of a failure before.
func (in *Ingest) take() (*batch, error) {
	in.mu.Lock()
	for in.open.bytes == 0 && !in.closing && in.err == nil {
		in.work.Wait()
	}
	if in.open.bytes == 0 {
		in.mu.Unlock()
		return nil, nil
	}
	in.mu.Unlock()
	next := <-in.free // while the applier is behind, the open batch fills
	in.mu.Lock()
	defer in.mu.Unlock()
	b := in.open
	in.open = next
	in.room.Broadcast()
	return b, in.err
}

// commit makes one batch durable and tells everyone.
func (in *Ingest) commit(b *batch) error {
	if err := in.stage.resolve(b); err != nil {
		return fmt.Errorf("look for what the store has: %w", err)
	}
	b.rec.Observations, b.rec.SetAside = b.obs, b.aside
	if len(b.obs) > 0 || len(b.aside) > 0 {
		start := time.Now()
		if err := in.o.Log.Append(&b.rec); err != nil {
			in.stage.revert()
			return fmt.Errorf("append to the log: %w", err)
		}
		in.count.seconds.Observe(time.Since(start).Seconds())
		in.o.Latest.store(b.obs, in.stage.numbers)
		if in.o.OnStored != nil {
			in.o.OnStored(&b.rec)
		}
	}
	in.tell(b)
	asideEnd := 0
	for i := range b.msgs {
		m := &b.msgs[i]
		var err error
		if m.asideEnd > asideEnd {
			err = ErrSetAside
		}
		asideEnd = m.asideEnd
		m.done(err)
	}
	if in.o.OnCommit != nil {
		in.o.OnCommit()
	}
	return nil
}

// applies is the applier. It goes on after a failure, so that batches go round
// and the committer can tell everyone.
func (in *Ingest) applies() {
	defer in.done.Done()
	failed := false
	for b := range in.apply {
		if !failed && (len(b.rec.Observations) > 0 || len(b.rec.SetAside) > 0) {
			if err := in.o.Store.Apply(&b.rec); err != nil {
				failed = true
				_ = in.fail(fmt.Errorf("bring the log into the series: %w", err)) // told to all by the committer
			}
		}
		b.reset()
		in.free <- b
	}
}

// tell counts what a commit did.
func (in *Ingest) tell(b *batch) {
	s := &in.stage
	in.count.stored.Add(float64(len(b.obs) - s.revised))
	in.count.duplicate.Add(float64(s.duplicates))
	in.count.revised.Add(float64(s.revised))
	n := 0
	for i := range b.aside {
		n += max(b.aside[i].Count, 1)
	}
	in.count.quarantined.Add(float64(n))
}

// counters are the contract's.
type counters struct {
	stored, duplicate, revised, quarantined prometheus.Counter
	seconds                                 prometheus.Histogram
}

func newCounters(r prometheus.Registerer) counters {
	obs := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ioc_observations_total", Help: "Observations by what became of them.",
	}, []string{"result"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ioc_commit_seconds", Help: "Time to append one commit to the log and sync it.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	})
	if r != nil {
		r.MustRegister(obs, seconds)
	}
	return counters{
		stored: obs.WithLabelValues("stored"), duplicate: obs.WithLabelValues("duplicate"),
		revised: obs.WithLabelValues("revised"), quarantined: obs.WithLabelValues("quarantined"),
		seconds: seconds,
	}
}
