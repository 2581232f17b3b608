package video

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"cuulong/video/fmp4"
	"cuulong/video/rtsp"
)

func TestSoundStandsBesideThePictures(t *testing.T) {
	var s soundline
	s.begin(48000, 48000)
	s.behind(480000)
	// place gives the frames before it that were filled, and whether it had a place.
	place := func(pts, want int64) (int, bool) {
		empty, ok := s.place(pts, want, maxFrames)
		if ok {
			s.next += int64(empty+1) * frameSamples
		}
		return empty, ok
	}
	// It begins where the pictures are, and goes on without gap while want jitters.
	for i := range int64(100) {
		if empty, ok := place(1<<32+i*frameSamples, 480000+i*frameSamples+i%7*300); !ok || empty != 0 {
			t.Fatalf("frame %d: %d empty before it, %v", i, empty, ok)
		}
	}
	// Three frames were lost: three places are filled.
	if empty, ok := place(1<<32+103*frameSamples, 480000+103*frameSamples); !ok || empty != 3 {
		t.Errorf("after three lost frames %d are filled, %v", empty, ok)
	}
	// The pictures' time jumped a second forward: so does the sound.
	at := int64(480000 + 104*frameSamples + 48000)
	if empty, ok := place(1<<32+104*frameSamples, at); !ok || empty != 46 {
		t.Errorf("after a jump forward %d are filled, %v", empty, ok)
	}
	// A second back: no place until the pictures come by again.
	at = s.next - 48000
	refused := 0
	for i := range int64(100) {
		empty, ok := place(1<<32+(105+i)*frameSamples, at+i*frameSamples)
		if !ok {
			refused++
			continue
		}
		if off := s.next - frameSamples - (at + i*frameSamples); empty != 0 || off > 14400 || off < -14400 {
			t.Fatalf("frame %d stands %d samples off, after %d empty", i, off, empty)
		}
	}
	if refused < 30 || refused > 50 {
		t.Errorf("%d frames of about 47 were left out", refused)
	}
	// A clock that is a thousandth too slow is caught up with, a frame at a time.
	s.begin(48000, 48000)
	s.behind(0)
	filled := 0
	for i := range int64(3000) {
		empty, ok := place(i*frameSamples+i, i*frameSamples+i)
		if !ok || empty > 1 {
			t.Fatalf("frame %d: %d empty, %v", i, empty, ok)
		}
		filled += empty
	}
	if filled != 2 {
		t.Errorf("3,000 samples of drift filled %d places", filled)
	}
}

func FuzzSoundline(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x00"), int64(0), uint32(48000), uint32(24000))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), int64(1<<40), uint32(0), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, want int64, clock, rate uint32) {
		if rate > 96000 || want < 0 || want > 1<<50 {
			return
		}
		var s soundline
		s.begin(int(clock), int(rate))
		for ; len(b) >= 8; b = b[8:] {
			room := int(b[6])
			if n := s.behind(want); n < 0 || s.next < 0 {
				t.Fatalf("%d behind, at %d", n, s.next)
			}
			empty, ok := s.place(int64(binary.BigEndian.Uint64(b)), want, room)
			if empty < 0 || ok && empty > 0 && empty >= room || !ok && empty > 0 && empty < room {
				t.Fatalf("%d empty of %d, %v", empty, room, ok)
			}
			if ok {
				s.next += int64(empty+1) * frameSamples
			}
			want += int64(b[7]) * 100
		}
	})
}

// A camera's sound comes, goes and has holes, its pictures are damaged; what a
// viewer gets of one stream has every place of the grid once, and keeps up with the pictures.
func TestSoundComesAndGoes(t *testing.T) {
	m, begin := testMux(t, true)
	sps := makeSPS(66, 640, 352)
	silence := (&fmp4.AAC{Config: m.tracks[1].Config}).Silence()
	var streams []string
	var stream *Stream
	var next uint64 // place of the grid; 0: the stream has had no sound
	heard, silent := 0, 0
	// 60 s at 25 pictures a second; a key frame every second; sound but from 10 to 30 s.
	for n := range 1500 {
		at := begin.Add(time.Duration(n) * 40 * time.Millisecond)
		if second := n / 25; second < 10 || second >= 30 {
			for i := range 5 { // 125 frames in 8 s
				frame := n*5 + i
				if frame%8 != 0 || frame/8%50 > 47 { // two of fifty never come
					continue
				}
				m.push(&rtsp.Unit{Track: 1, PTS: int64(frame/8) * frameSamples, Received: at.Add(-time.Millisecond), Key: true, Data: []byte("sound")})
			}
		}
		lost := n == 1010 // nothing is shown until the next key frame
		out, ok := m.push(&rtsp.Unit{PTS: int64(n) * 3600, Received: at, Key: n%25 == 0, Lost: lost, Data: picture(uint32(n), n%25 == 0, 100), SPS: sps, PPS: testPPS})
		if want := n < 1010 || n >= 1025; ok != want {
			t.Fatalf("picture %d: %v", n, ok)
		}
		if !ok {
			continue
		}
		if out.stream != stream {
			if !out.key {
				t.Errorf("picture %d begins a stream and is no key frame", n)
			}
			stream, next = out.stream, 0
			streams = append(streams, stream.Codecs)
		}
		f, err := fmp4.ParseFragment(out.fragment)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Samples[1:] {
			if s.Track != soundTrack || next != 0 && s.DTS != next {
				t.Fatalf("picture %d: sound %+v, the grid is at %d", n, s, next)
			}
			switch {
			case string(s.Data) == "sound":
				heard++
			case bytes.Equal(s.Data, silence):
				silent++
			default:
				t.Fatalf("picture %d: sound %q", n, s.Data)
			}
			next = s.DTS + frameSamples
		}
		if next != 0 {
			if off := int64(next)*videoRate/16000 - int64(f.Samples[0].DTS); off > videoRate/2 || off < -videoRate*3/10 {
				t.Fatalf("picture %d: sound ends %d ticks off", n, off)
			}
		}
	}
	want := []string{"avc1.42001f,mp4a.40.2", "avc1.42001f", "avc1.42001f,mp4a.40.2"}
	if !slices.Equal(streams, want) {
		t.Errorf("streams %v, want %v", streams, want)
	}
	// 40 s of 15.625 frames a second, of which 48 of 50 came; a second and two were filled.
	if heard < 560 || heard > 600 || silent < 30 || silent > 80 {
		t.Errorf("%d frames heard, %d silent", heard, silent)
	}
}

// Sound whose holes could not be filled is left out from the beginning.
func TestSoundThatCannotBeFilledIsLeftOut(t *testing.T) {
	m, begin := testMux(t, true)
	m.tracks[1].Config, m.tracks[1].Channels = []byte{0x14, 0x30}, 6
	m.push(&rtsp.Unit{Track: 1, Received: begin, Key: true, Data: []byte("sound")})
	out, ok := m.push(&rtsp.Unit{Received: begin, Key: true, Data: picture(1, true, 100), SPS: makeSPS(66, 640, 352), PPS: testPPS})
	if !ok || out.stream.Codecs != "avc1.42001f" {
		t.Errorf("stream %+v, %v", out.stream, ok)
	}
}
