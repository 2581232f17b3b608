package mqtt

import (
	"context"
	"sync"
	"sync/atomic"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// delivery is one message of an outside broker, from its arrival to its
// acknowledgement.
type delivery struct {
	from paho.Message
	s    *session // on which it came, and on which alone it can be acknowledged
	msg  Message
	size int // bytes

	answered atomic.Bool // by the Handler, which is to do it once
	settled  bool        // guarded by window.mu: has its answer
	ack      bool        // guarded by window.mu: and that is an acknowledgement
}

// window holds the deliveries that are not yet acknowledged, oldest first. It
// is the client's and not a connection's: what a lost connection left behind
// at a store that hangs still counts, however often the client comes back.
type window struct {
	maxCount, maxBytes int

	mu      sync.Mutex
	changed sync.Cond // of mu
	list    []*delivery
	given   int // list[:given] were handed over
	n       int // in list, and the one that is being acknowledged
	bytes   int // of those
	stopped bool
	ended   bool
}

func newWindow(maxCount, maxBytes int) *window {
	w := &window{maxCount: maxCount, maxBytes: maxBytes}
	w.changed.L = &w.mu
	return w
}

// admit blocks at the bounds, so that nothing more is read. It tells false
// when d is not taken: its connection is lost, or the client takes no more.
func (w *window) admit(d *delivery) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopped && !d.s.isLost() && w.n > 0 && (w.n >= w.maxCount || w.bytes+d.size > w.maxBytes) {
		w.changed.Wait()
	}
	if w.stopped || d.s.isLost() {
		return false
	}
	w.list = append(w.list, d)
	w.n++
	w.bytes += d.size
	w.changed.Broadcast()
	return true
}

// next waits for what is to be handed over; nil at the end. What would come
// in vain, since its connection is lost or the client stops, is let go.
func (w *window) next() *delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for w.given < len(w.list) {
			d := w.list[w.given]
			w.given++
			if d.settled {
				continue
			}
			if !w.stopped && !d.s.isLost() {
				return d
			}
			d.settled = true
			w.changed.Broadcast()
		}
		if w.ended {
			return nil
		}
		w.changed.Wait()
	}
}

// settle notes d's answer; a second one changes nothing.
func (w *window) settle(d *delivery, ack bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d.settled {
		return
	}
	d.settled, d.ack = true, ack
	if len(w.list) > 0 && w.list[0] == d {
		w.changed.Broadcast()
	}
}

// acknowledge sends the acknowledgements in the order in which the messages
// came [MQTT-4.6.0-2], until the end. Sending may block: nobody else does.
func (w *window) acknowledge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.list) == 0 || !w.list[0].settled {
			if w.ended {
				return
			}
			w.changed.Wait()
		}
		d := w.list[0]
		w.list[0], w.list = nil, w.list[1:]
		w.given = max(w.given-1, 0)
		ack := d.ack
		w.mu.Unlock()
		if ack && !d.s.isLost() {
			d.from.Ack()
		}
		w.mu.Lock()
		w.n--
		w.bytes -= d.size
		w.changed.Broadcast()
	}
}

// wake lets those who wait look again: a connection was lost.
func (w *window) wake() {
	w.mu.Lock()
	w.changed.Broadcast()
	w.mu.Unlock()
}

// stop lets nothing more in; what was handed over stays.
func (w *window) stop() {
	w.mu.Lock()
	w.stopped = true
	w.changed.Broadcast()
	w.mu.Unlock()
}

// waitIdle waits until all that was handed over is answered, or ctx ends.
func (w *window) waitIdle(ctx context.Context) {
	defer context.AfterFunc(ctx, w.wake)()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.n > 0 && ctx.Err() == nil {
		w.changed.Wait()
	}
}

// end lets next and acknowledge return.
func (w *window) end() {
	w.mu.Lock()
	w.stopped, w.ended = true, true
	w.changed.Broadcast()
	w.mu.Unlock()
}

func (w *window) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}
