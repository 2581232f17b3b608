package video

import (
	"context"
	"errors"
	"sync"
	"time"

	"cuulong/devices"
	"cuulong/video/rtsp"
)

const (
	maxViewers    = 1000 // of all cameras
	maxPerCamera  = 300
	linger        = 30 * time.Second // an on-demand camera is pulled on after its last viewer
	silentPicture = 10 * time.Second // sound alone does not keep a session
	keyWithin     = 20 * time.Second
)

// errIdle ends a session nobody looks at.
var errIdle = errors.New("nobody looks")

// relay is what one camera gives: its state, and the ring its viewers read. It
// outlives sessions and changes of the record; deleting the camera ends it.
type relay struct {
	id     devices.ID
	meters *meters

	mu      sync.RWMutex // held for moments, never over I/O; viewers share it
	status  Status
	version uint64  // of status
	stream  *Stream // of the newest unit; nil unless live
	ring    ring
	wake    chan struct{} // closed at every change, and replaced
	gone    error         // why all is over

	viewers int
	arrived chan struct{}           // holds one: somebody began to look
	idle    *time.Timer             // runs while nobody looks
	leave   context.CancelCauseFunc // ends the session of an on-demand camera

	mux mux // owned by the supervisor
}

func newRelay(id devices.ID, m *meters, first State) *relay {
	return &relay{mux: mux{meters: m, epoch: time.Now()}, id: id, meters: m, wake: make(chan struct{}), arrived: make(chan struct{}, 1),
		status: Status{State: first, Since: now()}, version: 1}
}

// publish is the one place where a stream goes on: whatever hangs on it, viewers
// now and a recorder later, reads the ring from here. live tells that the
// camera became live by it.
func (r *relay) publish(u unit) (live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return false
	}
	if live = r.status.State != Live; live {
		r.become(Status{State: Live})
	}
	r.stream = u.stream
	r.ring.push(u)
	r.wakeAll()
	return live
}

// wakeAll is called with mu held.
func (r *relay) wakeAll() {
	close(r.wake)
	r.wake = make(chan struct{})
}

// set changes the state to one that is not live. told says whether it or its
// reason is another than before.
func (r *relay) set(state State, code rtsp.Code, why string) (told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return false
	}
	r.silence()
	return r.become(Status{State: state, Code: code, Why: why})
}

// become is called with mu held; it sets Since.
func (r *relay) become(next Status) (told bool) {
	was := r.status
	if next.Since = was.Since; was.State != next.State {
		next.Since = now()
	} else if was == next {
		return false
	}
	r.status = next
	r.version++
	r.wakeAll()
	return was.State != next.State || was.Code != next.Code
}

// rest makes an on-demand camera, which has no session, Off while nobody looks.
// Who looks waits for the next session: the pictures of the last one are the past.
func (r *relay) rest() (told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return false
	}
	r.silence()
	if r.viewers > 0 {
		return r.become(Status{State: Connecting})
	}
	return r.become(Status{State: Off})
}

// silence lets the pictures go: what the ring holds is the past, and nobody
// begins with it. Called with mu held.
func (r *relay) silence() {
	if r.stream != nil {
		r.stream = nil
		r.ring.clear()
	}
}

func (r *relay) now() Status {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.status
}

// end tells all viewers, for good.
func (r *relay) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return
	}
	r.gone = why
	r.silence()
	if r.idle != nil {
		r.idle.Stop()
	}
	r.wakeAll()
}

// join counts a viewer in. waking tells that the camera rested until now.
func (r *relay) join() (waking bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return false, r.gone
	}
	if r.viewers >= maxPerCamera {
		return false, ErrFull
	}
	r.viewers++
	if r.idle != nil {
		r.idle.Stop()
	}
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	if waking = r.status.State == Off && r.status.Code == ""; waking {
		r.become(Status{State: Connecting})
	}
	return waking, nil
}

// part counts a viewer out.
func (r *relay) part() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.viewers--; r.viewers > 0 || r.gone != nil {
		return
	}
	if r.idle == nil {
		r.idle = time.AfterFunc(linger, r.unseen)
	} else {
		r.idle.Reset(linger)
	}
}

// unseen ends an on-demand camera's session if still nobody looks.
func (r *relay) unseen() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.viewers == 0 && r.leave != nil {
		r.leave(errIdle)
	}
}

// seen waits until somebody looks.
func (r *relay) seen(ctx context.Context) error {
	for {
		r.mu.RLock()
		looked := r.viewers > 0
		r.mu.RUnlock()
		if looked {
			return nil
		}
		select {
		case <-r.arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// onIdle sets what ends the session when nobody looks; nil: nothing does.
func (r *relay) onIdle(leave context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave = leave
}
