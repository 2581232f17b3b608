package influx

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Following is how a Follower goes about it.
type Following struct {
	Latest *telemetry.Latest     // what this process knows
	Known  func(devices.ID) bool // whose observations it wants; nil: everybody's
	// Take takes in what others have stored, as if it had been sent to us.
	Take    func(ctx context.Context, list []telemetry.Observation) error
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	Every time.Duration // between two looks, 3 s by default; longer where looking takes long
}

const (
	defaultEvery = 3 * time.Second
	followBack   = 24 * time.Hour // of phenomenon time: a datastream whose newest is older is not live
	followShare  = 5              // a look of a second is followed by five seconds of rest
)

// Follow brings in what other processes on one shared subscription have stored:
// every few seconds it reads the newest observation of every datastream from
// InfluxDB, and what is newer than what this process knows goes the way of all
// observations, into log, Latest, alarms and the wall. What came between two
// looks is in InfluxDB alone, where queries find it. It ends with ctx.
func (s *Store) Follow(ctx context.Context, o Following) error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	followed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ioc_followed_total", Help: "Observations that others stored in InfluxDB and that were taken in from there.",
	})
	if o.Metrics != nil {
		if err := o.Metrics.Register(followed); err != nil {
			return err
		}
	}
	away := false
	for {
		begun := time.Now()
		n, err := s.look(ctx, begun, o)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !away:
			o.Logger.Warn("what others have stored cannot be read", "err", err)
		}
		away = err != nil
		followed.Add(float64(n))
		if err := pause(ctx, max(o.Every, followShare*time.Since(begun))); err != nil {
			return err
		}
	}
}

// look brings in once what is newer than what we know, and returns how many that are.
func (s *Store) look(ctx context.Context, now time.Time, o Following) (int, error) {
	var list []telemetry.Observation
	err := s.Since(ctx, now.Add(-followBack).UnixMilli(), func(ob telemetry.Observation) bool {
		known, ok := o.Latest.Get(ob.Device, ob.Metric)
		if (!ok || known.At < ob.At) && (o.Known == nil || o.Known(ob.Device)) {
			list = append(list, ob)
		}
		return true
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	s.others.add(list)
	if err := o.Take(ctx, list); err != nil && !errors.Is(err, telemetry.ErrSetAside) {
		return 0, err
	}
	return len(list), nil
}

// others are the observations that came from InfluxDB, the newest of each
// datastream: the Forwarder need not bring them back, and must not when their
// owner has revised them meanwhile. One that it brings all the same, after a
// restart, is the same point.
type others struct {
	mu   sync.Mutex
	last map[stream]sample[float64] // guarded by mu
}

type stream struct {
	device devices.ID
	metric string
}

func (o *others) add(list []telemetry.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = map[stream]sample[float64]{}
	}
	for _, ob := range list {
		o.last[stream{ob.Device, ob.Metric}] = sample[float64]{ob.At, ob.Value}
	}
}

// has tells whether an observation of the log is theirs. One that is revised here
// is theirs no more, also when it is revised back.
func (o *others) has(ob *telemetry.Observation) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == 0 {
		return false
	}
	of := stream{ob.Device, ob.Metric}
	last, ok := o.last[of]
	if ok && last.at == ob.At && last.value != ob.Value {
		delete(o.last, of)
	}
	return ok && last == sample[float64]{ob.At, ob.Value}
}
