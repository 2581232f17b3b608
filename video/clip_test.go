package video

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"cuulong/video/fmp4"
	"cuulong/video/rtsp"
)

// tool runs a tool that must succeed and say nothing on standard error.
func tool(t *testing.T, name string, args ...string) []byte {
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

// clip is a camera that plays a file once, in step with the clock.
type clip struct {
	tracks  []rtsp.Track
	units   []rtsp.Unit
	seconds []float64 // when each unit is due
}

// makeClip has ffmpeg encode four seconds with sound, as told by more.
func makeClip(t *testing.T, more ...string) *clip {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.mp4")
	args := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4", "-c:a", "aac", "-ac", "1",
		"-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-pix_fmt", "yuv420p", "-g", "25"}, more...)
	tool(t, "ffmpeg", append(args, "-movflags", "empty_moov+default_base_moof+frag_keyframe", path)...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tracks, err := fmp4.ParseInit(b)
	if err != nil {
		t.Fatal(err)
	}
	c := &clip{}
	index, scale := map[uint32]int{}, map[uint32]float64{}
	for _, tr := range tracks {
		index[tr.ID], scale[tr.ID] = len(c.tracks), float64(tr.Timescale)
		if tr.AVC != nil {
			c.tracks = append(c.tracks, rtsp.Track{Codec: rtsp.H264, ClockRate: videoRate, SPS: tr.AVC.SPS, PPS: tr.AVC.PPS})
		} else {
			c.tracks = append(c.tracks, rtsp.Track{Codec: rtsp.AAC, ClockRate: tr.AAC.SampleRate, SampleRate: tr.AAC.SampleRate,
				Channels: tr.AAC.Channels, Config: tr.AAC.Config})
		}
	}
	var samples []fmp4.Sample
	for {
		f, err := fmp4.ParseFragment(b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, f.Samples...)
		b = b[f.Size:]
	}
	due := func(s fmp4.Sample) float64 { return float64(s.DTS) / scale[s.Track] }
	slices.SortStableFunc(samples, func(a, b fmp4.Sample) int { return cmp.Compare(due(a), due(b)) })
	for _, s := range samples {
		i := index[s.Track]
		pts := (float64(s.DTS) + float64(s.CTS)) / scale[s.Track]
		c.units = append(c.units, rtsp.Unit{Track: i, PTS: int64(pts*float64(c.tracks[i].ClockRate) + 0.5), Key: s.Key, Data: s.Data})
		c.seconds = append(c.seconds, due(s))
	}
	return c
}

func (c *clip) Tracks() []rtsp.Track { return c.tracks }

func (c *clip) Play(ctx context.Context, w *rtsp.Writer) error {
	begin := time.Now()
	for i, u := range c.units {
		select {
		case <-time.After(time.Until(begin.Add(time.Duration(c.seconds[i] * float64(time.Second))))):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.Write(u); err != nil {
			return err
		}
	}
	return nil
}

// TestWhatViewersGetIsPlayable has ffprobe judge what a viewer would get of an
// encoder's stream, whatever its order of pictures.
func TestWhatViewersGetIsPlayable(t *testing.T) {
	tests := []struct {
		name string
		more []string
	}{
		{"in order", []string{"-profile:v", "baseline"}},
		{"high without reordering", []string{"-bf", "0"}},
		{"reordered", []string{"-bf", "2", "-x264-params", "b-adapt=0:scenecut=0"}},
		{"pyramid", []string{"-bf", "3", "-x264-params", "b-adapt=0:scenecut=0:b-pyramid=normal"}},
		{"slices", []string{"-bf", "0", "-x264-params", "slices=4"}},
	}
	sources := map[string]rtsp.Source{}
	for i, test := range tests {
		sources[strconv.Itoa(i)] = makeClip(t, test.more...)
	}
	address, _ := serve(t, rtsp.ServerOptions{Open: func(path string) (rtsp.Source, error) { return sources[path], nil }})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			create(t, c, camera("cam-1", "rtsp://"+address+"/"+strconv.Itoa(i)))
			v := subscribe(t, c, "cam-1")
			defer start(t, c)()
			var file bytes.Buffer
			pictures := 0
			for lost := false; !lost; {
				switch ev := next(t, v); {
				case ev.Stream != nil:
					if pictures > 0 {
						t.Errorf("another stream after %d pictures", pictures)
					}
					if ev.Stream.Width != 320 || ev.Stream.Height != 240 {
						t.Errorf("%d x %d", ev.Stream.Width, ev.Stream.Height)
					}
					file.Write(ev.Stream.Init)
				case ev.Lost != nil:
					lost = ev.Lost.State == Retrying
				default:
					file.Write(ev.Fragment)
					pictures++
				}
			}
			path := filepath.Join(t.TempDir(), "live.mp4")
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			var probed struct {
				Frames []struct {
					Kind     string `json:"media_type"`
					PTS      int64  `json:"pts"`
					Duration int64  `json:"pkt_duration"`
				}
				Packets []struct {
					Kind string `json:"codec_type"`
					DTS  int64  `json:"dts"`
				}
			}
			if err := json.Unmarshal(tool(t, "ffprobe", "-v", "warning", "-show_frames", "-of", "json", path), &probed); err != nil {
				t.Fatal(err)
			}
			last := map[string]int64{"video": -1, "audio": -1}
			count := map[string]int{}
			steps := map[int64]int{}
			for _, f := range probed.Frames {
				if f.PTS <= last[f.Kind] {
					t.Errorf("%s at %d after %d", f.Kind, f.PTS, last[f.Kind])
				}
				if f.Kind == "video" && last["video"] >= 0 {
					steps[f.PTS-last["video"]]++
				}
				last[f.Kind] = f.PTS
				count[f.Kind]++
			}
			// The very last unit may go with the camera.
			if count["video"] < 98 || count["audio"] < 170 {
				t.Errorf("frames: %v", count)
			}
			if steps[3600] < 96 {
				t.Errorf("steps of showing time: %v", steps)
			}
			if apart := float64(last["video"])/videoRate - float64(last["audio"])/48000; apart < -0.5 || apart > 0.5 {
				t.Errorf("pictures and sound end %.2f s apart", apart)
			}
		})
	}
}
