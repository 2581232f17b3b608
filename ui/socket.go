package ui

import (
	"errors"
	"io"
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

// Closing codes of live sockets.
const (
	closeLoginEnded = 4001
	closeTooSlow    = 4008
	closeGoingAway  = websocket.CloseGoingAway
	closeNobody     = 0 // the other side has gone: nobody to say it to
)

var closeText = map[int]string{
	closeLoginEnded:                        "log-in ended",
	closeTooSlow:                           "too slow",
	closeGoingAway:                         "server stops",
	websocket.CloseNormalClosure:           "nothing follows",
	websocket.CloseMessageTooBig:           "message too large",
	websocket.CloseInvalidFramePayloadData: "not UTF-8",
	websocket.ClosePolicyViolation:         "too many bad messages",
	websocket.CloseInternalServerErr:       "internal error",
}

// Times of a connection.
const (
	pingEvery = 20 * time.Second
	pongWait  = 60 * time.Second
	goodbye   = time.Second // for the last frames of a connection that ends
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

// socket is a live connection as both kinds have it: that of /live and a
// camera's. The request's goroutine reads; one other goroutine writes, and is
// alone in it but for control frames.
type socket struct {
	hub  *hub
	conn *websocket.Conn
	who  access.Principal
	addr netip.Addr

	wake   chan struct{} // alarm events, for /live alone; nil: not told
	ended  chan struct{} // closed by finish
	unread chan struct{} // closed when the reader is done
	gone   chan struct{} // closed when the writer is done
	finOne sync.Once
	onEnd  func() // called once by finish; nil: nothing
	code   int    // set before ended is closed
	reason string // for the counter; "": not counted

	patience patience
	watchdog *time.Timer // ticks while a write is under way
	slow     atomic.Bool // set by watchdog
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

// refuseLive answers a request that becomes no socket, and counts it there
// instead of among the refusals of HTTP.
func (s *Server) refuseLive(w http.ResponseWriter, reason string, p *Problem) {
	s.meters.refused.WithLabelValues("live", reason).Inc()
	if rec, ok := w.(*recorder); ok {
		rec.counted = true
	}
	writeProblem(w, p)
}

// admit says whether a request may become a socket of the crowd; if not, it is
// answered. The door has authenticated.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, c *crowd, protocol string) bool {
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		detail := "this is a WebSocket"
		if protocol != "" {
			detail += ", subprotocol " + protocol
		}
		s.refuseLive(w, "no_upgrade", problem(http.StatusUpgradeRequired, detail))
	case !originAllowed(r, principal(r.Context())):
		s.refuseLive(w, "origin", problem(http.StatusForbidden, "Origin must be this host; without one, a bearer token is needed"))
	case protocol != "" && !hasProtocol(r, protocol):
		s.refuseLive(w, "subprotocol", problem(http.StatusBadRequest, "Sec-WebSocket-Protocol must offer "+protocol))
	default:
		why := s.hub.room(c, peerAddress(r))
		if why == "" {
			return true
		}
		p := busy("too many live connections")
		p.retryAfterS = 5
		s.refuseLive(w, why, p)
	}
	return false
}

// upgrade makes the socket; nil where it failed, which is then answered.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) *socket {
	up := upgrader
	up.Error = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
		s.refuseLive(w, "handshake", problem(status, err.Error()))
	}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return nil
	}
	c := &socket{
		hub: s.hub, conn: conn, who: principal(r.Context()), addr: peerAddress(r), patience: s.patience,
		ended: make(chan struct{}), unread: make(chan struct{}), gone: make(chan struct{}),
	}
	c.limitSendBuffer()
	return c
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

func (c *socket) limitSendBuffer() {
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
func (c *socket) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// finish ends the connection with a code; the first call counts. It never blocks.
func (c *socket) finish(code int, reason string) {
	c.finOne.Do(func() {
		c.code, c.reason = code, reason
		if reason != "" {
			c.hub.meters.dropped.WithLabelValues(reason).Inc()
		}
		close(c.ended)
		if c.onEnd != nil {
			c.onEnd()
		}
	})
	if code != closeTooSlow {
		// A write that blocks now shall not hold the end up.
		c.conn.NetConn().SetWriteDeadline(time.Now().Add(goodbye))
		time.AfterFunc(3*goodbye, func() { c.conn.Close() })
	}
}

// awaitReading sets what a reader goes by: a bound for a message, and that a
// client which answers no ping is gone.
func (c *socket) awaitReading(limit int64) {
	c.conn.SetReadLimit(limit)
	c.heard()
	c.conn.SetPongHandler(func(string) error { return c.heard() })
}

func (c *socket) heard() error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) }

// tooLarge ends a connection whose message is beyond the bound. What is on its
// way is taken in for a moment: a connection closed over unread bytes is reset,
// and the close frame lost with it.
func (c *socket) tooLarge() {
	c.hub.meters.refused.WithLabelValues("live", "too_large").Inc()
	c.finish(websocket.CloseMessageTooBig, "too_large")
	c.conn.SetReadDeadline(time.Now().Add(goodbye))
	_, _ = io.Copy(io.Discard, c.conn.NetConn())
}

// renew says whether the log-in still stands and may what it is used for; it
// counts as use of the session.
func (c *socket) renew(need access.Permission) bool {
	p, ok := c.hub.access.Renew(c.who)
	if !ok || !p.May(need) {
		c.finish(closeLoginEnded, "login_ended")
		return false
	}
	return true
}

// watch starts the watchdog, for the writer; stop it when there is nothing more to send.
func (c *socket) watch() {
	c.watchdog = time.AfterFunc(time.Hour, func() {
		// The frame under way may still be taken within the grace, and the 4008 after it.
		c.slow.Store(true)
		c.finish(closeTooSlow, "too_slow")
	})
	c.watchdog.Stop()
}

// put writes one message, and watches how long the client takes for it.
func (c *socket) put(kind int, message []byte) bool {
	select {
	case <-c.ended:
		return false // whatever it was, this client shall not have it any more
	default:
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.patience.slow + c.patience.grace))
	c.watchdog.Reset(c.patience.slow)
	err := c.conn.WriteMessage(kind, message)
	c.watchdog.Stop()
	switch {
	case err == nil:
		return !c.slow.Load()
	case errors.Is(err, websocket.ErrCloseSent):
		// By the library, for the reader, which ends the connection in a moment and knows why.
	default:
		c.finish(closeNobody, "")
	}
	return false
}

// turnAway ends a socket that was upgraded while its place was lost: the server
// began to stop, or others were faster. It has no goroutines yet.
func (c *socket) turnAway() {
	defer c.conn.Close()
	// A client that has gone is none to say it to.
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(closeGoingAway, closeText[closeGoingAway]), time.Now().Add(goodbye))
}

// sayGoodbye sends the close frame and lets the client answer it, so that the
// frame is not lost to a reset.
func (c *socket) sayGoodbye() {
	defer c.conn.Close()
	if c.code == closeNobody {
		return
	}
	msg := websocket.FormatCloseMessage(c.code, closeText[c.code])
	err := c.conn.WriteControl(websocket.CloseMessage, msg, time.Now().Add(goodbye))
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		return
	}
	answer := time.NewTimer(goodbye)
	defer answer.Stop()
	select {
	case <-c.unread:
	case <-answer.C:
	}
}

// crowd are the open sockets of one kind and their bounds; beyond them a
// connection is refused with 503 and counted. Guarded by hub.who.
type crowd struct {
	max, maxAddress int
	open            map[*socket]struct{}
	addresses       map[netip.Addr]int
}

func newCrowd(max, maxAddress int) *crowd {
	return &crowd{max, maxAddress, map[*socket]struct{}{}, map[netip.Addr]int{}}
}

// full says which bound is reached, "" when none is.
func (c *crowd) full(addr netip.Addr) string {
	switch {
	case len(c.open) >= c.max:
		return "full"
	case c.addresses[addr] >= c.maxAddress:
		return "address_full"
	}
	return ""
}
