package mqtt

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"cuulong/devices"
)

func TestLogin(t *testing.T) {
	p := newProvince(t, Options{})
	right := p.cred["st"].Password
	refused := 0.0
	for _, v := range []byte{3, 4, 5} {
		for name, c := range map[string]struct {
			hello hello
			ok    bool
		}{
			"right":             {hello{user: "st", password: right}, true},
			"wrong password":    {hello{user: "st", password: right + "x"}, false},
			"other's password":  {hello{user: "other", password: right}, false},
			"unknown":           {hello{user: "nobody", password: right}, false},
			"anonymous":         {hello{anonymous: true}, false},
			"empty password":    {hello{user: "st", password: ""}, false},
			"empty user":        {hello{user: "", password: right}, false},
			"user with a slash": {hello{user: "st/", password: right}, false},
		} {
			c.hello.v, c.hello.id = v, "tool"
			conn, ack := try(t, p.addr, c.hello)
			want := byte(0)
			if !c.ok {
				refused++
				if want = 4; v == 5 {
					want = 0x86
				}
			}
			if ack[1] != want {
				t.Errorf("v%d, %s: CONNACK % x, want %#x", v, name, ack, want)
			}
			if c.ok {
				conn.alive()
				conn.send([]byte{0xe0, 0})
			}
			conn.wantEnd(0)
		}
	}
	eventually(t, "all refusals counted", func() bool { return p.metric(t, reasonCredentials) == refused })
	eventually(t, "all connections gone", func() bool { return p.metric(t, "") == 0 })
}

func TestConnectionsAreCounted(t *testing.T) {
	p := newProvince(t, Options{})
	a, b := p.connect(t, 4, "st"), p.connect(t, 5, "other")
	a.alive()
	b.alive()
	if n := p.metric(t, ""); n != 2 {
		t.Errorf("%v connections, want 2", n)
	}
	a.Close()
	eventually(t, "one left", func() bool { return p.metric(t, "") == 1 })
}

func TestClientIDs(t *testing.T) {
	p := newProvince(t, Options{})
	const ok, bad = 0, 0x85
	for name, c := range map[string]struct {
		who, id    string
		persistent bool
		expiry     uint32
		v4, v5     byte // CONNACK; v4 is not tried when expiry is set
	}{
		"own":                       {"st", "st", false, 0, ok, ok},
		"any, clean":                {"st", "laptop-7", false, 0, ok, ok},
		"own, persistent":           {"st", "st", true, 60, ok, ok},
		"any, persistent":           {"st", "laptop-7", true, 60, 2, bad},
		"any, clean start, expiry":  {"st", "laptop-7", false, 60, 0, bad},
		"any, no clean, no expiry":  {"st", "laptop-7", true, 0, 2, ok},
		"another device's":          {"st", "other", false, 0, 2, bad},
		"a gateway its child's":     {"gw", "child", false, 0, 2, bad},
		"another's, persistent":     {"st", "other", true, 60, 2, bad},
		"empty":                     {"st", "", false, 0, ok, ok},
		"empty, persistent":         {"st", "", true, 60, 2, bad},
		"longer than we keep":       {"st", strings.Repeat("x", 300), false, 0, 2, bad},
		"with characters of topics": {"st", "a/+/#", false, 0, ok, ok},
	} {
		for _, v := range []byte{4, 5} {
			h := p.hello(v, c.who)
			h.id, h.persistent = c.id, c.persistent
			want := c.v4
			if v == 5 {
				h.expiry, want = c.expiry, c.v5
			} else if c.expiry > 0 && !c.persistent {
				continue
			}
			conn, ack := try(t, p.addr, h)
			if ack[1] != want {
				t.Errorf("%s, v%d: CONNACK % x, want %#x", name, v, ack, want)
			}
			if v == 5 && c.id == "" && want == ok && !bytes.Contains(ack[2:], []byte{0x12, 0, 20}) {
				t.Errorf("no assigned client id in % x", ack)
			}
			conn.Close()
			eventually(t, "the id is free", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.byID) == 0 })
		}
	}
}

func TestClientIDHeldByAnotherIdentity(t *testing.T) {
	p := newProvince(t, Options{})
	h := p.hello(5, "st")
	h.id = "tool"
	first := connect(t, p.addr, h)
	h = p.hello(5, "other")
	h.id = "tool"
	if _, ack := try(t, p.addr, h); ack[1] != 0x85 {
		t.Errorf("CONNACK % x", ack)
	}
	first.alive()
	if n := p.metric(t, reasonClientID); n != 1 {
		t.Errorf("counted %v", n)
	}
	first.Close()
	eventually(t, "the id is free", func() bool {
		c, ack := try(t, p.addr, h)
		c.Close()
		return ack[1] == 0
	})
}

func TestOwnIDTakesOver(t *testing.T) {
	p := newProvince(t, Options{})
	for _, v := range []byte{4, 5} {
		older := p.connect(t, v, "st")
		newer := p.connect(t, v, "st")
		older.wantEnd(0x8e)
		newer.alive()
		newer.Close()
	}
}

// A device registered after its id was taken by another identity gets it.
func TestIDOfANewDeviceIsItsOwn(t *testing.T) {
	p := newProvince(t, Options{})
	h := p.hello(5, "st")
	h.id = "new"
	squatter := connect(t, p.addr, h)
	p.cred["new"] = register(t, p.reg, devices.Device{ID: "new", Name: "n", Kind: devices.Station})
	squatter.wantEnd(0x85)
	eventually(t, "new connects", func() bool {
		_, ack := try(t, p.addr, p.hello(5, "new"))
		return ack[1] == 0
	})
}

// Racing CONNECTs with one id leave exactly one connection, and what the
// losers held is free again.
func TestRacingConnects(t *testing.T) {
	p := newProvince(t, Options{})
	for name, who := range map[string][]string{"one identity": {"st"}, "two identities": {"st", "other"}} {
		var wg sync.WaitGroup
		conns := make([]*client, 24)
		accepted := make([]bool, len(conns))
		for i := range conns {
			h := p.hello(4, who[i%len(who)])
			h.id = "tool"
			conns[i] = dial(t, p.addr)
			wg.Go(func() {
				conns[i].Write(h.bytes())
				first, body, err := conns[i].next()
				accepted[i] = err == nil && first == 0x20 && body[1] == 0
			})
		}
		wg.Wait()
		live := 0
		for i, c := range conns {
			if accepted[i] {
				c.Write(ping)
				if first, _, err := c.next(); err == nil && first == 0xd0 {
					live++
				}
			}
		}
		if live != 1 {
			t.Errorf("%s: %d connections live, want 1", name, live)
		}
		for _, c := range conns {
			c.Close()
		}
		eventually(t, "all is free", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.byID)+len(p.byDevice)+len(p.conns) == 0 && p.server.Clients.Len() == 0
		})
	}
}

// Clients that are gone before their CONNACK leave no reservation.
func TestReservationIsReleased(t *testing.T) {
	p := newProvince(t, Options{})
	for range 20 {
		c := dial(t, p.addr)
		h := p.hello(5, "st")
		h.id = "tool"
		c.send(h.bytes())
		c.Close()
	}
	eventually(t, "another identity may take the id", func() bool {
		h := p.hello(5, "other")
		h.id = "tool"
		c, ack := try(t, p.addr, h)
		c.Close()
		return ack[1] == 0
	})
}

func TestPersistentSessionIsKept(t *testing.T) {
	p := newProvince(t, Options{})
	for _, v := range []byte{4, 5} {
		h := p.hello(v, "st")
		h.persistent, h.expiry = true, 300
		c, ack := try(t, p.addr, h)
		if ack[0] != 0 {
			t.Errorf("v%d: session present before there was one", v)
		}
		c.send(subscribe(v, 1, "devices/st/commands"))
		c.want(0x90)
		c.Close()
		c, ack = try(t, p.addr, h)
		if ack[0] != 1 || ack[1] != 0 {
			t.Errorf("v%d: CONNACK % x, want the session", v, ack)
		}
		c.Close()
		h.persistent, h.expiry = false, 0
		c, ack = try(t, p.addr, h)
		if ack[0] != 0 || ack[1] != 0 {
			t.Errorf("v%d: clean CONNACK % x", v, ack)
		}
		c.Close()
	}
}

func TestConnectionLimits(t *testing.T) {
	p := newProvince(t, Options{MaxConnections: 4})
	p.connect(t, 5, "st").alive()
	h := p.hello(5, "st")
	h.id = "second"
	if _, ack := try(t, p.addr, h); ack[1] != 0x97 { // a quarter of 4
		t.Errorf("second connection of one identity: CONNACK % x", ack)
	}
	p.connect(t, 4, "gw").alive()
	p.connect(t, 4, "br").alive()
	p.connect(t, 4, "other").alive()
	if _, ack := try(t, p.addr, p.hello(4, "child")); ack[1] != 3 {
		t.Errorf("v4 beyond the limit: CONNACK % x", ack)
	}
	if _, ack := try(t, p.addr, p.hello(5, "child")); ack[1] != 0x89 {
		t.Errorf("v5 beyond the limit: CONNACK % x", ack)
	}
	eventually(t, "counted", func() bool { return p.metric(t, reasonTooMany) == 2 })
}

func TestTLS(t *testing.T) {
	p := newProvince(t, Options{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	plain := dial(t, l.Addr().String())
	plain.send(p.hello(4, "st").bytes())
	c := dial(t, l.Addr().String())
	c.v, c.Conn = 5, tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.r = bufio.NewReader(c.Conn)
	c.send(p.hello(5, "st").bytes(), publish(5, "devices/st/telemetry", 1, 1, []byte("x")))
	c.want(0x20)
	p.inbox.next(t).done(nil)
	p.Flush()
	c.wantAck(1, 0)
	c.send(publish(5, "devices/st/telemetry", 2, 2, nil))
	c.wantEnd(0x9b)
	eventually(t, "the plain one is counted", func() bool { return p.metric(t, reasonMalformed) == 1 })
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestSlowConnect(t *testing.T) {
	p := newProvince(t, Options{ConnectTimeout: 50 * time.Millisecond})
	silent, half := dial(t, p.addr), dial(t, p.addr)
	hello := p.hello(4, "st").bytes()
	half.send(hello[:len(hello)-1])
	silent.wantEnd(0)
	half.wantEnd(0)
	eventually(t, "counted", func() bool { return p.metric(t, reasonConnectTimeout) == 2 })
	// The deadline ends with the CONNECT.
	c := p.connect(t, 4, "st")
	<-time.After(100 * time.Millisecond)
	c.alive()
}

func TestKeepAlive(t *testing.T) {
	p := newProvince(t, Options{})
	h := p.hello(4, "st")
	h.keepalive = 1
	quiet := connect(t, p.addr, h)
	// 1.5 × 43,691 s overflows 16 bits, to no time at all, in mochi.
	h = p.hello(4, "other")
	h.keepalive = 43691
	patient := connect(t, p.addr, h)
	quiet.wantEnd(0)
	patient.alive()
}

func TestDeletedAndResetDevicesLoseTheirConnections(t *testing.T) {
	for _, v := range []byte{4, 5} {
		for name, change := range map[string]func(*province) error{
			"deleted": func(p *province) error { return p.reg.Delete(t.Context(), "st") },
			"reset": func(p *province) error {
				_, err := p.reg.ResetCredentials(t.Context(), "st")
				return err
			},
		} {
			t.Run(fmt.Sprint(name, " v", v), func(t *testing.T) {
				p := newProvince(t, Options{})
				h := p.hello(v, "st")
				h.persistent, h.expiry = true, 300
				own := connect(t, p.addr, h)
				h.id, h.persistent, h.expiry = "laptop", false, 0
				second := connect(t, p.addr, h)
				bystander := p.connect(t, v, "other")
				if err := change(p); err != nil {
					t.Fatal(err)
				}
				own.wantEnd(0x87)
				second.wantEnd(0x87)
				bystander.alive()
				if _, ack := try(t, p.addr, p.hello(v, "st")); ack[1] == 0 {
					t.Error("the old credentials still work")
				}
				if name == "deleted" {
					eventually(t, "the session is gone", func() bool { _, there := p.server.Clients.Get("st"); return !there })
				}
			})
		}
	}
}
