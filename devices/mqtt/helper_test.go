package mqtt

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"cuulong/devices"
)

// patience bounds every wait of the tests; it is reached by failures only.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func registry(t testing.TB) *devices.Registry {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	r, err := devices.Open(context.Background(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func register(t testing.TB, r *devices.Registry, d devices.Device) devices.Credentials {
	t.Helper()
	_, cred, err := r.Create(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// serve starts a broker on a free loopback port and closes it after the test.
func serve(t testing.TB, o Options) (*Broker, string) {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return b, l.Addr().String()
}

// packet frames body; every packet of the tests goes through it.
func packet(first byte, body ...byte) []byte {
	p := []byte{first}
	for n := len(body); ; {
		digit := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			digit |= 0x80
		}
		p = append(p, digit)
		if n == 0 {
			return append(p, body...)
		}
	}
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// hello is a CONNECT.
type hello struct {
	v              byte // 3, 4 or 5
	id             string
	user, password string
	anonymous      bool
	persistent     bool
	expiry         uint32 // v5, with persistent or not
	keepalive      int
	will           *lastWords
}

type lastWords struct {
	topic, payload string
	qos            byte
	retain         bool
	delay          uint32
}

func (h hello) bytes() []byte {
	var flags byte
	if !h.persistent {
		flags |= 2
	}
	name := "MQTT"
	if h.v == 3 {
		name = "MQIsdp"
	}
	var props, rest []byte
	if h.v == 5 {
		props = []byte{0}
		if h.expiry > 0 {
			props = binary.BigEndian.AppendUint32([]byte{5, 0x11}, h.expiry)
		}
	}
	if w := h.will; w != nil {
		flags |= 4 | w.qos<<3
		if w.retain {
			flags |= 0x20
		}
		if h.v == 5 {
			rest = append(rest, binary.BigEndian.AppendUint32([]byte{5, 0x18}, w.delay)...)
		}
		rest = append(rest, join(str(w.topic), str(w.payload))...)
	}
	if !h.anonymous {
		flags |= 0xc0
		rest = append(rest, join(str(h.user), str(h.password))...)
	}
	return packet(0x10, join(str(name), []byte{h.v, flags}, u16(h.keepalive), props, str(h.id), rest)...)
}

func connect311(id, user, password string, clean bool, keepalive int) []byte {
	return hello{v: 4, id: id, user: user, password: password, persistent: !clean, keepalive: keepalive}.bytes()
}

func publish311(topic string, qos byte, id int, payload []byte) []byte {
	return publish(4, topic, qos, id, payload)
}

func publish(v byte, topic string, qos byte, id int, payload []byte) []byte {
	body := str(topic)
	if qos > 0 {
		body = append(body, u16(id)...)
	}
	if v == 5 {
		body = append(body, 0)
	}
	return packet(0x30|qos<<1, append(body, payload...)...)
}

func subscribe(v byte, id int, filter string) []byte {
	body := u16(id)
	if v == 5 {
		body = append(body, 0)
	}
	return packet(0x82, join(body, str(filter), []byte{1})...)
}

var ping = []byte{0xc0, 0}

// client is a raw connection that reads packets itself.
type client struct {
	t testing.TB
	v byte
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, v: 4, Conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) send(parts ...[]byte) *client {
	c.t.Helper()
	if _, err := c.Write(join(parts...)); err != nil {
		c.t.Fatal(err)
	}
	return c
}

func (c *client) next() (first byte, body []byte, err error) {
	if first, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.r) // MQTT's variable byte integer is a uvarint
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	return first, body, err
}

// want reads one packet and checks its first byte.
func (c *client) want(first byte) []byte {
	c.t.Helper()
	got, body, err := c.next()
	if err != nil {
		c.t.Fatalf("want packet %#x: %v", first, err)
	}
	if got != first {
		c.t.Fatalf("got packet %#x % x, want %#x", got, body, first)
	}
	return body
}

// wantAck reads a PUBACK with this id and v5 reason.
func (c *client) wantAck(id int, reason byte) {
	c.t.Helper()
	body := c.want(0x40)
	got := byte(0)
	if len(body) > 2 {
		got = body[2]
	}
	if int(binary.BigEndian.Uint16(body)) != id || got != reason || c.v < 5 && len(body) != 2 {
		c.t.Fatalf("PUBACK % x, want id %d reason %#x", body, id, reason)
	}
}

// wantEnd checks that the broker closes, after the v5 DISCONNECT if reason is not 0.
func (c *client) wantEnd(reason byte) {
	c.t.Helper()
	if c.v == 5 && reason != 0 {
		if body := c.want(0xe0); body[0] != reason {
			c.t.Fatalf("DISCONNECT % x, want reason %#x", body, reason)
		}
	}
	first, body, err := c.next()
	var network net.Error
	if err == nil {
		c.t.Fatalf("got packet %#x % x, want the end", first, body)
	}
	if errors.As(err, &network) && network.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}

// alive checks that the broker answers.
func (c *client) alive() {
	c.t.Helper()
	c.send(ping)
	c.want(0xd0)
}

// try connects and returns the CONNACK.
func try(t testing.TB, addr string, h hello) (*client, []byte) {
	t.Helper()
	if h.v == 0 {
		h.v = 4
	}
	c := dial(t, addr)
	c.v = h.v
	c.send(h.bytes())
	return c, c.want(0x20)
}

func connect(t testing.TB, addr string, h hello) *client {
	t.Helper()
	c, ack := try(t, addr, h)
	if ack[1] != 0 {
		t.Fatalf("CONNACK % x for %+v", ack, h)
	}
	return c
}

// inbox is a Handler that holds every message until the test says so.
type inbox chan held

type held struct {
	Message
	done func(error)
}

func newInbox() inbox { return make(inbox, 4096) }

func (in inbox) handle(m Message, done func(error)) { in <- held{m, done} }

func (in inbox) next(t testing.TB) held {
	t.Helper()
	select {
	case h := <-in:
		return h
	case <-time.After(patience):
		t.Fatal("no message")
		return held{}
	}
}

// province is a broker with a gateway "gw" and its child "child", stations
// "st" and "other", and a bridge "br".
type province struct {
	*Broker
	addr  string
	reg   *devices.Registry
	prom  *prometheus.Registry
	cred  map[string]devices.Credentials
	inbox inbox
}

func newProvince(t testing.TB, o Options) *province {
	t.Helper()
	p := &province{reg: registry(t), prom: prometheus.NewRegistry(), cred: map[string]devices.Credentials{}, inbox: newInbox()}
	for _, d := range []devices.Device{
		{ID: "gw", Kind: devices.Gateway},
		{ID: "child", Kind: devices.Station, Parent: "gw"},
		{ID: "st", Kind: devices.Station},
		{ID: "other", Kind: devices.Station},
		{ID: "br", Kind: devices.Bridge},
	} {
		d.Name = string(d.ID)
		p.cred[d.Name] = register(t, p.reg, d)
	}
	o.Registry, o.Metrics = p.reg, p.prom
	if o.Handle == nil {
		o.Handle = p.inbox.handle
	}
	p.Broker, p.addr = serve(t, o)
	return p
}

// hello is the CONNECT of one of them.
func (p *province) hello(v byte, who string) hello {
	return hello{v: v, id: who, user: who, password: p.cred[who].Password}
}

func (p *province) connect(t testing.TB, v byte, who string) *client {
	t.Helper()
	return connect(t, p.addr, p.hello(v, who))
}

// metric reads ioc_refused_total of a reason, or the gauge for "".
func (p *province) metric(t testing.TB, reason string) float64 {
	t.Helper()
	families, err := p.prom.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "ioc_mqtt_connections" && reason == "" {
				return m.GetGauge().GetValue()
			}
			for _, l := range m.GetLabel() {
				if f.GetName() == "ioc_refused_total" && l.GetName() == "reason" && l.GetValue() == reason {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("no metric for %q", reason)
	return 0
}

// eventually polls what another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
