package field

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"cuulong/devices"
)

// Login opens a device's MQTT session.
type Login = devices.Credentials

// DemoTide is the speed of the water's clock that suits a demonstration: a
// tide comes and goes in about 25 minutes.
const DemoTide = 30

// Options of a running field.
type Options struct {
	Broker string      // host:port
	TLS    *tls.Config // nil: none
	// Logins by device. A device without one stays silent; nil means that the
	// broker asks for none.
	Logins map[devices.ID]Login
	Tide   float64 // speed of the water's clock, never of ts; 1 is real and the default
	Seed   uint64
	Now    func() time.Time // default time.Now
	// Start is when the water's clock leaves the real one, and what the planned
	// pulse is counted from; default Now() when Run is called. A field that goes
	// on after a restart passes the first start again.
	Start time.Time
	// Every is the interval of the salinity stations, default 5 s; air stations
	// take twice, access points three times, gateways themselves six times as
	// long. Above 10 s it breaks what Province promises.
	Every  time.Duration
	Faults Faults
	Logger *slog.Logger // default: none
}

// Run speaks for the province until ctx ends, and leaves no goroutine behind.
// It outlives the broker: who cannot connect tries again, ever more slowly up
// to 15 s, and stations send what they measured meanwhile. The error is about
// the options; a broker that is away is none.
func Run(ctx context.Context, o Options) error {
	if o.Broker == "" {
		return errors.New("field: no broker address")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Start.IsZero() {
		o.Start = o.Now()
	}
	if o.Tide == 0 {
		o.Tide = 1
	}
	if o.Tide < 0 || o.Tide > 10_000 {
		return errors.New("field: tide must be within 0 and 10000")
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := world{seed: o.Seed, start: o.Start.UnixMilli(), tide: o.Tide, live: true}
	var all sync.WaitGroup
	for _, sp := range speakers(o, w) {
		all.Go(func() { sp.run(ctx) })
	}
	<-ctx.Done()
	all.Wait()
	return nil
}

// speakers are those who hold a connection: each device that has no gateway.
func speakers(o Options, w world) []*speaker {
	list := sites()
	byGateway := map[devices.ID][]*site{}
	for i := range list {
		if p := list[i].device.Parent; p != "" {
			byGateway[p] = append(byGateway[p], &list[i])
		}
	}
	var all []*speaker
	out := &outage{log: o.Logger, broker: o.Broker}
	for i := range list {
		s := &list[i]
		if s.device.Parent != "" {
			continue
		}
		login, ok := o.Logins[s.device.ID]
		if !ok && o.Logins != nil {
			continue
		}
		sp := &speaker{world: w, own: s, children: byGateway[s.device.ID], login: login, o: o, outage: out,
			rand: rand.New(rand.NewPCG(key(o.Seed, string(s.device.ID), "faults"), uint64(w.start)))}
		switch {
		case s.river != "" || s.device.Kind == devices.Gateway:
			sp.every = o.Every
		case s.device.Kind == devices.AccessPoint:
			sp.every = 3 * o.Every
		default:
			sp.every = 2 * o.Every
		}
		all = append(all, sp)
	}
	return all
}
