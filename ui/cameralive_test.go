package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/ui/access"
	"cuulong/video/fmp4"
)

// watching is one who looks at a camera.
type watching struct {
	t    testing.TB
	conn *websocket.Conn
}

// said is a text message of a camera's socket.
type said struct {
	Codecs        string
	Width, Height int
	State         string
	Since         *time.Time
	Why, Code     string
}

func (p person) watch(id string) *watching {
	p.w.t.Helper()
	conn, res, err := p.dialCamera(id)
	if err != nil {
		p.w.t.Fatal(err, res)
	}
	p.w.t.Cleanup(func() { conn.Close() })
	return &watching{p.w.t, conn}
}

// next is a text, or else bytes.
func (v *watching) next() (*said, []byte, error) {
	v.conn.SetReadDeadline(time.Now().Add(patienceOfTests))
	kind, b, err := v.conn.ReadMessage()
	if err != nil || kind == websocket.BinaryMessage {
		return nil, b, err
	}
	s := new(said)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return s, nil, d.Decode(s)
}

// stream reads on to the next stream's text and init segment.
func (v *watching) stream() *said {
	v.t.Helper()
	for {
		s, b, err := v.next()
		switch {
		case err != nil:
			v.t.Fatal(err)
		case s == nil:
			v.t.Fatalf("%d bytes before a stream is told", len(b))
		case s.Codecs == "":
			continue
		}
		text, init, err := v.next()
		if err != nil || text != nil {
			v.t.Fatal("no init segment after ", s, text, err)
		}
		tracks, err := fmp4.ParseInit(init)
		if err != nil || len(tracks) != 1 || fmp4.Codecs(tracks) != s.Codecs {
			v.t.Fatalf("%+v %v %v", s, tracks, err)
		}
		return s
	}
}

// fragments reads n messages of one moof and mdat each, from a key frame on.
func (v *watching) fragments(n int, first bool) {
	v.t.Helper()
	var last uint64
	for i := range n {
		text, b, err := v.next()
		if err != nil || text != nil {
			v.t.Fatal(text, err)
		}
		f, err := fmp4.ParseFragment(b)
		if err != nil || f.Size != len(b) || len(f.Samples) != 1 {
			v.t.Fatalf("%d bytes: %+v %v", len(b), f, err)
		}
		s := f.Samples[0]
		if i == 0 && first && !s.Key {
			v.t.Fatal("begins without a key frame")
		}
		if i > 0 && s.DTS <= last {
			v.t.Fatalf("DTS %d after %d", s.DTS, last)
		}
		last = s.DTS
	}
}

// closed reads to the end and returns the closing code, and the last text.
func (v *watching) closed() (code int, last said) {
	v.t.Helper()
	for {
		text, _, err := v.next()
		if err != nil {
			var ce *websocket.CloseError
			if !errors.As(err, &ce) {
				v.t.Fatalf("not closed by a frame: %v", err)
			}
			return ce.Code, last
		}
		if text != nil {
			last = *text
		}
	}
}

func (w *world) playing() (*testCamera, person) {
	w.t.Helper()
	cam := newTestCamera(w.t)
	a := w.tokenOf(access.Admin)
	a.do("POST", "/api/v1/cameras", cameraText("cau", "url", cam.url(), "pull", "always")).want(201)
	return cam, a
}

// A camera's pictures reach viewers as they come; they are told when it is lost,
// and play on in the same socket when it is back.
func TestWatching(t *testing.T) {
	w := newWorld(t)
	cam, a := w.playing()
	v := a.watch("cau")
	if s := v.stream(); !strings.HasPrefix(s.Codecs, "avc1.") || s.Width != 320 || s.Height != 180 {
		t.Fatalf("%+v", s)
	}
	v.fragments(2*clipFPS, true)
	// One who comes later, by cookie as a browser, begins with a key frame at once.
	late := w.admin().watch("cau")
	late.stream()
	late.fragments(3, true)
	var st struct{ Status said }
	a.do("GET", "/api/v1/cameras/cau", "").want(200).into(&st)
	if st.Status.State != "live" || st.Status.Code != "" || st.Status.Since == nil {
		t.Errorf("%+v", st)
	}
	if row := truth(w.s.hub, &w.s.hub.cameras, nil)["cau"]; row != fmt.Sprintf(`["cau",%d,"live",1]`, st.Status.Since.UnixMilli()) {
		t.Error(row)
	}

	cam.stop()
	var lost *said
	for lost == nil {
		text, _, err := v.next()
		if err != nil {
			t.Fatal(err)
		}
		lost = text
	}
	if lost.State != "retrying" && lost.State != "connecting" || lost.Since == nil || lost.State == "retrying" && (lost.Why == "" || lost.Code == "") {
		t.Fatalf("%+v", lost)
	}
	cam.start()
	v.stream()
	v.fragments(3, true)
	if text := w.log.String(); strings.Contains(text, geheim) {
		t.Error(text)
	}
}

func TestWatchingEnds(t *testing.T) {
	w := newWorld(t)
	_, a := w.playing()
	start := func(p person) *watching {
		t.Helper()
		v := p.watch("cau")
		v.stream()
		v.fragments(1, true)
		return v
	}
	other := start(a)

	admin := w.admin()
	admin.do("PATCH", "/api/v1/accounts/oanh", `{"cameras":true}`).want(200)
	v := start(w.login("oanh", operatorPassword))
	admin.do("PATCH", "/api/v1/accounts/oanh", `{"cameras":false}`).want(200)
	if code, _ := v.closed(); code != closeLoginEnded {
		t.Errorf("right taken away: %d", code)
	}
	var made struct{ ID, Token string }
	admin.do("POST", "/api/v1/tokens", `{"name":"tường"}`).want(201).into(&made)
	v = start(person{w: w, token: made.Token})
	admin.do("DELETE", "/api/v1/tokens/"+made.ID, "").want(204)
	if code, _ := v.closed(); code != closeLoginEnded {
		t.Errorf("token ended: %d", code)
	}
	cookie := w.admin()
	v = start(cookie)
	cookie.do("DELETE", "/api/v1/session", "").want(204)
	if code, _ := v.closed(); code != closeLoginEnded {
		t.Errorf("logged out: %d", code)
	}
	if n := testutil.ToFloat64(w.s.meters.dropped.WithLabelValues("login_ended")); n != 3 {
		t.Errorf("%v counted", n)
	}
	other.fragments(2, false) // nobody else is ended

	v = start(a)
	for range maxBadMessages {
		if err := v.conn.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := v.closed(); code != websocket.ClosePolicyViolation {
		t.Errorf("talking: %d", code)
	}
	v = start(a)
	if err := v.conn.WriteMessage(websocket.BinaryMessage, make([]byte, maxWatcherMessage+1)); err != nil {
		t.Fatal(err)
	}
	if code, _ := v.closed(); code != websocket.CloseMessageTooBig {
		t.Errorf("shouting: %d", code)
	}

	a.do("DELETE", "/api/v1/cameras/cau", "").want(204)
	if code, last := other.closed(); code != websocket.CloseNormalClosure || last.State != "off" || last.Code != "deleted" || last.Why != "deleted" {
		t.Errorf("deleted: %d %+v", code, last)
	}
	if _, res, err := a.dialCamera("cau"); err == nil || res == nil || res.StatusCode != http.StatusNotFound {
		t.Error(err, res)
	}

	_, a = w.playing()
	v = start(a)
	done := make(chan int)
	go func() {
		code, _ := v.closed()
		done <- code
	}()
	w.s.Close()
	if code := <-done; code != websocket.CloseGoingAway {
		t.Errorf("server stops: %d", code)
	}
	if _, res, err := a.dialCamera("cau"); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Error("a closed hub takes viewers", err, res)
	}
}

// One who waits for a camera that is not there holds a socket, and is told why.
func TestWatchingNothing(t *testing.T) {
	w := newWorld(t)
	cam := newTestCamera(t)
	a := w.tokenOf(access.Admin)
	a.do("POST", "/api/v1/cameras", cameraText("cau", "url", strings.Replace(cam.url(), geheim, "sai", 1), "pull", "always")).want(201)
	v := a.watch("cau")
	for {
		s, b, err := v.next()
		if err != nil || s == nil {
			t.Fatal(s, len(b), err)
		}
		if s.State == "retrying" {
			if s.Code != "unauthorized" || s.Why == "" || s.Codecs != "" {
				t.Errorf("%+v", s)
			}
			break
		}
	}
	a.do("PATCH", "/api/v1/cameras/cau", `{"url":"`+cam.url()+`"}`).want(200) // mended while they look
	v.stream()
	v.fragments(1, true)
}

func TestWatchingHandshake(t *testing.T) {
	w := newWorld(t)
	w.playing()
	token, cookie := w.tokenOf(access.Viewer), w.admin()
	for name, c := range map[string]struct {
		who    person
		header []string
		status int
	}{
		"nobody":                       {w.nobody(), nil, 401},
		"token without Origin":         {token, nil, 101},
		"token with a strange Origin":  {token, []string{"Origin", "http://evil.example"}, 403},
		"cookie with own Origin":       {cookie, nil, 101},
		"cookie without Origin":        {cookie, []string{"Origin", ""}, 403},
		"cookie with a strange Origin": {cookie, []string{"Origin", "http://evil.example"}, 403},
		"a subprotocol of ours":        {token, []string{"Sec-Websocket-Protocol", "ioc.v1"}, 101},
		"a strange subprotocol":        {token, []string{"Sec-Websocket-Protocol", "x"}, 101},
		"an old version":               {token, []string{"Sec-Websocket-Version", "8"}, 400},
	} {
		if name == "an old version" {
			r := token.do("GET", "/api/v1/cameras/cau/live", "", "Connection", "upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "8")
			r.problem(400)
			continue
		}
		conn, res, err := c.who.dialCamera("cau", c.header...)
		if err == nil {
			conn.Close()
		}
		if res == nil || res.StatusCode != c.status {
			t.Errorf("%s: %v, want %d (%v)", name, res, c.status, err)
		}
	}
	if n := testutil.ToFloat64(w.s.meters.refused.WithLabelValues("live", "origin")); n != 3 {
		t.Errorf("%v refused for their origin", n)
	}
	if n := testutil.ToFloat64(w.s.meters.refused.WithLabelValues("http", "forbidden")); n != 0 {
		t.Errorf("%v counted twice", n)
	}
	// The bound of an address.
	h := w.s.hub
	h.who.Lock()
	was := h.watchers.maxAddress
	h.watchers.maxAddress = 0
	h.who.Unlock()
	if _, res, err := token.dialCamera("cau"); err == nil || res == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Error(err, res)
	}
	h.who.Lock()
	h.watchers.maxAddress = was
	h.who.Unlock()
	token.watch("cau").stream()
}

// A viewer that does not read costs a bounded amount, is ended with 4008, and
// nobody else notices.
func TestSlowWatcher(t *testing.T) {
	w := newWorld(t)
	w.s.patience = patience{slow: time.Second, grace: 30 * time.Second}
	_, a := w.playing()
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
	other := a.watch("cau") // by the world's own server
	other.stream()

	d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(8 << 10)
		}
		return c, err
	}}
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/api/v1/cameras/cau/live", http.Header{"Authorization": {"Bearer " + a.token}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	slow := &watching{t, conn}
	// Nobody reads here, while the other sees picture after picture.
	dropped := w.s.meters.dropped.WithLabelValues("too_slow")
	for n := 0; testutil.ToFloat64(dropped) == 0; n++ {
		if n > 60*clipFPS {
			t.Fatal("never dropped")
		}
		other.fragments(1, false)
	}
	if n := written.Load(); n > 512<<10 {
		t.Errorf("a viewer that never read cost %d bytes in the kernel", n)
	}
	code := make(chan int)
	go func() {
		c, _ := slow.closed()
		code <- c
	}()
	for {
		other.fragments(1, false)
		select {
		case c := <-code:
			if c != closeTooSlow {
				t.Errorf("closed with %d", c)
			}
			return
		default:
		}
	}
}
