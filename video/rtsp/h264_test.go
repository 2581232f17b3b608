package rtsp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

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
