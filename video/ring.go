package video

import "time"

// unit is one published fragment: an access unit of the pictures, with the
// sound that came since the one before. It is never changed.
type unit struct {
	fragment []byte
	stream   *Stream
	dts      uint64        // ticks of videoRate
	at       time.Duration // when it arrived, since the camera's relay began
	key      bool
}

// Bounds of a ring. A stream whose key frames lie further apart has no cache
// until the next one; whoever begins to look then waits for that.
const (
	ringBytes = 16 << 20
	ringUnits = 1500
	// ringSlack is how far a viewer may fall behind the newest unit while there
	// is a newer key frame to go on from.
	ringSlack = 2 * time.Second
)

// ring holds the newest units of a stream, numbered from 1: all since the last
// key frame, and before it what a viewer may still be at.
type ring struct {
	units []unit // circular; the length is a power of two, or 0
	first uint64 // number of the oldest unit held
	next  uint64 // number of the next unit; nothing is held while first == next
	key   uint64 // number of the newest key frame, 0: not held
	bytes int
}

func (r *ring) at(n uint64) *unit { return &r.units[n&uint64(len(r.units)-1)] }

func (r *ring) len() int { return int(r.next - r.first) }

// push adds a unit and lets go of what nobody needs any more.
func (r *ring) push(u unit) {
	if r.next == 0 {
		r.first, r.next = 1, 1
	}
	if r.len() == len(r.units) {
		r.grow()
	}
	*r.at(r.next) = u
	if u.key {
		r.key = r.next
	}
	r.next++
	r.bytes += len(u.fragment)
	for r.len() > 1 {
		old := r.at(r.first)
		fits := r.bytes <= ringBytes && r.len() <= ringUnits
		useful := r.key != 0 && r.first >= r.key || u.at-old.at <= ringSlack
		if fits && useful {
			break
		}
		r.drop()
	}
}

// drop lets go of the oldest unit.
func (r *ring) drop() {
	if r.first == r.key {
		r.key = 0
	}
	old := r.at(r.first)
	r.bytes -= len(old.fragment)
	*old = unit{}
	r.first++
}

// clear lets go of all; numbers go on.
func (r *ring) clear() {
	r.units, r.first, r.key, r.bytes = nil, r.next, 0, 0
}

func (r *ring) grow() {
	bigger := ring{units: make([]unit, max(64, 2*len(r.units)))}
	for n := r.first; n != r.next; n++ {
		*bigger.at(n) = *r.at(n)
	}
	r.units = bigger.units
}
