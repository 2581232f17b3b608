package ui

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/ui/access"
)

// Closing codes of /live.
const (
	closeLoginEnded = 4001
	closeTooSlow    = 4008
	closeGoingAway  = websocket.CloseGoingAway
)

// Times of a connection.
const (
	flushEvery = time.Second / maxHz
	beatEvery  = 2 * time.Second
	pingEvery  = 20 * time.Second
	pongWait   = 60 * time.Second
	goodbye    = time.Second // for the last frames of a connection that ends
)

// sendBuffer bounds what the kernel takes for a client that does not read: with
// the default it swallows 3.9 MB before a write blocks (HAZARDS, gorilla).
const sendBuffer = 64 << 10

// patience with a client that does not read.
type patience struct {
	slow  time.Duration // a write that takes longer ends the connection with 4008
	grace time.Duration // after that: for the client to come and read the 4008
}

var defaultPatience = patience{slow: 10 * time.Second, grace: 20 * time.Second}

const maxBadMessages = 32 // then the connection is closed

// client is one live connection. Its reader (the request's goroutine) decodes
// and hands over; its writer owns the subscriptions and is alone in writing.
type client struct {
	hub  *hub
	conn *websocket.Conn
	who  access.Principal
	addr netip.Addr

	inbox  chan inbound  // bound 8; the reader waits, which holds TCP back
	wake   chan struct{} // alarm events
	ended  chan struct{} // closed by finish
	unread chan struct{} // closed when the reader is done
	gone   chan struct{} // closed when the writer is done
	finOne sync.Once
	code   int    // set before ended is closed
	reason string // for the counter; "": not counted

	patience patience
	watchdog *time.Timer // ticks while a write is under way
	slow     atomic.Bool // set by watchdog

	w writer // owned by the writer goroutine
}

type inbound struct {
	m   message
	err error
}

var upgrader = websocket.Upgrader{
	Subprotocols:     []string{"ioc.v1"},
	HandshakeTimeout: 10 * time.Second,
	ReadBufferSize:   1 << 10,
	WriteBufferSize:  4 << 10,
	WriteBufferPool:  &sync.Pool{},
	CheckOrigin:      func(*http.Request) bool { return true }, // checked by originAllowed, before
	Error:            func(http.ResponseWriter, *http.Request, int, error) {},
}

// originAllowed: Origin, if sent, must be our own host; without one it is no
// browser, and a cookie is not taken (an upgrade is a GET, so that CSRF guards
// let it pass).
func originAllowed(r *http.Request, p access.Principal) bool {
	o := r.Header.Values("Origin")
	if len(o) == 0 {
		return p.Token != ""
	}
	u, err := url.Parse(o[0])
	if len(o) > 1 || err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if r.TLS != nil && u.Scheme != "https" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host)
}

// serveLive is GET /live; the door has authenticated.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	h := s.hub
	refuse := func(status int, reason, detail string) {
		h.meters.refused.WithLabelValues("live", reason).Inc()
		writeProblem(w, problem(status, detail))
	}
	p := principal(r.Context())
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		refuse(http.StatusUpgradeRequired, "no_upgrade", "this is a WebSocket, subprotocol ioc.v1")
		return
	case !originAllowed(r, p):
		refuse(http.StatusForbidden, "origin", "Origin must be this host; without one, a bearer token is needed")
		return
	case !hasProtocol(r, "ioc.v1"):
		refuse(http.StatusBadRequest, "subprotocol", "Sec-WebSocket-Protocol must offer ioc.v1")
		return
	}
	addr := peerAddress(r)
	if why := h.room(addr); why != "" {
		w.Header().Set("Retry-After", "5")
		refuse(http.StatusServiceUnavailable, why, "too many live connections")
		return
	}
	var failure upgradeError
	up := upgrader
	up.Error = func(_ http.ResponseWriter, _ *http.Request, status int, err error) {
		failure = upgradeError{status, err}
	}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		if failure.status != 0 {
			refuse(failure.status, "handshake", failure.err.Error())
		}
		return
	}
	c := &client{
		hub: h, conn: conn, who: p, addr: addr, patience: s.patience,
		inbox: make(chan inbound, 8), wake: make(chan struct{}, 1),
		ended: make(chan struct{}), unread: make(chan struct{}), gone: make(chan struct{}),
	}
	c.limitSendBuffer()
	if !h.join(c) {
		conn.Close()
		return
	}
	defer h.leave(c)
	// The log-in may have ended between the door and join: asked again, now that revoke reaches us.
	if _, ok := h.access.Renew(p); !ok {
		c.finish(closeLoginEnded, "login_ended")
	}
	go c.write()
	c.read()
	<-c.gone
}

type upgradeError struct {
	status int
	err    error
}

func hasProtocol(r *http.Request, want string) bool {
	for _, p := range websocket.Subprotocols(r) {
		if p == want {
			return true
		}
	}
	return false
}

func peerAddress(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}

func (c *client) limitSendBuffer() {
	nc := c.conn.NetConn()
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = t.NetConn()
	}
	if t, ok := nc.(interface{ SetWriteBuffer(int) error }); ok {
		// Without it the kernel's own bound holds: more memory, nothing wrong.
		_ = t.SetWriteBuffer(sendBuffer)
	}
}

// nudge tells the writer that the journal has more. It never blocks.
func (c *client) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// finish ends the connection with a code; the first call counts. It never blocks.
func (c *client) finish(code int, reason string) {
	c.finOne.Do(func() {
		c.code, c.reason = code, reason
		if reason != "" {
			c.hub.meters.dropped.WithLabelValues(reason).Inc()
		}
		close(c.ended)
	})
	if code != closeTooSlow {
		// A write that blocks now shall not hold the end up.
		c.conn.NetConn().SetWriteDeadline(time.Now().Add(goodbye))
		time.AfterFunc(3*goodbye, func() { c.conn.Close() })
	}
}

// read decodes what the client says until the connection ends.
func (c *client) read() {
	c.conn.SetReadLimit(maxMessageBytes)
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error {
		return c.conn.SetReadDeadline(time.Now().Add(pongWait))
	})
	defer close(c.unread)
	bad := 0
	for {
		kind, data, err := c.conn.ReadMessage()
		if err != nil {
			switch {
			case errors.Is(err, websocket.ErrReadLimit):
				c.hub.meters.refused.WithLabelValues("live", "too_large").Inc()
				c.finish(websocket.CloseMessageTooBig, "too_large")
			default:
				c.finish(websocket.CloseNormalClosure, "")
			}
			return
		}
		c.conn.SetReadDeadline(time.Now().Add(pongWait))
		var in inbound
		if kind != websocket.TextMessage {
			in.err = errors.New("text messages only")
		} else {
			in.m, in.err = decodeMessage(data)
		}
		if in.err != nil {
			c.hub.meters.refused.WithLabelValues("live", "bad_message").Inc()
			if errors.Is(in.err, errNotUTF8) {
				c.finish(websocket.CloseInvalidFramePayloadData, "not_utf8")
			}
			if bad++; bad > maxBadMessages {
				c.finish(websocket.ClosePolicyViolation, "bad_messages")
			}
		}
		select {
		case c.inbox <- in:
		case <-c.ended: // read on, for the answer to our close frame
		}
	}
}

// send writes one frame, and watches how long the client takes for it.
func (c *client) send(frame []byte) bool {
	select {
	case <-c.ended:
		return false // whatever it was, this client shall not have it any more
	default:
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.patience.slow + c.patience.grace))
	c.watchdog.Reset(c.patience.slow)
	err := c.conn.WriteMessage(websocket.TextMessage, frame)
	c.watchdog.Stop()
	if err != nil {
		c.finish(websocket.CloseAbnormalClosure, "")
		return false
	}
	return !c.slow.Load()
}

// write is the writer: one step after the other, until ended.
func (c *client) write() {
	defer close(c.gone)
	c.watchdog = time.AfterFunc(time.Hour, func() {
		// The frame under way may still be taken within the grace, and the 4008 after it.
		c.slow.Store(true)
		c.finish(closeTooSlow, "too_slow")
	})
	c.watchdog.Stop()
	defer c.watchdog.Stop()
	c.w.init(c)
	c.w.run()
	c.sayGoodbye()
}

// sayGoodbye sends the close frame and lets the client answer it, so that the
// frame is not lost to a reset.
func (c *client) sayGoodbye() {
	defer c.conn.Close()
	if c.code == websocket.CloseNormalClosure || c.code == websocket.CloseAbnormalClosure {
		return // the other side has gone
	}
	msg := websocket.FormatCloseMessage(c.code, closeText[c.code])
	if err := c.conn.WriteControl(websocket.CloseMessage, msg, time.Now().Add(goodbye)); err != nil {
		return
	}
	answer := time.NewTimer(goodbye)
	defer answer.Stop()
	select {
	case <-c.unread:
	case <-answer.C:
	}
}

var closeText = map[int]string{
	closeLoginEnded:                        "log-in ended",
	closeTooSlow:                           "too slow: resume from the last seq applied",
	closeGoingAway:                         "server stops",
	websocket.CloseMessageTooBig:           "message too large",
	websocket.CloseInvalidFramePayloadData: "not UTF-8",
	websocket.ClosePolicyViolation:         "too many bad messages",
	websocket.CloseInternalServerErr:       "internal error",
}

// quoted is s as a JSON string.
func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}
