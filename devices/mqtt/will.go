package mqtt

import (
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// will is a last message that the broker allowed at CONNECT. mochi never sees
// it: it would fan it out without asking anyone.
type will struct {
	topic   string
	payload []byte
	delay   time.Duration // [MQTT-3.1.3-9]; not beyond the session's end
}

// delayedWill waits for its device to come back.
type delayedWill struct {
	timer *time.Timer
	fire  func()
}

// takeWill moves the will from mochi's client to c, and settles one that an
// earlier connection of the session left.
func (c *conn) takeWill(cl *mochi.Client, pk packets.Packet) {
	cl.Properties.Will = mochi.Will{}
	if pk.Connect.WillFlag {
		expiry := uint32(0)
		if c.version == 5 {
			expiry = min(pk.Properties.SessionExpiryInterval, maxSessionExpiry)
		}
		c.will = &will{
			topic:   pk.Connect.WillTopic,
			payload: pk.Connect.WillPayload,
			delay:   time.Duration(min(pk.Connect.WillProperties.WillDelayInterval, expiry)) * time.Second,
		}
	}
	b := c.b
	b.mu.Lock()
	left := b.wills[c.clientID]
	if left != nil && left.timer.Stop() {
		delete(b.wills, c.clientID)
		if pk.Connect.Clean { // the session it belonged to ends here
			b.wg.Go(left.fire)
		}
	}
	b.mu.Unlock()
}

// fireWill hands c's will to the Handler, now or after its delay, unless the
// client said goodbye or the broker stops.
func (b *Broker) fireWill(c *conn) {
	w := c.will
	if w == nil || !c.online {
		return
	}
	c.will = nil
	fire := func() {
		// It runs where no connection's recover stands around it.
		defer func() {
			if v := recover(); v != nil {
				b.refused.count(reasonMalformed, c.source(), "will that cannot be read")
			}
		}()
		// The device may be gone, or no longer the child's gateway.
		if d, ok := b.o.Registry.Get(c.identity); ok {
			c.device.Store(&d)
			if m, ok := c.route(w.topic); ok {
				m.Payload = w.payload
				b.o.Handle(m, func(error) {})
			}
		}
	}
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return
	}
	if w.delay == 0 {
		b.mu.Unlock()
		fire()
		return
	}
	defer b.mu.Unlock()
	b.dropWill(c.clientID)
	mine := &delayedWill{fire: fire}
	mine.timer = time.AfterFunc(w.delay, func() {
		b.mu.Lock()
		if b.closing || b.wills[c.clientID] != mine {
			b.mu.Unlock()
			return
		}
		delete(b.wills, c.clientID)
		b.wg.Add(1)
		b.mu.Unlock()
		defer b.wg.Done()
		fire()
	})
	b.wills[c.clientID] = mine
}

// dropWill forgets a waiting will; b.mu is held.
func (b *Broker) dropWill(clientID string) {
	if w := b.wills[clientID]; w != nil {
		w.timer.Stop()
		delete(b.wills, clientID)
	}
}
