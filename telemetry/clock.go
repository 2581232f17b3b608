package telemetry

import (
	"sync"

	"cuulong/devices"
)

// Clocks estimates how far each device's clock is from ours, from observations
// that tell their time. The least delay between a phenomenon and its receipt
// within five to ten minutes is the clock's distance behind ours, way included;
// a phenomenon ahead of its receipt proves a clock that is ahead.
//
// A backlog is no wrong clock: what a station sends after an outage is old, and
// less so from message to message. A clock is called behind only while all
// delays of that window agree.
type Clocks struct {
	mu sync.Mutex
	of map[devices.ID]*clock // guarded by mu
}

// clock is two stretches of time, the one that runs and the one before.
type clock struct {
	stretch   int64 // number of the one that runs
	now, then delays
}

// delays are the bounds of Seen less At, ms.
type delays struct {
	known       bool
	least, most int64
}

// The bounds of a clock that is called wrong; ms. They are ours: a sensor's clock
// drifts by seconds, and one that was never set is off by far more.
const (
	stretchMillis = 5 * minuteMillis
	aheadMillis   = 2 * minuteMillis  // from here to 5 minutes; beyond that a value is set aside
	behindMillis  = 10 * minuteMillis // all delays of the window are longer
	steadyMillis  = minuteMillis      // and differ by less
)

// NewClocks returns one that knows nothing yet.
func NewClocks() *Clocks { return &Clocks{of: map[devices.ID]*clock{}} }

// Offset is the estimate for a device, ms: above 0 its clock is ahead of ours, below
// behind, by as much as the way takes too. ok is false for a device that has told no time lately.
func (c *Clocks) Offset(id devices.ID) (ms int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[id]
	if k == nil {
		return 0, false
	}
	d := k.window()
	return -d.least, d.known
}

// observe notes the newest observation of a message; behind tells a clock that is steadily behind.
func (c *Clocks) observe(id devices.ID, at, seen int64) (behind bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[id]
	if k == nil {
		k = &clock{}
		c.of[id] = k
	}
	if n := seen / stretchMillis; n != k.stretch {
		if k.then = k.now; n != k.stretch+1 {
			k.then = delays{}
		}
		k.stretch, k.now = n, delays{}
	}
	k.now.add(seen - at)
	if !k.then.known {
		return false
	}
	d := k.window()
	return d.least >= behindMillis && d.most-d.least < steadyMillis
}

func (k *clock) window() delays {
	d := k.now
	if k.then.known {
		d.add(k.then.least)
		d.add(k.then.most)
	}
	return d
}

func (d *delays) add(ms int64) {
	if !d.known {
		*d = delays{true, ms, ms}
		return
	}
	d.least, d.most = min(d.least, ms), max(d.most, ms)
}

// judge flags what wrong clocks have stamped, in a message whose observations were judged already.
func (c *Clocks) judge(obs []Observation) {
	for i := 0; i < len(obs); {
		id, newest, j := obs[i].Device, i, i
		for ; j < len(obs) && obs[j].Device == id; j++ {
			if obs[j].At > obs[newest].At {
				newest = j
			}
		}
		behind := obs[newest].At > 0 && c.observe(id, obs[newest].At, obs[newest].Seen)
		for k := i; k < j; k++ {
			if o := &obs[k]; o.At > 0 && (behind || o.At-o.Seen >= aheadMillis) {
				mark(o, Suspect, TestClockSkew)
			}
		}
		i = j
	}
}
