package influx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/telemetry"
)

const consumer = "influx"

// Consumer is the Forwarder's name among the log's: one for each database, since
// another one has nothing of what the log holds.
func (s *Store) Consumer() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.o.URL, s.o.Org, s.o.Bucket}, "\n")))
	return consumer + "_" + hex.EncodeToString(sum[:4])
}

// IsConsumer tells the name of a Forwarder, of whatever database.
func IsConsumer(name string) bool { return name == consumer || strings.HasPrefix(name, consumer+"_") }

// Forwarding is how a Forwarder goes about it.
type Forwarding struct {
	Feed telemetry.Feed
	// Head is the seq of the newest durable record; it only serves the lag's metric.
	Head    func() uint64
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	Linger time.Duration // that records are gathered for while there are few, 250 ms by default
}

const (
	defaultLinger = 250 * time.Millisecond
	placeEvery    = time.Second // how often the place is noted: each time costs an fsync
)

// Forwarder carries the log into InfluxDB: from its place on, in order, in
// batches whose size and number (one) are bounded, whatever the database does. It
// holds up nothing: what waits, waits in the log, within the log's bounds. After a
// crash the records since the last noted place are written again, which changes
// nothing: the series and the phenomenon time are the key.
type Forwarder struct {
	s    *Store
	o    Forwarding
	log  *slog.Logger
	done atomic.Uint64 // seq of the newest record that is delivered

	noted   uint64    // the place as the feed knows it; owned by Run
	notedAt time.Time // owned by Run
}

// NewForwarder makes one; Run does the work.
func NewForwarder(s *Store, o Forwarding) (*Forwarder, error) {
	if s.o.SetAside == nil {
		return nil, errors.New("influx: a Forwarder's store wants SetAside") // it would stop at the first point that is refused
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Linger <= 0 {
		o.Linger = defaultLinger
	}
	f := &Forwarder{s: s, o: o, log: o.Logger}
	place, err := o.Feed.Place(s.Consumer())
	if err != nil {
		return nil, fmt.Errorf("influx: place in the log: %w", err)
	}
	// Also the first one: from now on the log keeps for us what we have not read.
	if err := o.Feed.SetPlace(s.Consumer(), place); err != nil {
		return nil, fmt.Errorf("influx: place in the log: %w", err)
	}
	f.noted = place
	f.done.Store(place)
	if o.Metrics != nil && o.Head != nil {
		lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ioc_forward_lag_records", Help: "Records of the log that InfluxDB does not have yet.",
		}, func() float64 { return float64(f.Lag()) })
		if err := o.Metrics.Register(lag); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Lag is how many records of the log are not delivered yet.
func (f *Forwarder) Lag() uint64 {
	done, head := f.done.Load(), f.o.Head()
	return max(head, done) - done
}

// Done is the seq of the newest record that is delivered.
func (f *Forwarder) Done() uint64 { return f.done.Load() }

// Run forwards until ctx ends, and then notes its place.
func (f *Forwarder) Run(ctx context.Context) error {
	defer f.note(true)
	var b batch
	for {
		last, err := f.gather(ctx, &b)
		switch {
		case err != nil:
		case last == f.done.Load():
			f.note(true)
			err = f.await(ctx, last)
		default:
			if err = f.s.deliver(ctx, &b, 0); err == nil {
				f.done.Store(last)
				f.note(false)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			f.log.Error("forwarding to InfluxDB is tried again after a fault", "err", err)
			if err := pause(ctx, f.s.o.maxWait); err != nil {
				return err
			}
		}
	}
}

// gather fills b with whole records from the place on, up to the bounds of one
// write or one record, whichever is more, and returns the last record's seq.
func (f *Forwarder) gather(ctx context.Context, b *batch) (last uint64, err error) {
	b.reset()
	last = f.done.Load()
	err = f.o.Feed.Records(ctx, last+1, func(r *telemetry.Record) bool {
		for i := range r.Observations {
			if o := &r.Observations[i]; !f.s.others.has(o) {
				b.add(o)
			}
		}
		last = r.Seq
		return b.len()+len(b.refused) < f.s.o.BatchPoints && len(b.buf) < f.s.o.BatchBytes
	})
	return last, err
}

// await waits for a record after seq, and then for others to come along, so that
// a write is worth its while.
func (f *Forwarder) await(ctx context.Context, seq uint64) error {
	if err := f.o.Feed.Await(ctx, seq); err != nil {
		return err
	}
	return pause(ctx, f.o.Linger)
}

// note tells the feed our place: now, or when it was not told for a while. A
// place that cannot be noted stays behind, which costs writes after a crash.
func (f *Forwarder) note(now bool) {
	done := f.done.Load()
	if done == f.noted || !now && time.Since(f.notedAt) < placeEvery {
		return
	}
	f.notedAt = time.Now()
	if err := f.o.Feed.SetPlace(f.s.Consumer(), done); err != nil {
		f.log.Warn("InfluxDB's place in the log is not noted", "err", err)
		return
	}
	f.noted = done
}

// pause waits; the error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
