package rtsp

import (
	"bufio"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// gstreamer starts GStreamer's RTSP server with digest log-in, and gives its
// host and port. It is Debian's, so Debian's python runs it.
func gstreamer(t *testing.T, user, password string) string {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "testdata/gst_server.py", user, password)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // it ends with its input
		late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		late.Stop()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("GStreamer did not start: %v", err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

func TestGStreamer(t *testing.T) {
	host := gstreamer(t, "operator", `p:a"s\s/w@rd`)
	options := Options{Handshake: time.Minute, Silence: time.Minute}
	dial := func(user *url.Userinfo, path string) (*Session, error) {
		return Dial(t.Context(), &url.URL{Scheme: "rtsp", User: user, Host: host, Path: path}, options)
	}
	right := url.UserPassword("operator", `p:a"s\s/w@rd`)

	for _, c := range []struct {
		name string
		user *url.Userinfo
		path string
		want Code
	}{
		{"nobody", nil, "/cam", Unauthorized},
		{"wrong password", url.UserPassword("operator", "x"), "/cam", Unauthorized},
		{"no such path", right, "/other", NotFound},
	} {
		s, err := dial(c.user, c.path)
		var f *Error
		if !errors.As(err, &f) || f.Code != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if s != nil {
			s.Close()
		}
	}

	s, err := dial(right, "/cam")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tracks := s.Tracks()
	if len(tracks) != 2 || tracks[0].Codec != H264 || tracks[1].Codec != AAC || tracks[1].SampleRate != 16000 {
		t.Fatalf("tracks are %+v", tracks)
	}
	last := map[int]int64{}
	pictures, sounds, keys := 0, 0, 0
	for pictures < 50 || sounds < 10 {
		u, err := s.Read()
		if err != nil {
			t.Fatalf("after %d pictures: %v", pictures, err)
		}
		if before, ok := last[u.Track]; ok && u.PTS <= before {
			t.Fatalf("track %d: time went from %d to %d", u.Track, before, u.PTS)
		}
		last[u.Track] = u.PTS
		if u.Lost || len(u.Data) == 0 {
			t.Fatalf("unit %+v of a whole stream", u)
		}
		if u.Track == 1 {
			sounds++
			continue
		}
		if pictures == 0 && !u.Key {
			t.Error("the first picture is no key frame")
		}
		if u.Key {
			keys++
			if p, err := ParseSPS(u.SPS); err != nil || p.Width != 320 || p.Height != 240 {
				t.Fatalf("picture is %+v, %v", p, err)
			}
		}
		pictures++
	}
	if keys < 2 {
		t.Errorf("%d key frames in %d pictures", keys, pictures)
	}
}
