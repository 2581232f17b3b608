package rtsp

import (
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
