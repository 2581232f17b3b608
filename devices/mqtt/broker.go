package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
)

// Message is one publish that passed identity and ACL. Payload is owned by the receiver.
type Message struct {
	Topic   string
	From    devices.ID   // the connected identity
	Device  devices.ID   // whose topic it is (devices/{id}/..., gateways/{id}/...)
	Kind    devices.Kind // of the connected identity
	Leaf    string       // "telemetry", "attributes", "netjson"; Gateway true for gateways/{id}/telemetry
	Gateway bool
	Payload []byte
	// Refused is why the message is to be set aside and no more; empty: it is
	// accepted. Only an outside broker's are, whose senders we cannot refuse:
	// "unknown_device", "bad_topic" (Device and From are empty then), "too_many"
	// (without its payload). Detail says more.
	Refused string
	Detail  string
}

// ErrSetAside is given to done when the payload was set aside durably: the
// sender gets its acknowledgement (v5: 0x99), since sending again cannot help.
// Any other error closes the connection without acknowledgement.
var ErrSetAside = errors.New("payload set aside")

// Handler takes a message and calls done exactly once, from any goroutine,
// after the message is durable. Handler may block: that is back-pressure.
type Handler func(m Message, done func(error))

// Options configure the broker.
type Options struct {
	Registry *devices.Registry
	Handle   Handler
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	// Bounds; zero means the default.
	MaxPacket       int           // bytes, default 1 MiB + 1 KiB for topic and properties
	MaxUnackedCount int           // per connection, default 1024, at most 65535
	MaxUnackedBytes int           // of payload, per connection, default 4 MiB
	MaxConnections  int           // default 20000; one identity may hold a quarter of them
	ConnectTimeout  time.Duration // for the whole CONNECT, TLS included; default 10 s
	WriteTimeout    time.Duration // for one write to a client; default 10 s
}

// MaxPayload bounds a publish's payload, in bytes.
const MaxPayload = 1 << 20

const (
	maxSessionExpiry = 7 * 24 * 3600 // s that a persistent session outlives its connection
	maxInflightDown  = 256           // unacknowledged messages towards one client
	maxWritesPending = 64            // messages queued towards one client
	never            = 365 * 24 * 3600
)

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.MaxPacket, MaxPayload+1024)
	set(&o.MaxUnackedCount, 1024)
	o.MaxUnackedCount = min(o.MaxUnackedCount, math.MaxUint16)
	set(&o.MaxUnackedBytes, 4<<20)
	set(&o.MaxConnections, 20000)
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Broker is the embedded broker: mochi keeps sessions and subscriptions, this
// package decides who may connect, what may be published, and when it is
// acknowledged.
type Broker struct {
	o       Options
	server  *mochi.Server
	refused *refusals
	gauge   prometheus.Gauge

	strangers chan struct{} // turns of large CONNECTs
	large     chan struct{} // turns of large packets

	stop chan struct{}  // closed when Close begins
	wg   sync.WaitGroup // connections and what they started; added to under mu while not closing

	mu        sync.Mutex // guards what follows; no I/O under it
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}                // every socket
	byID      map[string]*conn                  // client id → the connection that holds it
	byDevice  map[devices.ID]map[*conn]struct{} // identity → its connections
	wills     map[string]*delayedWill           // client id → a will that waits

	dirtyMu sync.Mutex
	dirty   []*conn // have acknowledgements to write, since the last Flush
	spare   []*conn
}

// New builds a broker; it listens to nothing yet. It watches o.Registry: a
// deleted device or one with new credentials loses its connections at once.
func New(o Options) (*Broker, error) {
	if o.Registry == nil || o.Handle == nil {
		return nil, errors.New("mqtt: Registry and Handle are needed")
	}
	o = o.withDefaults()
	b := &Broker{
		o:         o,
		strangers: make(chan struct{}, turns),
		large:     make(chan struct{}, turns),
		stop:      make(chan struct{}),
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		byID:      map[string]*conn{},
		byDevice:  map[devices.ID]map[*conn]struct{}{},
		wills:     map[string]*delayedWill{},
	}
	var err error
	if b.refused, err = newRefusals(o.Log, o.Metrics); err != nil {
		return nil, err
	}
	b.gauge = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ioc_mqtt_connections",
		Help: "MQTT connections that are logged in.",
	})
	if o.Metrics != nil {
		if err := o.Metrics.Register(b.gauge); err != nil {
			return nil, err
		}
	}
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClients = int64(o.MaxConnections)
	caps.MaximumMessageExpiryInterval = 0 // 24 h would delete retained messages of v3, too
	caps.MaximumClientWritesPending = maxWritesPending
	caps.MaximumSessionExpiryInterval = maxSessionExpiry
	caps.MaximumPacketSize = uint32(o.MaxPacket)
	caps.ReceiveMaximum = uint16(o.MaxUnackedCount)
	caps.MaximumInflight = maxInflightDown
	caps.TopicAliasMaximum = 0
	caps.SharedSubAvailable = 0
	caps.WildcardSubAvailable = 0
	caps.MaximumQos = 1
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	b.server = mochi.New(&mochi.Options{
		Capabilities: caps,
		// Its lines carry whole packets, passwords included; ours say what matters.
		Logger:                 slog.New(slog.DiscardHandler),
		SysTopicResendInterval: never, // nobody may read $SYS, and each round stops the world
	})
	if err := b.server.AddHook(&hook{b: b}, nil); err != nil {
		return nil, err
	}
	if err := b.server.Serve(); err != nil {
		return nil, err
	}
	b.wg.Go(func() { b.refused.run(b.stop) })
	o.Registry.OnChange(b.deviceChanged)
	return b, nil
}

// Serve accepts on l until the broker is closed, and returns nil then. It owns
// l. It may be called for several listeners.
func (b *Broker) Serve(l net.Listener) error {
	defer l.Close()
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return nil
	}
	b.listeners[l] = struct{}{}
	b.mu.Unlock()
	for {
		raw, err := l.Accept()
		if err != nil {
			select {
			case <-b.stop:
				return nil
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors, or a connection that was gone already: go on.
			b.refused.count(reasonAccept, l.Addr().String(), err.Error())
			select {
			case <-b.stop:
				return nil
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		b.accept(raw)
	}
}

// slack is how many sockets beyond MaxConnections are let in so far that they
// can be told why not.
const slack = 64

func (b *Broker) accept(raw net.Conn) {
	c := newConn(b, raw)
	b.mu.Lock()
	if b.closing || len(b.conns) >= b.o.MaxConnections+slack {
		closing := b.closing
		b.mu.Unlock()
		raw.Close()
		if !closing {
			b.refused.count(reasonTooMany, host(raw), "too many connections")
		}
		return
	}
	b.conns[c] = struct{}{}
	b.wg.Go(c.serve)
	b.mu.Unlock()
}

// Flush tells the broker that a commit ended: each connection gets its queued
// acknowledgements in one write, off the caller's path.
func (b *Broker) Flush() {
	b.dirtyMu.Lock()
	list := b.dirty
	b.dirty, b.spare = b.spare[:0], nil
	b.dirtyMu.Unlock()
	for i, c := range list {
		go c.flush()
		list[i] = nil
	}
	b.dirtyMu.Lock()
	b.spare = list
	b.dirtyMu.Unlock()
}

// deviceChanged ends what a change took away.
func (b *Broker) deviceChanged(ch devices.Change) {
	now, known := b.o.Registry.Get(ch.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return
	}
	for c := range b.byDevice[ch.ID] {
		if !known || ch.Deleted || ch.CredentialsChanged {
			b.wg.Go(func() { c.end(packets.ErrNotAuthorized) })
			c.ban()
		} else {
			c.device.Store(&now)
		}
	}
	// An id that was free when another identity took it is this device's now.
	if c := b.byID[string(ch.ID)]; known && c != nil && c.identity != ch.ID {
		b.wg.Go(func() { c.end(packets.ErrClientIdentifierNotValid) })
		c.ban()
	}
	if ch.Deleted {
		b.wg.Go(func() { b.forgetSession(ch.ID) })
	}
}

// forgetSession drops the persistent session of a device that is no more.
func (b *Broker) forgetSession(id devices.ID) {
	b.mu.Lock()
	holder := b.byID[string(id)]
	b.mu.Unlock()
	if holder != nil {
		select {
		case <-holder.gone:
		case <-b.stop:
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, again := b.o.Registry.Get(id); again || b.byID[string(id)] != nil {
		return
	}
	b.dropWill(string(id))
	if cl, ok := b.server.Clients.Get(string(id)); ok {
		cl.ClearInflights()
		b.server.UnsubscribeClient(cl)
		b.server.Clients.Delete(string(id))
	}
}

// Close drains: listeners first, then reading stops, then what was submitted
// is waited for and acknowledged until ctx ends, then clients are told goodbye
// (v5 0x8B). Wills are not sent: the devices are not gone, we are.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return nil
	}
	b.closing = true
	close(b.stop)
	for l := range b.listeners {
		l.Close()
	}
	conns := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	for id := range b.wills {
		b.dropWill(id)
	}
	b.mu.Unlock()

	for _, c := range conns {
		c.stopReading()
	}
	b.Flush()
	release := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.acks.giveUp()
		}
	})
	defer release()
	for _, c := range conns {
		c.acks.waitIdle()
	}
	for _, c := range conns {
		b.wg.Go(func() { c.end(packets.ErrServerShuttingDown) })
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b.wg.Wait()
		b.server.Close()
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.Close()
	}
	select {
	case <-gone:
		return nil
	case <-time.After(time.Second):
		return ctx.Err() // a Handler that never returns holds its connection
	}
}
