package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
)

// ExternalOptions configure the client of an outside broker.
type ExternalOptions struct {
	URL                string // see ParseBroker
	Username, Password string
	// ClientID is the broker's name for our session. It must be the same at
	// every start, and no other's: the broker keeps under it what came while
	// we were away, and ends whoever else uses it.
	ClientID string
	// Share is the group of a shared subscription, of which each message goes
	// to one member; empty: every message comes to us. FormerShares are those
	// that this session may still hold; they are given up.
	Share        string
	FormerShares []string
	CAFile       string // PEM, read at each connection; empty: the system's roots

	Registry *devices.Registry
	Handle   Handler
	Log      *slog.Logger
	Metrics  prometheus.Registerer

	// Bounds; zero means the default.
	MaxUnackedCount int           // messages without acknowledgement, default 4096
	MaxUnackedBytes int           // of their payloads, default 16 MiB
	KeepAlive       time.Duration // whole seconds, default 30 s
	MinBackoff      time.Duration // between connections, default 100 ms
	MaxBackoff      time.Duration // default 8 s
	Resubscribe     time.Duration // between attempts at a refused subscription, default 1 min
}

func (o ExternalOptions) withDefaults() ExternalOptions {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.KeepAlive, 30*time.Second)
	set(&o.MinBackoff, 100*time.Millisecond)
	set(&o.MaxBackoff, 8*time.Second)
	set(&o.Resubscribe, time.Minute)
	if o.MaxUnackedCount <= 0 {
		o.MaxUnackedCount = 4096
	}
	if o.MaxUnackedBytes <= 0 {
		o.MaxUnackedBytes = 16 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// External takes in, from an outside broker, what the embedded one would have
// got from the devices themselves. It connects again for ever. What was not
// acknowledged when a connection is lost, the broker keeps and sends again; it
// may then come twice, and is told by (device, metric, time).
type External struct {
	o       ExternalOptions
	broker  Endpoint
	refused *refusals
	window  *window

	connected prometheus.Gauge
	lost      prometheus.Counter

	ctx  context.Context // ends when Close has drained, or gave up
	cut  context.CancelFunc
	stop chan struct{} // closed when Close begins
	once sync.Once
	gone chan struct{} // closed when all its goroutines have ended

	told     string // owned by run: the fault that was logged last
	toldWhen time.Time
}

// StartExternal begins to connect. A broker that does not answer is no error:
// it is logged, shown by ioc_mqtt_external_connected, and tried again.
func StartExternal(o ExternalOptions) (*External, error) {
	if o.Registry == nil || o.Handle == nil || o.ClientID == "" {
		return nil, errors.New("mqtt: Registry, Handle and ClientID are needed")
	}
	o = o.withDefaults()
	broker, err := ParseBroker(o.URL)
	if err != nil {
		return nil, fmt.Errorf("mqtt: the outside broker's address %w", err)
	}
	if err := CheckShare(o.Share); err != nil {
		return nil, fmt.Errorf("mqtt: share %w", err)
	}
	e := &External{
		o: o, broker: broker, window: newWindow(o.MaxUnackedCount, o.MaxUnackedBytes),
		stop: make(chan struct{}), gone: make(chan struct{}),
	}
	if _, err := e.tlsConfig(); err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	if e.refused, err = newRefusals(o.Log, o.Metrics); err != nil {
		return nil, err
	}
	if err := e.measure(o.Metrics); err != nil {
		return nil, err
	}
	e.ctx, e.cut = context.WithCancel(context.Background())
	var working, running sync.WaitGroup
	working.Go(e.handOver)
	working.Go(e.window.acknowledge)
	running.Go(func() { e.refused.run(e.stop) })
	running.Go(e.run)
	go func() {
		defer close(e.gone)
		running.Wait()
		<-e.ctx.Done() // until then Close may wait for answers
		e.window.end()
		working.Wait()
	}()
	return e, nil
}

func (e *External) measure(reg prometheus.Registerer) error {
	e.connected = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ioc_mqtt_external_connected",
		Help: "1 while the outside broker is connected and has granted every subscription.",
	})
	e.lost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ioc_mqtt_external_lost_total",
		Help: "Connections to the outside broker that were lost, by either side.",
	})
	unacked := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ioc_mqtt_external_unacked",
		Help: "Messages of the outside broker that are not yet acknowledged; at the bound it is not read.",
	}, func() float64 { return float64(e.window.waiting()) })
	if reg == nil {
		return nil
	}
	return errors.Join(reg.Register(e.connected), reg.Register(e.lost), reg.Register(unacked))
}

// tlsConfig is nil for a broker without TLS.
func (e *External) tlsConfig() (*tls.Config, error) {
	if !e.broker.TLS {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: e.broker.Host}
	if e.o.CAFile != "" {
		pool, err := ReadCA(e.o.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	return c, nil
}

// run holds one connection after the other.
func (e *External) run() {
	defer e.connected.Set(0)
	wait := e.o.MinBackoff
	for {
		began := time.Now()
		s, err := e.connect()
		if err == nil {
			e.attend(s)
			err = s.close(e.ctx.Err() != nil)
			e.connected.Set(0)
			if e.ctx.Err() == nil {
				e.lost.Inc()
			}
		}
		select {
		case <-e.stop:
			return
		default:
		}
		e.tell(err)
		if time.Since(began) >= e.o.MaxBackoff {
			wait = e.o.MinBackoff
		}
		select {
		case <-e.stop:
			return
		case <-time.After(jitter(wait)):
		}
		wait = min(2*wait, e.o.MaxBackoff)
	}
}

// tell logs why there is no connection: at once when the reason is new, then
// every few minutes.
func (e *External) tell(err error) {
	const again = 5 * time.Minute
	if text := err.Error(); text != e.told || time.Since(e.toldWhen) > again {
		e.told, e.toldWhen = text, time.Now()
		e.o.Log.Warn("mqtt: outside broker not connected; trying again", "broker", e.broker.Addr, "err", err)
	}
}

// handOver gives the messages to the Handler, which may block, in their order.
func (e *External) handOver() {
	for d := e.window.next(); d != nil; d = e.window.next() {
		msg := d.msg
		d.msg.Payload = nil // the Handler's now
		e.o.Handle(msg, func(err error) { d.done(err) })
	}
}

// Close drains: nothing more is taken, what the Handler has is waited for and
// acknowledged until ctx ends, then the broker is told goodbye. What is not
// acknowledged comes again with the next start.
func (e *External) Close(ctx context.Context) error {
	e.once.Do(func() {
		close(e.stop)
		e.window.stop()
		e.window.waitIdle(ctx)
		e.cut()
	})
	select {
	case <-e.gone:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-e.gone:
		return nil
	case <-time.After(time.Second):
		return ctx.Err() // a Handler that does not return
	}
}
