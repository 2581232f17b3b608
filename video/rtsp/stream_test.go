package rtsp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tape is a connection whose other side was recorded.
type tape struct {
	io.Reader
	net.Conn // nothing else of it is called
}

func (t tape) Read(p []byte) (int, error)       { return t.Reader.Read(p) }
func (t tape) Write(p []byte) (int, error)      { return len(p), nil }
func (t tape) Close() error                     { return nil }
func (t tape) SetDeadline(time.Time) error      { return nil }
func (t tape) SetReadDeadline(time.Time) error  { return nil }
func (t tape) SetWriteDeadline(time.Time) error { return nil }
func (t tape) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 554} }

func dialTape(t testing.TB, r io.Reader) (*Session, error) {
	t.Helper()
	return Dial(t.Context(), &url.URL{Scheme: "rtsp", Host: "camera", Path: "/cam", User: url.UserPassword("u", "p")}, Options{
		Dial: func(context.Context, string, string) (net.Conn, error) { return tape{Reader: r}, nil },
	})
}

// recorded is all that a camera without faults says until it plays.
func recorded() string {
	return "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\n\r\n" +
		"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: " + strconv.Itoa(len(testSDP)) + "\r\n\r\n" + testSDP +
		"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n" +
		"RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n"
}

// FuzzSession plays whatever a camera may say, from the first byte on.
func FuzzSession(f *testing.F) {
	w := &wire{}
	f.Add([]byte(recorded() + w.picture(0) + w.picture(0)))
	f.Add([]byte("RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", stale=true\r\n\r\n"))
	f.Add([]byte("RTSP/1.0 302 Found\r\nLocation: /x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := dialTape(t, bytes.NewReader(b))
		if err == nil {
			drain(t, s)
		} else if f := (*Error)(nil); !errors.As(err, &f) {
			t.Errorf("%v is no *Error", err)
		}
	})
}

// FuzzInterleaved is the same with a camera that plays already.
func FuzzInterleaved(f *testing.F) {
	w := &wire{}
	f.Add([]byte(w.picture(0) + w.picture(0)))
	f.Add([]byte(w.picture(0) + "garbage$\x00" + w.picture(0) + "RTSP/1.0 200 OK\r\nCSeq: 5\r\nContent-Length: -1\r\n\r\n"))
	f.Add([]byte(frame(1, []byte("\x80\xc8\x00\x06\x00\x00\xca\xfe\x11\x22\x33\x44\x55\x66\x77\x88\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) + "OPTIONS * RTSP/1.0\r\n\r\n"))
	start := recorded()
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := dialTape(t, io.MultiReader(strings.NewReader(start), bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		drain(t, s)
	})
}

// drain reads a session to its end, and checks what it gives on the way.
func drain(t *testing.T, s *Session) {
	for {
		u, err := s.Read()
		if err != nil {
			if f := (*Error)(nil); !errors.As(err, &f) {
				t.Errorf("%v is no *Error", err)
			}
			return
		}
		for b := u.Data; len(b) > 0; {
			if len(b) < 4 || uint32(len(b)-4) < binary.BigEndian.Uint32(b) {
				t.Fatalf("unit %x is not made of whole NAL units", u.Data)
			}
			b = b[4+binary.BigEndian.Uint32(b):]
		}
	}
}

// endless says what is recorded, and then sends 1080p25 at 4 Mbit/s for ever:
// a picture is 16 packets of 1,250 bytes.
type endless struct {
	recorded io.Reader
	picture  []byte // the frames of the present one
	at       int    // bytes of it that were read
	seq      uint16
}

const packetsOfPicture, packetSize = 16, 1250

func newEndless() *endless {
	e := &endless{recorded: strings.NewReader(recorded())}
	for i := range packetsOfPicture {
		fu := "\x7c\x05" // FU-A of an IDR slice
		if i == 0 {
			fu = "\x7c\x85"
		} else if i == packetsOfPicture-1 {
			fu = "\x7c\x45"
		}
		p := rtpPacket(0, 0, fu+strings.Repeat("x", packetSize-14))
		if i < packetsOfPicture-1 {
			p[1] &= 0x7f // no marker
		}
		e.picture = append(e.picture, frame(0, p)...)
	}
	e.at = len(e.picture)
	return e
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.recorded.Read(p); err == nil {
		return n, nil
	}
	if e.at == len(e.picture) {
		e.at = 0
		for i := range packetsOfPicture {
			b := e.picture[i*(4+packetSize)+4:]
			binary.BigEndian.PutUint16(b[2:], e.seq)
			binary.BigEndian.PutUint32(b[4:], uint32(e.seq/packetsOfPicture)*3600)
			e.seq++
		}
	}
	n := copy(p, e.picture[e.at:])
	e.at += n
	return n, nil
}

// Taking a picture costs no memory: 50 cameras send 22,000 packets a second.
func TestReadDoesNotAllocate(t *testing.T) {
	s, err := dialTape(t, newEndless())
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		if _, err := s.Read(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // buffers grow to their size
		read()
	}
	if n := testing.AllocsPerRun(1000, read); n > 0 {
		t.Errorf("%v allocations a picture", n)
	}
}

// What a camera's stream costs without the kernel's part.
func BenchmarkRead(b *testing.B) {
	s, err := dialTape(b, newEndless())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(packetsOfPicture * packetSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
