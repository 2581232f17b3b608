package video

import (
	"context"
	"sync"

	"cuulong/devices"
)

// Stream describes the pictures that follow: what a player must know first.
// It is immutable and shared by all viewers.
type Stream struct {
	Codecs        string // RFC 6381: "avc1.64001f,mp4a.40.2"
	Width, Height int
	Init          []byte // fragmented MP4 init segment
}

// Event is what a viewer gets next; exactly one field is set.
type Event struct {
	Stream   *Stream // a stream begins, or its codec changed
	Lost     *Status // the camera is lost, or not there yet; a Stream follows when it comes
	Fragment []byte  // one moof and mdat; immutable and shared
}

// Viewer is one who looks at a camera: a place in the stream's ring, no queue
// of its own. One that is too slow misses pictures up to the newest key frame,
// and a counter rises.
type Viewer struct {
	relay *relay
	leave func() // counts it out of all viewers

	once   sync.Once
	closed chan struct{}

	// Owned by who calls Next.
	stream *Stream // told last
	told   uint64  // version of the status told last
	next   uint64  // number of the unit to read; 0: the newest key frame
}

// Subscribe begins to look. The first fragment is a key frame, from the cache
// where there is one. Errors: ErrNotFound, ErrFull, ErrClosed.
func (c *Cameras) Subscribe(id devices.ID) (*Viewer, error) {
	rec, ok := c.find(id)
	if !ok {
		return nil, ErrNotFound
	}
	if c.viewers.Add(1) > maxViewers {
		c.viewers.Add(-1)
		c.meters.refuse("full")
		return nil, ErrFull
	}
	if c.closed.Load() {
		c.viewers.Add(-1)
		return nil, ErrClosed
	}
	waking, err := rec.relay.join()
	if err != nil {
		c.viewers.Add(-1)
		if err == ErrFull {
			c.meters.refuse("full")
		}
		return nil, err
	}
	c.meters.viewers.Inc()
	if waking {
		c.tell(Change{ID: id})
	}
	return &Viewer{relay: rec.relay, closed: make(chan struct{}), leave: func() {
		c.viewers.Add(-1)
		c.meters.viewers.Dec()
	}}, nil
}

// Next waits for the next event. ErrNotFound: the camera was deleted; ErrClosed: the
// process stops, or Close was called; or ctx's error. One goroutine calls it.
func (v *Viewer) Next(ctx context.Context) (Event, error) {
	for {
		select {
		case <-v.closed:
			return Event{}, ErrClosed
		default:
		}
		ev, wake, err := v.read()
		if wake == nil || err != nil {
			return ev, err
		}
		select {
		case <-wake:
		case <-v.closed:
			return Event{}, ErrClosed
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// read is the next event if it is there, else what to wait for.
func (v *Viewer) read() (ev Event, wake <-chan struct{}, err error) {
	r := v.relay
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gone != nil {
		return Event{}, nil, r.gone
	}
	if r.stream == nil {
		v.stream, v.next = nil, 0
		if v.told == r.version {
			return Event{}, r.wake, nil
		}
		v.told = r.version
		status := r.status
		return Event{Lost: &status}, nil, nil
	}
	v.told = r.version
	if !v.position() {
		return Event{}, r.wake, nil
	}
	u := r.ring.at(v.next)
	if u.stream != v.stream {
		v.stream = u.stream
		return Event{Stream: u.stream}, nil, nil
	}
	v.next++
	return Event{Fragment: u.fragment}, nil, nil
}

// position sees to it that next is in the ring and not too far behind, by
// going to the newest key frame. It is false where there is nothing to read yet.
func (v *Viewer) position() bool {
	ring := &v.relay.ring
	if v.next >= ring.next {
		return false
	}
	jump := v.next == 0
	if !jump {
		fell := v.next < ring.first
		lags := !fell && ring.key > v.next && ring.at(ring.next-1).at-ring.at(v.next).at > ringSlack
		jump = fell || lags
	}
	if !jump {
		return true
	}
	if ring.key == 0 {
		return false // the next key frame will do
	}
	if v.next != 0 {
		v.relay.meters.drop(viewerSlow, int(ring.key-v.next))
	}
	v.next = ring.key
	return true
}

// Close ends the looking. It may be called while Next waits.
func (v *Viewer) Close() {
	v.once.Do(func() {
		close(v.closed)
		v.relay.part()
		v.leave()
	})
}
