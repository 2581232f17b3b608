package rtsp

import (
	"bytes"
	"errors"
	"testing"
)

// interlacedSPS makes a sequence parameter set as 1080 interlaced lines come: 34
// rows of macroblocks in each field, cropped by 2 steps of 4 lines.
func interlacedSPS() []byte {
	w := bitWriter{}
	w.bits(0x67, 8)
	w.bits(77, 8) // Main
	w.bits(0, 8)
	w.bits(40, 8)
	for _, v := range []uint32{0, 0, 0, 0, 4} {
		w.golomb(v)
	}
	w.bits(0, 1)
	w.golomb(120 - 1)
	w.golomb(34 - 1)
	w.bits(0, 1) // fields
	w.bits(0, 1)
	w.bits(1, 1)
	w.bits(1, 1)
	for _, v := range []uint32{0, 0, 0, 2} {
		w.golomb(v)
	}
	w.bits(0, 1)
	w.bits(1, 1)
	return w.b
}

func TestParseSPS(t *testing.T) {
	for name, c := range map[string]struct {
		sps  []byte
		want Picture
	}{
		"360 lines":  {sps0, Picture{Width: 640, Height: 360, Profile: 66}},
		"interlaced": {interlacedSPS(), Picture{Width: 1920, Height: 1080, Profile: 77}},
		"High, 1080 lines, 25 a second": { // x264's
			[]byte("\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xc8\x3c\x60\xc6\x58"),
			Picture{Width: 1920, Height: 1080, FPS: 25, Profile: 100},
		},
		"smallest": {spsOf(0, 1, 1, 0), Picture{Width: 16, Height: 16, Profile: 66}},
		"largest":  {spsOf(0, 1024, 1024, 0), Picture{Width: 16384, Height: 16384, Profile: 66}},
	} {
		got, err := ParseSPS(c.sps)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for name, sps := range map[string][]byte{
		"nothing":              nil,
		"one byte":             {0x67},
		"two bytes":            {0x67, 0x42},
		"a picture set":        append([]byte{0x68}, sps0[1:]...),
		"the forbidden bit":    append([]byte{0xe7}, sps0[1:]...),
		"cut off":              sps0[:6],
		"ones only":            bytes.Repeat([]byte{0xff}, 40),
		"zeros only":           append([]byte{0x67}, make([]byte, 40)...),
		"too long":             append(bytes.Clone(sps0), make([]byte, maxParameters)...),
		"too large":            spsOf(0, 1025, 10, 0),
		"a size that wraps":    spsOf(0, 1<<28, 1<<28, 0),
		"more crop than lines": spsOf(0, 10, 10, 100),
		"crop that wraps":      spsOf(0, 10, 10, 1<<31),
		"nothing is left":      spsOf(0, 10, 1, 4),
	} {
		got, err := ParseSPS(sps)
		var f *Error
		if !errors.As(err, &f) || got != (Picture{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestParseAudioConfig(t *testing.T) {
	explicit := bitWriter{}
	explicit.bits(2, 5)
	explicit.bits(15, 4)
	explicit.bits(12345, 24)
	explicit.bits(1, 4)
	small := bitWriter{}
	small.bits(2, 5)
	small.bits(15, 4)
	small.bits(3, 24) // not the rate of index 3
	small.bits(1, 4)
	for name, c := range map[string]struct {
		config         []byte
		rate, channels int
	}{
		"LC, 48 kHz, stereo": {[]byte{0x11, 0x90}, 48000, 2},
		"LC, 8 kHz, mono":    {[]byte{0x15, 0x88}, 8000, 1},
		"HE, 24 kHz core":    {[]byte{0x2b, 0x11, 0x88, 0, 0}, 24000, 2},
		"7.1":                {[]byte{0x11, 0xb8}, 48000, 8},
		"a rate of its own":  {explicit.b, 12345, 1},
	} {
		rate, channels, err := ParseAudioConfig(c.config)
		if err != nil || rate != c.rate || channels != c.channels {
			t.Errorf("%s: %d Hz, %d channels, %v", name, rate, channels, err)
		}
	}
	for name, c := range map[string]struct {
		config []byte
		code   Code
	}{
		"nothing":           {nil, Protocol},
		"one byte":          {[]byte{0x11}, Protocol},
		"too long":          {make([]byte, maxAudioConfig+1), Protocol},
		"cut off":           {explicit.b[:3], Protocol},
		"reserved rate":     {[]byte{0x16, 0x88}, Protocol},
		"a rate of 3 Hz":    {small.b, Protocol},
		"no channels":       {[]byte{0x11, 0x80}, UnsupportedCodec},
		"reserved channels": {[]byte{0x11, 0xc0}, UnsupportedCodec},
		"CELP":              {[]byte{0x41, 0x90}, UnsupportedCodec},
		"type 0":            {[]byte{0x01, 0x90}, UnsupportedCodec},
		"escaped type":      {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, UnsupportedCodec},
	} {
		rate, channels, err := ParseAudioConfig(c.config)
		var f *Error
		if !errors.As(err, &f) || f.Code != c.code || rate != 0 || channels != 0 {
			t.Errorf("%s: %d Hz, %d channels, %v", name, rate, channels, err)
		}
	}
}

func FuzzSPS(f *testing.F) {
	f.Fuzz(func(t *testing.T, sps []byte) {
		p, err := ParseSPS(sps)
		if err != nil {
			if p != (Picture{}) {
				t.Fatalf("%+v beside %v", p, err)
			}
			return
		}
		if p.Width < minSide || p.Width > maxSide || p.Height < minSide || p.Height > maxSide || p.FPS < 0 || p.FPS > maxFPS {
			t.Fatalf("%+v", p)
		}
		usablePPS(sps)
	})
}

func FuzzAudioConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, config []byte) {
		rate, channels, err := ParseAudioConfig(config)
		if err != nil {
			return
		}
		if rate < 7350 || rate > 96000 || channels < 1 || channels > 8 {
			t.Fatalf("%d Hz, %d channels", rate, channels)
		}
		if n := audioFrame(config); n != 960 && n != 1024 {
			t.Fatalf("frames of %d", n)
		}
	})
}
