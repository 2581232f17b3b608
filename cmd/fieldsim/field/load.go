package field

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"cuulong/devices"
)

// LoadOptions describe a load. The zero value of a field means its default.
type LoadOptions struct {
	Broker string      // host:port
	TLS    *tls.Config // nil: none
	// Logins of the devices that speak, one connection each; at least
	// Connections of them. None: devices load-0001, ... without a password.
	Logins      []Login
	Connections int           // default 1
	Inflight    int           // unacknowledged messages a connection, default 16; at most 65,535
	Rate        float64       // messages a second in all; 0 is as fast as it goes
	Batch       int           // observations a message, default 1; at most 10,000
	QoS         byte          // 0 or 1
	Version     byte          // MQTT 4 (3.1.1, the default) or 5
	Duration    time.Duration // of sending; 0: until Messages or ctx
	Messages    int64         // in all; 0: until Duration or ctx
	Drain       time.Duration // patience for the last acknowledgements, default 15 s

	Ledger    string        // folder, created; empty: keep none
	SyncEvery time.Duration // of the ledger's fsyncs, default 2 s
	// SyncEach makes the ledger durable before each write to the network as well:
	// then a store never holds what the ledger has lost in a power cut.
	SyncEach bool
	Seed     uint64       // of the values
	Metrics  []string     // default LoadMetrics
	Logger   *slog.Logger // default: none
}

// LoadResult is what came of it. Latency is from a message's first sending to its acknowledgement.
type LoadResult struct {
	Sent         int64          `json:"sent"`         // messages, each once
	Observations int64          `json:"observations"` // in them
	Acked        int64          `json:"acked"`        // messages, reason success
	Refused      map[byte]int64 `json:"refused,omitempty"`
	Unacked      int64          `json:"unacked"` // at the end
	Resent       int64          `json:"resent"`
	Reconnects   int64          `json:"reconnects"`
	Strange      int64          `json:"strange"` // acknowledgements of nothing that was under way
	Elapsed      time.Duration  `json:"elapsed_ns"`
	P50          time.Duration  `json:"p50_ns"`
	P99          time.Duration  `json:"p99_ns"`
	Max          time.Duration  `json:"max_ns"`
}

// Rate is acknowledged messages a second (sent ones, at QoS 0).
func (r LoadResult) Rate() float64 {
	n := r.Acked
	if n == 0 && r.Unacked == 0 {
		n = r.Sent
	}
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(n) / r.Elapsed.Seconds()
}

func (o *LoadOptions) complete() error {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.Connections, 1)
	def(&o.Inflight, 16)
	def(&o.Batch, 1)
	if o.Version == 0 {
		o.Version = 4
	}
	if o.Drain == 0 {
		o.Drain = 15 * time.Second
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = 2 * time.Second
	}
	if len(o.Metrics) == 0 {
		o.Metrics = LoadMetrics
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Logins == nil {
		for i := range o.Connections {
			o.Logins = append(o.Logins, Login{Username: string(LoadDevice(i))})
		}
	}
	switch {
	case o.Broker == "":
		return errors.New("load: no broker address")
	case o.Connections < 1 || o.Connections > len(o.Logins):
		return fmt.Errorf("load: %d connections want as many logins, there are %d", o.Connections, len(o.Logins))
	case o.Inflight < 1 || o.Inflight > 65_535:
		return errors.New("load: inflight must be 1 to 65535")
	case o.Batch < 1 || o.Batch > 10_000:
		return errors.New("load: batch must be 1 to 10000")
	case o.QoS > 1:
		return errors.New("load: QoS must be 0 or 1")
	case o.Version != 4 && o.Version != 5:
		return errors.New("load: version must be 4 (MQTT 3.1.1) or 5")
	case o.Rate < 0 || o.Duration < 0 || o.Messages < 0:
		return errors.New("load: rate, duration and messages must not be negative")
	case len(o.Metrics) > 255:
		return errors.New("load: at most 255 metrics")
	}
	return nil
}

// buffer is the size of a connection's buffers: few take much, thousands little.
func (o *LoadOptions) buffer() int { return min(1<<16, max(1<<12, (64<<20)/o.Connections)) }

// LoadDevice is the id of the i-th load device, from 0.
func LoadDevice(i int) devices.ID { return devices.ID(fmt.Sprintf("load-%04d", i+1)) }

// Load publishes until its duration, its messages or ctx end, then waits up to
// Drain for the acknowledgements under way (not when ctx ended). A connection
// that breaks comes again and sends what is unacknowledged once more, with DUP
// and the same times. The result holds in the error case too; the error is bad
// options, a refused log-in, a certificate that
// cannot be trusted, or a ledger that cannot be written.
func Load(ctx context.Context, o LoadOptions) (LoadResult, error) {
	if err := o.complete(); err != nil {
		return LoadResult{}, err
	}
	files := o.Connections
	if o.Ledger != "" {
		files *= 2
		if err := os.MkdirAll(o.Ledger, 0o700); err != nil {
			return LoadResult{}, err
		}
	}
	if err := enoughFiles(files); err != nil {
		return LoadResult{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pubs := make([]*publisher, o.Connections)
	out := &outage{log: o.Logger, broker: o.Broker}
	for i := range pubs {
		p, err := newPublisher(&o, out, i)
		if err != nil {
			for _, p := range pubs[:i] {
				_ = p.book.close()
			}
			return LoadResult{}, err
		}
		pubs[i] = p
	}
	began := time.Now()
	var all, syncing sync.WaitGroup
	for _, p := range pubs {
		all.Go(func() {
			if err := p.run(ctx, began); err != nil {
				cancel(fmt.Errorf("%s: %w", p.login.Username, err)) // the first one ends all
			}
		})
	}
	done := make(chan struct{})
	if o.Ledger != "" {
		syncing.Go(func() { syncBooks(pubs, o.SyncEvery, done, cancel) })
	}
	all.Wait()
	close(done)
	syncing.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil // being told to stop is no failure
	}
	r := LoadResult{Refused: map[byte]int64{}}
	var l latencies
	last := began
	for _, p := range pubs {
		err = errors.Join(err, p.book.close())
		p.addTo(&r, &l, &last)
	}
	r.Elapsed = last.Sub(began)
	r.P50, r.P99, r.Max = l.quantile(.5), l.quantile(.99), l.most
	return r, err
}

// syncBooks makes the ledgers durable, all together, every so often.
func syncBooks(pubs []*publisher, every time.Duration, done <-chan struct{}, fail context.CancelCauseFunc) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		for _, p := range pubs {
			if err := p.book.sync(); err != nil {
				fail(fmt.Errorf("ledger: %w", err))
				return
			}
		}
	}
}
