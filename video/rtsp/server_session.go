package rtsp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// session is one client's connection with what it has set up. Its fields are
// owned by the goroutine that reads, but for the connection's writing half.
type session struct {
	server *Server
	conn   net.Conn
	br     *bufio.Reader

	writing sync.Mutex // a response or a unit at a time

	path   string // of source
	source Source
	tracks []Track

	id       string // "" until the first SETUP
	outlets  []*outlet
	channels map[uint8]int // RTP channel → track
	playing  bool
	play     sync.WaitGroup
	failed   int // log-ins

	last bool // close after this answer
}

// serve answers a client until it leaves, is silent for too long, or breaks the protocol.
func (s *Server) serve(conn net.Conn) {
	ctx, cancel := context.WithCancel(s.ctx)
	c := &session{server: s, conn: conn, br: bufio.NewReaderSize(conn, 2*maxLine), channels: map[uint8]int{}}
	defer c.play.Wait()
	defer cancel()
	defer conn.Close() // before waiting: it ends a Write of Play that blocks
	for !c.last {
		if err := conn.SetReadDeadline(time.Now().Add(c.patience())); err != nil {
			return
		}
		first, err := c.br.Peek(1)
		if err != nil {
			return
		}
		if first[0] == '$' { // RTCP: a sign of life
			if err := c.skipFrame(); err != nil {
				return
			}
			continue
		}
		r, err := readRequest(c.br)
		if err != nil {
			c.refuse(err)
			return
		}
		a := c.answer(r)
		if err := c.respond(r, a); err != nil {
			return
		}
		if r.method == "PLAY" && a.status == 200 && !c.playing {
			c.start(ctx)
		}
	}
}

// patience is how long the next request may take.
func (c *session) patience() time.Duration {
	if c.id == "" {
		return c.server.hello
	}
	return c.server.o.Timeout + c.server.o.Timeout/4 // keep-alive is late at times
}

func (c *session) skipFrame() error {
	head, err := c.br.Peek(frameHead)
	if err != nil {
		return err
	}
	_, err = c.br.Discard(frameHead + int(head[2])<<8 + int(head[3]))
	return err
}

// refuse answers what is no request, if it can still be answered.
func (c *session) refuse(err error) {
	status := 400
	var f *Error
	if !errors.As(err, &f) {
		return
	}
	switch f.Code {
	case TooLarge:
		status = 413
	case Protocol, NotRTSP:
	default:
		return
	}
	c.send((&response{status: status}).appendTo(nil))
}

func (c *session) respond(r *request, a *response) error {
	h := header{{"CSeq", strconv.Itoa(r.cseq())}, {"Server", "cuulong"}}
	if r.cseq() < 0 {
		h = h[1:]
	}
	a.header = append(h, a.header...)
	return c.send(a.appendTo(nil))
}

// send writes all of b, or fails after writePatience; then the connection is over.
func (c *session) send(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.writePatience)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	if err != nil {
		c.conn.Close() // what was sent may end within a packet
	}
	return err
}

func status(n int) *response { return &response{status: n} }

const served = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN"

// answer judges a request.
func (c *session) answer(r *request) *response {
	if r.cseq() < 0 {
		c.last = true
		return status(400)
	}
	if r.header.get("Require") != "" {
		a := status(551)
		a.header.add("Unsupported", r.header.get("Require"))
		return a
	}
	if r.method == "OPTIONS" {
		a := status(200)
		a.header.add("Public", served)
		return a
	}
	if a := c.authorize(r); a != nil {
		return a
	}
	switch r.method {
	case "DESCRIBE":
		return c.describe(r)
	case "SETUP":
		return c.setup(r)
	case "PLAY", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN":
		return c.control(r)
	}
	a := status(501)
	a.header.add("Public", served)
	return a
}

// authorize gives the answer that refuses a request, nil if it may.
func (c *session) authorize(r *request) *response {
	g := c.server.guard
	if g == nil {
		return nil
	}
	_, v := g.verify(r)
	if v == granted {
		c.failed = 0
		return nil
	}
	if r.header.get("Authorization") != "" && v == denied {
		c.failed++
	}
	c.last = c.failed >= maxFailedLogins
	a := status(401)
	g.challenge(&a.header, v)
	return a
}

// resource splits a request's URL into the path of its source and the number of
// its track: -1 is all, -2 one that has no number of ours.
func resource(raw string) (path string, track int, err error) {
	track = -1
	if at := strings.LastIndexByte(raw, '/'); at >= 0 {
		if digits, ok := strings.CutPrefix(raw[at+1:], trackControl); ok {
			if n, err := strconv.ParseUint(digits, 10, 8); err == nil {
				raw, track = raw[:at], int(n) // also where it was put behind a query
			}
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", 0, err
	}
	return strings.Trim(u.Path, "/"), track, nil
}

// open makes path's source the session's. A source stays while the path does.
func (c *session) open(path string) *response {
	if c.source != nil && c.path == path {
		return nil
	}
	source, err := c.server.o.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return status(404)
	case err != nil:
		c.server.log.Error("source cannot be opened", "error", err)
		return status(500)
	}
	c.path, c.source, c.tracks = path, source, completed(source.Tracks())
	c.outlets = make([]*outlet, len(c.tracks))
	return nil
}

func (c *session) describe(r *request) *response {
	path, _, err := resource(r.url)
	if err != nil {
		return status(400)
	}
	if c.id != "" && path != c.path {
		return status(455)
	}
	if a := c.open(path); a != nil {
		return a
	}
	a := status(200)
	a.header.add("Content-Type", "application/sdp")
	a.header.add("Content-Base", strings.TrimRight(r.url, "/")+"/")
	if d, ok := c.source.(Describer); ok {
		a.body = d.Describe()
	} else {
		a.body = Describe(c.tracks)
	}
	return a
}

// setup prepares one track. A Describer may have named its tracks as it liked:
// then their order is that of the requests.
func (c *session) setup(r *request) *response {
	path, track, err := resource(r.url)
	switch {
	case err != nil:
		return status(400)
	case c.playing:
		return status(455)
	case c.id != "" && sessionID(r) != c.id:
		return status(454)
	}
	if track < 0 && c.source != nil {
		track = c.nextTrack(path)
		if track >= 0 {
			path = c.path
		}
	}
	if c.id != "" && path != c.path {
		return status(459)
	}
	if a := c.open(path); a != nil {
		return a
	}
	if track < 0 {
		track = c.nextTrack(path)
	}
	if track < 0 || track >= len(c.tracks) {
		return status(404)
	}
	channel, ok := c.channel(r.header.get("Transport"), track)
	if !ok {
		return status(461)
	}
	if c.id == "" {
		c.id = randomText()
	}
	c.channels[channel] = track
	out := newOutlet(c.tracks[track], channel)
	c.outlets[track] = out
	a := status(200)
	a.header.add("Transport", fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d;ssrc=%08X", channel, channel+1, out.head.SSRC))
	a.header.add("Session", fmt.Sprintf("%s;timeout=%d", c.id, max(1, int(c.server.o.Timeout/time.Second))))
	return a
}

// nextTrack is the track that a SETUP without a number of ours means: the only
// one, or the next of a Describer's. -1: none.
func (c *session) nextTrack(path string) int {
	_, free := c.source.(Describer)
	if !free && (path != c.path || len(c.tracks) != 1) || !strings.HasPrefix(path, c.path) {
		return -1
	}
	for i, out := range c.outlets {
		if out == nil {
			return i
		}
	}
	return -1
}

// channel chooses a track's channels from a Transport header: what the client
// wants, if it is free.
func (c *session) channel(transport string, track int) (uint8, bool) {
	for one := range strings.SplitSeq(transport, ",") {
		profile, params, _ := strings.Cut(strings.TrimSpace(one), ";")
		if !strings.EqualFold(strings.TrimSpace(profile), "RTP/AVP/TCP") {
			continue
		}
		want := uint64(2 * track)
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "interleaved="); ok {
				v, _, _ = strings.Cut(v, "-")
				n, err := strconv.ParseUint(v, 10, 8)
				if err != nil || n == 255 {
					return 0, false
				}
				want = n
			}
		}
		for taken, by := range c.channels {
			if by == track {
				delete(c.channels, taken) // set up anew
			} else if d := int(want) - int(taken); d >= -1 && d <= 1 {
				return 0, false
			}
		}
		return uint8(want), true
	}
	return 0, false
}

func sessionID(r *request) string {
	id, _, _ := strings.Cut(r.header.get("Session"), ";")
	return strings.TrimSpace(id)
}

// control answers what concerns a session that was set up.
func (c *session) control(r *request) *response {
	id := sessionID(r)
	asks := r.method == "GET_PARAMETER" || r.method == "SET_PARAMETER"
	switch {
	case asks && id == "" && c.id == "":
		return status(200) // a sign of life before any session
	case c.id == "" || id != c.id && !(asks && id == ""):
		return status(454)
	}
	a := status(200)
	if asks && len(r.body) > 0 {
		a = status(451)
	}
	a.header.add("Session", c.id)
	switch r.method {
	case "PLAY":
		a.header.add("Range", "npt=now-")
	case "TEARDOWN":
		c.last = true
	}
	return a
}

// start lets the source play until the session ends; when it ends by itself so
// does the session.
func (c *session) start(ctx context.Context) {
	c.playing = true
	w := &Writer{send: c.send, tracks: c.outlets}
	c.play.Go(func() {
		defer c.conn.Close()
		err := c.source.Play(ctx, w)
		if err == nil || ctx.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		c.server.log.Debug("play ended", "error", err)
	})
}
