package rtsp

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of a handshake.
const (
	maxRedirects = 3
	maxStrays    = 32        // answers to nothing that we asked, before the one awaited
	maxInterim   = 8         // 1xx answers before the final one
	maxEarly     = 1 << 20   // bytes of frames that come before the answer of PLAY, with what it costs to keep them
	earlyCost    = 64        // bytes that keeping a frame costs beside its own
	agent        = "CuuLong" // User-Agent; some cameras want one
)

// Options of a client's session.
type Options struct {
	// Dial opens the TCP connection; the caller's place to refuse addresses by
	// what is dialled. nil: a plain dialler. An *Error of it is passed on.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Handshake time.Duration // for everything from dialling to the answer of PLAY; default 10 s
	Silence   time.Duration // without any picture the session ends; default 10 s
}

// Dial connects, logs in with the URL's credentials, describes, sets up the
// first H.264 track and the first AAC track, and plays. Every error is an
// *Error, or ctx's.
func Dial(ctx context.Context, u *url.URL, o Options) (*Session, error) {
	if o.Handshake <= 0 {
		o.Handshake = 10 * time.Second
	}
	if o.Silence <= 0 {
		o.Silence = 10 * time.Second
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	to, err := newTarget(u)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(o.Handshake)
	dialling, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	s := &Session{silence: o.Silence, aggregate: to}
	if u.User != nil {
		s.user = u.User.Username()
		s.password, _ = u.User.Password()
	}
	var stops []func() bool
	connect := func() error {
		nc, err := o.Dial(dialling, "tcp", address(u))
		if err != nil {
			return dialFault(err)
		}
		// A deadline in the past ends whatever the handshake waits for.
		nc.SetDeadline(deadline)
		stops = append(stops, context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) }))
		s.conn = newConn(nc)
		return nil
	}
	if err := connect(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	s.reconnect = func() error {
		s.conn.nc.Close()
		return connect()
	}
	err = s.handshake()
	s.reconnect = nil
	for _, stop := range stops {
		if !stop() && ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	if err == nil {
		err = s.begin()
	}
	if err != nil {
		s.conn.streaming = true // what is written from now on has a deadline of its own
		s.Close()
		return nil, err
	}
	return s, nil
}

// handshake goes from OPTIONS to the answer of PLAY.
func (s *Session) handshake() error {
	answer, err := s.describe()
	if err != nil {
		return err
	}
	d, err := parseDescription(answer.body)
	if err != nil {
		return err
	}
	base, told := s.aggregate.base(answer.header)
	if s.aggregate, err = controlOf(base, d.control); err != nil {
		return err
	}
	if !told {
		base = s.aggregate
	}
	if err := s.setup(base, d.video, channels{0, 1}); err != nil {
		return err
	}
	if d.audio != nil {
		if err := s.setup(base, *d.audio, channels{2, 3}); err != nil {
			var f *Error
			if !errors.As(err, &f) || f.Code != BadStatus && f.Code != UnsupportedCodec && f.Code != BadDescription && f.Code != NotFound {
				return err
			}
			// The camera will not give its sound: its pictures are what counts.
		}
	}
	var h header
	h.add("Range", "npt=0.000-")
	s.playing = true
	play, err := s.do("PLAY", s.aggregate, h)
	if err != nil {
		return err
	}
	return statusFault(play, "PLAY")
}

func controlOf(base target, control string) (target, error) {
	to, ok := base.control(control)
	if !ok {
		return to, fault(BadDescription, nil, "a control URL over %d bytes", maxPath)
	}
	return to, nil
}

// describe asks what the camera can do and what it has, and follows it to
// another path of its own.
func (s *Session) describe() (*response, error) {
	seen := map[string]bool{s.aggregate.path: true}
	for range maxRedirects + 1 {
		options, err := s.do("OPTIONS", s.aggregate, nil)
		if err != nil {
			return nil, err
		}
		answer := options
		if !isRedirect(options) {
			// Whatever the answer to OPTIONS is: some cameras know no OPTIONS.
			s.keepAlives = keepAlivesOf(options.header)
			var h header
			h.add("Accept", "application/sdp")
			if answer, err = s.do("DESCRIBE", s.aggregate, h); err != nil {
				return nil, err
			}
		}
		if !isRedirect(answer) {
			return answer, statusFault(answer, "DESCRIBE")
		}
		next, ok := s.aggregate.redirect(answer.header.get("Location"), s.conn.nc.RemoteAddr())
		if !ok {
			return nil, fault(Redirected, nil, "the camera redirects to another host")
		}
		if seen[next.path] {
			return nil, fault(Redirected, nil, "the camera redirects in a circle")
		}
		seen[next.path] = true
		s.aggregate = next
	}
	return nil, fault(Redirected, nil, "the camera redirects more than %d times", maxRedirects)
}

func isRedirect(r *response) bool {
	switch r.status {
	case 301, 302, 303, 307:
		return true
	}
	return false
}

// keepAlivesOf lists the methods to keep a session alive with, the best first,
// by what Public offers. OPTIONS is always there.
func keepAlivesOf(h header) (list []string) {
	public := strings.ToUpper(strings.Join(append(h.values("Public"), h.values("Allow")...), ","))
	for _, want := range []string{"GET_PARAMETER", "SET_PARAMETER"} {
		for m := range strings.SplitSeq(public, ",") {
			if strings.TrimSpace(m) == want {
				list = append(list, want)
				break
			}
		}
	}
	return append(list, "OPTIONS")
}

// setup asks for one track and makes ready to take it.
func (s *Session) setup(base target, t Track, want channels) error {
	to, err := controlOf(base, t.control)
	if err != nil {
		return err
	}
	t.control = to.String()
	a, err := newAssembler(len(s.tracks), t)
	if err != nil {
		return err
	}
	var h header
	h.add("Transport", transportOffer(want))
	answer, err := s.do("SETUP", to, h)
	if err != nil {
		return err
	}
	if err := statusFault(answer, "SETUP"); err != nil {
		return err
	}
	if v := answer.header.get("Session"); v != "" && s.id == "" {
		var timeout time.Duration
		s.id, timeout = parseSession(v)
		s.keepAlive = max(min(timeout/2, maxKeepAlive), minKeepAlive)
	}
	got, err := parseTransport(answer.header.get("Transport"), want)
	if err != nil {
		return err
	}
	for _, r := range s.receivers {
		if got.rtp == r.rtp || got.rtp == r.rtcp || got.rtcp == r.rtp || got.rtcp == r.rtcp {
			return fault(Protocol, nil, "two tracks on one interleaved channel")
		}
	}
	s.tracks = append(s.tracks, t)
	s.receivers = append(s.receivers, &receiver{channels: got, assembler: a, payloadType: t.PayloadType, clockRate: t.ClockRate})
	s.conn.known[got.rtp], s.conn.known[got.rtcp] = true, true
	return nil
}

// do sends a request and waits for its answer, logging in where that is asked.
// The answer may have any final status.
func (s *Session) do(method string, to target, h header) (*response, error) {
	for tried := false; ; tried = true {
		answer, err := s.ask(method, to, h)
		if tried && s.reconnect != nil && hasEnded(err) {
			// Some cameras close the connection after they have asked for the log-in.
			again := s.reconnect
			s.reconnect = nil
			if err = again(); err == nil {
				answer, err = s.ask(method, to, h)
			}
		}
		if err != nil || answer.status != 401 {
			if err == nil && s.login != nil {
				s.proved, s.retries = true, 0
			}
			return answer, err
		}
		if err := s.challenged(answer, tried); err != nil {
			return nil, err
		}
	}
}

func hasEnded(err error) bool {
	var f *Error
	return errors.As(err, &f) && f.Code == Ended
}

func (s *Session) ask(method string, to target, h header) (*response, error) {
	cseq, err := s.send(method, to, h)
	if err != nil {
		return nil, err
	}
	return s.await(cseq)
}

// challenged makes ready to answer a 401, if that can help. A password that was
// refused is not sent again: cameras lock an account after a few.
func (s *Session) challenged(answer *response, tried bool) error {
	c, ok := chooseChallenge(answer.header.values("WWW-Authenticate"))
	switch {
	case !ok:
		return fault(Unauthorized, nil, "401 Unauthorized, with no way of logging in that is known here")
	case s.user == "" && s.password == "":
		return fault(Unauthorized, nil, "401 Unauthorized, and no user is given")
	case s.login == nil && !tried,
		c.stale && s.retries == 0,
		s.proved && !tried && s.login.challenge.digest && c.nonce != s.login.challenge.nonce:
	default:
		return fault(Unauthorized, nil, "401 Unauthorized after %s authentication", s.login.name())
	}
	if c.stale {
		s.retries++
	}
	s.mu.Lock()
	s.login = newLogin(s.user, s.password, c)
	s.mu.Unlock()
	return nil
}

// await reads up to the answer with that number.
func (s *Session) await(cseq int) (*response, error) {
	for strays, interim := 0, 0; ; {
		a, err := s.conn.next()
		switch {
		case err != nil:
			return nil, err
		case a.request != nil:
			if strays++; strays > maxStrays {
				return nil, fault(Protocol, nil, "requests in place of an answer")
			}
			if err := s.serve(a.request); err != nil {
				return nil, err
			}
		case a.response == nil:
			s.keepEarly(a)
		case a.response.status < 200:
			if interim++; interim > maxInterim {
				return nil, fault(Protocol, nil, "more than %d interim answers", maxInterim)
			}
		case a.response.cseq() == cseq || len(a.response.header.values("CSeq")) == 0:
			return a.response, nil
		default:
			if strays++; strays > maxStrays {
				return nil, fault(Protocol, nil, "answers to what was not asked")
			}
		}
	}
}

// keepEarly keeps a frame that comes before the answer of PLAY: it may be part
// of the key frame that all begins with.
func (s *Session) keepEarly(a arrival) {
	cost := earlyCost + len(a.frame)
	if s.playing && s.conn.known[a.channel] && s.earlyBytes+cost <= maxEarly {
		s.earlyBytes += cost
		s.early = append(s.early, arrival{channel: a.channel, frame: append([]byte(nil), a.frame...)})
	}
}

// send writes a request with what all of ours have, and gives its number.
func (s *Session) send(method string, to target, h header) (cseq int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked(method, to, h, writeTime)
}

func (s *Session) sendLocked(method string, to target, h header, patience time.Duration) (cseq int, err error) {
	s.cseq++
	r := request{method: method, url: to.String()}
	r.header.add("CSeq", strconv.Itoa(s.cseq))
	r.header.add("User-Agent", agent)
	if s.login != nil {
		r.header.add("Authorization", s.login.authorization(method, r.url))
	}
	if s.id != "" {
		r.header.add("Session", s.id)
	}
	r.header = append(r.header, h...)
	s.out = r.appendTo(s.out[:0])
	return s.cseq, s.conn.write(s.out, patience)
}

// statusFault says what an answer's status means; nil for 200.
func statusFault(r *response, to string) error {
	code := BadStatus
	switch {
	case r.status >= 200 && r.status < 300:
		return nil
	case r.status == 401:
		code = Unauthorized
	case r.status == 403:
		code = Forbidden
	case r.status == 404:
		code = NotFound
	case isRedirect(r):
		code = Redirected
	}
	return fault(code, nil, "%d %s to %s", r.status, statusText(r.status), to)
}
