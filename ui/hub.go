package ui

import (
	"crypto/rand"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/ui/access"
	"cuulong/video"
)

// Bounds of the hub: connections of /live, and sockets of cameras, of which a
// screen has one a tile. An address may be a whole control room.
const (
	maxClients         = 2000
	maxClientsAddress  = 200
	maxWatchers        = 2000
	maxWatchersAddress = 500
)

// hub keeps the state topics and knows who listens. Writers (Mark, Changed)
// only store into the tables; each client's own goroutine cuts from them what
// it has not seen, so a slow client costs the others nothing.
type hub struct {
	registry *devices.Registry
	pictures *video.Cameras
	latest   *telemetry.Latest
	access   *access.Control
	log      *slog.Logger
	now      func() time.Time
	meters   *meters
	journal  *journal
	ep       string // of the state topics: they begin anew with the process

	mu        sync.RWMutex // guards the tables and all rows and places
	places    map[devices.ID]*place
	telemetry table
	devices   table
	views     map[devices.ID]*place // of cameras
	cameras   table

	who      sync.Mutex // guards what follows
	live     *crowd     // of /live
	watchers *crowd     // of cameras
	closed   bool

	stop chan struct{}
	done sync.WaitGroup // the sweeper and all sockets
}

func newHub(o Options, j *journal, m *meters) *hub {
	h := &hub{
		registry: o.Registry, pictures: o.Cameras, latest: o.Latest, access: o.Access, log: o.Logger, now: o.Now,
		meters: m, journal: j, ep: rand.Text(),
		places: map[devices.ID]*place{}, views: map[devices.ID]*place{},
		live:     newCrowd(maxClients, maxClientsAddress),
		watchers: newCrowd(maxWatchers, maxWatchersAddress),
		stop:     make(chan struct{}),
	}
	h.mu.Lock()
	for _, d := range o.Registry.All() {
		h.placeLocked(d)
	}
	for _, c := range o.Cameras.All() {
		h.viewLocked(c)
	}
	h.mu.Unlock()
	h.done.Go(h.sweepEverySecond)
	return h
}

// placeLocked takes up a device that is new or may have moved. Called with mu held.
func (h *hub) placeLocked(d devices.Device) *place {
	p := h.places[d.ID]
	if p == nil {
		p = &place{pos: d.Position, metrics: map[string]*row{}}
		h.places[d.ID] = p
		p.state = h.devices.add(strconv.Quote(string(d.ID)), p)
		h.stateLocked(d.ID, p, h.now())
		for _, o := range h.latest.Of(d.ID) {
			h.markLocked(p, o)
		}
		return p
	}
	if !samePoint(p.pos, d.Position) {
		p.pos = d.Position
		h.devices.move(p.state)
		for _, r := range p.metrics {
			h.telemetry.move(r)
		}
	}
	h.stateLocked(d.ID, p, h.now())
	return p
}

func samePoint(a, b *geo.Point) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// stateLocked looks whether a device went online or silent. Called with mu held.
func (h *hub) stateLocked(id devices.ID, p *place, now time.Time) {
	s := string(h.registry.State(id, now))
	if s == p.state.text && !p.state.gone && p.state.ver > 0 {
		return
	}
	p.state.text, p.state.q, p.state.t = s, uint8(telemetry.Pass), 0
	if heard, ok := h.registry.LastHeard(id); ok {
		p.state.t = heard.UnixMilli()
	}
	h.devices.touch(p.state)
}

// markLocked stores a value unless a newer one is known. Called with mu held.
func (h *hub) markLocked(p *place, o telemetry.Observation) {
	r := p.metrics[o.Metric]
	switch {
	case r == nil:
		r = h.telemetry.add(strconv.Quote(string(o.Device)+"/"+o.Metric), p)
		p.metrics[o.Metric] = r
	case o.At < r.t, o.At == r.t && o.Value == r.v && uint8(o.Flag) == r.q:
		return
	}
	r.t, r.v, r.q = o.At, o.Value, uint8(o.Flag)
	h.telemetry.touch(r)
}

// Mark stores what was stored.
func (h *hub) Mark(obs []telemetry.Observation) {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range obs {
		p := h.places[o.Device]
		if p == nil {
			// A device of which Changed has not told yet, or a deleted one.
			// Asked with mu held: if it is there now, its deletion comes after us.
			d, ok := h.registry.Get(o.Device)
			if !ok {
				continue
			}
			p = h.placeLocked(d)
		}
		h.markLocked(p, o)
		if p.state.text != string(devices.Online) {
			h.stateLocked(o.Device, p, now)
		}
	}
}

// Changed follows the registry.
func (h *hub) Changed(c devices.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, ok := h.registry.Get(c.ID)
	if ok && !c.Deleted {
		h.placeLocked(d)
		return
	}
	p := h.places[c.ID]
	if p == nil {
		return
	}
	delete(h.places, c.ID)
	h.devices.remove(p.state)
	for _, r := range p.metrics {
		h.telemetry.remove(r)
	}
	if ok { // deleted and registered again before we were told
		h.placeLocked(d)
	}
}

// Event puts an alarm transition into the journal's memory and wakes who listens.
func (h *hub) Event(e alerts.Event) {
	if !h.journal.add(e) {
		return
	}
	h.who.Lock()
	defer h.who.Unlock()
	for c := range h.live.open {
		c.nudge()
	}
}

// sweepEverySecond finds devices that fell silent.
func (h *hub) sweepEverySecond() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-t.C:
			h.sweep(h.now())
		}
	}
}

func (h *hub) sweep(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, p := range h.places {
		h.stateLocked(id, p, now)
	}
}

// watermarks is where each state topic stands.
func (h *hub) watermarks() map[string]uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return map[string]uint64{topicTelemetry: h.telemetry.ver, topicDevices: h.devices.ver, topicCameras: h.cameras.ver}
}

// room says why no further connection from addr is taken, "" when it is.
func (h *hub) room(to *crowd, addr netip.Addr) string {
	h.who.Lock()
	defer h.who.Unlock()
	if h.closed {
		return "closing"
	}
	return to.full(addr)
}

// join registers a socket; false when the hub is closing or full by now.
func (h *hub) join(to *crowd, c *socket) bool {
	h.who.Lock()
	defer h.who.Unlock()
	if h.closed || to.full(c.addr) != "" {
		return false
	}
	to.open[c] = struct{}{}
	to.addresses[c.addr]++
	h.done.Add(1)
	return true
}

// leave is called once by a socket whose goroutines have ended.
func (h *hub) leave(from *crowd, c *socket) {
	h.who.Lock()
	delete(from.open, c)
	if from.addresses[c.addr]--; from.addresses[c.addr] == 0 {
		delete(from.addresses, c.addr)
	}
	h.who.Unlock()
	h.done.Done()
}

// revoke ends the connections of a log-in that ended.
func (h *hub) revoke(r access.Revoked) {
	h.who.Lock()
	defer h.who.Unlock()
	for _, crowd := range [...]*crowd{h.live, h.watchers} {
		for c := range crowd.open {
			if r.Hits(c.who) {
				c.finish(closeLoginEnded, "login_ended")
			}
		}
	}
}

// Close ends all connections with 1001 and waits for them.
func (h *hub) Close() {
	h.who.Lock()
	if h.closed {
		h.who.Unlock()
		return
	}
	h.closed = true
	for _, crowd := range [...]*crowd{h.live, h.watchers} {
		for c := range crowd.open {
			c.finish(closeGoingAway, "")
		}
	}
	h.who.Unlock()
	close(h.stop)
	h.done.Wait()
}

// meters are the face's counters.
type meters struct {
	clients prometheus.Gauge
	dropped *prometheus.CounterVec // reason
	refused *prometheus.CounterVec // where, reason
	render  prometheus.Histogram   // seconds
}

func newMeters(r prometheus.Registerer) *meters {
	m := &meters{
		clients: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_live_clients", Help: "Open connections of /live."}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_live_dropped_total", Help: "Live connections that the server ended, by reason."}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_refused_total", Help: "What was refused, by place and reason."}, []string{"where", "reason"}),
		render: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ioc_live_render_seconds", Help: "From a frame's sending to the client's word that it is drawn.",
			Buckets: []float64{.01, .025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4}}),
	}
	if r == nil {
		return m
	}
	m.clients = register(r, m.clients)
	m.dropped = register(r, m.dropped)
	m.refused = register(r, m.refused)
	m.render = register(r, m.render)
	return m
}

// register returns the collector that r already has, where another package came first.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if err := r.Register(c); err != nil {
		if are, ok := err.(prometheus.AlreadyRegisteredError); ok {
			if old, ok := are.ExistingCollector.(C); ok {
				return old
			}
		}
		panic(err) // two metrics of one name that differ: a mistake in the source
	}
	return c
}
