package rtsp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// aacTrack is AAC-hbr, LC, 48 kHz, stereo.
func aacTrack() Track {
	return Track{
		Codec: AAC, ClockRate: 48000, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2,
		sizeLength: 13, indexLength: 3, indexDeltaLength: 3,
	}
}

// sound is a frame of n bytes.
func sound(n int) []byte { return bytes.Repeat([]byte{0x21}, n) }

// hbr makes a payload of AU headers with those sizes before body.
func hbr(body []byte, sizes ...int) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(16*len(sizes)))
	for _, n := range sizes {
		b = binary.BigEndian.AppendUint16(b, uint16(n<<3))
	}
	return append(b, body...)
}

func TestAACAssembly(t *testing.T) {
	for name, c := range map[string]struct {
		send func(s *script)
		want string
	}{
		"one frame a packet": {func(s *script) {
			s.send(0, true, hbr(sound(200), 200))
			s.send(1024, true, hbr(sound(300), 300))
		}, "0:200K 1024:300K"},
		"several frames a packet": {func(s *script) {
			s.send(0, true, hbr(sound(60), 10, 20, 30))
			s.send(3072, true, hbr(sound(10), 10))
		}, "0:10K 1024:20K 2048:30K 3072:10K"},
		"a frame in pieces": {func(s *script) {
			s.send(0, false, hbr(sound(1000), 2500))
			s.send(0, false, hbr(sound(1000), 2500))
			s.send(0, true, hbr(sound(500), 2500))
			s.send(1024, true, hbr(sound(10), 10))
		}, "0:2500K 1024:10K"},
		"a lost piece": {func(s *script) {
			s.send(0, false, hbr(sound(1000), 2500))
			s.seq++
			s.send(0, true, hbr(sound(500), 2500))
			s.send(1024, true, hbr(sound(10), 10))
		}, "1024:10KL"},
		"pieces whose end never comes": {func(s *script) {
			s.send(0, false, hbr(sound(1000), 2500))
			s.send(1024, true, hbr(sound(10), 10))
			s.send(2048, true, hbr(sound(10), 10))
		}, "1024:10KL 2048:10K"},
		"pieces that disagree about the size": {func(s *script) {
			s.send(0, false, hbr(sound(1000), 2500))
			s.send(0, false, hbr(sound(1000), 2600))
			s.send(1024, true, hbr(sound(10), 10))
		}, "1024:10KL"},
		"pieces that are more than the whole": {func(s *script) {
			s.send(0, false, hbr(sound(1000), 1500))
			s.send(0, true, hbr(sound(1000), 1500))
			s.send(1024, true, hbr(sound(10), 10))
		}, "1024:10KL"},
		"a size beyond the payload": {func(s *script) {
			s.send(0, true, hbr(sound(100), 10, 8191))
			s.send(2048, true, hbr(sound(10), 10))
		}, "0:10K 2048:10KL"},
		"a size of zero": {func(s *script) {
			s.send(0, true, hbr(sound(10), 10, 0, 0))
			s.send(2048, true, hbr(nil, 0))
			s.send(3072, true, hbr(sound(10), 10))
		}, "0:10K 3072:10KL"},
		"headers beyond the payload": {func(s *script) {
			s.send(0, true, []byte{0xff, 0xff, 0x10, 0x10})
			s.send(1, true, []byte{0, 0})
			s.send(2, true, []byte{0})
			s.send(3, true, []byte{0, 15, 0, 8, 1})
			s.send(4, true, nil)
			s.send(1024, true, hbr(sound(10), 10))
		}, "1024:10KL"},
		"headers that end within a header": {func(s *script) {
			b := hbr(sound(30), 10, 10)
			b[1] = 24
			s.send(0, true, b)
			s.send(1024, true, hbr(sound(10), 10))
		}, "0:10K 1024:10KL"},
		"interleaving": {func(s *script) {
			b := hbr(sound(20), 10, 10)
			b[5] |= 1
			s.send(0, true, b)
			s.send(1024, true, hbr(sound(10), 10))
		}, "0:10K 1024:10KL"},
		"more frames than a packet may hold": {func(s *script) {
			sizes := make([]int, maxAUs+2)
			for i := range sizes {
				sizes[i] = 1
			}
			s.send(0, true, hbr(sound(len(sizes)), sizes...))
			if s.units = s.units[maxAUs-1:]; len(s.units) != 1 {
				s.t.Fatalf("%d units", len(s.units)+maxAUs-1)
			}
			s.send(1024, true, hbr(sound(10), 10))
		}, "64512:1K 1024:10KL"},
		"a header of a byte stream": {func(s *script) {
			adts := append([]byte{0xff, 0xf1, 0x4c, 0x80, 2, 0x3f, 0xfc}, sound(10)...)
			s.send(0, true, hbr(adts, len(adts)))
			s.send(1024, true, hbr(adts[:7], 7))
			s.send(2048, true, hbr(sound(3), 3))
		}, "0:10K 2048:3KL"},
		"lost packets": {func(s *script) {
			s.send(0, true, hbr(sound(10), 10))
			s.seq += 3
			s.send(4096, true, hbr(sound(10), 10))
			s.send(5120, true, hbr(sound(10), 10))
		}, "0:10K 4096:10KL 5120:10K"},
		"time that wraps": {func(s *script) {
			s.send(0xffff_ff00, true, hbr(sound(20), 10, 10))
			s.send(0x0000_0700, true, hbr(sound(10), 10))
		}, "4294967040:10K 4294968064:10K 4294969088:10K"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, aacTrack())
			c.send(s)
			s.expect(c.want)
		})
	}
}

func TestAACOfLowRate(t *testing.T) {
	track := aacTrack()
	track.sizeLength, track.indexLength, track.indexDeltaLength = 6, 2, 2
	s := newScript(t, track)
	w := bitWriter{}
	w.bits(16, 16)
	w.bits(20<<2, 8)
	w.bits(30<<2, 8)
	s.send(0, true, append(w.b, sound(50)...))
	s.expect("0:20K 1024:30K")
	track.sizeLength, track.indexLength, track.indexDeltaLength = 0, 0, 0
	s = newScript(t, track)
	s.send(0, true, sound(77)) // no headers at all
	s.expect("0:77K")
}

func TestAACStepFollowsClockAndFrame(t *testing.T) {
	for name, c := range map[string]struct {
		clock, rate int
		config      []byte
		want        string
	}{
		"clock of the video":       {90000, 48000, []byte{0x11, 0x90}, "0:1K 1920:1K"},
		"HE-AAC: twice the core's": {48000, 24000, []byte{0x2b, 0x11, 0x88, 0, 0}, "0:1K 2048:1K"},
		"frames of 960":            {48000, 48000, []byte{0x11, 0x94}, "0:1K 960:1K"},
	} {
		track := aacTrack()
		track.ClockRate, track.SampleRate, track.Config = c.clock, c.rate, c.config
		s := newScript(t, track)
		s.t = t
		s.send(0, true, hbr(sound(2), 1, 1))
		s.expect(c.want)
		_ = name
	}
}

func TestTracksThatCannotBeAssembled(t *testing.T) {
	for name, change := range map[string]func(*Track){
		"no clock":         func(t *Track) { t.ClockRate = 0 },
		"clock below zero": func(t *Track) { t.ClockRate = -1 },
		"clock too fast":   func(t *Track) { t.ClockRate = 1 << 30 },
		"no codec":         func(t *Track) { t.Codec = "" },
		"no sample rate":   func(t *Track) { t.SampleRate = 0 },
		"no configuration": func(t *Track) { t.Config = nil },
		"header too long":  func(t *Track) { t.sizeLength = 33 },
		"header below 0":   func(t *Track) { t.indexLength = -1 },
	} {
		track := aacTrack()
		change(&track)
		if _, err := newAssembler(0, track); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAACNothingIsAllocatedPerPacket(t *testing.T) {
	a, err := newAssembler(1, aacTrack())
	if err != nil {
		t.Fatal(err)
	}
	p := &rtp.Packet{Payload: hbr(sound(600), 200, 400)}
	now := time.Now()
	units := 0
	packet := func() {
		p.SequenceNumber++
		p.Timestamp += 2048
		a.push(p, now)
		for u, ok := a.pop(); ok; u, ok = a.pop() {
			units++
			if u.Track != 1 || u.Received != now {
				t.Fatalf("unit of track %d", u.Track)
			}
		}
	}
	packet()
	if n := testing.AllocsPerRun(100, packet); n != 0 || units != 204 {
		t.Errorf("%v allocations a packet, %d units", n, units)
	}
}

func TestFramesOfSoundSurvivePacketsAndAssembly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var units []Unit
	for i := range 300 {
		b := sound(1 + r.IntN([]int{300, maxAACFrame}[r.IntN(2)]))
		b[0] = byte(r.IntN(200))
		units = append(units, Unit{PTS: 1<<32 - 100*1024 + int64(i)*1024, Key: true, Data: b})
	}
	sameUnits(t, roundTrip(t, aacTrack(), units), units)
	for _, n := range []int{0, maxAACFrame + 1} {
		if _, err := newPacketiser(aacTrack(), 0, 1, 1).appendUnit(nil, Unit{Data: sound(n)}); err == nil {
			t.Errorf("frame of %d bytes taken", n)
		}
	}
}

func FuzzAACAssembler(f *testing.F) {
	f.Fuzz(func(t *testing.T, size, index, delta uint8, b []byte) {
		track := aacTrack()
		track.sizeLength, track.indexLength, track.indexDeltaLength = int(size%17), int(index%17), int(delta%17)
		s := newScript(t, track)
		carried := 0
		for len(b) >= 2 {
			how, n := b[0], int(b[1])
			b = b[2:]
			n = min(n, len(b))
			s.seq += uint16(how >> 6)
			s.send(uint32(how&0x1e)*100, how&1 != 0, b[:n])
			carried += n
			b = b[n:]
		}
		got := 0
		for i, u := range s.units {
			if len(u.Data) == 0 || len(u.Data) > maxAU || !u.Key {
				t.Fatalf("unit %d of %d bytes, key %v", i, len(u.Data), u.Key)
			}
			got += len(u.Data)
		}
		if got > carried {
			t.Fatalf("%d bytes out of %d", got, carried)
		}
	})
}
