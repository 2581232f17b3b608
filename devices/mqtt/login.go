package mqtt

import (
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"cuulong/devices"
)

const (
	maxClientID = 256 // bytes
	// takeover bounds how long a newcomer waits for its own older connection
	// to end.
	takeover = 5 * time.Second
)

// login judges a CONNECT after mochi found it well-formed. false is answered
// by a CONNACK with c.refusal.
func (c *conn) login(cl *mochi.Client, pk packets.Packet) bool {
	reg := c.b.o.Registry
	username, password := string(pk.Connect.Username), string(pk.Connect.Password)
	d, ok := reg.Authenticate(username, password)
	if !ok {
		return c.deny(reasonCredentials, packets.ErrBadUsernameOrPassword, "anonymous, unknown or wrong credentials")
	}
	if len(cl.ID) > maxClientID {
		return c.deny(reasonClientID, packets.ErrClientIdentifierNotValid, "client id is too long")
	}
	persistent := !pk.Connect.Clean
	if c.version == 5 {
		persistent = pk.Properties.SessionExpiryInterval > 0
	}
	if own := cl.ID == string(d.ID); !own {
		if persistent {
			return c.deny(reasonClientID, packets.ErrClientIdentifierNotValid, "a persistent session takes the device's own id")
		}
		if _, other := reg.Get(devices.ID(cl.ID)); other {
			return c.deny(reasonClientID, packets.ErrClientIdentifierNotValid, "client id is another device's")
		}
	}
	c.identity, c.clientID = d.ID, cl.ID
	c.device.Store(&d)
	if pk.Connect.WillFlag {
		if _, ok := c.route(pk.Connect.WillTopic); !ok {
			return c.deny(reasonWill, packets.ErrNotAuthorized, "will topic "+pk.Connect.WillTopic)
		}
	}
	if code, why := c.b.reserve(c, d.ID, cl.ID); code.Code != 0 {
		return c.deny(reasonClientID, code, why)
	}
	// Changes of the registry that came meanwhile found no connection to end.
	now, ok := reg.Authenticate(username, password)
	if !ok {
		return c.deny(reasonCredentials, packets.ErrBadUsernameOrPassword, "credentials ended")
	}
	if _, other := reg.Get(devices.ID(cl.ID)); other && cl.ID != string(d.ID) {
		return c.deny(reasonClientID, packets.ErrClientIdentifierNotValid, "client id is another device's")
	}
	c.device.Store(&now)
	c.takeWill(cl, pk)
	if k := time.Duration(pk.Connect.Keepalive) * time.Second; k > 0 {
		c.keepalive = k + k/2 // [MQTT-3.1.2-22]
	}
	return true
}

func (c *conn) deny(reason string, code packets.Code, detail string) bool {
	c.refusal = code
	c.refuse(reason, detail)
	return false
}

// reserve gives c the client id until release: ids are never taken over from
// another identity, and of two connections of one identity the newer stands,
// once nothing of the older is left. mochi itself would let two racing CONNECTs
// both in.
func (b *Broker) reserve(c *conn, id devices.ID, clientID string) (code packets.Code, why string) {
	var late <-chan time.Time
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.closing {
			return packets.ErrServerShuttingDown, "shutting down"
		}
		older := b.byID[clientID]
		if older == nil {
			break
		}
		if older.identity != id {
			return packets.ErrClientIdentifierNotValid, "client id is held by another identity"
		}
		b.mu.Unlock()
		if late == nil {
			timer := time.NewTimer(takeover)
			defer timer.Stop()
			late = timer.C
		}
		older.ban()
		older.end(packets.ErrSessionTakenOver) // [MQTT-3.1.4-3]
		var stuck bool
		select {
		case <-older.gone:
		case <-late:
			stuck = true
		case <-b.stop:
		}
		b.mu.Lock()
		if stuck {
			return packets.ErrServerBusy, "older connection does not end"
		}
	}
	own := b.byDevice[id]
	if len(own) >= max(1, b.o.MaxConnections/4) {
		return packets.ErrQuotaExceeded, "too many connections of one identity"
	}
	if own == nil {
		own = map[*conn]struct{}{}
		b.byDevice[id] = own
	}
	own[c] = struct{}{}
	b.byID[clientID] = c
	return packets.CodeSuccess, ""
}

// release undoes reserve.
func (b *Broker) release(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID[c.clientID] == c {
		delete(b.byID, c.clientID)
	}
	if own := b.byDevice[c.identity]; own != nil {
		delete(own, c)
		if len(own) == 0 {
			delete(b.byDevice, c.identity)
		}
	}
}
