package mqtt

import (
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"cuulong/devices"
)

// handled replaces a publish that was taken here: an acknowledgement of
// packet id 0, which no message has, and which mochi therefore passes over.
// Rejecting the publish in OnPublish would do the same, after formatting the
// whole packet for a log line that nobody reads.
var handled = packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}}

// publish takes one PUBLISH. It blocks at the connection's bounds and while
// the Handler does; that is the back-pressure, since nothing more is read. An
// error ends the connection. The packet comes by its address: copies of its
// 800 bytes, here and in the hook, doubled the stack that every connection keeps.
func (c *conn) publish(pk *packets.Packet) error {
	if pk.FixedHeader.Qos > 1 {
		return c.endPublish(reasonQoS2, packets.ErrQosNotSupported, pk.TopicName) // [MQTT-3.2.2-11]
	}
	if code := pk.PublishValidate(0); code != packets.CodeSuccess {
		return c.endPublish(reasonMalformed, code, code.Reason)
	}
	if len(pk.Payload) > MaxPayload {
		return c.endPublish(reasonOversize, packets.ErrPacketTooLarge, pk.TopicName)
	}
	m, ok := c.route(pk.TopicName)
	if !ok {
		if c.version < 5 {
			return c.endPublish(reasonTopic, packets.ErrNotAuthorized, pk.TopicName)
		}
		c.b.refused.count(reasonTopic, c.source(), pk.TopicName)
		if pk.FixedHeader.Qos == 0 {
			return nil
		}
		// In its turn: the acknowledgements before it may still wait.
		seq, ok := c.admit(pk.PacketID, 0)
		if !ok {
			return packets.ErrRejectPacket
		}
		c.answer(seq, packets.ErrNotAuthorized.Code)
		return nil
	}
	seq, ok := c.admit(pk.PacketID, len(pk.Payload))
	if !ok {
		return packets.ErrRejectPacket
	}
	m.Payload = pk.Payload // mochi copied it for this packet alone
	c.b.o.Registry.Heard(c.identity, time.Now())
	c.b.o.Handle(m, func(err error) { c.done(seq, err) })
	return nil
}

func (c *conn) endPublish(reason string, code packets.Code, detail string) error {
	c.refuse(reason, detail)
	c.end(code)
	return packets.ErrRejectPacket
}

// parseTopic takes a topic of the contract apart: whose it is and what it
// carries. id is a part of topic and not yet checked.
func parseTopic(topic string) (id, leaf string, gateway, ok bool) {
	rest, ok := strings.CutPrefix(topic, "devices/")
	if !ok {
		if rest, gateway = strings.CutPrefix(topic, "gateways/"); !gateway {
			return "", "", false, false
		}
	}
	id, leaf, _ = strings.Cut(rest, "/")
	switch {
	case leaf == "telemetry":
		return id, "telemetry", gateway, true // not leaf, which holds on to the packet
	case leaf == "attributes" && !gateway:
		return id, "attributes", false, true
	case leaf == "netjson" && !gateway:
		return id, "netjson", false, true
	}
	return "", "", false, false
}

// route says whose topic it is and what it carries, and whether this
// connection may publish there: its own, a gateway also its children's.
func (c *conn) route(topic string) (Message, bool) {
	d := c.device.Load()
	m := Message{Topic: topic, From: c.identity, Kind: d.Kind}
	id, leaf, gateway, ok := parseTopic(topic)
	if !ok || gateway && d.Kind != devices.Gateway {
		return m, false
	}
	m.Leaf, m.Gateway = leaf, gateway
	if id == string(c.identity) {
		m.Device = c.identity
		return m, true
	}
	if m.Gateway || d.Kind != devices.Gateway || !c.b.o.Registry.IsChild(c.identity, devices.ID(id)) {
		return m, false
	}
	m.Device = devices.ID(strings.Clone(id)) // id is part of the packet
	return m, true
}
