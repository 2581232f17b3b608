package rtsp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
)

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
	for range 8 {
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
