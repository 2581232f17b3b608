package mqtt

import (
	"errors"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// mochi makes room for a whole packet as soon as it has read the length. So
// that lengths alone cost nothing, a stranger's CONNECT is read here first,
// and packets beyond smallPacket take turns.
const (
	maxConnect   = 256 << 10 // bytes of a CONNECT: will, user name and password are 64 KiB at most each
	smallConnect = 4 << 10   // bytes a stranger may send without waiting for a turn
	smallPacket  = 64 << 10
	turns        = 64
	largeTime    = 30 * time.Second // for one large packet to arrive
)

var (
	errNotConnect = errors.New("first packet is not a CONNECT")
	errBusy       = errors.New("too many large CONNECTs at once")
)

// readConnect waits for the whole CONNECT, so that a stranger costs no more
// memory than it sends and no more time than the deadline.
func (c *conn) readConnect() error {
	if !c.setDeadline(time.Now().Add(c.b.o.ConnectTimeout)) {
		return net.ErrClosed
	}
	defer c.setDeadline(time.Time{})
	buf := make([]byte, 0, 512)
	turn := false
	defer func() {
		if turn {
			<-c.b.strangers
		}
	}()
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.Conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n > 0 {
			need, ok := packetLen(buf)
			switch {
			case buf[0] != packets.Connect<<4:
				return errNotConnect // [MQTT-3.1.0-1]
			case !ok && len(buf) >= 5:
				return packets.ErrMalformedVariableByteInteger
			case !ok:
			case need > maxConnect:
				return packets.ErrPacketTooLarge
			case len(buf) >= need:
				c.replay = buf
				return nil
			case need > smallConnect && !turn:
				select {
				case c.b.strangers <- struct{}{}:
					turn = true
				default:
					return errBusy
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

// packetLen is the length of the packet that begins b, header included; ok is
// false while its length is not known or is no valid one.
func packetLen(b []byte) (n int, ok bool) {
	for i := 1; i < len(b) && i <= 4; i++ {
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return n + i + 1, true
		}
	}
	return 0, false
}

// frame follows packet boundaries in what is read.
type frame struct {
	left   int  // bytes of the packet's body still to come
	header int  // bytes of the next header that came, 0 to 4
	length int  // of the next body, so far
	large  bool // holds a turn
}

// passFrames follows p, which comes next from the socket, before mochi sees
// it. At the header of a large packet it waits for a turn, which the packet
// holds until it is read. It tells false when the connection ends meanwhile.
func (c *conn) passFrames(p []byte) bool {
	f := &c.frame
	for {
		n := min(f.left, len(p))
		f.left -= n
		p = p[n:]
		if f.left == 0 && f.large {
			c.endLarge()
		}
		if len(p) == 0 {
			return true
		}
		if f.header == 0 { // the packet's type
			f.header, f.length = 1, 0
			p = p[1:]
			continue
		}
		f.length |= int(p[0]&0x7f) << (7 * (f.header - 1))
		if p[0] >= 0x80 && f.header < 4 {
			f.header++
			p = p[1:]
			continue
		}
		f.left, f.header = f.length, 0
		p = p[1:]
		// What is too large, or of no valid length, mochi refuses unread.
		if f.left > smallPacket && f.left <= c.b.o.MaxPacket && !c.beginLarge() {
			return false
		}
	}
}

func (c *conn) beginLarge() bool {
	select {
	case c.b.large <- struct{}{}:
	case <-c.closed:
		return false
	}
	c.frame.large = true
	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.halted {
		c.deadline = time.Now().Add(largeTime)
		c.Conn.SetReadDeadline(c.deadline)
	}
	return true
}

func (c *conn) endLarge() {
	if !c.frame.large {
		return
	}
	c.frame.large = false
	<-c.b.large
	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.halted {
		c.deadline = time.Time{} // the next read sets it
		c.Conn.SetReadDeadline(c.deadline)
	}
}
