package rtsp

import (
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clip is a short film of ffmpeg's, as units.
type clip struct {
	tracks []Track
	units  []Unit
}

func (c *clip) Tracks() []Track { return c.tracks }

// Play sends all at once, as fast as the client reads.
func (c *clip) Play(ctx context.Context, w *Writer) error {
	for _, u := range c.units {
		if err := w.Write(u); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

const (
	clipFrames = 50
	clipFPS    = 25
)

// film makes a clip of a test picture, with extra arguments of x264.
func film(t testing.TB, args ...string) *clip {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.h264")
	command := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-frames:v", "50",
		"-c:v", "libx264", "-g", "25", "-bf", "0", "-pix_fmt", "yuv420p"}
	command = append(append(command, args...), "-bsf:v", "h264_mp4toannexb", "-f", "h264", path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ffmpeg", command...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return clipOf(t, b)
}

// listen serves o's sources and gives the address.
func listen(t testing.TB, o ServerOptions) (*Server, string) {
	t.Helper()
	s := NewServer(o)
	return s, serveOn(t, s)
}

// serveOn lets s serve on loopback until the test ends.
func serveOn(t testing.TB, s *Server) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

func only(path string, s Source) func(string) (Source, error) {
	return func(p string) (Source, error) {
		if p != path {
			return nil, fs.ErrNotExist
		}
		return s, nil
	}
}

// clipOf cuts a byte stream of ffmpeg's into pictures of one slice or several.
func clipOf(t testing.TB, b []byte) *clip {
	t.Helper()
	c := &clip{}
	var u Unit
	var sps, pps []byte
	flush := func() {
		if len(u.Data) > 0 {
			u.PTS, u.SPS, u.PPS = int64(len(c.units))*90000/clipFPS, sps, pps
			c.units = append(c.units, u)
		}
		u = Unit{}
	}
	for nal := range strings.SplitSeq(string(b), "\x00\x00\x01") {
		nal = strings.TrimRight(nal, "\x00")
		if nal == "" {
			continue
		}
		switch typ := nal[0] & nalTypeMask; {
		case typ == nalSPS:
			sps = []byte(nal)
		case typ == nalPPS:
			pps = []byte(nal)
		case isSlice(typ):
			if nal[1]&0x80 != 0 {
				flush()
			}
			u.Key = u.Key || typ == nalIDR
			u.Data = appendNAL(u.Data, []byte(nal))
		}
	}
	flush()
	c.tracks = []Track{{Codec: H264, ClockRate: 90000, SPS: sps, PPS: pps}}
	if len(c.units) != clipFrames || sps == nil || pps == nil {
		t.Fatalf("clip of %d pictures", len(c.units))
	}
	return c
}

func appendNAL(b, nal []byte) []byte {
	n := len(nal)
	return append(append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), nal...)
}

// probe lets ffprobe count the pictures that it decodes.
func probe(t testing.TB, url string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := append([]string{"-v", "error", "-rtsp_transport", "tcp"}, args...)
	out, err := exec.CommandContext(ctx, "ffprobe", append(command, url)...).CombinedOutput()
	return string(out), err
}

func TestServedToFFprobe(t *testing.T) {
	secret := func(user string) (string, bool) { return "mười:2", user == "trạm" }
	for name, o := range map[string]ServerOptions{
		"open":   {},
		"digest": {Password: secret},
		"basic":  {Password: secret, Basic: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.Open = only("cam-1", film(t))
			_, address := listen(t, o)
			login := ""
			if o.Password != nil {
				login = "tr%E1%BA%A1m:m%C6%B0%E1%BB%9Di%3A2@"
			}
			out, err := probe(t, "rtsp://"+login+address+"/cam-1",
				"-show_entries", "stream=codec_name,width,height:frame=pts,pict_type", "-read_intervals", "%+#40", "-of", "csv=p=0")
			if err != nil {
				t.Fatalf("ffprobe: %v: %s", err, out)
			}
			if !strings.Contains(out, "h264,320,240") || strings.Count(out, ",I") < 2 || strings.Count(out, ",P") < 30 {
				t.Errorf("ffprobe saw:\n%s", out)
			}
			if o.Password != nil {
				if out, err := probe(t, "rtsp://x:y@"+address+"/cam-1"); err == nil || !strings.Contains(out, "401") {
					t.Errorf("wrong password: %v: %s", err, out)
				}
			}
			if out, err := probe(t, "rtsp://"+login+address+"/cam-2"); err == nil || !strings.Contains(out, "404") {
				t.Errorf("no such path: %v: %s", err, out)
			}
		})
	}
}

// withSound adds a second of AAC from ffmpeg to a clip, in step with its pictures.
func withSound(t testing.TB, c *clip) *clip {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sound.aac")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", "2", "-ac", "2", "-c:a", "aac", "-b:a", "64k", "-f", "adts", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var frames []Unit
	for len(b) >= 7 {
		n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5) // aac_frame_length
		frames = append(frames, Unit{Track: 1, PTS: int64(len(frames)) * 1024, Key: true, Data: withoutADTS(b[:n])})
		b = b[n:]
	}
	both := &clip{tracks: append(c.tracks, aacTrack())}
	for _, u := range c.units {
		for len(frames) > 0 && frames[0].PTS*90000 <= u.PTS*48000 {
			both.units = append(both.units, frames[0])
			frames = frames[1:]
		}
		both.units = append(both.units, u)
	}
	return both
}

func TestServedToFFmpeg(t *testing.T) {
	c := withSound(t, film(t, "-x264-params", "slices=4"))
	_, address := listen(t, ServerOptions{Open: only("cam-1", c)})
	out, err := probe(t, "rtsp://"+address+"/cam-1", "-show_entries", "stream=codec_name,sample_rate,channels,width", "-of", "csv=p=0")
	if err != nil || !strings.Contains(out, "h264,320") || !strings.Contains(out, "aac,48000,2") {
		t.Errorf("ffprobe: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := exec.CommandContext(ctx, "ffmpeg", "-v", "warning", "-xerror", "-rtsp_transport", "tcp", "-i", "rtsp://"+address+"/cam-1",
		"-frames:v", "40", "-map", "0:v", "-f", "framemd5", "-").CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, b)
	}
	pictures := 0
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.HasPrefix(line, "0,"):
			pictures++
		case !strings.HasPrefix(line, "#"):
			t.Errorf("ffmpeg complains: %s", line)
		}
	}
	if pictures != 40 {
		t.Errorf("%d pictures decoded", pictures)
	}
}

// BenchmarkServing sends what 50 cameras of 4 Mbit/s send in a second, over
// loopback to clients that only read; cpu-s/s is the process's time for it.
func BenchmarkServing(b *testing.B) {
	const cameras, fps = 50, 25
	data := avcc(idr(4_000_000 / 8 / fps))
	next := make([]chan struct{}, cameras)
	taken := make(chan struct{}, cameras)
	i := 0
	s := NewServer(ServerOptions{Open: func(string) (Source, error) {
		tick := make(chan struct{}, 1)
		next[i] = tick
		i++
		return source{[]Track{h264Track()}, func(ctx context.Context, w *Writer) error {
			for pts := int64(0); ; {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick:
				}
				for range fps {
					if err := w.Write(Unit{PTS: pts, Data: data}); err != nil {
						return err
					}
					pts += 90000 / fps
				}
				taken <- struct{}{}
			}
		}}, nil
	}})
	address := serveOn(b, s)
	for range cameras {
		c := dialRaw(b, address)
		c.want(200, "SETUP", "rtsp://"+address+"/cam/track0", tcp)
		c.want(200, "PLAY", "rtsp://"+address+"/cam")
		go io.Copy(io.Discard, c.conn)
	}
	before := cpuTime(b)
	for b.Loop() {
		for _, tick := range next {
			tick <- struct{}{}
		}
		for range next {
			<-taken
		}
	}
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/s")
}

func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
