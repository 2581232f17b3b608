package field

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cuulong/video"
	"cuulong/video/rtsp"
)

// serveCameras gives the address of cameras on this machine.
func serveCameras(t *testing.T, o CameraOptions) string {
	t.Helper()
	s, err := NewCameraServer(o)
	if err != nil {
		t.Fatal(err)
	}
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

func dialCamera(t *testing.T, address string, o rtsp.Options) (*rtsp.Session, error) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := rtsp.Dial(ctx, u, o)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func look(t *testing.T, address string) *rtsp.Session {
	t.Helper()
	s, err := dialCamera(t, address, rtsp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, s *rtsp.Session) rtsp.Unit {
	t.Helper()
	u, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func code(err error) rtsp.Code {
	var e *rtsp.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestCamerasOfTheDemo(t *testing.T) {
	all := Cameras("127.0.0.1:8554")
	if len(all) != 6 {
		t.Fatalf("%d cameras", len(all))
	}
	for i, c := range all {
		if want := "rtsp://127.0.0.1:8554/" + string(c.ID); c.URL != want || string(c.ID) != "cam-"+string(rune('1'+i)) {
			t.Errorf("%s at %s, want %s", c.ID, c.URL, want)
		}
		if c.Name == "" || c.Group == "" || c.Kind == "" || c.Pull != video.Always || c.Bearing == nil || c.ViewDeg == nil ||
			c.Position.Lon < 106 || c.Position.Lat < 10 {
			t.Errorf("%+v", c)
		}
	}
	bad := `{"features":[{"properties":{"id":"cam-9","kind":"camera","site":"moon"},"geometry":{"coordinates":[1,2]}}]}`
	if _, err := readCameras([]byte(bad), "h:1"); err == nil {
		t.Error("a camera of no known site was taken")
	}
}

// Each camera plays: the newest key frame first, and then in step with the clock.
func TestCameraPlaysByTheClock(t *testing.T) {
	t.Parallel()
	address := serveCameras(t, CameraOptions{Stamp: true})
	for _, c := range Cameras(address) {
		t.Run(string(c.ID), func(t *testing.T) {
			t.Parallel()
			before := time.Now()
			s := look(t, c.URL)
			pic, err := rtsp.ParseSPS(s.Tracks()[0].SPS)
			if err != nil || pic.Width != 640 || pic.Height != 360 {
				t.Errorf("%+v, %v", pic, err)
			}
			var last uint64
			var pts int64
			for i := range 30 { // more than a group
				u := read(t, s)
				for u.Track != 0 {
					u = read(t, s)
				}
				n, sent, ok := ReadStamp(u.Data)
				switch {
				case !ok:
					t.Fatal("a picture without its stamp")
				case i == 0 && (!u.Key || u.SPS == nil || u.PPS == nil):
					t.Fatal("the first picture is no key frame")
				case u.Lost:
					t.Errorf("picture %d was lost", i)
				case i > 0 && (n != last+1 || u.PTS-pts != 90000/demoFPS):
					t.Fatalf("picture %d after %d, %d ticks later", n, last, u.PTS-pts)
				case u.Key != (n%24 == 0):
					t.Errorf("picture %d of the minute: key %v", n%720, u.Key)
				}
				// What the picture shows is what the clock shows: never ahead of it, and
				// the first group alone was sent late, since it is how one begins.
				due := time.UnixMilli(int64(n) * 1000 / demoFPS)
				if sent.Before(due) || i == 0 && due.Before(before.Add(-2100*time.Millisecond)) {
					t.Errorf("picture %d, due at %v, was sent at %v", n, due, sent)
				}
				last, pts = n, u.PTS
			}
		})
	}
}

// The market is heard, as long as its pictures last.
func TestCameraWithSound(t *testing.T) {
	t.Parallel()
	s := look(t, "rtsp://"+serveCameras(t, CameraOptions{})+"/cam-6")
	tracks := s.Tracks()
	if len(tracks) != 2 || tracks[1].Codec != rtsp.AAC || tracks[1].SampleRate != 16000 || tracks[1].Channels != 1 {
		t.Fatalf("%+v", tracks)
	}
	var pts [2][]int64
	for len(pts[0]) < 36 {
		u := read(t, s)
		pts[u.Track] = append(pts[u.Track], u.PTS)
		if u.Track == 1 && len(u.Data) == 0 {
			t.Fatal("an empty frame of sound")
		}
	}
	for i := 1; i < len(pts[1]); i++ {
		if d := pts[1][i] - pts[1][i-1]; d != aacSamples {
			t.Errorf("sound %d comes %d samples after the one before", i, d)
		}
	}
	if n := len(pts[1]); n < 44 || n > 48 { // 3 s at 15.6 frames a second
		t.Errorf("%d frames of sound to 36 pictures", n)
	}
}

func TestCameraAsksForPassword(t *testing.T) {
	t.Parallel()
	address := serveCameras(t, CameraOptions{User: "admin", Password: "mật:khẩu", Count: 2})
	if s := look(t, "rtsp://admin:m%E1%BA%ADt%3Akh%E1%BA%A9u@"+address+"/cam-2"); len(s.Tracks()) != 1 {
		t.Error("no picture with the right password")
	}
	for url, want := range map[string]rtsp.Code{
		"rtsp://" + address + "/cam-2":                                     rtsp.Unauthorized,
		"rtsp://admin:x@" + address + "/cam-2":                             rtsp.Unauthorized,
		"rtsp://x:m%E1%BA%ADt%3Akh%E1%BA%A9u@" + address + "/cam-2":        rtsp.Unauthorized,
		"rtsp://admin:m%E1%BA%ADt%3Akh%E1%BA%A9u@" + address + "/cam-3":    rtsp.NotFound,
		"rtsp://admin:m%E1%BA%ADt%3Akh%E1%BA%A9u@" + address + "/cam-02":   rtsp.NotFound,
		"rtsp://admin:m%E1%BA%ADt%3Akh%E1%BA%A9u@" + address + "/cam-0":    rtsp.NotFound,
		"rtsp://admin:m%E1%BA%ADt%3Akh%E1%BA%A9u@" + address + "/../etc/x": rtsp.NotFound,
	} {
		if _, err := dialCamera(t, url, rtsp.Options{}); code(err) != want {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}

// A stranger's programme sees what the clip's maker made.
func TestCameraSeenByFFprobe(t *testing.T) {
	t.Parallel()
	address := serveCameras(t, CameraOptions{Stamp: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-read_intervals", "%+#80",
		"-show_entries", "stream=codec_name,profile,width,height,sample_rate,channels:frame=pict_type", "-of", "csv=p=0",
		"rtsp://"+address+"/cam-6").CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v: %s", err, out)
	}
	text := string(out)
	for _, want := range []string{"h264,High,640,360", "aac,LC,16000,1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	lines := strings.Split(text, "\n")
	pictures := func(kind string) (n int) {
		for _, l := range lines {
			if slices.Contains(strings.Split(l, ","), kind) {
				n++
			}
		}
		return n
	}
	if pictures("I") < 1 || pictures("P") < 20 {
		t.Errorf("ffprobe saw:\n%s", text)
	}
}

// A load of cameras plays one clip of any rate, each at its own moment.
func TestCamerasPlayAGivenClip(t *testing.T) {
	t.Parallel()
	bars, err := demoBars()
	if err != nil {
		t.Fatal(err)
	}
	fast := &Clip{fps: 50, units: bars.units}
	address := serveCameras(t, CameraOptions{Clip: fast, Count: 50, Stamp: true})
	firsts := map[uint64]bool{}
	for _, path := range []string{"/cam-1", "/cam-24", "/cam-50"} {
		s := look(t, "rtsp://"+address+path)
		u := read(t, s)
		n, _, ok := ReadStamp(u.Data)
		if !ok || !u.Key {
			t.Fatalf("%s begins with %+v", path, u)
		}
		pts := u.PTS
		for range 60 {
			if u = read(t, s); u.PTS-pts != 1800 {
				t.Fatalf("%s: %d ticks between pictures of 50 a second", path, u.PTS-pts)
			}
			pts = u.PTS
		}
		firsts[n] = true
	}
	if len(firsts) != 3 {
		t.Errorf("cameras are at one moment: %v", firsts)
	}
}
