package mqtt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// guard stands between an outside broker and paho, which makes room for a
// packet before it has read it, takes any length, and indexes by what a
// SUBACK holds. It passes on well-formed packets of the kinds that a
// subscriber gets, and of a payload beyond MaxPayload no more than shows that
// it is too long. It also decides that the connection is lost: what waits for
// the broker longer than idle while it wants to read. Time in which nothing is
// read, because the store is behind, does not count.
type guard struct {
	net.Conn
	in    *bufio.Reader
	idle  time.Duration // that a read may wait, longer than the keep-alive
	write time.Duration // that a write may take

	// Owned by Read.
	out  []byte // of a header, to be passed on
	left int    // bytes of the body to be passed on after that
	skip int    // bytes of the body to be left out before the last of those

	wrote atomic.Int64 // when something was written last, Unix ns

	once   sync.Once
	onLost func()
	lost   chan struct{} // closed when why is set
	why    error
}

// cutPublish is the length at which a PUBLISH is cut: its payload is longer
// than MaxPayload then, whatever its topic.
const cutPublish = MaxPayload + 1 + 2 + 65535 + 2

func newGuard(raw net.Conn, idle, write time.Duration, onLost func()) *guard {
	g := &guard{Conn: raw, idle: idle, write: write, onLost: onLost, lost: make(chan struct{})}
	g.in = bufio.NewReaderSize(patient{g}, 16<<10)
	return g
}

// patient reads from the socket, as long as the guard's patience lasts.
type patient struct{ g *guard }

func (p patient) Read(b []byte) (int, error) {
	if err := p.g.Conn.SetReadDeadline(time.Now().Add(p.g.idle)); err != nil {
		return 0, err
	}
	return p.g.Conn.Read(b)
}

// drop ends the connection at once, for the reason given.
func (g *guard) drop(why error) {
	g.once.Do(func() {
		g.why = why
		close(g.lost)
		g.Conn.Close()
		g.onLost()
	})
}

// Close ends the connection; paho knows the error and takes it for its own doing.
func (g *guard) Close() error {
	g.drop(net.ErrClosed)
	return nil
}

// Read passes on what the broker sends.
func (g *guard) Read(b []byte) (int, error) {
	n, err := g.read(b)
	if err != nil {
		if g.left > 0 {
			err = unexpected(err)
		}
		var network net.Error
		if errors.As(err, &network) && network.Timeout() {
			err = fmt.Errorf("the broker was silent for %v", g.idle)
		}
		g.drop(err)
		return n, g.why
	}
	return n, nil
}

func (g *guard) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(g.out) == 0 && g.left == 0 {
		if err := g.header(); err != nil {
			return 0, err
		}
	}
	if len(g.out) > 0 {
		n := copy(b, g.out)
		g.out = g.out[n:]
		return n, nil
	}
	if g.skip > 0 {
		if g.left > 1 {
			n, err := g.in.Read(b[:min(len(b), g.left-1)])
			g.left -= n
			return n, err
		}
		// The packet ends for paho when it has ended on the wire.
		last, err := g.in.ReadByte()
		if err == nil {
			_, err = g.in.Discard(g.skip)
		}
		if err != nil {
			return 0, err
		}
		g.left, g.skip = 0, 0
		b[0] = last
		return 1, nil
	}
	n, err := g.in.Read(b[:min(len(b), g.left)])
	g.left -= n
	return n, err
}

// header reads the next packet's fixed header and judges it.
func (g *guard) header() error {
	kind, err := g.in.ReadByte()
	if err != nil {
		return err
	}
	length := 0
	for shift := 0; ; shift += 7 {
		digit, err := g.in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		length |= int(digit&0x7f) << shift
		if digit < 0x80 {
			break
		}
		if shift == 21 {
			return errors.New("the broker sent a packet whose length is none")
		}
	}
	ok := false
	switch kind >> 4 {
	case packets.Publish:
		if ok = kind&6 <= 2; ok { // we grant QoS 1
			ok, err = g.fits(length, kind&6 > 0)
		}
	case packets.Connack, packets.Unsuback:
		ok = kind&15 == 0 && length == 2
	case packets.Suback:
		ok = kind&15 == 0 && length == 3 // one filter each
	case packets.Pingresp:
		ok = kind&15 == 0 && length == 0
	}
	if err != nil {
		return unexpected(err)
	}
	if !ok {
		return fmt.Errorf("the broker sent a packet %#02x of %d bytes, which a subscriber does not get", kind, length)
	}
	g.left = min(length, cutPublish)
	g.skip = length - g.left
	g.out = append(g.out[:0], kind)
	for n := g.left; ; {
		digit := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			g.out = append(g.out, digit|0x80)
			continue
		}
		g.out = append(g.out, digit)
		return nil
	}
}

// fits says whether topic and packet id lie within a PUBLISH.
func (g *guard) fits(length int, id bool) (bool, error) {
	if length < 2 {
		return false, nil
	}
	head, err := g.in.Peek(2)
	if err != nil {
		return false, err
	}
	need := 2 + int(head[0])<<8 + int(head[1])
	if id {
		need += 2
	}
	return length >= need, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write sends what paho says.
func (g *guard) Write(b []byte) (int, error) {
	if err := g.Conn.SetWriteDeadline(time.Now().Add(g.write)); err != nil {
		return 0, err
	}
	g.wrote.Store(time.Now().UnixNano())
	n, err := g.Conn.Write(b)
	if err != nil {
		g.drop(fmt.Errorf("write to the broker: %w", err))
	}
	return n, err
}

// pingreq is what keepAlive sends.
var pingreq = []byte{packets.Pingreq << 4, 0}

// keepAlive sends a PINGREQ where nothing was said for the time given. paho
// waits for the answer to its last one, which is not read while the store is
// behind, and says nothing meanwhile; the broker would end the connection.
func (g *guard) keepAlive(quiet time.Duration) {
	if time.Since(time.Unix(0, g.wrote.Load())) >= quiet {
		_, _ = g.Write(pingreq)
	}
}
