package mqtt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cuulong/devices"
)

func TestWhoMayPublishWhere(t *testing.T) {
	p := newProvince(t, Options{})
	type row struct {
		who, topic string
		device     devices.ID // "" for refused
		leaf       string
		gateway    bool
	}
	for _, c := range []row{
		{"st", "devices/st/telemetry", "st", "telemetry", false},
		{"st", "devices/st/attributes", "st", "attributes", false},
		{"st", "devices/st/netjson", "st", "netjson", false},
		{"st", "devices/other/telemetry", "", "", false},
		{"st", "devices/nobody/telemetry", "", "", false},
		{"st", "devices/gw/telemetry", "", "", false},
		{"st", "devices/child/telemetry", "", "", false},
		{"st", "gateways/st/telemetry", "", "", false},
		{"st", "gateways/gw/telemetry", "", "", false},
		{"st", "devices/st/commands", "", "", false},
		{"st", "devices/st/desired", "", "", false},
		{"st", "devices/st/commands/1/reply", "", "", false}, // later
		{"st", "devices/st/telemetry/", "", "", false},
		{"st", "devices/st/telemetry/x", "", "", false},
		{"st", "devices/st/Telemetry", "", "", false},
		{"st", "/devices/st/telemetry", "", "", false},
		{"st", "devices//telemetry", "", "", false},
		{"st", "devices/st", "", "", false},
		{"st", "devices/", "", "", false},
		{"st", "x", "", "", false},
		{"st", "$SYS/broker/uptime", "", "", false},
		{"st", "$sys/x", "", "", false},
		{"st", "$share/g/devices/st/telemetry", "", "", false},
		{"st", "application/1/device/2/event/up", "", "", false},
		{"gw", "gateways/gw/telemetry", "gw", "telemetry", true},
		{"gw", "gateways/gw/attributes", "", "", false},
		{"gw", "gateways/child/telemetry", "", "", false},
		{"gw", "devices/gw/telemetry", "gw", "telemetry", false},
		{"gw", "devices/child/telemetry", "child", "telemetry", false},
		{"gw", "devices/child/netjson", "child", "netjson", false},
		{"gw", "devices/st/telemetry", "", "", false},
		{"child", "devices/child/telemetry", "child", "telemetry", false},
		{"child", "devices/gw/telemetry", "", "", false},
		{"br", "devices/br/attributes", "br", "attributes", false},
		{"br", "application/1/device/2/event/up", "", "", false}, // later
		{"br", "v3/a/devices/d/up", "", "", false},
		{"br", "spBv1.0/g/NDATA/n", "", "", false},
	} {
		for _, v := range []byte{4, 5} {
			t.Run(fmt.Sprintf("v%d %s %s", v, c.who, strings.ReplaceAll(c.topic, "/", "|")), func(t *testing.T) {
				before := p.metric(t, reasonTopic)
				conn := p.connect(t, v, c.who)
				conn.send(publish(v, c.topic, 1, 7, []byte("x")))
				if c.device == "" {
					if v == 5 {
						conn.wantAck(7, 0x87)
						conn.send(publish(v, c.topic, 0, 0, []byte("x")))
						conn.alive()
						before++
					} else {
						conn.wantEnd(0)
					}
					eventually(t, "counted", func() bool { return p.metric(t, reasonTopic) == before+1 })
					return
				}
				m := p.inbox.next(t)
				want := Message{Topic: c.topic, From: devices.ID(c.who), Device: c.device, Leaf: c.leaf, Gateway: c.gateway, Payload: []byte("x")}
				want.Kind = m.Kind
				if d, _ := p.reg.Get(want.From); d.Kind != m.Kind || fmt.Sprint(m.Message) != fmt.Sprint(want) {
					t.Errorf("message %+v, want %+v", m.Message, want)
				}
				m.done(nil)
				p.Flush()
				conn.wantAck(7, 0)
			})
		}
	}
	if len(p.inbox) != 0 {
		t.Errorf("%d refused messages were handled", len(p.inbox))
	}
}

func TestV3PublishElsewhereEndsTheConnectionAtQoS0(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.connect(t, 4, "st")
	c.send(publish(4, "devices/other/telemetry", 0, 0, nil))
	c.wantEnd(0)
}

func TestGatewayLosesAChild(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.connect(t, 5, "gw")
	send := func(id int, reason byte) {
		t.Helper()
		c.send(publish(5, "devices/child/telemetry", 1, id, []byte("x")))
		if reason == 0 {
			p.inbox.next(t).done(nil)
			p.Flush()
		}
		c.wantAck(id, reason)
	}
	send(1, 0)
	if _, err := p.reg.Update(t.Context(), devices.Device{ID: "child", Name: "c", Kind: devices.Station}); err != nil {
		t.Fatal(err)
	}
	send(2, 0x87)
}

func TestGatewayBecomesAStation(t *testing.T) {
	p := newProvince(t, Options{})
	if err := p.reg.Delete(t.Context(), "child"); err != nil {
		t.Fatal(err)
	}
	c := p.connect(t, 5, "gw")
	if _, err := p.reg.Update(t.Context(), devices.Device{ID: "gw", Name: "g", Kind: devices.Station}); err != nil {
		t.Fatal(err)
	}
	c.send(publish(5, "gateways/gw/telemetry", 1, 1, nil))
	c.wantAck(1, 0x87)
}

func TestPublisherIsHeard(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.connect(t, 4, "gw")
	c.alive()
	if _, heard := p.reg.LastHeard("gw"); heard {
		t.Error("heard by its connection alone")
	}
	c.send(publish(4, "gateways/gw/telemetry", 1, 1, nil))
	p.inbox.next(t).done(nil)
	if _, heard := p.reg.LastHeard("gw"); !heard {
		t.Error("not heard")
	}
	if _, heard := p.reg.LastHeard("child"); heard {
		t.Error("the child was heard though nothing of it is known")
	}
}

func TestQoS2(t *testing.T) {
	p := newProvince(t, Options{})
	c, ack := try(t, p.addr, p.hello(5, "st"))
	if !bytes.Contains(ack[2:], []byte{0x24, 1}) {
		t.Errorf("no Maximum QoS 1 in CONNACK % x", ack)
	}
	c.send(publish(5, "devices/st/telemetry", 2, 1, nil))
	c.wantEnd(0x9b)
	c = p.connect(t, 4, "st")
	c.send(publish(4, "devices/st/telemetry", 2, 1, nil))
	c.wantEnd(0)
	for v, code := range map[byte]byte{4: 5, 5: 0x9b} {
		h := p.hello(v, "st")
		h.will = &lastWords{topic: "devices/st/attributes", payload: "x", qos: 2}
		if _, ack := try(t, p.addr, h); ack[1] != code {
			t.Errorf("v%d: will of QoS 2: CONNACK % x", v, ack)
		}
	}
	eventually(t, "counted", func() bool { return p.metric(t, reasonQoS2) == 4 })
	if len(p.inbox) != 0 {
		t.Error("a QoS 2 message was handled")
	}
}

func TestTopicAliasesAreNotOffered(t *testing.T) {
	p := newProvince(t, Options{})
	c, ack := try(t, p.addr, p.hello(5, "st"))
	if bytes.Contains(ack[2:], []byte{0x22}) {
		t.Logf("CONNACK % x", ack) // 0x22 may be part of a value
	}
	c.send(packet(0x32, join(str(""), u16(1), []byte{3, 0x23, 0, 1}, []byte("x"))...))
	c.wantEnd(0x94)
	c = p.connect(t, 5, "st")
	c.send(packet(0x32, join(str("devices/st/telemetry"), u16(1), []byte{3, 0x23, 0, 1}, []byte("x"))...))
	c.wantEnd(0x94)
	if len(p.inbox) != 0 {
		t.Error("a message with an alias was handled")
	}
}

func TestNothingIsRetainedOrFannedOut(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.connect(t, 4, "st")
	retained := publish(4, "devices/st/telemetry", 1, 1, []byte("x"))
	retained[0] |= 1
	before := p.server.Topics.Retained.Len()
	c.send(retained)
	p.inbox.next(t).done(nil)
	p.Flush()
	c.wantAck(1, 0)
	if n := p.server.Topics.Retained.Len(); n != before {
		t.Errorf("%d messages retained", n-before)
	}
}

func TestSubscriptions(t *testing.T) {
	p := newProvince(t, Options{})
	for filter, ok := range map[string]bool{
		"devices/st/commands":          true,
		"devices/st/desired":           true,
		"devices/st/telemetry":         false,
		"devices/other/commands":       false,
		"devices/+/commands":           false,
		"devices/st/#":                 false,
		"devices/st/+":                 false,
		"#":                            false,
		"+/+/+":                        false,
		"$SYS/#":                       false,
		"$share/g/devices/st/commands": false,
		"$share/g/#":                   false,
		"devices/st/commands/#":        false,
	} {
		for v, refusal := range map[byte]byte{4: 0x80, 5: 0x87} {
			c := p.connect(t, v, "st")
			c.send(subscribe(v, 3, filter))
			body := c.want(0x90)
			got := body[len(body)-1]
			if ok && got != 1 || !ok && got != refusal {
				t.Errorf("v%d %s: SUBACK % x", v, filter, body)
			}
			c.alive()
			c.Close()
		}
	}
	if p.metric(t, reasonSubscribe) == 0 {
		t.Error("not counted")
	}
}

// What mochi leaves open by default is closed.
func TestLimitsOfTheLibrary(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.server.Options.Capabilities
	if c.MaximumPacketSize == 0 || c.MaximumClientWritesPending > 64 || c.MaximumMessageExpiryInterval != 0 || c.MaximumQos != 1 ||
		c.TopicAliasMaximum != 0 || c.SharedSubAvailable != 0 || c.MaximumClients != 20000 || p.server.Options.InlineClient {
		t.Errorf("%+v", *c)
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	p := newProvince(t, Options{})
	c := &conn{b: p.Broker, identity: "st"}
	d, _ := p.reg.Get("st")
	c.device.Store(&d)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := c.route("devices/st/telemetry"); !ok {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
