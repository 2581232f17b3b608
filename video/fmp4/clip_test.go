package fmp4

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// run runs a tool that must succeed and say nothing on standard error.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var out, said bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil || said.Len() > 0 {
		t.Fatalf("%s %v: %v\n%s", name, args, err, said.String())
	}
	return out.Bytes()
}

// makeClip has ffmpeg make a fragmented file of three seconds: H.264 High with
// B-frames and, if wanted, AAC.
func makeClip(t *testing.T, sound bool, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.mp4")
	args := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3"}
	if sound {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3", "-c:a", "aac", "-ac", "1")
	}
	args = append(args, "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "25",
		"-x264-params", "b-adapt=0:scenecut=0:repeat-headers=0")
	args = append(args, more...)
	args = append(args, "-movflags", "empty_moov+default_base_moof+frag_keyframe", path)
	run(t, "ffmpeg", args...)
	return path
}

// readAll parses a whole file.
func readAll(t *testing.T, b []byte) (tracks []Track, samples []Sample) {
	t.Helper()
	tracks, err := ParseInit(b)
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := ParseFragment(b)
		if err == io.EOF {
			return tracks, samples
		}
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, f.Samples...)
		b = b[f.Size:]
	}
}

func split(tracks []Track, samples []Sample) (video, audio []Sample) {
	for _, s := range samples {
		for _, t := range tracks {
			switch {
			case t.ID != s.Track:
			case t.AVC != nil:
				video = append(video, s)
			default:
				audio = append(audio, s)
			}
		}
	}
	return video, audio
}

// oneByOne writes a fragment a picture, with the sound that came since the one before.
func oneByOne(t *testing.T, tracks []Track, video, audio []Sample) []byte {
	t.Helper()
	b, err := AppendInit(nil, tracks)
	if err != nil {
		t.Fatal(err)
	}
	scale := map[uint32]uint64{}
	for _, t := range tracks {
		scale[t.ID] = uint64(t.Timescale)
	}
	seq := uint32(0)
	for i, v := range video {
		part := []Sample{v}
		for len(audio) > 0 && (i == len(video)-1 || audio[0].DTS*scale[v.Track] <= v.DTS*scale[audio[0].Track]) {
			part = append(part, audio[0])
			audio = audio[1:]
		}
		seq++
		before := len(b)
		b = AppendFragment(b, seq, part)
		if got := len(b) - before; got != FragmentSize(part) {
			t.Fatalf("fragment of %d bytes, FragmentSize says %d", got, FragmentSize(part))
		}
	}
	return b
}

type packet struct {
	Kind     string `json:"codec_type"`
	PTS, DTS int64
	Duration int64
	Size     string
	Flags    string
}

func packets(t *testing.T, path, stream string) []packet {
	t.Helper()
	var got struct{ Packets []packet }
	if err := json.Unmarshal(run(t, "ffprobe", "-v", "error", "-of", "json", "-select_streams", stream, "-show_packets", path), &got); err != nil {
		t.Fatal(err)
	}
	return got.Packets
}

// samplesAre compares with what ffprobe reads of the same file.
func samplesAre(t *testing.T, path, stream string, samples []Sample) {
	t.Helper()
	want := packets(t, path, stream)
	if len(want) != len(samples) || len(want) == 0 {
		t.Fatalf("%s: ffprobe finds %d packets, we %d", stream, len(want), len(samples))
	}
	// ffmpeg tells no PTS before its DTS: it moves all of them where offsets are negative.
	shift := int64(0)
	for _, s := range samples {
		shift = max(shift, -int64(s.CTS))
	}
	for i, s := range samples {
		p := want[i]
		if int64(s.DTS) != p.DTS || int64(s.DTS)+int64(s.CTS)+shift != p.PTS || strconv.Itoa(len(s.Data)) != p.Size || s.Key != (p.Flags[0] == 'K') {
			t.Fatalf("%s %d: ffprobe %+v, we DTS %d CTS %d size %d key %v", stream, i, p, s.DTS, s.CTS, len(s.Data), s.Key)
		}
	}
}

func TestFFmpegsFragmentsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		more []string
	}{
		{name: "plain"},
		{"styp, sidx, mfra and other boxes", []string{"-movflags", "+dash+global_sidx"}},
		{"CMAF, negative offsets", []string{"-movflags", "+cmaf+negative_cts_offsets"}},
		{"a fragment a frame", []string{"-movflags", "+frag_every_frame"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := makeClip(t, true, c.more...)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			tracks, samples := readAll(t, b)
			if got, want := Codecs(tracks), "avc1.64000d,mp4a.40.2"; got != want {
				t.Errorf("codecs %q, want %q", got, want)
			}
			if v := tracks[0].AVC; v.Width != 320 || v.Height != 240 {
				t.Errorf("%d x %d", v.Width, v.Height)
			}
			if a := tracks[1].AAC; a.SampleRate != 48000 || a.Channels != 1 {
				t.Errorf("%d Hz, %d channels", a.SampleRate, a.Channels)
			}
			video, audio := split(tracks, samples)
			samplesAre(t, path, "v:0", video)
			samplesAre(t, path, "a:0", audio)
		})
	}
}

func TestWhatIsWrittenPlays(t *testing.T) {
	t.Parallel()
	for _, sound := range []bool{false, true} {
		t.Run("sound "+strconv.FormatBool(sound), func(t *testing.T) {
			source := makeClip(t, sound)
			b, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			tracks, samples := readAll(t, b)
			video, audio := split(tracks, samples)
			// As a relay does that learns late of B-frames: offsets on both sides of zero.
			negative, late := false, video[0].CTS
			for i := range video {
				video[i].CTS -= late
				negative = negative || video[i].CTS < 0
			}
			if !negative {
				t.Fatal("no offset is negative: the clip has no B-frames")
			}
			ours := filepath.Join(t.TempDir(), "ours.mp4")
			if err := os.WriteFile(ours, oneByOne(t, tracks, video, audio), 0o600); err != nil {
				t.Fatal(err)
			}

			var got struct {
				Frames []struct {
					Kind string `json:"media_type"`
					PTS  int64
					Type string `json:"pict_type"`
				}
			}
			if err := json.Unmarshal(run(t, "ffprobe", "-v", "error", "-of", "json", "-show_frames", ours), &got); err != nil {
				t.Fatal(err)
			}
			count, last, types := map[string]int{}, map[string]int64{}, map[string]int{}
			for _, f := range got.Frames {
				if count[f.Kind] > 0 && f.PTS <= last[f.Kind] {
					t.Errorf("%s: PTS %d after %d", f.Kind, f.PTS, last[f.Kind])
				}
				count[f.Kind]++
				last[f.Kind] = f.PTS
				types[f.Type]++
			}
			if count["video"] != 75 || count["audio"] != len(audio) || types["B"] == 0 || types["I"] != 3 {
				t.Errorf("frames %v of types %v; want 75 pictures with B, 3 of them I, and %d of sound", count, types, len(audio))
			}
			samplesAre(t, ours, "v:0", video)
			if sound {
				samplesAre(t, ours, "a:0", audio)
			}
			// Every byte of every frame, and the parameter sets, as ffmpeg made them.
			sums := func(path string) []byte {
				return run(t, "ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-f", "hash", "-hash", "md5", "-")
			}
			if a, b := sums(source), sums(ours); !bytes.Equal(a, b) {
				t.Errorf("decoded pictures differ: %s %s", a, b)
			}
		})
	}
}
