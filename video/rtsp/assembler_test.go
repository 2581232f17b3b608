package rtsp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// bitWriter writes what bits reads.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) bits(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) golomb(v uint32) {
	size := 0
	for (v+1)>>size > 1 {
		size++
	}
	w.bits(0, size)
	w.bits(v+1, size+1)
}

// spsOf makes a baseline sequence parameter set for pictures of that many
// macroblocks, cropped below by that many pairs of lines.
func spsOf(id, wide, high, crop uint32) []byte {
	w := bitWriter{}
	w.bits(0x67, 8)
	w.bits(66, 8)
	w.bits(0, 8)
	w.bits(31, 8)
	for _, v := range []uint32{id, 0, 0, 0, 1} { // set's id, frame number, order of pictures (2), references
		w.golomb(v)
	}
	w.bits(0, 1)
	w.golomb(wide - 1)
	w.golomb(high - 1)
	w.bits(1, 1) // frames only
	w.bits(1, 1)
	if crop > 0 {
		w.bits(1, 1)
		for _, v := range []uint32{0, 0, 0, crop} {
			w.golomb(v)
		}
	} else {
		w.bits(0, 1)
	}
	w.bits(0, 1) // nothing of use
	w.bits(1, 1)
	return w.b
}

func ppsOf(id uint32) []byte {
	w := bitWriter{}
	w.bits(0x68, 8)
	w.golomb(id)
	w.bits(0b11101, 5)
	w.bits(1, 1)
	return w.b
}

var (
	sps0 = spsOf(0, 40, 23, 4) // 640 × 360
	pps0 = ppsOf(0)
)

// NAL units of n bytes; the first byte behind the head says whether a slice is
// its picture's first.
func idr(n int) []byte   { return nalOf(0x65, 0x88, n) }
func first(n int) []byte { return nalOf(0x41, 0x9a, n) }
func later(n int) []byte { return nalOf(0x41, 0x1a, n) }
func later5(n int) []byte {
	return nalOf(0x65, 0x1a, n)
}
func sei(n int) []byte { return nalOf(0x06, 0x05, n) }

func nalOf(head, next byte, n int) []byte {
	b := bytes.Repeat([]byte{0xa5}, n)
	b[0], b[1] = head, next
	return b
}

func avcc(nals ...[]byte) (b []byte) {
	for _, nal := range nals {
		b = appendNAL(b, nal)
	}
	return b
}

func stap(nals ...[]byte) []byte {
	b := []byte{0x78}
	for _, nal := range nals {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(nal))), nal...)
	}
	return b
}

// fu cuts a NAL unit into n FU-As.
func fu(nal []byte, n int) (all [][]byte) {
	rest := nal[1:]
	for i := range n {
		b := []byte{nal[0]&0xe0 | 28, nal[0] & 0x1f}
		size := len(rest) / (n - i)
		if i == 0 {
			b[1] |= 0x80
		}
		if i == n-1 {
			b[1] |= 0x40
		}
		all = append(all, append(b, rest[:size]...))
		rest = rest[size:]
	}
	return all
}

// script feeds an assembler packet by packet and keeps what comes out.
type script struct {
	t     testing.TB
	a     assembler
	seq   uint16
	ssrc  uint32
	at    time.Time
	units []Unit
}

func newScript(t testing.TB, track Track) *script {
	t.Helper()
	a, err := newAssembler(0, track)
	if err != nil {
		t.Fatal(err)
	}
	return &script{t: t, a: a, seq: 65530, at: time.Unix(1_800_000_000, 0)}
}

func h264Track() Track { return Track{Codec: H264, ClockRate: 90000, SPS: sps0, PPS: pps0} }

func (s *script) send(ts uint32, marker bool, payload []byte) {
	s.a.push(&rtp.Packet{
		Header:  rtp.Header{Version: 2, SSRC: s.ssrc, SequenceNumber: s.seq, Timestamp: ts, Marker: marker},
		Payload: payload,
	}, s.at)
	s.seq++
	s.at = s.at.Add(time.Millisecond)
	for range 1 << 12 {
		u, ok := s.a.pop()
		if !ok {
			return
		}
		u.Data = bytes.Clone(u.Data)
		s.units = append(s.units, u)
	}
	s.t.Fatal("units without end")
}

// all sends packets of one picture, the marker on the last.
func (s *script) all(ts uint32, payloads ...[]byte) {
	for i, p := range payloads {
		s.send(ts, i == len(payloads)-1, p)
	}
}

// expect compares what came so far, written as pts:size, with K for key, L for lost.
func (s *script) expect(want string) {
	s.t.Helper()
	got := ""
	for i, u := range s.units {
		if i > 0 {
			got += " "
		}
		got += fmt.Sprintf("%d:%d", u.PTS, len(u.Data))
		if u.Key {
			got += "K"
		}
		if u.Lost {
			got += "L"
		}
	}
	if got != want {
		s.t.Errorf("units %q, want %q", got, want)
	}
}
