package mqtt

import (
	"errors"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// acks are the publishes of one connection that were taken and not yet
// acknowledged, in the order in which they came. They bound the connection:
// admit blocks while too many, or too many bytes, wait.
//
// The acknowledgement of a publish is encoded when those of all earlier ones
// are [MQTT-4.6.0-2], and counts as waiting until it is written.
type acks struct {
	mu      sync.Mutex
	changed sync.Cond // of mu: room, idleness, a writer's end, closing

	ring       []pending // power of two; entry seq is ring[seq%len]
	head, tail uint64    // sequence numbers of the oldest entry and the next one
	out, spare []byte    // encoded, to be written; and the buffer written last
	outN, outB int       // publishes in out, and bytes of their payloads
	n, bytes   int       // taken and not yet written

	dirty   bool // in the broker's list for the next Flush
	writing bool // a goroutine writes out
	broken  bool // the store failed: nothing after what is encoded is acknowledged
	stopped bool // takes nothing more
	closed  bool // the connection is gone
	hasty   bool // the broker gave up waiting
}

// pending is one publish.
type pending struct {
	bytes int32
	id    uint16 // 0 for QoS 0, which has no acknowledgement
	code  byte   // v5 reason
	ready bool
}

// minRing is what a connection's first publish allocates.
const minRing = 8

// admit takes a publish into the order. It blocks while the connection's
// bounds are reached. When the connection ends or drains it waits for the end,
// so that the client is told why first, and tells false.
func (c *conn) admit(id uint16, size int) (seq uint64, ok bool) {
	if seq, ok = c.acks.enter(id, size, c.b.o.MaxUnackedCount, c.b.o.MaxUnackedBytes); !ok {
		<-c.closed
	}
	return seq, ok
}

func (a *acks) enter(id uint16, size, maxCount, maxBytes int) (seq uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.stopped && a.n > 0 && (a.n >= maxCount || a.bytes+size > maxBytes) {
		a.changed.Wait()
	}
	if a.stopped {
		return 0, false
	}
	if int(a.tail-a.head) == len(a.ring) {
		a.grow()
	}
	seq = a.tail
	a.ring[seq&uint64(len(a.ring)-1)] = pending{bytes: int32(size), id: id}
	a.tail++
	a.n++
	a.bytes += size
	return seq, true
}

func (a *acks) grow() {
	bigger := make([]pending, max(minRing, 2*len(a.ring)))
	for s := a.head; s != a.tail; s++ {
		bigger[s&uint64(len(bigger)-1)] = a.ring[s&uint64(len(a.ring)-1)]
	}
	a.ring = bigger
}

// done is what the Handler's func leads to: the store's answer for seq.
func (c *conn) done(seq uint64, err error) {
	switch {
	case err == nil:
		c.finish(seq, packets.CodeSuccess.Code)
	case errors.Is(err, ErrSetAside):
		c.finish(seq, packets.ErrPayloadFormatInvalid.Code)
	default:
		c.breakOff(seq)
	}
}

// finish notes the reason code for seq and encodes all that are due. It never
// blocks on I/O. A second call for the same seq changes nothing.
func (c *conn) finish(seq uint64, code byte) {
	if flush, draining := c.encode(seq, code); flush && draining {
		go c.flush() // no other commit may come
	} else if flush {
		c.b.dirtyMu.Lock()
		c.b.dirty = append(c.b.dirty, c)
		c.b.dirtyMu.Unlock()
	}
}

// encode is finish without telling the broker. It tells whether the next
// Flush should come by, once until then, and whether the connection takes
// nothing more.
func (c *conn) encode(seq uint64, code byte) (flush, draining bool) {
	a := &c.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.at(seq)
	if !ok || p.ready || a.broken {
		return false, false
	}
	p.ready, p.code = true, code
	waiting := a.n
	for a.head != a.tail {
		p := &a.ring[a.head&uint64(len(a.ring)-1)]
		if !p.ready {
			break
		}
		a.head++
		if p.id == 0 {
			a.n--
			a.bytes -= int(p.bytes)
			continue
		}
		if code := p.code; code == 0 || c.version < 5 {
			a.out = append(a.out, packets.Puback<<4, 2, byte(p.id>>8), byte(p.id))
		} else {
			a.out = append(a.out, packets.Puback<<4, 3, byte(p.id>>8), byte(p.id), code)
		}
		a.outN++
		a.outB += int(p.bytes)
	}
	if a.n != waiting {
		a.changed.Broadcast()
	}
	flush = a.outN > 0 && !a.dirty && !a.closed
	a.dirty = a.dirty || flush
	return flush, a.stopped
}

// answer is finish for a reader that has its answer at once: no commit comes
// to flush it, unless it stands behind one that does.
func (c *conn) answer(seq uint64, code byte) {
	if flush, _ := c.encode(seq, code); flush {
		c.flush()
	}
}

// flush is the broker's Flush for one connection.
func (c *conn) flush() {
	c.acks.mu.Lock()
	c.acks.dirty = false
	c.acks.mu.Unlock()
	c.writeAcks()
}

func (a *acks) at(seq uint64) (*pending, bool) {
	if seq-a.head >= a.tail-a.head {
		return nil, false
	}
	return &a.ring[seq&uint64(len(a.ring)-1)], true
}

// breakOff ends the connection because the store could not keep seq: what was
// durable before is acknowledged, the rest will be sent again.
func (c *conn) breakOff(seq uint64) {
	a := &c.acks
	a.mu.Lock()
	p, ok := a.at(seq)
	if !ok || p.ready || a.broken {
		a.mu.Unlock()
		return
	}
	if p.id == 0 { // QoS 0 is taken as it comes, and lost likewise
		a.mu.Unlock()
		c.finish(seq, 0)
		return
	}
	a.broken, a.stopped = true, true
	a.changed.Broadcast()
	a.mu.Unlock()
	c.b.refused.count(reasonStore, "store", "an observation could not be kept; its sender will send it again")
	go func() {
		c.writeAcks()
		c.acks.waitWriter()
		c.Close()
	}()
}

// writeAcks sends all encoded acknowledgements in one write.
func (c *conn) writeAcks() {
	a := &c.acks
	a.mu.Lock()
	if a.writing {
		// The one that writes looks again.
		a.mu.Unlock()
		return
	}
	a.writing = true
	for a.outN > 0 && !a.closed {
		buf, n, size := a.out, a.outN, a.outB
		a.out, a.outN, a.outB = a.spare[:0], 0, 0
		a.mu.Unlock()
		_, err := c.Write(buf)
		a.mu.Lock()
		a.spare = buf[:0]
		if err != nil {
			break
		}
		a.n -= n
		a.bytes -= size
		a.changed.Broadcast()
	}
	a.writing = false
	if a.closed {
		a.spare = nil
	}
	a.changed.Broadcast()
	a.mu.Unlock()
}

// stop lets nothing more in; what is in stays.
func (a *acks) stop() {
	a.mu.Lock()
	a.stopped = true
	a.changed.Broadcast()
	a.mu.Unlock()
}

// close forgets what waits: the connection is gone.
func (a *acks) close() {
	a.mu.Lock()
	a.stopped, a.closed = true, true
	// A persistent session keeps its last connection: let it weigh little.
	a.ring, a.head = nil, a.tail
	a.out, a.outN, a.outB = nil, 0, 0
	a.changed.Broadcast()
	a.mu.Unlock()
}

// giveUp ends waitIdle.
func (a *acks) giveUp() {
	a.mu.Lock()
	a.hasty = true
	a.changed.Broadcast()
	a.mu.Unlock()
}

// waitIdle waits until all that was taken is acknowledged on the wire, the
// connection is gone, or the broker gives up.
func (a *acks) waitIdle() {
	a.mu.Lock()
	for a.n > 0 && !a.closed && !a.hasty {
		a.changed.Wait()
	}
	a.mu.Unlock()
}

func (a *acks) waitWriter() {
	a.mu.Lock()
	for a.writing {
		a.changed.Wait()
	}
	a.mu.Unlock()
}
