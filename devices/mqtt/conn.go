package mqtt

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"cuulong/devices"
)

// conn is one connection: the net.Conn that mochi reads and writes, with our
// deadlines, and all that this package knows of it.
type conn struct {
	net.Conn
	b    *Broker
	gone chan struct{} // closed when mochi and the broker's ids know nothing of it

	// Set while the connection is established, by its own goroutine, before
	// others can find it; constant after.
	cl        *mochi.Client
	identity  devices.ID
	clientID  string
	version   byte
	keepalive time.Duration // longest silence; 0 for none
	device    atomic.Pointer[devices.Device]

	// Owned by the connection's goroutine.
	replay   []byte // read while waiting for CONNECT, not yet given to mochi
	refusal  packets.Code
	counted  bool // the reason for its end is counted
	will     *will
	online   bool
	deadline time.Time // as set on the socket
	frame    frame

	reading sync.Mutex // held to set the read deadline
	halted  bool       // guarded by reading: nothing more is read

	writing       sync.Mutex // one write at a time
	writeDeadline time.Time  // guarded by writing
	hurried       atomic.Bool

	closed    chan struct{}
	closeOnce sync.Once
	linger    atomic.Bool // we end it: let the peer read our last words

	acks acks
}

func newConn(b *Broker, raw net.Conn) *conn {
	c := &conn{Conn: raw, b: b, gone: make(chan struct{}), closed: make(chan struct{})}
	c.acks.changed.L = &c.acks.mu
	return c
}

func host(raw net.Conn) string {
	h, _, err := net.SplitHostPort(raw.RemoteAddr().String())
	if err != nil {
		return raw.RemoteAddr().String()
	}
	return h
}

// source names the connection in the log.
func (c *conn) source() string {
	if c.identity != "" {
		return string(c.identity) + "@" + host(c.Conn)
	}
	return host(c.Conn)
}

// serve runs the connection to its end. One bad packet may panic inside mochi
// (a truncated MQTT 5 SUBSCRIBE does): it ends this connection only.
func (c *conn) serve() {
	defer c.hangUp()
	defer c.forget()
	if err := c.readConnect(); err != nil {
		if !errors.Is(err, io.EOF) && !c.isHalted() {
			reason := reasonMalformed
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				reason = reasonConnectTimeout
			case errors.Is(err, errBusy):
				reason = reasonTooMany
			}
			c.refuse(reason, err.Error())
		}
		return
	}
	c.explain(c.establish())
}

func (c *conn) establish() (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.refuse(reasonMalformed, "packet that cannot be read")
			c.b.o.Log.Debug("mqtt: recovered", "panic", v, "stack", string(debug.Stack()))
			c.abandon()
			err = nil
		}
	}()
	return c.b.server.EstablishConnection("tcp", c)
}

// abandon does what mochi leaves undone after a panic.
func (c *conn) abandon() {
	if c.cl == nil {
		return
	}
	clients := c.b.server.Clients
	if held, ok := clients.Get(c.cl.ID); ok && held == c.cl {
		c.cl.ClearInflights()
		c.b.server.UnsubscribeClient(c.cl)
		clients.Delete(c.cl.ID)
	}
}

// explain counts why a connection ended, if that is the peer's fault and was
// not counted where it was found.
func (c *conn) explain(err error) {
	var code packets.Code
	var network net.Error
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &network):
	case errors.As(err, &code) && code == packets.ErrPacketTooLarge:
		c.refuse(reasonOversize, err.Error())
	case errors.As(err, &code) && code == packets.ErrServerBusy:
		c.refuse(reasonTooMany, err.Error())
	case errors.As(err, &code) && code == packets.ErrQosNotSupported:
		c.refuse(reasonQoS2, "will: "+err.Error())
	case errors.As(err, &code) && (code == packets.CodeDisconnect || code == packets.CodeDisconnectWillMessage):
	case errors.As(err, &code) && code == packets.ErrRejectPacket: // told where it was found, or not taken because we end
	default:
		c.refuse(reasonMalformed, err.Error())
	}
}

// refuse counts and logs the reason for which the connection ends, once.
func (c *conn) refuse(reason, detail string) {
	if !c.counted {
		c.counted = true
		c.b.refused.count(reason, c.source(), detail)
	}
}

// forget settles what the connection leaves: its will, and then its ids, for
// which a newcomer may wait.
func (c *conn) forget() {
	c.Close()
	c.endLarge()
	c.acks.waitWriter()
	if c.online {
		c.b.gauge.Dec()
	}
	c.b.fireWill(c)
	c.b.release(c)
	close(c.gone)
}

// Read gives mochi what came. It keeps the keep-alive deadline, and stops when
// the broker drains.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.replay) > 0 {
		n := copy(p, c.replay)
		if !c.passFrames(p[:n]) {
			return 0, net.ErrClosed
		}
		if c.replay = c.replay[n:]; len(c.replay) == 0 {
			c.replay = nil
		}
		return n, nil
	}
	if c.extend() {
		n, err := c.Conn.Read(p)
		if n > 0 && !c.passFrames(p[:n]) {
			return 0, net.ErrClosed
		}
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !c.isHalted() {
			return n, err
		}
	}
	<-c.closed
	return 0, net.ErrClosed
}

// extend moves the read deadline on, seldom enough to cost nothing. It tells
// false when nothing more is to be read. [MQTT-3.1.2-22]
func (c *conn) extend() bool {
	if c.keepalive == 0 || c.frame.large {
		return !c.isHalted()
	}
	until := time.Now().Add(c.keepalive)
	if until.Sub(c.deadline) < min(time.Second, c.keepalive/8) {
		return !c.isHalted()
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.halted {
		return false
	}
	c.deadline = until
	return c.Conn.SetReadDeadline(until) == nil
}

// setDeadline sets both deadlines, before mochi has the connection: a TLS
// handshake writes, too.
func (c *conn) setDeadline(t time.Time) bool {
	c.reading.Lock()
	defer c.reading.Unlock()
	return !c.halted && c.Conn.SetDeadline(t) == nil
}

func (c *conn) isHalted() bool {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.halted
}

// stopReading leaves what comes in the socket from now on.
func (c *conn) stopReading() {
	c.reading.Lock()
	c.halted = true
	c.Conn.SetReadDeadline(time.Unix(1, 0))
	c.reading.Unlock()
	c.acks.stop()
}

// Write sends p whole or ends the connection: half a packet cannot be mended.
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	if until := time.Now().Add(c.b.o.WriteTimeout); until.Sub(c.writeDeadline) > c.b.o.WriteTimeout/4 && !c.hurried.Load() {
		c.writeDeadline = until
		c.Conn.SetWriteDeadline(until)
	}
	n, err := c.Conn.Write(p)
	c.writing.Unlock()
	if err != nil {
		c.linger.Store(false)
		c.Close()
	}
	return n, err
}

// SetDeadline does nothing: mochi's deadline overflows at a keep-alive of
// 43,691 s and is set for each packet; Read and Write keep their own.
func (c *conn) SetDeadline(time.Time) error { return nil }

// Close ends reading and writing. The socket itself is closed by the
// connection's goroutine when it lingers.
func (c *conn) Close() error {
	c.closeOnce.Do(func() {
		close(c.closed)
		c.acks.close()
		half, ok := c.Conn.(interface{ CloseWrite() error })
		if ok && c.linger.Load() && half.CloseWrite() == nil {
			c.stopReading()
			return
		}
		c.Conn.Close()
	})
	return nil
}

// lingering bounds how long and how much is read from a peer that we sent
// away: closing on unread bytes would reset the connection and take our last
// packet from it.
const (
	lingering   = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

func (c *conn) hangUp() {
	if c.linger.Load() {
		c.Conn.SetReadDeadline(time.Now().Add(lingering))
		io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	c.Conn.Close()
	c.b.mu.Lock()
	delete(c.b.conns, c)
	c.b.mu.Unlock()
}

// ban stops the connection's voice before its end is told.
func (c *conn) ban() { c.acks.stop() }

// end sends a client away: v5 is told why, v3 has no packet for it.
func (c *conn) end(code packets.Code) {
	c.linger.Store(true)
	if cl := c.client(); cl != nil {
		if c.version == 5 {
			c.hurry()
			c.b.server.DisconnectClient(cl, code)
		}
		cl.Stop(code)
	}
	c.Close()
}

// hurry leaves one second for what is being written and for the goodbye.
func (c *conn) hurry() {
	c.hurried.Store(true)
	c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
}

func (c *conn) client() *mochi.Client {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return c.cl
}
