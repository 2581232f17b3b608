package rtsp

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Parameter sets of a 320x180 camera, and a description of it.
const (
	testSPS = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS"
	testPPS = "aMuMsg=="
	testSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\na=control:*\r\n" +
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
		"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + testSPS + "," + testPPS + "\r\na=control:track1\r\n"
	testAudio = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\n" +
		"a=fmtp:97 streamtype=5;mode=AAC-hbr;config=1408;sizelength=13;indexlength=3;indexdeltalength=3\r\na=control:track2\r\n"
)

// A scriptedCamera is a camera that does what a test says: on has what it does for a
// method, where that is not the right thing.
type scriptedCamera struct {
	sdp  string
	on   map[string]func(w *wire, r *request)
	play func(w *wire) // after PLAY was answered
	hail func(w *wire) // before anything was asked; ends the connection
}

// wire is one connection to a script.
type wire struct {
	t   *testing.T
	nc  net.Conn
	br  *bufio.Reader
	seq uint16

	status int // answered last
}

// start serves the script on a loopback port until the test ends, and gives its
// address.
func (s *scriptedCamera) start(t *testing.T) *url.URL {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			wg.Go(func() {
				defer nc.Close()
				s.serve(&wire{t: t, nc: nc, br: bufio.NewReaderSize(nc, 64<<10)})
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, nc := range open {
			nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return &url.URL{Scheme: "rtsp", Host: ln.Addr().String(), Path: "/cam"}
}

func (s *scriptedCamera) serve(w *wire) {
	if s.hail != nil {
		s.hail(w)
		return
	}
	for {
		r := w.read()
		if r == nil {
			return
		}
		if do := s.on[r.method]; do != nil {
			do(w, r)
		} else {
			s.usual(w, r)
		}
		if r.method == "TEARDOWN" {
			return
		}
		if r.method == "PLAY" && w.status == 200 && s.play != nil {
			s.play(w)
		}
	}
}

// usual is what a camera without faults answers.
func (s *scriptedCamera) usual(w *wire, r *request) {
	switch r.method {
	case "OPTIONS":
		w.answer(r, 200, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
	case "DESCRIBE":
		body := s.sdp
		if body == "" {
			body = testSDP
		}
		w.answer(r, 200, "Content-Type: application/sdp", "Content-Length: "+strconv.Itoa(len(body)), "", body)
	case "SETUP":
		w.answer(r, 200, "Session: 1234;timeout=60", "Transport: "+r.header.get("Transport"))
	default:
		w.answer(r, 200)
	}
}

// read gives the next request; nil at the end. Interleaved frames and answers are left out.
func (w *wire) read() *request {
	for {
		b, err := w.br.Peek(4)
		if err != nil {
			return nil
		}
		if b[0] == '$' {
			frame, err := w.br.Peek(4 + int(binary.BigEndian.Uint16(b[2:])))
			if err != nil {
				return nil
			}
			w.br.Discard(len(frame))
			continue
		}
		if string(b) == "RTSP" {
			if _, err := readResponse(w.br); err != nil {
				return nil
			}
			continue
		}
		r, err := readRequest(w.br)
		if err != nil {
			return nil
		}
		return r
	}
}

// answer writes a response raw, as lines are given; one that is "" ends the head.
func (w *wire) answer(r *request, status int, lines ...string) {
	w.status = status
	text := "RTSP/1.0 " + strconv.Itoa(status) + " Whatever\r\nCSeq: " + r.header.get("CSeq") + "\r\n"
	head := true
	for _, line := range lines {
		text += line
		if head {
			text += "\r\n"
		}
		head = head && line != ""
	}
	if head {
		text += "\r\n"
	}
	w.write(text)
}

// write tells whether the client is still there.
func (w *wire) write(text string) bool {
	w.nc.SetWriteDeadline(time.Now().Add(20 * time.Second))
	_, err := w.nc.Write([]byte(text))
	return err == nil
}

// frame is an interleaved frame.
func frame(channel byte, b []byte) string {
	return "$" + string([]byte{channel, byte(len(b) >> 8), byte(len(b))}) + string(b)
}

// rtpPacket is a plain RTP packet with the marker set.
func rtpPacket(seq uint16, timestamp uint32, payload string) []byte {
	b := []byte{0x80, 0x80 | 96, byte(seq >> 8), byte(seq)}
	b = binary.BigEndian.AppendUint32(b, timestamp)
	b = binary.BigEndian.AppendUint32(b, 0xcafe)
	return append(b, payload...)
}

// picture is an interleaved frame with a whole key frame in one NAL unit.
func (w *wire) picture(channel byte) string {
	w.seq++
	return frame(channel, rtpPacket(w.seq, uint32(w.seq)*3600, "\x65\x88\x84\x00"+strings.Repeat("x", 40)))
}

// stream sends pictures until the client is gone.
func (w *wire) stream() {
	for w.write(w.picture(0)) {
	}
}

// quick are options that let failing tests fail soon, and no right one fail.
var quick = Options{Handshake: 20 * time.Second, Silence: 20 * time.Second}

// open dials a script that must play.
func open(t *testing.T, u *url.URL, o Options) *Session {
	t.Helper()
	s, err := Dial(t.Context(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// readPicture reads one unit, which must be a picture.
func readPicture(t *testing.T, s *Session) Unit {
	t.Helper()
	u, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	if u.Track != 0 || !u.Key || len(u.Data) == 0 {
		t.Fatalf("unit %+v", u)
	}
	return u
}

// readFault reads to the end, which must be an error of that code.
func readFault(t *testing.T, s *Session, want Code) {
	t.Helper()
	for {
		if _, err := s.Read(); err != nil {
			checkFault(t, "Read", err, want)
			if _, again := s.Read(); again != err {
				t.Errorf("a second Read says %v", again)
			}
			return
		}
	}
}

// secret is in everything that a hostile camera says; no error may hold it.
const secret = "s3cret"

func checkFault(t *testing.T, name string, err error, want Code) {
	t.Helper()
	var f *Error
	if !errors.As(err, &f) {
		t.Errorf("%s: %v is no *Error, want %s", name, err, want)
		return
	}
	if f.Code != want {
		t.Errorf("%s: %s (%s), want %s", name, f.Code, f.Detail, want)
	}
	if strings.Contains(f.Error(), secret) || strings.Contains(f.Error(), "127.0.0.1") || strings.Contains(f.Error(), "/cam") {
		t.Errorf("%s: error text holds what it must not: %s", name, f)
	}
}

func testNALs(t testing.TB) (sps, pps []byte) {
	t.Helper()
	sps, err := base64.StdEncoding.DecodeString(testSPS)
	if err != nil {
		t.Fatal(err)
	}
	pps, err = base64.StdEncoding.DecodeString(testPPS)
	if err != nil {
		t.Fatal(err)
	}
	return sps, pps
}
