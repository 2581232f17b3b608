package mqtt

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// hook is where mochi asks us.
type hook struct {
	mochi.HookBase
	b *Broker
}

// ID names the hook.
func (h *hook) ID() string { return "cuulong" }

// Provides lists what mochi shall call.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnSessionEstablished,
		mochi.OnPacketRead, mochi.OnPacketEncode, mochi.OnPublish, mochi.OnACLCheck:
		return true
	}
	return false
}

func of(cl *mochi.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

// OnConnect ties mochi's client to its connection. It runs before log-in.
func (h *hook) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	c := of(cl)
	c.version = cl.Properties.ProtocolVersion
	h.b.mu.Lock()
	c.cl = cl
	h.b.mu.Unlock()
	return nil
}

// OnConnectAuthenticate judges a CONNECT: who, which client id, which will.
func (h *hook) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	return of(cl).login(cl, pk)
}

// OnSessionEstablished runs after CONNACK.
func (h *hook) OnSessionEstablished(cl *mochi.Client, pk packets.Packet) {
	of(cl).online = true
	h.b.gauge.Inc()
}

// OnPacketRead sees each packet before mochi handles it. All publishes end
// here: see publish.
func (h *hook) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if err := of(cl).publish(&pk); err != nil {
			return pk, err
		}
		return handled, nil
	case packets.Connect:
		// An empty password is a wrong one, which mochi would call a
		// violation of the protocol.
		pk.Connect.PasswordFlag = len(pk.Connect.Password) > 0
	case packets.Disconnect:
		// mochi does not read a reason code that stands alone; clients leave
		// out a zero, so one that is there asks for the will.
		if c := of(cl); pk.ReasonCode != packets.CodeDisconnectWillMessage.Code && !(c.version == 5 && pk.FixedHeader.Remaining == 1) {
			c.will = nil // [MQTT-3.14.4-3]
		}
	case packets.Auth:
		c := of(cl)
		c.refuse(reasonMalformed, "AUTH without an authentication method")
		c.end(packets.ErrProtocolViolation)
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// OnPublish is never reached, since OnPacketRead takes publishes away; if it
// were, nothing would be acknowledged or fanned out.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	return pk, packets.ErrRejectPacket
}

// OnACLCheck judges subscriptions, and deliveries to them. A device may read
// its own commands and desired state, by their plain names only.
func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	c := of(cl)
	if c == nil || write {
		return false
	}
	own := "devices/" + string(c.identity)
	if topic == own+"/commands" || topic == own+"/desired" {
		return true
	}
	h.b.refused.count(reasonSubscribe, c.source(), topic)
	return false
}

// OnPacketEncode corrects CONNACKs: our reason, and codes that v3.1.1 knows.
func (h *hook) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type != packets.Connack {
		return pk
	}
	c := of(cl)
	if c.refusal.Code != 0 {
		pk.ReasonCode = c.refusal.Code
		pk.Properties.ReasonString = c.refusal.Reason
	}
	switch {
	case pk.ReasonCode == 0:
		pk.Properties.MaximumPacketSize = uint32(h.b.o.MaxPacket)
	case cl.Properties.ProtocolVersion != 5:
		pk.ReasonCode = v3Connack(pk.ReasonCode)
	}
	if pk.ReasonCode != 0 {
		c.linger.Store(true)
	}
	return pk
}

// v3Connack is the return code of MQTT 3.1.1 table 3.1 for a v5 reason.
func v3Connack(reason byte) byte {
	switch reason {
	case 1, 2, 3, 4, 5:
		return reason // is one
	case packets.ErrProtocolViolation.Code, packets.ErrMalformedPacket.Code, packets.ErrUnsupportedProtocolVersion.Code:
		return 1 // unacceptable protocol version
	case packets.ErrClientIdentifierNotValid.Code, packets.ErrUnspecifiedError.Code: // 0x80: no id for a persistent session
		return 2
	case packets.ErrServerBusy.Code, packets.ErrServerUnavailable.Code:
		return 3
	case packets.ErrBadUsernameOrPassword.Code:
		return 4
	default:
		return 5 // not authorized
	}
}
