package video

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"runtime"
	"runtime/debug"
	"time"

	"cuulong/video/rtsp"
)

// session is what a supervisor needs of an rtsp.Session.
type session interface {
	Tracks() []rtsp.Track
	Read() (rtsp.Unit, error)
	Close() error
}

// dial is how cameras are dialled but in tests.
func dial(ctx context.Context, u *url.URL, o rtsp.Options) (session, error) {
	s, err := rtsp.Dial(ctx, u, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// dialling bounds how many cameras are dialled at once. Those that did not
// answer the last time, or took long to, may not take all the places: each holds
// its own until the time is up.
type dialling struct{ all, mute chan struct{} }

func newDialling() dialling {
	return dialling{make(chan struct{}, 8), make(chan struct{}, 4)}
}

// enter waits for a place, and answers how to leave it.
func (d dialling) enter(ctx context.Context, mute bool) (leave func(), err error) {
	if mute {
		select {
		case d.mute <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	leave = func() {
		if mute {
			<-d.mute
		}
	}
	select {
	case d.all <- struct{}{}:
		first := leave
		return func() { <-d.all; first() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

const (
	firstDelay  = time.Second
	longDelay   = 30 * time.Second
	lockedDelay = 60 * time.Second // where trying often does harm: an account may be locked
	flapDelay   = 4 * time.Second  // a camera that played was no hopeless case
	steady      = 30 * time.Second // of playing, after which all is forgiven
	sameAgain   = 10 * time.Minute // a failure that repeats is logged this often
	slowDial    = 3 * time.Second  // of a failed try, after which a camera counts as mute
)

// backoff is how long to wait before the next try.
type backoff struct{ last time.Duration }

// after takes the last try's failure and how long it had played, 0 if it never did.
func (b *backoff) after(code rtsp.Code, played time.Duration) time.Duration {
	most := longDelay
	switch code {
	case rtsp.Unauthorized, rtsp.Forbidden, rtsp.UnsupportedCodec, rtsp.NoVideo:
		most = lockedDelay
	}
	switch {
	case played >= steady || b.last == 0:
		b.last = firstDelay
	default:
		b.last = min(2*b.last, most)
	}
	if played > 0 {
		b.last = min(b.last, flapDelay)
	}
	// Cameras that fail together do not come back together.
	jittered := time.Duration(float64(b.last) * (0.75 + rand.Float64()/2))
	return min(max(jittered, firstDelay), most)
}

// supervisor keeps one camera's session. Nothing the camera does gets out of it.
type supervisor struct {
	cameras  *Cameras
	relay    *relay
	url      *url.URL
	onDemand bool
	log      *slog.Logger

	backoff backoff
	next    time.Time // not to be dialled before
	mute    bool      // it did not answer the last time
	slow    bool      // the last dialling failed, and late

	logged   rtsp.Code // the failure logged last
	loggedAt time.Time
	silent   bool // the last failure was not logged, so its end is not either
}

func (s *supervisor) run(ctx context.Context) {
	s.safely(func() {
		if !s.onDemand && s.relay.set(Connecting, "", "") {
			s.tell()
		}
	})
	for ctx.Err() == nil {
		if s.onDemand {
			s.safely(func() {
				if s.relay.rest() {
					s.tell()
				}
			})
			if s.relay.seen(ctx) != nil {
				return
			}
		}
		s.watch(ctx)
	}
}

// watch keeps the camera going until ctx ends, or nobody looks.
func (s *supervisor) watch(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.onDemand {
		s.relay.onIdle(cancel)
		defer s.relay.onIdle(nil)
	}
	for pause(ctx, time.Until(s.next)) {
		played, err := s.try(ctx)
		if ctx.Err() != nil {
			return
		}
		s.safely(func() { s.failed(err, played) })
	}
}

// pause waits for d; it is false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed says what happened, and when to try again.
func (s *supervisor) failed(err error, played time.Duration) {
	code, why := rtsp.Protocol, "the connection failed"
	var fault *rtsp.Error
	if errors.As(err, &fault) {
		code, why = fault.Code, fault.Detail
	}
	s.mute = s.slow || code == rtsp.TimedOut || code == rtsp.Silent
	wait := s.backoff.after(code, played)
	s.next = time.Now().Add(wait)
	if told := s.relay.set(Retrying, code, why); told {
		s.tell()
	}
	if s.silent = s.logged == code && time.Since(s.loggedAt) < sameAgain; !s.silent {
		s.logged, s.loggedAt = code, time.Now()
		s.log.Warn("camera is lost", "code", string(code), "why", why, "retry_in", wait.Round(time.Millisecond))
	}
}

func (s *supervisor) live() {
	if !s.silent {
		s.log.Info("camera is live")
	}
	s.tell()
}

func (s *supervisor) tell() { s.cameras.tell(Change{ID: s.relay.id}) }

// safely keeps a panic in.
func (s *supervisor) safely(f func()) {
	defer func() {
		if r := recover(); r != nil {
			s.caught(r)
		}
	}()
	f()
}

// caught counts and logs a panic. Its text is logged only where it cannot hold
// what the camera said.
func (s *supervisor) caught(r any) *rtsp.Error {
	s.cameras.meters.refuse("panic")
	what := fmt.Sprintf("%T", r)
	if err, ok := r.(runtime.Error); ok {
		what = err.Error()
	}
	s.log.Error("a camera's supervisor panicked and goes on", "what", what, "stack", string(debug.Stack()))
	return &rtsp.Error{Code: rtsp.Protocol, Detail: "what it sent led to a fault of ours, which the log tells"}
}

// try is one session, from dialling to its end. played is for how long there
// were pictures.
func (s *supervisor) try(ctx context.Context) (played time.Duration, err error) {
	var since time.Time
	defer func() {
		if r := recover(); r != nil {
			err = s.caught(r)
		}
		if !since.IsZero() {
			played = max(time.Since(since), 1)
		}
	}()
	sess, err := s.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer sess.Close()
	stop := context.AfterFunc(ctx, func() { sess.Close() })
	defer stop()

	begin := time.Now()
	s.relay.mux.begin(sess.Tracks(), begin)
	// Arrival of the last picture, and of the last one that could be shown.
	picture, good := begin, begin
	for {
		u, err := sess.Read()
		if err != nil {
			return 0, err
		}
		if u.Track == 0 {
			picture = u.Received
		} else if u.Received.Sub(picture) > silentPicture {
			return 0, &rtsp.Error{Code: rtsp.Silent, Detail: "sound comes, but no pictures"}
		}
		out, ok := s.relay.mux.push(&u)
		if ok {
			good = u.Received
			if s.relay.publish(out) {
				since = time.Now()
				s.live()
			}
		} else if u.Received.Sub(good) > keyWithin {
			return 0, &rtsp.Error{Code: rtsp.NoKeyFrame, Detail: "pictures come, but for 20 s none that can be begun with"}
		}
	}
}

func (s *supervisor) connect(ctx context.Context) (session, error) {
	leave, err := s.cameras.dials.enter(ctx, s.mute)
	if err != nil {
		return nil, err
	}
	defer leave()
	u, begin := *s.url, time.Now()
	sess, err := s.cameras.dial(ctx, &u, rtsp.Options{Dial: s.cameras.guard.dial})
	s.slow = err != nil && time.Since(begin) > slowDial
	return sess, err
}
