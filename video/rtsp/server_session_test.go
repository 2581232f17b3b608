package rtsp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rawClient speaks to a server request by request.
type rawClient struct {
	t       testing.TB
	conn    net.Conn
	br      *bufio.Reader
	seq     int
	session string
}

func dialRaw(t testing.TB, address string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &rawClient{t: t, conn: conn, br: bufio.NewReaderSize(conn, 64<<10)}
}

// do sends a request with header lines and gives the answer.
func (c *rawClient) do(method, url string, lines ...string) *response {
	c.t.Helper()
	c.seq++
	r := request{method: method, url: url, header: header{{"CSeq", strconv.Itoa(c.seq)}}}
	if c.session != "" {
		r.header.add("Session", c.session)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.header.set(name, value)
	}
	if _, err := c.conn.Write(r.appendTo(nil)); err != nil {
		c.t.Fatal(err)
	}
	a, err := readResponse(c.br)
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	if a.cseq() != c.seq {
		c.t.Errorf("%s: CSeq %d, want %d", method, a.cseq(), c.seq)
	}
	if id, _, _ := strings.Cut(a.header.get("Session"), ";"); id != "" {
		c.session = id
	}
	return a
}

func (c *rawClient) want(status int, method, url string, lines ...string) *response {
	c.t.Helper()
	a := c.do(method, url, lines...)
	if a.status != status {
		c.t.Errorf("%s %s %q: %d, want %d", method, url, lines, a.status, status)
	}
	return a
}

// frame reads an interleaved frame.
func (c *rawClient) frame() (channel uint8, b []byte) {
	c.t.Helper()
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(c.br, head); err != nil {
		c.t.Fatal(err)
	}
	if head[0] != '$' {
		c.t.Fatalf("no frame: % x", head)
	}
	b = make([]byte, binary.BigEndian.Uint16(head[2:]))
	if _, err := io.ReadFull(c.br, b); err != nil {
		c.t.Fatal(err)
	}
	return head[1], b
}

func (c *rawClient) wantEnd(why string) {
	c.t.Helper()
	for {
		if _, err := c.br.ReadByte(); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				c.t.Errorf("%s: the connection lives on", why)
			}
			return
		}
	}
}

const tcp = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"

// source plays as its func does.
type source struct {
	tracks []Track
	play   func(ctx context.Context, w *Writer) error
}

func (s source) Tracks() []Track                           { return s.tracks }
func (s source) Play(ctx context.Context, w *Writer) error { return s.play(ctx, w) }

func still(ctx context.Context, w *Writer) error {
	<-ctx.Done()
	return ctx.Err()
}

// liar describes something else than it has.
type liar struct {
	source
	sdp string
}

func (l liar) Describe() []byte { return []byte(l.sdp) }

func TestServerAnswers(t *testing.T) {
	two := source{[]Track{h264Track(), aacTrack()}, still}
	_, address := listen(t, ServerOptions{Open: func(path string) (Source, error) {
		if path == "broken" {
			return nil, errors.New("the disk is gone")
		}
		return only("cams/1", two)(path)
	}})
	url := "rtsp://" + address + "/cams/1"
	c := dialRaw(t, address)
	if a := c.want(200, "OPTIONS", "*"); !strings.Contains(a.header.get("Public"), "GET_PARAMETER") {
		t.Errorf("offers %q", a.header.get("Public"))
	}
	a := c.want(200, "DESCRIBE", url)
	if a.header.get("Content-Base") != url+"/" || a.header.get("Content-Type") != "application/sdp" {
		t.Errorf("described by %q", a.header)
	}
	d, err := parseDescription(a.body)
	if err != nil || !bytes.Equal(d.video.SPS, sps0) || !bytes.Equal(d.video.PPS, pps0) || d.audio == nil || d.audio.SampleRate != 48000 || d.audio.sizeLength != 13 {
		t.Errorf("described %+v, %v", d, err)
	}
	c.want(404, "DESCRIBE", "rtsp://"+address+"/cams/2")
	c.want(404, "SETUP", "rtsp://"+address+"/cams/2/track0", tcp)
	c.want(500, "DESCRIBE", "rtsp://"+address+"/broken")
	c.want(400, "DESCRIBE", "rtsp://%zz/")
	c.want(501, "RECORD", url)
	c.want(551, "DESCRIBE", url, "Require: implicit-play")
	c.want(454, "PLAY", url)
	c.want(200, "GET_PARAMETER", url)
	for _, transport := range []string{
		"RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/UDP;unicast;client_port=5000-5001", "", "RTP/SAVP/TCP",
		"RTP/AVP/TCP;interleaved=255-256", "RTP/AVP/TCP;interleaved=-1", "RTP/AVP/TCP;interleaved=99999999999999999999",
	} {
		c.want(461, "SETUP", url+"/track0", "Transport: "+transport)
	}
	c.want(404, "SETUP", url+"/track2", tcp)
	c.want(404, "SETUP", url, tcp) // which of two?
	a = c.want(200, "SETUP", url+"/track0", "Transport: RTP/AVP;unicast;client_port=1-2, RTP/AVP/TCP;unicast;interleaved=6-7")
	if tr := a.header.get("Transport"); !strings.HasPrefix(tr, "RTP/AVP/TCP;unicast;interleaved=6-7;ssrc=") {
		t.Errorf("transport %q", tr)
	}
	if s := a.header.get("Session"); !strings.HasSuffix(s, ";timeout=60") {
		t.Errorf("session %q", s)
	}
	c.want(200, "SETUP", url+"/track0", tcp) // another mind
	c.want(461, "SETUP", url+"/track1", tcp) // the same channels
	c.want(454, "SETUP", url+"/track1", "Session: other", tcp)
	c.want(200, "SETUP", url+"/track1", "Transport: RTP/AVP/TCP;unicast;interleaved=2-3")
	c.want(459, "SETUP", "rtsp://"+address+"/cams/1x/track1", tcp)
	c.want(455, "DESCRIBE", "rtsp://"+address+"/cams/2")
	c.want(454, "PLAY", url, "Session: other")
	c.want(200, "PLAY", url)
	c.want(455, "SETUP", url+"/track1", tcp)
	c.want(200, "PLAY", url) // again changes nothing
	c.conn.Write([]byte("$\x01\x00\x04\x80\xc9\x00\x00"))
	c.want(200, "SET_PARAMETER", url)
	c.want(200, "TEARDOWN", url)
	c.wantEnd("after TEARDOWN")
}

func TestServerEndsWhoBreaksTheProtocol(t *testing.T) {
	_, address := listen(t, ServerOptions{Open: only("cam", source{[]Track{h264Track()}, still})})
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"HTTP":               {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"no number":          {"OPTIONS * RTSP/1.0\r\n\r\n", 400},
		"header of no end":   {"OPTIONS * RTSP/1.0\r\nX: " + strings.Repeat("a", 2*maxLine), 413},
		"headers of no end":  {"OPTIONS * RTSP/1.0\r\n" + strings.Repeat("X: a\r\n", maxHeaders+1), 413},
		"length below zero":  {"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", 400},
		"length of 3e9":      {"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3000000000\r\n\r\n", 413},
		"a body of TLS":      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"an announced frame": {"$\x00\xff\xff", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, address)
			if _, err := io.WriteString(r.conn, c.text); err != nil {
				t.Fatal(err)
			}
			if c.status == 0 {
				r.conn.(*net.TCPConn).CloseWrite()
			} else if a, err := readResponse(r.br); err != nil || a.status != c.status {
				t.Errorf("answered %+v, %v", a, err)
			}
			r.wantEnd(name)
		})
	}
}

func TestServerEndsWhoIsSilent(t *testing.T) {
	s := NewServer(ServerOptions{Open: only("cam", source{[]Track{h264Track()}, still}), Timeout: time.Second})
	s.hello = 100 * time.Millisecond
	address := serveOn(t, s)
	c := dialRaw(t, address)
	c.wantEnd("no request")
	c = dialRaw(t, address)
	io.WriteString(c.conn, "OPTIONS * RT")
	c.wantEnd("half a request")
	c = dialRaw(t, address)
	c.want(200, "SETUP", "rtsp://"+address+"/cam/track0", tcp)
	c.want(200, "PLAY", "rtsp://"+address+"/cam")
	c.wantEnd("a session without keep-alive")
}

func TestServerHoldsSoManyConnections(t *testing.T) {
	s := NewServer(ServerOptions{Open: only("cam", source{[]Track{h264Track()}, still})})
	s.maxConnections = 3
	address := serveOn(t, s)
	var in []*rawClient
	for range 3 {
		c := dialRaw(t, address)
		c.want(200, "OPTIONS", "*")
		in = append(in, c)
	}
	dialRaw(t, address).wantEnd("one too many")
	in[0].want(454, "TEARDOWN", "*")
	in[0].conn.Close()
	for i := 0; ; i++ { // its place is free once the server has seen it go
		c := dialRaw(t, address)
		io.WriteString(c.conn, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
		if a, err := readResponse(c.br); err == nil && a.status == 200 {
			break
		}
		if i == 1000 {
			t.Fatal("the place is never free")
		}
	}
	in[1].want(200, "OPTIONS", "*")
}

func TestServerCutsWhoDoesNotRead(t *testing.T) {
	ended := make(chan error, 1)
	flood := source{[]Track{h264Track()}, func(ctx context.Context, w *Writer) error {
		u := Unit{Key: true, Data: avcc(idr(200_000))}
		for {
			if err := w.Write(u); err != nil {
				ended <- err
				return err
			}
		}
	}}
	s := NewServer(ServerOptions{Open: only("cam", flood)})
	s.writePatience = 200 * time.Millisecond
	address := serveOn(t, s)
	c := dialRaw(t, address)
	c.want(200, "SETUP", "rtsp://"+address+"/cam/track0", tcp)
	c.want(200, "PLAY", "rtsp://"+address+"/cam")
	var late net.Error
	if err := <-ended; !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("ended by %v", err)
	}
	c.wantEnd("too slow")
}

func TestServerLetsASourceDescribeItself(t *testing.T) {
	l := liar{source{[]Track{h264Track(), aacTrack()}, still}, "v=0\r\nm=video 0 RTP/AVP 26\r\na=control:streamid=9\r\n"}
	_, address := listen(t, ServerOptions{Open: only("cam", l)})
	c := dialRaw(t, address)
	if a := c.want(200, "DESCRIBE", "rtsp://"+address+"/cam"); string(a.body) != l.sdp {
		t.Errorf("described %q", a.body)
	}
	c.want(200, "SETUP", "rtsp://"+address+"/cam/streamid=9", tcp)
	c.want(200, "SETUP", "rtsp://"+address+"/cam/streamid=7", "Transport: RTP/AVP/TCP")
	c.want(459, "SETUP", "rtsp://"+address+"/cam/streamid=5", "Transport: RTP/AVP/TCP")
	c.want(200, "PLAY", "rtsp://"+address+"/cam")
}

func TestServerLogIn(t *testing.T) {
	s := NewServer(ServerOptions{
		Open:     only("cam", source{[]Track{h264Track()}, still}),
		Password: func(user string) (string, bool) { return "geheim", user == "u" },
	})
	now := time.Now()
	clock := make(chan time.Time, 1)
	clock <- now
	s.guard.now = func() time.Time { t := <-clock; clock <- t; return t }
	address := serveOn(t, s)
	url := "rtsp://" + address + "/cam"
	c := dialRaw(t, address)
	c.want(200, "OPTIONS", url) // says what may be done to anybody
	a := c.want(401, "DESCRIBE", url)
	offers := a.header.values("WWW-Authenticate")
	if len(offers) != 2 || !strings.Contains(offers[0], "SHA-256") || !strings.Contains(offers[1], "MD5") {
		t.Errorf("offers %q", offers)
	}
	for _, offer := range offers {
		ch, ok := chooseChallenge([]string{offer})
		if !ok {
			t.Fatalf("%q is not understood", offer)
		}
		l := newLogin("u", "geheim", ch)
		c.want(200, "DESCRIBE", url, "Authorization: "+l.authorization("DESCRIBE", url))
		c.want(401, "DESCRIBE", url, "Authorization: "+l.authorization("SETUP", url))
		c.want(401, "DESCRIBE", url, "Authorization: "+newLogin("u", "falsch", ch).authorization("DESCRIBE", url))
		c.want(401, "SETUP", url+"/track0", tcp)
	}
	ch, _ := chooseChallenge(offers)
	<-clock
	clock <- now.Add(nonceLife + time.Second)
	a = c.want(401, "DESCRIBE", url, "Authorization: "+newLogin("u", "geheim", ch).authorization("DESCRIBE", url))
	if ch, ok := chooseChallenge(a.header.values("WWW-Authenticate")); !ok || !ch.stale {
		t.Errorf("an old nonce is answered by %q", a.header.values("WWW-Authenticate"))
	}
	c.want(401, "DESCRIBE", url, "Authorization: Basic dTpnZWhlaW0=") // right, but not offered
	c = dialRaw(t, address)
	for range maxFailedLogins {
		c.want(401, "DESCRIBE", url, "Authorization: Basic dTp4")
	}
	c.wantEnd("guessing")
}

func TestServerClosesWithAllThatPlays(t *testing.T) {
	s := NewServer(ServerOptions{Open: only("cam", source{[]Track{h264Track()}, still})})
	address := serveOn(t, s)
	for range 5 {
		c := dialRaw(t, address)
		c.want(200, "SETUP", "rtsp://"+address+"/cam/track0", tcp)
		c.want(200, "PLAY", "rtsp://"+address+"/cam")
		defer c.wantEnd("after Close")
	}
	s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serves after Close: %v", err)
	}
}

func FuzzServerRequests(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewServer(ServerOptions{Open: only("cam", source{[]Track{h264Track()}, still})})
		if len(b)%2 == 1 {
			s.guard = newGuard("cuulong", true, func(user string) (string, bool) { return "p", user == "u" })
		}
		here, there := net.Pipe()
		answers := make(chan error, 1)
		go func() {
			br := bufio.NewReaderSize(here, 64<<10)
			for {
				a, err := readResponse(br)
				if errors.Is(err, io.EOF) {
					err = nil
				}
				if a == nil || err != nil {
					answers <- err
					io.Copy(io.Discard, here)
					return
				}
			}
		}()
		go func() {
			here.SetDeadline(time.Now().Add(10 * time.Second))
			here.Write(b)
			// What a client sends last is half a request, so that all before it is answered.
			here.Write([]byte("\r\n\r\nOPTIONS"))
			there.Close()
		}()
		s.serve(there)
		there.Close()
		if err := <-answers; err != nil {
			t.Errorf("an answer is none: %v", err)
		}
		s.Close()
	})
}
