package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/alerts"
	"cuulong/geo"
)

// patienceOfTests bounds what should come at once; it is not waited for.
const patienceOfTests = 20 * time.Second

// frame is what the server says.
type frame struct {
	Op   string `json:"op"`
	ID   string `json:"id"`
	EP   string `json:"ep"`
	Seq  uint64 `json:"seq"`
	More bool   `json:"more"`
	D    []json.RawMessage
	Set  []json.RawMessage
	Del  []string
	E    *alerts.Event
	Why  string
	Code string
	TS   int64
	WM   map[string]uint64
}

// listener is a live client.
type listener struct {
	t    testing.TB
	conn *websocket.Conn
}

func (p person) dial(header ...string) (*websocket.Conn, *http.Response, error) {
	return p.dialPath("/live", []string{"ioc.v1"}, header...)
}

func (p person) dialPath(path string, protocols []string, header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	if p.token != "" {
		h.Set("Authorization", "Bearer "+p.token)
	}
	if p.cookie != "" {
		h.Set("Cookie", sessionCookie+"="+p.cookie)
		h.Set("Origin", p.w.http.URL)
	}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
		if header[i+1] == "" {
			h.Del(header[i])
		}
	}
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: patienceOfTests}
	if len(h["Sec-Websocket-Protocol"]) > 0 {
		d.Subprotocols = nil
	}
	return d.Dial("ws"+strings.TrimPrefix(p.w.http.URL, "http")+path, h)
}

func (p person) listen() *listener {
	p.w.t.Helper()
	conn, res, err := p.dial()
	if err != nil {
		p.w.t.Fatalf("dial: %v %v", err, res)
	}
	if conn.Subprotocol() != "ioc.v1" {
		p.w.t.Fatalf("subprotocol %q", conn.Subprotocol())
	}
	p.w.t.Cleanup(func() { conn.Close() })
	return &listener{p.w.t, conn}
}

func (l *listener) say(v any) {
	l.t.Helper()
	b, ok := v.(string)
	if !ok {
		text, err := json.Marshal(v)
		if err != nil {
			l.t.Fatal(err)
		}
		b = string(text)
	}
	if err := l.conn.WriteMessage(websocket.TextMessage, []byte(b)); err != nil {
		l.t.Fatal(err)
	}
}

// next reads a frame; heartbeats are passed over unless asked for.
func (l *listener) next() frame {
	l.t.Helper()
	for {
		f, err := l.read()
		if err != nil {
			l.t.Fatal(err)
		}
		if f.Op != "hb" {
			return f
		}
	}
}

func (l *listener) read() (frame, error) {
	l.conn.SetReadDeadline(time.Now().Add(patienceOfTests))
	kind, b, err := l.conn.ReadMessage()
	if err != nil {
		return frame{}, err
	}
	if kind != websocket.TextMessage {
		return frame{}, errors.New("not text")
	}
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		return frame{}, fmt.Errorf("%w: %s", err, b)
	}
	return f, nil
}

func (l *listener) want(op string) frame {
	l.t.Helper()
	f := l.next()
	if f.Op != op {
		l.t.Fatalf("got %+v, want op %s", f, op)
	}
	return f
}

// closed reads to the end and returns the closing code.
func (l *listener) closed() int {
	l.t.Helper()
	for {
		if _, err := l.read(); err != nil {
			var ce *websocket.CloseError
			if !errors.As(err, &ce) {
				l.t.Fatalf("not closed by a frame: %v", err)
			}
			return ce.Code
		}
	}
}

// quiet says whether nothing but heartbeats comes until one that is later than now.
func (l *listener) quiet() {
	l.t.Helper()
	for beats := 0; beats < 2; {
		f, err := l.read()
		if err != nil {
			l.t.Fatal(err)
		}
		if f.Op != "hb" {
			l.t.Fatalf("unexpected %+v", f)
		}
		beats++
	}
}

// mirror is a client's copy of a state topic.
type mirror struct {
	t    testing.TB
	seq  uint64
	ep   string
	rows map[string]string // key → the row as JSON
}

func (m *mirror) apply(f frame, fresh bool) {
	m.t.Helper()
	if m.rows == nil {
		m.rows = map[string]string{}
	}
	if f.Seq < m.seq {
		m.t.Fatalf("seq falls from %d to %d", m.seq, f.Seq)
	}
	if f.Op == "d" && f.Seq == m.seq {
		m.t.Fatalf("seq %d twice", f.Seq)
	}
	m.seq = f.Seq
	if f.EP != "" {
		m.ep = f.EP
	}
	for _, raw := range append(f.D, f.Set...) {
		key, at := keyAndTime(m.t, raw)
		if old, ok := m.rows[key]; ok && !fresh {
			if _, was := keyAndTime(m.t, json.RawMessage(old)); old == string(raw) || at < was {
				m.t.Fatalf("repeated or older: %s after %s", raw, old)
			}
		}
		m.rows[key] = string(raw)
	}
	for _, k := range f.Del {
		if _, ok := m.rows[k]; !ok {
			m.t.Fatalf("deleted what was never told: %s", k)
		}
		delete(m.rows, k)
	}
}

func keyAndTime(t testing.TB, raw json.RawMessage) (string, float64) {
	t.Helper()
	var r []any
	if err := json.Unmarshal(raw, &r); err != nil || len(r) != 4 {
		t.Fatalf("row %s: %v", raw, err)
	}
	return r[0].(string), r[1].(float64)
}

// snapshot reads snap pages to the end.
func (l *listener) snapshot(m *mirror) {
	l.t.Helper()
	for {
		f := l.want("snap")
		m.apply(f, false)
		if !f.More {
			return
		}
	}
}

// truth is what the hub's table holds within a box.
func truth(h *hub, t *table, box *geo.Box) map[string]string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var p page
	out := map[string]string{}
	for r := (reach{fresh: true, box: box}); ; r.cursor = p.cursor {
		t.cut(&p, r)
		var rows []json.RawMessage
		if err := json.Unmarshal(fmt.Appendf(nil, "[%s]", p.set), &rows); err != nil {
			panic(err)
		}
		for _, raw := range rows {
			var row []any
			if err := json.Unmarshal(raw, &row); err != nil {
				panic(err)
			}
			out[row[0].(string)] = string(raw)
		}
		if !p.more {
			return out
		}
	}
}

// until applies frames of id until the mirror equals what is wanted.
func (l *listener) until(m *mirror, want func() map[string]string) {
	l.t.Helper()
	for !maps.Equal(m.rows, want()) {
		f := l.next()
		if f.Op != "d" {
			l.t.Fatalf("got %+v", f)
		}
		m.apply(f, false)
	}
}
