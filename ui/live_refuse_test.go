package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/telemetry"
	"cuulong/ui/access"
)

func TestLiveHandshake(t *testing.T) {
	w := newWorld(t)
	viewer := w.tokenOf(access.Viewer)
	cookie := w.login("vinh", operatorPassword)
	host := strings.TrimPrefix(w.http.URL, "http://")
	for _, c := range []struct {
		name   string
		who    person
		header []string
		status int
	}{
		{"nobody", w.nobody(), nil, 401},
		{"bad token", person{w: w, token: "x.y"}, nil, 401},
		{"token without Origin", viewer, nil, 101},
		{"token with own Origin", viewer, []string{"Origin", w.http.URL}, 101},
		{"token with a strange Origin", viewer, []string{"Origin", "http://evil.example"}, 403},
		{"cookie with own Origin", cookie, nil, 101},
		{"cookie without Origin", cookie, []string{"Origin", ""}, 403},
		{"cookie with a strange Origin", cookie, []string{"Origin", "http://evil.example"}, 403},
		{"same host, another port", cookie, []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"null Origin", cookie, []string{"Origin", "null"}, 403},
		{"Origin that begins like ours", cookie, []string{"Origin", "http://" + host + ".evil.example"}, 403},
		{"another scheme", cookie, []string{"Origin", "ftp://" + host}, 403},
		{"no subprotocol", viewer, []string{"Sec-Websocket-Protocol", "ioc.v2"}, 400},
	} {
		conn, res, err := c.who.dial(c.header...)
		if err == nil {
			conn.Close()
		}
		if res == nil || res.StatusCode != c.status {
			t.Errorf("%s: %v, want %d (%v)", c.name, res, c.status, err)
		}
	}
	viewer.do("GET", "/live", "").problem(426)
	if n := testutil.ToFloat64(w.s.meters.refused.WithLabelValues("live", "origin")); n != 7 {
		t.Errorf("%v refused for their origin", n)
	}
}

func TestLiveBounds(t *testing.T) {
	w := newWorld(t)
	h := w.s.hub
	addr := netip.MustParseAddr("192.0.2.1")
	clients := make([]*socket, 0, maxClients)
	add := func(a netip.Addr) bool {
		c := &socket{hub: h, addr: a}
		ok := h.join(h.live, c)
		if ok {
			clients = append(clients, c)
		}
		return ok
	}
	for range maxClientsAddress {
		if !add(addr) {
			t.Fatal("refused too early")
		}
	}
	if add(addr) || h.room(h.live, addr) != "address_full" {
		t.Fatal("an address has no bound")
	}
	for i := 0; len(clients) < maxClients; i++ {
		if !add(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})) {
			t.Fatal("refused too early")
		}
	}
	if add(netip.MustParseAddr("203.0.113.1")) || h.room(h.live, netip.MustParseAddr("203.0.113.1")) != "full" {
		t.Fatal("the hub has no bound")
	}
	_, res, err := w.tokenOf(access.Viewer).dial()
	if err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(err, res)
	}
	for _, c := range clients {
		h.leave(h.live, c)
	}
	if len(h.live.addresses) != 0 {
		t.Fatal("addresses are remembered for ever")
	}
	w.tokenOf(access.Viewer).listen()
}

func TestLiveRevocation(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	sub := func(p person) *listener {
		l := p.listen()
		l.say(`{"op":"sub","id":"x","topic":"devices"}`)
		l.want("snap")
		return l
	}
	other := sub(w.tokenOf(access.Viewer))

	cookie := w.login("vinh", operatorPassword)
	l := sub(cookie)
	cookie.do("DELETE", "/api/v1/session", "").want(204)
	if code := l.closed(); code != closeLoginEnded {
		t.Errorf("logged out: %d", code)
	}

	var made struct{ ID, Token string }
	admin.do("POST", "/api/v1/tokens", `{"name":"tường"}`).want(201).into(&made)
	l = sub(person{w: w, token: made.Token})
	admin.do("DELETE", "/api/v1/tokens/"+made.ID, "").want(204)
	if code := l.closed(); code != closeLoginEnded {
		t.Errorf("token ended: %d", code)
	}

	l = sub(w.login("oanh", operatorPassword))
	admin.do("PATCH", "/api/v1/accounts/oanh", `{"role":"viewer"}`).want(200)
	if code := l.closed(); code != closeLoginEnded {
		t.Errorf("account changed: %d", code)
	}

	l = sub(w.login("vinh", operatorPassword))
	admin.do("DELETE", "/api/v1/accounts/vinh", "").want(204)
	if code := l.closed(); code != closeLoginEnded {
		t.Errorf("account deleted: %d", code)
	}
	other.quiet() // nobody else is ended
}

func TestLiveEndsWithTheServer(t *testing.T) {
	w := newWorld(t)
	l := w.tokenOf(access.Viewer).listen()
	done := make(chan int)
	go func() { done <- l.closed() }()
	w.s.Close()
	if code := <-done; code != websocket.CloseGoingAway {
		t.Fatal(code)
	}
	if _, res, err := w.tokenOf(access.Viewer).dial(); err == nil || res == nil || res.StatusCode != 503 {
		t.Fatal("a closed hub takes clients", err, res)
	}
}

func TestLiveBadMessages(t *testing.T) {
	w := newWorld(t)
	p := w.tokenOf(access.Viewer)
	l := p.listen()
	for _, c := range []struct{ say, id, code string }{
		{`{`, "", "bad_message"},
		{`[]`, "", "bad_message"},
		{`null`, "", "bad_message"},
		{`{"op":"sub","id":"a","topic":"telemetry"} {}`, "", "bad_message"},
		{`{"op":"sub","id":"a","topic":"telemetry","extra":1}`, "", "bad_message"},
		{`{"op":"sub","topic":"telemetry"}`, "", "bad_message"},
		{`{"op":"jump","id":"a"}`, "a", "bad_message"},
		{`{"op":"sub","id":"a"}`, "a", "bad_message"},
		{`{"op":"sub","id":"a","topic":"telemetry","hz":99}`, "a", "bad_message"},
		{`{"op":"sub","id":"a","topic":"telemetry","bbox":[1,2,3]}`, "a", "bad_message"},
		{`{"op":"sub","id":"a","topic":"telemetry","bbox":[107,9,106,11]}`, "a", "bad_message"},
		{`{"op":"view","id":"a","bbox":[106,9,107,11]}`, "a", "unknown_id"},
		{`{"op":"unsub","id":"a"}`, "a", "unknown_id"},
		{`{"op":"sub","id":"a","topic":"incidents"}`, "a", "not_available"},
		{`{"op":"sub","id":"a","topic":"weather"}`, "a", "unknown_topic"},
		{`{"op":"sub","id":"a","topic":"alarms","bbox":[106,9,107,11]}`, "a", "bad_message"},
	} {
		l.say(c.say)
		if f := l.want("err"); f.Code != c.code || f.ID != c.id {
			t.Errorf("%s: %+v", c.say, f)
		}
	}
	// It goes on after all that; an id is taken once, and there are 16 at most.
	for i := range maxSubs {
		l.say(map[string]any{"op": "sub", "id": fmt.Sprint(i), "topic": "devices"})
		l.want("snap")
	}
	l.say(`{"op":"sub","id":"0","topic":"devices"}`)
	if f := l.want("err"); f.Code != "id_taken" {
		t.Errorf("%+v", f)
	}
	l.say(`{"op":"sub","id":"one more","topic":"devices"}`)
	if f := l.want("err"); f.Code != "too_many" {
		t.Errorf("%+v", f)
	}
	if err := l.conn.WriteMessage(websocket.BinaryMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if f := l.want("err"); f.Code != "bad_message" {
		t.Errorf("%+v", f)
	}

	for name, c := range map[string]struct {
		text []byte
		n    int
		code int
	}{
		"not UTF-8":        {[]byte("{\"op\":\"\xff\"}"), 1, websocket.CloseInvalidFramePayloadData},
		"too large":        {[]byte(strings.Repeat(" ", maxMessageBytes+1)), 1, websocket.CloseMessageTooBig},
		"a flood of these": {[]byte("x"), maxBadMessages + 1, websocket.ClosePolicyViolation},
	} {
		l := p.listen()
		for range c.n {
			if err := l.conn.WriteMessage(websocket.TextMessage, c.text); err != nil {
				t.Fatal(err)
			}
		}
		if code := l.closed(); code != c.code {
			t.Errorf("%s: closed with %d, want %d", name, code, c.code)
		}
	}
}

// meteredListener counts what the server writes to its connections.
type meteredListener struct {
	net.Listener
	written *atomic.Int64
}

type meteredConn struct {
	*net.TCPConn
	written *atomic.Int64
}

func (l meteredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return meteredConn{c.(*net.TCPConn), l.written}, nil
}

func (c meteredConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// A client that does not read costs a bounded amount, is dropped with 4008, and
// resumes without a gap.
func TestSlowClient(t *testing.T) {
	w := newWorld(t)
	w.s.patience = patience{slow: 1500 * time.Millisecond, grace: 30 * time.Second}
	var written atomic.Int64
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(w.s)
	server.Listener.Close()
	server.Listener = meteredListener{tcp, &written}
	server.Start()
	defer server.Close()
	defer w.s.Close()

	w.station("a", 106, 10)
	const metrics = 4000
	round := 0
	mark := func() {
		round++
		obs := make([]telemetry.Observation, metrics)
		for m := range obs {
			obs[m] = telemetry.Observation{Device: "a", Metric: fmt.Sprintf("m%d", m), At: int64(1_700_000_000_000 + round), Value: float64(m) / 3, Flag: 1}
		}
		w.s.Mark(obs)
	}
	mark()
	small := func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(8 << 10)
		}
		return c, err
	}
	d := websocket.Dialer{NetDial: small, Subprotocols: []string{"ioc.v1"}}
	token := w.tokenOf(access.Viewer).token
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/live", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t, conn}
	defer conn.Close()
	before := written.Load()
	l.say(`{"op":"sub","id":"x","topic":"telemetry"}`)
	// Nobody reads; the province goes on until the hub has had enough.
	deadline := time.Now().Add(patienceOfTests)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for testutil.ToFloat64(w.s.meters.dropped.WithLabelValues("too_slow")) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("never dropped")
		}
		mark()
		<-tick.C
	}
	if n := written.Load() - before; n > 512<<10 {
		t.Fatalf("a client that never read cost %d bytes in the kernel", n)
	}
	// It comes back: what was under way is whole, then 4008.
	m := &mirror{t: t}
	for {
		f, err := l.read()
		if websocket.IsCloseError(err, closeTooSlow) {
			break
		}
		if err != nil {
			t.Fatalf("want 4008, got %v", err)
		}
		if f.Op != "hb" {
			m.apply(f, false)
		}
	}
	conn.Close()
	// And resumes from the last seq applied, though its snapshot never ended.
	conn, _, err = d.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/live", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l = &listener{t, conn}
	l.say(map[string]any{"op": "sub", "id": "x", "topic": "telemetry", "from": map[string]any{"ep": m.ep, "seq": m.seq}})
	l.until(m, func() map[string]string { return truth(w.s.hub, &w.s.hub.telemetry, nil) })
	if len(m.rows) != metrics {
		t.Fatal(len(m.rows))
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(`{"op":"sub","id":"a","topic":"telemetry","from":{"ep":"x","seq":3},"bbox":[106,9,107,11],"hz":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMessage(data)
		if len(m.id) > 64 {
			t.Fatal("an id beyond its bound")
		}
		if err != nil {
			return
		}
		if m.id == "" || m.hz < 0 || m.hz > maxHz || m.box != nil && !m.box.Valid() {
			t.Fatalf("%+v", m)
		}
		if !json.Valid(data) {
			t.Fatal("taken though it is not JSON")
		}
		switch m.op {
		case "sub", "view", "unsub", "seen":
		default:
			t.Fatalf("op %q", m.op)
		}
		if (m.op == "view") != (m.box != nil) && m.op != "sub" {
			t.Fatalf("%+v", m)
		}
	})
}

// A value that arrives after its device's deletion brings no row back.
func TestMarkAfterDeletion(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	o := telemetry.Observation{Device: "a", Metric: "level", At: 1_700_000_000_000, Value: 1, Flag: 1}
	w.s.Mark([]telemetry.Observation{o})
	if err := w.registry.Delete(context.Background(), "a"); err != nil {
		t.Fatal(err)
	}
	o.At++
	w.s.Mark([]telemetry.Observation{o, {Device: "never", Metric: "level", At: 1, Value: 1, Flag: 1}})
	if rows := truth(w.s.hub, &w.s.hub.telemetry, nil); len(rows) != 0 {
		t.Fatal(rows)
	}
}

// Deletions are remembered within a bound; who is older starts afresh.
func TestTombstonesAreBounded(t *testing.T) {
	var tab table
	for i := range 20 * tombstones {
		r := tab.add(fmt.Sprintf("%q", fmt.Sprint(i)), &place{})
		tab.touch(r)
		tab.remove(r)
	}
	if n := len(tab.log); n > 4*tombstones+2*compactOver {
		t.Fatalf("%d entries", n)
	}
	if len(tab.dead) > 4*tombstones || tab.canResume(0) || !tab.canResume(tab.ver) {
		t.Fatal(len(tab.dead), tab.floor, tab.ver)
	}
}
