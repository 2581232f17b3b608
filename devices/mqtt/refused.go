package mqtt

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The reasons of ioc_refused_total{where="mqtt"}.
const (
	reasonCredentials    = "credentials"
	reasonClientID       = "client_id"
	reasonWill           = "will"
	reasonTopic          = "topic"
	reasonSubscribe      = "subscribe"
	reasonQoS2           = "qos2"
	reasonMalformed      = "malformed"
	reasonOversize       = "oversize"
	reasonConnectTimeout = "connect_timeout"
	reasonTooMany        = "too_many"
	reasonStore          = "store"
	reasonAccept         = "accept"
	reasonUnknown        = "unknown_device" // of an outside broker, as the next one
	reasonRetained       = "retained"
)

var reasons = []string{reasonCredentials, reasonClientID, reasonWill, reasonTopic, reasonSubscribe, reasonQoS2,
	reasonMalformed, reasonOversize, reasonConnectTimeout, reasonTooMany, reasonStore, reasonAccept, reasonUnknown, reasonRetained}

// refusals counts what is refused, and logs each kind once per burst: the
// first at once, then how many followed.
type refusals struct {
	log      *slog.Logger
	counters map[string]prometheus.Counter

	mu     sync.Mutex
	bursts map[burst]*tally // at most maxBursts
}

type burst struct{ reason, source string }

type tally struct {
	more int // since the last line
	seen bool
}

const (
	maxBursts   = 1024 // beyond, sources share one entry per reason
	burstWindow = 30 * time.Second
	maxDetail   = 200 // bytes of a peer's text in the log
)

// newRefusals registers the counters; the vector is shared with other packages.
func newRefusals(log *slog.Logger, reg prometheus.Registerer) (*refusals, error) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ioc_refused_total",
		Help: "What was refused, by place and reason.",
	}, []string{"where", "reason"})
	if reg != nil {
		if err := reg.Register(vec); err != nil {
			var are prometheus.AlreadyRegisteredError
			if !errors.As(err, &are) {
				return nil, err
			}
			existing, ok := are.ExistingCollector.(*prometheus.CounterVec)
			if !ok {
				return nil, err
			}
			vec = existing
		}
	}
	r := &refusals{log: log, counters: map[string]prometheus.Counter{}, bursts: map[burst]*tally{}}
	for _, reason := range reasons {
		r.counters[reason] = vec.WithLabelValues("mqtt", reason)
	}
	return r, nil
}

// count notes one refusal. detail may hold a peer's bytes.
func (r *refusals) count(reason, source, detail string) {
	r.counters[reason].Inc()
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	key := burst{reason, source}
	r.mu.Lock()
	t := r.bursts[key]
	if t == nil && len(r.bursts) >= maxBursts {
		key.source = "several"
		t = r.bursts[key]
	}
	first := t == nil
	if first {
		t = &tally{}
		r.bursts[key] = t
	} else {
		t.more++
	}
	t.seen = true
	r.mu.Unlock()
	if first {
		r.log.Warn("mqtt: refused", "reason", reason, "source", key.source, "detail", detail)
	}
}

// run closes bursts until stop.
func (r *refusals) run(stop <-chan struct{}) {
	tick := time.NewTicker(burstWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.sweep()
		case <-stop:
			r.sweep()
			return
		}
	}
}

// sweep tells what followed the first lines, and forgets sources that were
// quiet since the last sweep.
func (r *refusals) sweep() {
	type line struct {
		burst
		more int
	}
	var lines []line
	r.mu.Lock()
	for key, t := range r.bursts {
		if t.more > 0 {
			lines = append(lines, line{key, t.more})
			t.more = 0
		}
		if !t.seen {
			delete(r.bursts, key)
		}
		t.seen = false
	}
	r.mu.Unlock()
	for _, l := range lines {
		r.log.Warn("mqtt: refused again", "reason", l.reason, "source", l.source, "count", l.more)
	}
}
