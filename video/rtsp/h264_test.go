package rtsp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
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

func TestH264Assembly(t *testing.T) {
	both := stap(sps0, pps0)
	sps2, pps2 := spsOf(0, 20, 15, 0), ppsOf(1)
	for name, c := range map[string]struct {
		send func(s *script)
		want string
	}{
		"single NAL units": {func(s *script) {
			s.all(0, idr(100))
			s.all(3600, first(50))
		}, "0:104K 3600:54"},
		"FU-A": {func(s *script) { s.all(0, fu(idr(5000), 4)...) }, "0:5004K"},
		"STAP-A with parameter sets, SEI and slice": {func(s *script) {
			s.all(0, stap(sps0, pps0, sei(20), idr(300)))
		}, "0:328K"},
		"four slices": {func(s *script) {
			s.all(0, both, idr(100), later5(100), later5(100), later5(100))
			s.all(3600, first(10), later(10), later(10), later(10))
		}, "0:416K 3600:56"},
		"delimiters, filler and ends are left out": {func(s *script) {
			s.all(0, []byte{9, 0xf0}, both, idr(100), nalOf(12, 0xff, 900), []byte{10}, []byte{11})
		}, "0:104K"},
		"a marker that never comes": {func(s *script) {
			for i := range uint32(3) {
				s.send(i*3600, false, first(20))
				s.send(i*3600, false, later(20))
			}
		}, "0:48 3600:48"},
		"a marker on every slice is found out": {func(s *script) {
			for i := range uint32(4) {
				s.send(i*3600, true, first(20))
				s.send(i*3600, true, later(30))
			}
		}, "0:24 3600:58L 7200:58"},
		"a marker on parameter sets ends nothing": {func(s *script) {
			s.send(0, true, sps0)
			s.send(0, true, pps0)
			s.all(0, idr(100), later5(100))
			s.all(3600, first(10))
		}, "0:208K 3600:14"},
		"parameter sets behind the marker": {func(s *script) {
			s.all(0, idr(100))
			s.send(0, false, sps0)
			s.all(3600, first(10))
		}, "0:104K 3600:14"},
		"a clock that stands still": {func(s *script) {
			s.all(7, idr(100))
			s.all(7, first(10))
			s.all(7, first(10))
		}, "7:104K 7:14 7:14"},
		"a lost slice costs its picture": {func(s *script) {
			s.all(0, idr(100))
			s.send(3600, false, first(10))
			s.seq++
			s.send(3600, true, later(10))
			s.all(7200, first(10))
			s.all(10800, first(10))
		}, "0:104K 7200:14L 10800:14"},
		"a lost marker costs its picture, not the next": {func(s *script) {
			s.send(0, false, first(10))
			s.seq++
			s.all(3600, first(10))
		}, "3600:14L"},
		"a lost first slice costs its picture": {func(s *script) {
			s.all(0, first(10))
			s.seq++
			s.send(3600, true, later(10))
			s.all(7200, first(10))
		}, "0:14 7200:14L"},
		"a lost whole picture is told": {func(s *script) {
			s.all(0, first(10))
			s.seq++
			s.all(7200, first(10))
		}, "0:14 7200:14L"},
		"the first picture may be the rest of one": {func(s *script) {
			s.all(0, later(10))
			s.all(3600, first(10))
		}, "3600:14L"},
		"a lost middle of FU-A": {func(s *script) {
			parts := fu(idr(3000), 3)
			s.send(0, false, parts[0])
			s.seq++
			s.send(0, true, parts[2])
			s.all(3600, first(10))
		}, "3600:14L"},
		"FU-A without a start": {func(s *script) {
			s.all(0, fu(idr(3000), 3)[1:]...)
			s.all(3600, first(10))
		}, "3600:14L"},
		"FU-A without an end": {func(s *script) {
			s.send(0, false, fu(idr(3000), 3)[0])
			s.send(0, false, fu(later5(3000), 3)[0])
			s.send(3600, true, first(10))
		}, "0:2008K 3600:14"},
		"FU-A of one byte": {func(s *script) {
			s.all(0, []byte{0x7c})
			s.all(3600, first(10))
		}, "3600:14L"},
		"FU-A of two bytes": {func(s *script) {
			s.send(0, false, []byte{0x7c, 0x85})
			s.send(0, true, []byte{0x7c, 0x45, 1, 2})
			s.all(3600, first(10))
		}, "3600:14L"},
		"FU-A of parameter sets": {func(s *script) {
			s.send(0, false, []byte{0x7c, 0x87})
			s.all(0, append(fu(sps2, 2), idr(100))...)
		}, "0:104K"},
		"STAP-A with a size of zero": {func(s *script) {
			s.all(0, append([]byte{0x78, 0, 0}, stap(sps0, idr(100))[1:]...))
			s.all(3600, []byte{0x78, 0, 0})
			s.all(7200, first(10))
		}, "0:104K 7200:14"},
		"STAP-A with a size beyond it": {func(s *script) {
			s.all(0, append(stap(idr(100)), 0xff, 0xff, 1))
			s.all(3600, []byte{0x78})
			s.all(7200, []byte{0x78, 1})
			s.all(10800, first(10))
		}, "10800:14L"},
		"STAP-B, MTAP, FU-B and reserved types": {func(s *script) {
			for i, typ := range []byte{25, 26, 27, 29, 30, 31, 0} {
				s.all(uint32(i), []byte{0x60 | typ, 0, 1, 0, 2, 0x65, 0x88})
			}
			s.all(3600, first(10))
		}, "3600:14L"},
		"the forbidden bit": {func(s *script) {
			s.all(0, append([]byte{0xe5}, idr(10)...))
			s.all(3600, stap(nalOf(0xe5, 0x88, 10)))
			s.all(7200, first(10))
		}, "7200:14L"},
		"empty packets": {func(s *script) {
			s.send(0, false, nil)
			s.all(0, idr(100))
			s.send(0, true, nil)
			s.all(3600, first(10))
		}, "0:104K 3600:14"},
		"repeated and late packets": {func(s *script) {
			s.all(0, idr(100))
			s.seq--
			s.all(0, idr(100))
			s.seq -= 3
			s.all(0, idr(100))
			s.seq += 2
			s.all(3600, first(10))
		}, "0:104K 3600:14"},
		"a sequence that jumps": {func(s *script) {
			for i, jump := range []uint16{0, 1000, 30000, 65535 - 500} {
				s.seq += jump
				s.all(uint32(i), first(10))
			}
		}, "0:14 1:14L 2:14L 3:14L"},
		"a sequence that stands still does not stop all": {func(s *script) {
			for i := range uint32(2*maxStale + 3) {
				s.all(i, first(10))
				s.seq--
			}
		}, fmt.Sprintf("0:14 %d:14L %d:14L", maxStale+1, 2*maxStale+2)},
		"another source": {func(s *script) {
			s.all(0, first(10))
			s.ssrc++
			s.all(3600, first(10))
		}, "0:14 3600:14L"},
		"time that wraps": {func(s *script) {
			s.all(0xffff_f000, idr(10))
			s.all(0x0000_0100, first(10))
			s.all(0xffff_ff00, first(10))
			s.all(0x7fff_0000, first(10))
			s.all(0xf000_0000, first(10))
		}, "4294963200:14K 4294967552:14 4294967040:14 6442385408:14 8321499136:14"},
		"time that jumps back": {func(s *script) {
			s.all(90_000_000, idr(10))
			s.all(1000, first(10))
		}, "90000000:14K 1000:14"},
		"a byte stream in place of NAL units": {func(s *script) {
			start := []byte{0, 0, 0, 1}
			stream := slices.Concat(start, sps0, start, pps0, start[1:], sei(9), start, idr(100))
			s.all(0, stream)
			s.all(3600, slices.Concat(sps0, start, pps0, start, sei(9), start, idr(100)))
			s.all(7200, fu(slices.Concat(sps0, start[1:], pps0, start[1:], sei(9), start[1:], idr(100)), 3)...)
		}, "0:117K 3600:117K 7200:117K"},
		"a second set of parameters stays where it was": {func(s *script) {
			s.all(0, stap(sps0, pps0, pps2), idr(100))
			s.all(3600, stap(pps2), first(10))
		}, fmt.Sprintf("0:%dK 3600:%d", 104+4+len(pps2), 14+4+len(pps2))},
		"too many NAL units": {func(s *script) {
			s.send(0, false, idr(10))
			for range maxNALs {
				s.send(0, false, later5(2))
			}
			s.send(0, true, later5(2))
			s.all(3600, first(10))
		}, "3600:14L"},
		"a picture of 64 MB": {func(s *script) {
			part := append([]byte{0x7c, 0x85}, bytes.Repeat([]byte{0x88}, 60000)...)
			for i := 0; i < 64<<20; i += 60000 {
				s.send(0, false, part)
				part[1] = 5
			}
			s.all(3600, idr(10))
		}, "3600:14KL"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, h264Track())
			c.send(s)
			s.expect(c.want)
		})
	}
}

func TestH264ParameterSetsInBand(t *testing.T) {
	s := newScript(t, Track{Codec: H264, ClockRate: 90000, SPS: []byte{0x67, 1}, PPS: []byte{0x68}})
	s.all(0, idr(10))
	s.all(1, stap(sps0, pps0), idr(10))
	s.all(2, []byte{0x67, 0x42}, idr(10)) // 2 bytes: what is in force stays
	s.all(3, append(slices.Clone(sps0), 0, 0), first(10))
	var sets [][]byte
	for i := range uint32(6) { // the size changes at each key frame
		sets = append(sets, spsOf(0, 10+i, 10+i, 0))
		s.all(4+i, stap(sets[i], pps0), idr(10))
	}
	s.expect("0:14 1:14K 2:14K 3:14 4:14K 5:14K 6:14K 7:14K 8:14K 9:14K")
	if u := s.units[0]; u.SPS != nil || u.PPS != nil {
		t.Errorf("parameter sets out of nothing: %x %x", u.SPS, u.PPS)
	}
	for i, u := range s.units[1:4] {
		if !bytes.Equal(u.SPS, sps0) || !bytes.Equal(u.PPS, pps0) || &u.SPS[0] != &s.units[1].SPS[0] {
			t.Errorf("unit %d: parameter sets %x %x", i+1, u.SPS, u.PPS)
		}
	}
	for i, u := range s.units[4:] { // earlier ones were not written over
		if !bytes.Equal(u.SPS, sets[i]) {
			t.Errorf("unit %d: %x, want %x", i+4, u.SPS, sets[i])
		}
	}
	s = newScript(t, h264Track())
	next := spsOf(0, 20, 20, 0)
	s.send(0, false, idr(10))
	s.send(0, true, next) // behind the slices: the next picture's
	s.all(1, idr(10))
	s.expect("0:14K 1:14K")
	if !bytes.Equal(s.units[0].SPS, sps0) || !bytes.Equal(s.units[1].SPS, next) {
		t.Errorf("in force %x, then %x", s.units[0].SPS, s.units[1].SPS)
	}
}

func TestH264MemoryIsReturned(t *testing.T) {
	s := newScript(t, h264Track())
	a := s.a.(*h264Assembler)
	part := append([]byte{0x7c, 0x85}, bytes.Repeat([]byte{0x88}, 60000)...)
	held := 0
	for i := 0; i < 64<<20; i += 60000 {
		s.send(0, false, part)
		part[1] = 5
		held = max(held, cap(a.data)+cap(a.spare))
	}
	if held > 2*maxUnit || cap(a.data)+cap(a.spare) != 0 {
		t.Errorf("held %d bytes, %d at the end", held, cap(a.data)+cap(a.spare))
	}
	for i := range uint32(2) {
		s.all(1+i, fu(idr(4<<20), 100)...) // large, but possible
	}
	if len(s.units) != 2 {
		t.Fatalf("%d units", len(s.units))
	}
	for i := range uint32(2*releaseEvery + 2) {
		s.all(3+i, first(1000))
	}
	if cap(a.data)+cap(a.spare) > 2*releaseAbove {
		t.Errorf("%d bytes held for small pictures", cap(a.data)+cap(a.spare))
	}
}

func TestH264NothingIsAllocatedPerPacket(t *testing.T) {
	a, err := newAssembler(0, h264Track())
	if err != nil {
		t.Fatal(err)
	}
	parts := append([][]byte{stap(sps0, pps0)}, fu(idr(30000), 20)...)
	p := &rtp.Packet{}
	now := time.Now()
	units := 0
	picture := func() {
		p.Timestamp += 3600
		for i, part := range parts {
			p.SequenceNumber++
			p.Marker = i == len(parts)-1
			p.Payload = part
			a.push(p, now)
		}
		for u, ok := a.pop(); ok; u, ok = a.pop() {
			units++
			if len(u.Data) != 30004 {
				t.Fatalf("unit of %d bytes", len(u.Data))
			}
		}
	}
	picture()
	picture() // both buffers have their size
	if n := testing.AllocsPerRun(100, picture); n != 0 {
		t.Errorf("%v allocations a picture", n)
	}
	if units != 103 {
		t.Errorf("%d units", units)
	}
}

func TestArrivalIsTheLastPacketOfAUnit(t *testing.T) {
	s := newScript(t, h264Track())
	s.send(0, false, first(10))
	s.send(0, false, later(10))
	last := s.at.Add(-time.Millisecond)
	s.send(3600, true, first(10))
	if got := s.units[0].Received; !got.Equal(last) {
		t.Errorf("received %v, want %v", got, last)
	}
}

func TestWallClock(t *testing.T) {
	s := newScript(t, h264Track())
	report := func(wall time.Time, rtpTime uint32) {
		s.a.report(&rtcp.SenderReport{NTPTime: toNTP(wall), RTPTime: rtpTime})
	}
	near := func(i int, want time.Time) {
		t.Helper()
		if d := s.units[i].Wall.Sub(want); d < -time.Microsecond || d > time.Microsecond {
			t.Errorf("unit %d at %v, want %v", i, s.units[i].Wall, want)
		}
	}
	camera := s.at.Add(-time.Hour) // its clock is slow by an hour
	report(camera, 0)              // before any packet nothing can be said
	begin := uint32(0xffff_ff00)
	s.all(begin, first(10))
	report(camera, begin+90000)
	s.all(begin+180000, first(10))
	s.all(begin+mappingHolds*90000+180000, first(10)) // too far from any report
	if !s.units[0].Wall.IsZero() || !s.units[2].Wall.IsZero() {
		t.Errorf("known out of nothing: %v %v", s.units[0].Wall, s.units[2].Wall)
	}
	near(1, camera.Add(time.Second))
	report(time.Unix(0, 0), begin) // a clock that was never set
	s.all(begin+180000, first(10))
	if !s.units[3].Wall.IsZero() {
		t.Errorf("1970 believed: %v", s.units[3].Wall)
	}
	wrapped := time.Date(2036, 2, 7, 7, 0, 0, 0, time.UTC) // half an hour after NTP wrapped
	s.at = wrapped
	s.all(0, first(10))
	report(wrapped.Add(-time.Hour), 0)
	s.all(90000, first(10))
	near(5, wrapped.Add(-time.Hour+time.Second))
}

// frames cuts what a packetiser wrote into packets.
func frames(t testing.TB, b []byte) (all []*rtp.Packet) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < frameHead || b[0] != '$' {
			t.Fatalf("no frame: % x", b[:min(len(b), 8)])
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		p := &rtp.Packet{}
		if err := p.Unmarshal(b[frameHead : frameHead+n]); err != nil {
			t.Fatal(err)
		}
		if len(p.Payload) > maxPayload {
			t.Fatalf("payload of %d bytes", len(p.Payload))
		}
		all = append(all, p)
		b = b[frameHead+n:]
	}
	return all
}

// roundTrip sends units through a packetiser and an assembler.
func roundTrip(t testing.TB, track Track, units []Unit) (got []Unit) {
	t.Helper()
	p := newPacketiser(track, 0, 7, 65000)
	a, err := newAssembler(0, track)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		b, err := p.appendUnit(nil, u)
		if err != nil {
			t.Fatal(err)
		}
		for _, packet := range frames(t, b) {
			a.push(packet, time.Time{})
			for u, ok := a.pop(); ok; u, ok = a.pop() {
				u.Data = bytes.Clone(u.Data)
				got = append(got, u)
			}
		}
	}
	return got
}

func sameUnits(t testing.TB, got, want []Unit) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d units, want %d", len(got), len(want))
	}
	for i, u := range got {
		w := want[i]
		if u.PTS != w.PTS || u.Key != w.Key || u.Lost || !bytes.Equal(u.Data, w.Data) || !bytes.Equal(u.SPS, w.SPS) || !bytes.Equal(u.PPS, w.PPS) {
			t.Fatalf("unit %d: pts %d key %v lost %v, %d bytes; want pts %d key %v, %d bytes", i, u.PTS, u.Key, u.Lost, len(u.Data), w.PTS, w.Key, len(w.Data))
		}
	}
}

func TestUnitsSurvivePacketsAndAssembly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(head, next byte) []byte {
		nal := nalOf(head, next, 2+r.IntN([]int{20, 700, 2000, 9000}[r.IntN(4)]))
		for i := range nal[2:] {
			nal[2+i] = byte(1 + r.IntN(255))
		}
		return nal
	}
	for range 50 {
		var units []Unit
		sps := sps0
		pts := int64(r.Uint32())
		for range 40 {
			u := Unit{PTS: pts, Key: r.IntN(8) == 0 || len(units) == 0, PPS: pps0}
			pts += int64(r.IntN(7200)) + 1 - 1800*int64(r.IntN(2))
			if u.Key {
				sps = spsOf(0, 10+uint32(r.IntN(2)), 10, 0)
			}
			u.SPS = sps
			for range r.IntN(3) {
				u.Data = appendNAL(u.Data, random(6, 5))
			}
			head := byte(0x41)
			if u.Key {
				head = 0x65
			}
			u.Data = appendNAL(u.Data, random(head, 0x80|byte(r.IntN(128))))
			for range r.IntN(5) {
				u.Data = appendNAL(u.Data, random(head, byte(1+r.IntN(127))))
			}
			if len(units) > 0 && u.PTS == units[len(units)-1].PTS {
				continue
			}
			units = append(units, u)
		}
		sameUnits(t, roundTrip(t, Track{Codec: H264, ClockRate: 90000}, units), units)
	}
}

func TestRealPicturesSurvive(t *testing.T) {
	for name, args := range map[string][]string{
		"one slice":   nil,
		"four slices": {"-x264-params", "slices=4"},
		"B pictures":  {"-bf", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := film(t, args...)
			sameUnits(t, roundTrip(t, c.tracks[0], c.units), c.units)
			if name == "four slices" {
				n := 0
				for b := c.units[3].Data; len(b) > 0; n++ {
					b = b[lengthSize+binary.BigEndian.Uint32(b):]
				}
				if n != 4 {
					t.Errorf("%d slices: the test tries nothing", n)
				}
			}
		})
	}
}

func TestPacketiserRefusesWhatIsNoUnit(t *testing.T) {
	for name, data := range map[string][]byte{
		"cut length":   {0, 0, 1},
		"length of 0":  {0, 0, 0, 0},
		"beyond":       {0, 0, 0, 9, 0x65},
		"far beyond":   {0xff, 0xff, 0xff, 0xff, 0x65},
		"behind a NAL": append(avcc(idr(10)), 1),
	} {
		b, err := newPacketiser(h264Track(), 0, 1, 1).appendUnit([]byte("before"), Unit{Data: data})
		if err == nil || string(b) != "before" {
			t.Errorf("%s: %v, %q", name, err, b)
		}
	}
}

func FuzzH264Assembler(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newScript(t, h264Track())
		for len(b) >= 2 {
			// Per packet: how it stands to the one before, its length, its payload.
			how, n := b[0], int(b[1])
			b = b[2:]
			n = min(n, len(b))
			s.seq += uint16(how >> 6)
			s.send(uint32(how&0x1e)*100, how&1 != 0, b[:n])
			if how&0x20 != 0 {
				s.send(0x80000000, false, fu(idr(2000), 2)[0])
			}
			b = b[n:]
		}
		for i, u := range s.units {
			if _, err := ParseSPS(u.SPS); err != nil || !usablePPS(u.PPS) {
				t.Fatalf("unit %d with parameter sets %x %x", i, u.SPS, u.PPS)
			}
			key, slices := false, 0
			for d := u.Data; len(d) > 0; {
				if len(d) < 5 || int(binary.BigEndian.Uint32(d)) > len(d)-4 {
					t.Fatalf("unit %d is not AVCC: %x", i, u.Data)
				}
				n := binary.BigEndian.Uint32(d)
				typ := d[4] & nalTypeMask
				if n == 0 || typ == 0 || typ == nalDelimiter || typ > nalLast || d[4]&nalForbidden != 0 {
					t.Fatalf("unit %d holds a NAL unit of type %d, %d bytes", i, typ, n)
				}
				key = key || typ == nalIDR
				if isSlice(typ) {
					slices++
				}
				d = d[4+n:]
			}
			if slices == 0 || u.Key != key {
				t.Fatalf("unit %d: %d slices, key %v, said %v", i, slices, key, u.Key)
			}
		}
	})
}
