package mqtt

import (
	"fmt"
	"testing"
)

func TestWillTopicIsJudgedAtConnect(t *testing.T) {
	p := newProvince(t, Options{})
	for _, c := range []struct {
		who, topic string
		ok         bool
	}{
		{"st", "devices/st/attributes", true},
		{"st", "devices/other/attributes", false},
		{"st", "devices/st/commands", false},
		{"st", "$SYS/x", false},
		{"st", "#", false},
		{"gw", "devices/child/attributes", true},
		{"gw", "devices/st/attributes", false},
	} {
		for v, refusal := range map[byte]byte{4: 5, 5: 0x87} {
			h := p.hello(v, c.who)
			h.will = &lastWords{topic: c.topic, payload: "{}", retain: true}
			conn, ack := try(t, p.addr, h)
			if want := map[bool]byte{true: 0, false: refusal}[c.ok]; ack[1] != want {
				t.Errorf("v%d %s %s: CONNACK % x, want %#x", v, c.who, c.topic, ack, want)
			}
			if c.ok {
				conn.send([]byte{0xe0, 0}) // goodbye: no will
				conn.wantEnd(0)
			}
		}
	}
	if n := p.metric(t, reasonWill); n != 10 {
		t.Errorf("counted %v", n)
	}
	if len(p.inbox) != 0 {
		t.Error("a will was sent")
	}
}

func TestWillReachesTheHandler(t *testing.T) {
	p := newProvince(t, Options{})
	before := p.server.Topics.Retained.Len()
	for name, end := range map[string]func(*client){
		"lost":                 func(c *client) { c.Close() },
		"broken packet":        func(c *client) { c.send([]byte{0xf1, 0}); c.Close() },
		"second CONNECT":       func(c *client) { c.send(p.hello(c.v, "st").bytes()); c.Close() },
		"truncated SUBSCRIBE":  func(c *client) { c.send(packet(0x82, join(u16(1), []byte{0}, str("a"))...)); c.Close() },
		"publish elsewhere":    func(c *client) { c.send(publish(c.v, "x", 2, 1, nil)); c.Close() },
		"goodbye that says so": func(c *client) { c.send([]byte{0xe0, 1, 4}); c.Close() },
	} {
		for _, v := range []byte{4, 5} {
			if name == "goodbye that says so" && v == 4 {
				continue
			}
			t.Run(fmt.Sprint(name, " v", v), func(t *testing.T) {
				h := p.hello(v, "st")
				h.will = &lastWords{topic: "devices/st/attributes", payload: `{"up":false}`, qos: 1, retain: true}
				end(connect(t, p.addr, h))
				m := p.inbox.next(t)
				if m.Device != "st" || m.Leaf != "attributes" || string(m.Payload) != `{"up":false}` {
					t.Errorf("will %+v", m.Message)
				}
				m.done(nil)
				eventually(t, "the id is free", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.byID) == 0 })
				if len(p.inbox) != 0 {
					t.Error("sent twice")
				}
			})
		}
	}
	if n := p.server.Topics.Retained.Len(); n != before {
		t.Errorf("%d wills retained", n-before)
	}
}

func TestWillOfADeletedDeviceIsNotSent(t *testing.T) {
	p := newProvince(t, Options{})
	h := p.hello(5, "st")
	h.will = &lastWords{topic: "devices/st/attributes", payload: "{}"}
	c := connect(t, p.addr, h)
	if err := p.reg.Delete(t.Context(), "st"); err != nil {
		t.Fatal(err)
	}
	c.wantEnd(0x87)
	eventually(t, "it is gone", func() bool { return p.metric(t, "") == 0 })
	if len(p.inbox) != 0 {
		t.Error("sent")
	}
}

func TestDelayedWill(t *testing.T) {
	p := newProvince(t, Options{})
	waiting := func() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.wills) }
	h := p.hello(5, "st")
	h.persistent, h.expiry = true, 3600
	leave := func(delay uint32) {
		t.Helper()
		h := h
		h.will = &lastWords{topic: "devices/st/attributes", payload: "{}", delay: delay}
		connect(t, p.addr, h).Close()
	}
	leave(3600)
	eventually(t, "it waits", func() bool { return waiting() == 1 })
	back := connect(t, p.addr, h) // back in time: never sent
	if waiting() != 0 {
		t.Error("still waiting")
	}
	back.send([]byte{0xe0, 0})
	back.wantEnd(0)

	leave(3600)
	eventually(t, "it waits", func() bool { return waiting() == 1 })
	h.persistent, h.expiry = false, 0 // a clean start ends the session: sent now
	back = connect(t, p.addr, h)
	p.inbox.next(t)
	back.send([]byte{0xe0, 0})
	back.wantEnd(0)

	h.persistent, h.expiry = true, 3600
	leave(1)
	p.inbox.next(t)
	if waiting() != 0 {
		t.Error("still waiting")
	}
	// The session's end is the longest delay.
	h.expiry = 1
	leave(3600)
	p.inbox.next(t)
	if len(p.inbox) != 0 {
		t.Error("sent twice")
	}
	// One that waits when the broker stops is dropped; serve checks Close.
	h.expiry = 3600
	leave(3600)
	eventually(t, "it waits", func() bool { return waiting() == 1 })
}
