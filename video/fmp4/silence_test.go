package fmp4

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestSilence: decoders take it at any rate, after nothing and after itself, and nothing is heard.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		name           string
		config         []byte
		rate, channels int
	}{
		{"8 kHz mono", unhex("15 88"), 8000, 1},
		{"48 kHz mono", lcMono, 48000, 1},
		{"16 kHz stereo", unhex("14 10"), 16000, 2},
		{"44,1 kHz stereo", unhex("12 10"), 44100, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			track := Track{ID: 1, Timescale: uint32(c.rate), AAC: &AAC{Config: c.config, SampleRate: c.rate, Channels: c.channels}}
			b, err := AppendInit(nil, []Track{track})
			if err != nil {
				t.Fatal(err)
			}
			const frames = 20
			for i := range frames {
				b = AppendFragment(b, uint32(i+1), []Sample{{Track: 1, DTS: uint64(i) * 1024, Duration: 1024, Key: true, Data: track.AAC.Silence()}})
			}
			path := filepath.Join(t.TempDir(), "silence.mp4")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			pcm := run(t, "ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-")
			if want := frames * 1024 * 2 * c.channels; len(pcm) != want || len(bytes.Trim(pcm, "\x00")) != 0 {
				t.Errorf("%d bytes of sound, want %d, all zero", len(pcm), want)
			}
		})
	}
	for name, config := range map[string]string{"HE-AAC": "2b 92 08 00", "5.1": "11 b0", "channels said elsewhere": "11 80", "none": ""} {
		if b := (&AAC{Config: unhex(config)}).Silence(); b != nil {
			t.Errorf("%s: %x", name, b)
		}
	}
}
