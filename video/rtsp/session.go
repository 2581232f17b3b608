package rtsp

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

// Bounds of a session's own clockwork.
const (
	minKeepAlive = 500 * time.Millisecond
	maxKeepAlive = 30 * time.Second // firewalls forget a quiet connection
	tellEvery    = 5 * time.Second  // RTCP receiver reports, RFC 3550 §6.2
)

// Session is a playing stream. One goroutine calls Read; Close may be called by
// another, and ends it. It has no goroutine of its own: keep-alive is sent from
// within Read.
type Session struct {
	// Set by Dial, then only read.
	tracks     []Track
	receivers  []*receiver // of tracks, in their order
	byChannel  [256]*receiver
	conn       *conn
	aggregate  target // what PLAY, keep-alive and TEARDOWN are about
	user       string
	password   string
	id         string // of the RTSP session; "" if the camera has none
	silence    time.Duration
	keepAlive  time.Duration // between two
	keepAlives []string      // methods that are left to try, the best first
	playing    bool          // PLAY was sent

	// Owned by who reads: Dial, then Read.
	reconnect  func() error // once, in the handshake; else nil
	proved     bool         // the log-in was taken once
	retries    int          // answers to stale nonces since something else was answered
	early      []arrival
	earlyBytes int
	popping    *receiver // may have more units
	asked      int       // number of the keep-alive that waits for its answer; 0: none
	retried    bool      // that keep-alive was sent again for a 401
	picture    time.Time // of the newest picture
	nextAlive  time.Time
	nextReport time.Time
	failed     error

	// Guarded by mu: everything about writing.
	mu     sync.Mutex
	cseq   int
	login  *login // nil before the first challenge
	out    []byte
	closed bool
}

// Tracks are the media that units come from; the first is always the video.
func (s *Session) Tracks() []Track { return s.tracks }

// begin turns from the handshake to the stream.
func (s *Session) begin() error {
	if err := s.conn.nc.SetDeadline(time.Time{}); err != nil {
		return ioFault(err, "after PLAY")
	}
	s.conn.streaming = true
	if s.keepAlive == 0 {
		s.keepAlive = min(assumedTimeout/2, maxKeepAlive)
	}
	for _, r := range s.receivers {
		s.byChannel[r.rtp], s.byChannel[r.rtcp] = r, r
	}
	now := time.Now()
	s.conn.at, s.picture = now, now
	s.nextAlive, s.nextReport = now.Add(s.keepAlive), now.Add(tellEvery)
	return nil
}

// Read waits for the next access unit, in order of arrival. After an error,
// always an *Error, the session is over.
func (s *Session) Read() (Unit, error) {
	for s.failed == nil {
		if s.popping != nil {
			if u, ok := s.popping.assembler.pop(); ok {
				if u.Track == 0 {
					s.picture = s.conn.at
				}
				return u, nil
			}
			s.popping = nil
		}
		s.failed = s.step()
	}
	s.Close()
	return Unit{}, s.failed
}

// step takes one thing that comes.
func (s *Session) step() error {
	if len(s.early) > 0 {
		a := s.early[0]
		s.early = s.early[1:]
		s.frame(a)
		return nil
	}
	s.early = nil
	if err := s.tick(s.conn.at); err != nil {
		return err
	}
	a, err := s.conn.next()
	switch {
	case errors.Is(err, errWaiting):
		s.conn.at = time.Now()
		return nil
	case err != nil:
		return err
	case a.request != nil:
		return s.serve(a.request)
	case a.response != nil:
		return s.answered(a.response)
	}
	s.frame(a)
	return nil
}

// frame gives a frame to the track it belongs to; one of a channel that was
// never announced belongs to none.
func (s *Session) frame(a arrival) {
	r := s.byChannel[a.channel]
	switch {
	case r == nil:
	case a.channel == r.rtcp:
		r.control(a.frame, s.conn.at)
	case r.packet(a.frame, s.conn.at):
		s.popping = r
	}
}

// tick does what is due at now, and sets how long reading may wait.
func (s *Session) tick(now time.Time) error {
	end := s.picture.Add(s.silence)
	if now.Before(s.nextAlive) && now.Before(s.nextReport) && now.Before(end) {
		return s.wait(end)
	}
	if !now.Before(end) {
		for _, r := range s.receivers {
			if r.count > 0 {
				return fault(Silent, nil, "no picture for %v, though packets came", s.silence)
			}
		}
		return fault(Silent, nil, "no packet for %v", s.silence)
	}
	if !now.Before(s.nextAlive) {
		s.nextAlive = now.Add(s.keepAlive)
		if s.asked != 0 {
			s.nextMethod() // no answer at all
		}
		s.retried = false
		if err := s.sendAlive(); err != nil {
			return err
		}
	}
	if !now.Before(s.nextReport) {
		s.nextReport = now.Add(tellEvery)
		if err := s.report(now); err != nil {
			return err
		}
	}
	return s.wait(end)
}

// wait lets reading wait until the first of what is due. The end moves on with
// each picture; moving the deadline so often would cost more than waking once.
func (s *Session) wait(end time.Time) error {
	until := end
	if s.nextAlive.Before(until) {
		until = s.nextAlive
	}
	if s.nextReport.Before(until) {
		until = s.nextReport
	}
	if d := s.conn.deadline; !d.IsZero() && !d.After(until) && d.After(s.conn.at) {
		return nil
	}
	if err := s.conn.wait(until); err != nil {
		return ioFault(err, "between messages")
	}
	return nil
}

func (s *Session) sendAlive() (err error) {
	s.asked, err = s.send(s.keepAlives[0], s.aggregate, nil)
	return err
}

// nextMethod gives up a way of keep-alive, unless it is the last.
func (s *Session) nextMethod() {
	if len(s.keepAlives) > 1 {
		s.keepAlives = s.keepAlives[1:]
	}
}

// answered takes the answer to a keep-alive. One that failed ends nothing: the
// pictures do, when the camera means it.
func (s *Session) answered(r *response) error {
	if n := r.cseq(); s.asked == 0 || n >= 0 && n != s.asked || r.status < 200 {
		return nil
	}
	s.asked = 0
	switch {
	case r.status < 300:
		s.retries = 0
	case r.status == 401 && !s.retried && s.challenged(r, false) == nil:
		s.retried = true
		return s.sendAlive()
	default:
		s.nextMethod()
	}
	return nil
}

// serve answers a request of the camera.
func (s *Session) serve(r *request) error {
	answer := response{status: 501}
	var end error
	switch strings.ToUpper(r.method) {
	case "OPTIONS", "GET_PARAMETER", "SET_PARAMETER":
		answer.status = 200
		answer.header.add("Public", "OPTIONS, REDIRECT, TEARDOWN")
	case "REDIRECT":
		answer.status = 200
		end = fault(Redirected, nil, "the camera sends us away in the midst of the stream")
	case "TEARDOWN":
		answer.status = 200
		end = fault(Ended, nil, "the camera ended the session")
	}
	if v := r.header.get("CSeq"); v != "" {
		answer.header.set("CSeq", v)
	}
	s.mu.Lock()
	s.out = answer.appendTo(s.out[:0])
	err := s.conn.write(s.out, writeTime)
	s.mu.Unlock()
	if end != nil {
		return end
	}
	return err
}

// report tells the camera how its packets arrive; some stop without.
func (s *Session) report(now time.Time) error {
	for _, r := range s.receivers {
		frame := r.report(now)
		if frame == nil {
			continue
		}
		s.mu.Lock()
		err := s.conn.write(frame, writeTime)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Close says TEARDOWN, where that costs no waiting, and closes the connection:
// cameras have few sessions to give, and keep a lost one for a minute.
func (s *Session) Close() error {
	// Who holds the lock is writing to a camera that does not read: then there
	// is nothing to say.
	if s.mu.TryLock() {
		if !s.closed {
			s.closed = true
			if s.id != "" || len(s.tracks) > 0 {
				s.sendLocked("TEARDOWN", s.aggregate, nil, byeTime)
			}
		}
		s.mu.Unlock()
	}
	if err := s.conn.nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
