package field

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"testing"
	"time"
)

// What is embedded is a minute each, in groups of 2 s, and small.
func TestDemoClips(t *testing.T) {
	reels, err := demoReels()
	if err != nil || len(reels) != 6 {
		t.Fatalf("%d clips, %v", len(reels), err)
	}
	for i, r := range reels {
		if n := len(r.clip.units); n != 60*demoFPS {
			t.Errorf("cam-%d has %d pictures", i+1, n)
		}
		for k, u := range r.clip.units {
			if want := k - k%24; u.key != want {
				t.Fatalf("picture %d of cam-%d begins with %d, want %d", k, i+1, u.key, want)
			}
		}
		if (r.sound != nil) != (i == 5) {
			t.Errorf("cam-%d has sound: %v", i+1, r.sound != nil)
		}
	}
	total := int64(0)
	names, err := fs.Glob(clips, "clips/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := fs.Stat(clips, name)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 1_450_000 {
		t.Errorf("%d bytes are embedded", total)
	}
}

func nal(kind byte, body ...byte) []byte { return append([]byte{0, 0, 0, 1, kind}, body...) }

func TestReadClip(t *testing.T) {
	sps, pps, aud := nal(nalSPS, 1), nal(nalPPS, 2), nal(nalAUD, 3)
	key, more, next := nal(0x65, 0x80, 4), nal(0x65, 0x40, 5), nal(0x41, 0x80, 6, 0, 0)
	sei := nal(nalSEI, 9)
	for name, c := range map[string]struct {
		data  []byte
		units []int // bytes of each
	}{
		"nothing":                   {nil, nil},
		"no start code":             {[]byte("moov"), nil},
		"start code only":           {[]byte{0, 0, 1}, nil},
		"no key frame":              {join(sps, pps, next, next), nil},
		"no parameter sets":         {join(aud, key, next), nil},
		"two pictures":              {join(sps, pps, key, next), []int{7, 7}},
		"two slices":                {join(aud, sps, pps, key, more, aud, next), []int{14, 7}},
		"before the key frame":      {join(next, sps, pps, next, key), []int{7}},
		"SEI belongs to what comes": {join(sps, pps, sei, key, sei, next), []int{13, 13}},
		"groups":                    {join(sps, pps, key, next, sps, pps, key, next), []int{7, 7, 7, 7}},
	} {
		got, err := ReadClip(c.data, 25)
		if (err == nil) != (len(c.units) > 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, n := range c.units {
			if len(got.units) != len(c.units) || len(got.units[i].data) != n {
				t.Errorf("%s: %+v, want sizes %v", name, got.units, c.units)
				break
			}
		}
	}
	for _, fps := range []int{-1, 0, 241} {
		if _, err := ReadClip(join(sps, pps, key), fps); err == nil {
			t.Errorf("%d pictures a second were taken", fps)
		}
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func FuzzReadClip(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadClip(data, 25)
		if err != nil {
			return
		}
		total := 0
		for i, u := range c.units {
			if u.sps == nil || u.pps == nil || u.key > i || c.units[u.key].key != u.key {
				t.Fatalf("unit %d: %+v", i, u)
			}
			for b := u.data; len(b) > 0; {
				n := binary.BigEndian.Uint32(b)
				if n == 0 || int(n) > len(b)-4 {
					t.Fatalf("unit %d has a length of %d in %d bytes", i, n, len(b))
				}
				b = b[4+n:]
				total += int(n)
			}
		}
		if total > len(data) {
			t.Fatalf("%d bytes out of %d", total, len(data))
		}
	})
}

func FuzzReadADTS(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readADTS(data)
		if err != nil {
			return
		}
		total := 0
		for _, frame := range s.frames {
			if len(frame) == 0 || len(frame) > 8191 {
				t.Fatalf("a frame of %d bytes", len(frame))
			}
			total += 7 + len(frame)
		}
		if total > len(data) || s.track.SampleRate == 0 || len(s.track.Config) != 2 {
			t.Fatalf("%d bytes out of %d: %+v", total, len(data), s.track)
		}
	})
}

func FuzzReadStamp(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		n, sent, ok := ReadStamp(data)
		if ok && !bytes.Contains(data, appendStamp(nil, n, sent)[4+3:4+3+16]) {
			t.Fatal("a stamp out of nothing")
		}
	})
}

func TestStamp(t *testing.T) {
	at := time.Unix(1774000000, 123456789)
	unit := appendStamp(nil, 7, at)
	if n := binary.BigEndian.Uint32(unit); int(n) != len(unit)-4 {
		t.Errorf("a length of %d in %d bytes", n, len(unit))
	}
	if bytes.IndexByte(unit[4:], 0) >= 0 {
		t.Error("a zero that would need emulation prevention")
	}
	if n, sent, ok := ReadStamp(append([]byte("moof mdat"), unit...)); !ok || n != 7 || !sent.Equal(at) {
		t.Errorf("%d, %v, %v", n, sent, ok)
	}
	for cut := range len(unit) - 1 {
		if _, _, ok := ReadStamp(unit[:cut]); ok {
			t.Errorf("read out of %d bytes", cut)
		}
	}
}

// A unit is due at a moment, and not before it; the minute of the demo's clock is its loop.
func TestBeat(t *testing.T) {
	for _, b := range []beat{{12, 1}, {25, 1}, {50, 1}, {7, 1}, {16000, aacSamples}, {44100, aacSamples}} {
		for _, i := range []int64{0, 1, 5, 1_000_003, 20_000_000_000 / b.step} {
			due := b.due(i)
			if b.at(due) != i || i > 0 && b.at(due.Add(-1)) != i-1 {
				t.Errorf("%+v: %d is due at %v, when it is %d", b, i, due, b.at(due))
			}
		}
	}
	for _, at := range []string{"2026-03-20T14:32:00Z", "2026-03-20T14:32:37.5Z", "2026-03-20T14:32:59.999Z"} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := mod(beat{demoFPS, 1}.at(now), 60*demoFPS), now.UnixMilli()%60000*demoFPS/1000; got != want {
			t.Errorf("at %s picture %d, want %d", at, got, want)
		}
	}
}

// A clip's groups, over the seam of the loop.
func TestClipGroups(t *testing.T) {
	c := &Clip{fps: 10, units: []clipUnit{{key: 0}, {key: 0}, {key: 2}, {key: 2}, {key: 2}}}
	for i, want := range map[int64][2]int64{0: {0, 0}, 1: {0, 2}, 2: {2, 2}, 4: {2, 5}, 5: {5, 5}, 53: {52, 55}} {
		if before, from := c.keyBefore(i), c.keyFrom(i); before != want[0] || from != want[1] {
			t.Errorf("%d: key frames %d and %d, want %v", i, before, from, want)
		}
	}
}
