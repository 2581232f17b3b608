package rtsp

import (
	"net"
	"net/url"
	"strings"
	"testing"
)

func mustTarget(t *testing.T, s string) target {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	to, err := newTarget(u)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Where a track is asked for, by what the camera was asked, what it called its
// base, and what it called the track.
func TestControl(t *testing.T) {
	for _, c := range []struct{ name, asked, base, control, want string }{
		{"relative", "rtsp://h/cam", "", "track1", "rtsp://h/cam/track1"},
		{"relative, slash at the end", "rtsp://h/cam/", "", "track1", "rtsp://h/cam/track1"},
		{"relative, by base", "rtsp://h/cam", "rtsp://h/live/", "track1", "rtsp://h/live/track1"},
		{"relative, base without slash", "rtsp://h/cam", "rtsp://h/live", "track1", "rtsp://h/live/track1"},
		{"the whole", "rtsp://h/cam", "", "*", "rtsp://h/cam"},
		{"the whole, by base", "rtsp://h/cam", "rtsp://h/cam/", "*", "rtsp://h/cam/"},
		{"none", "rtsp://h/cam?x=1", "", "", "rtsp://h/cam?x=1"},
		{"nothing of a path", "rtsp://h", "", "track1", "rtsp://h/track1"},
		{"absolute", "rtsp://h:8554/cam", "", "rtsp://h:8554/cam/track1", "rtsp://h:8554/cam/track1"},
		{"absolute, wrong host", "rtsp://192.0.2.1/cam", "", "rtsp://10.0.0.1:554/cam/track1", "rtsp://192.0.2.1/cam/track1"},
		{"absolute, with credentials", "rtsp://h/cam", "", "rtsp://admin:p@ss@10.0.0.1/cam/track1", "rtsp://h/cam/track1"},
		{"absolute, host alone", "rtsp://h/cam", "", "rtsp://10.0.0.1", "rtsp://h/"},
		{"absolute, query alone", "rtsp://h/cam", "", "rtsp://10.0.0.1?track=1", "rtsp://h/?track=1"},
		{"absolute, other scheme", "rtsp://h/cam", "", "rtspu://x/cam/1", "rtsp://h/cam/1"},
		{"absolute path that holds ours", "rtsp://h/cam", "", "/cam/track1", "rtsp://h/cam/track1"},
		{"absolute path that does not", "rtsp://h/cam", "", "/track1", "rtsp://h/cam/track1"},
		{"absolute path that begins alike", "rtsp://h/cam", "", "/camera/track1", "rtsp://h/cam/camera/track1"},
		{"base is a path", "rtsp://h/cam", "/live/", "track1", "rtsp://h/live/track1"},
		{"base is no URL", "rtsp://h/cam", "live", "track1", "rtsp://h/cam/track1"},
		{"base with credentials and wrong host", "rtsp://h/cam", "rtsp://u:p@10.0.0.1/live/", "track1", "rtsp://h/live/track1"},
		{"Dahua: base with a query and a slash", "rtsp://h/cam/realmonitor?channel=1&subtype=0",
			"rtsp://h/cam/realmonitor?channel=1&subtype=0/", "trackID=0", "rtsp://h/cam/realmonitor?channel=1&subtype=0/trackID=0"},
		{"query without base", "rtsp://h/live?user=a&password=b", "", "trackID=0", "rtsp://h/live?user=a&password=b/trackID=0"},
		{"Axis: query after the track", "rtsp://h/axis-media/media.amp?videocodec=h264", "",
			"rtsp://10.1.1.1/axis-media/media.amp/stream=0?videocodec=h264", "rtsp://h/axis-media/media.amp/stream=0?videocodec=h264"},
		{"control is a query", "rtsp://h/cam", "", "?track=1", "rtsp://h/cam?track=1"},
		{"IPv6", "rtsp://[2001:db8::1]:8554/cam", "rtsp://[fe80::1]/live/", "track1", "rtsp://[2001:db8::1]:8554/live/track1"},
		{"IPv6 with a zone", "rtsp://[fe80::1%25eth0]:8554/cam", "", "track1", "rtsp://[fe80::1]:8554/cam/track1"},
		{"credentials of ours stay at home", "rtsp://u:p@h/cam", "", "track1", "rtsp://h/cam/track1"},
		{"escapes stay", "rtsp://h/c%20m/%C4%91", "", "track1", "rtsp://h/c%20m/%C4%91/track1"},
		{"spaces and line ends of a camera", "rtsp://h/cam", "", "tr ack\r\n1", "rtsp://h/cam/tr%20ack1"},
	} {
		var h header
		if c.base != "" {
			h.add("Content-Base", c.base)
		}
		base, told := mustTarget(t, c.asked).base(h)
		if told != strings.HasPrefix(strings.TrimPrefix(c.base, "rtsp:/"), "/") {
			t.Errorf("%s: base told: %v", c.name, told)
		}
		got, ok := base.control(c.control)
		if !ok || got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	var h header
	h.add("Content-Location", "rtsp://x/elsewhere/")
	if got, _ := mustTarget(t, "rtsp://h/cam").base(h); got.String() != "rtsp://h/elsewhere/" {
		t.Errorf("by Content-Location: %s", got)
	}
	if _, ok := mustTarget(t, "rtsp://h/cam").control(strings.Repeat("x", maxPath)); ok {
		t.Error("a path without end is taken")
	}
}

func TestRedirectTargets(t *testing.T) {
	remote := &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 554}
	for _, c := range []struct {
		location, want string // "" : refused
	}{
		{"/new", "rtsp://camera/new"},
		{"rtsp://camera/new", "rtsp://camera/new"},
		{"rtsp://CAMERA:554/new?x=1", "rtsp://camera/new?x=1"},
		{"rtsp://192.0.2.7/new", "rtsp://camera/new"},
		{"rtsp://[::ffff:192.0.2.7]/new", "rtsp://camera/new"},
		{"rtsp://192.0.2.8/new", ""},
		{"rtsp://camera:8554/new", ""},
		{"rtsp://camera.example/new", ""},
		{"rtsp://camera@evil/new", ""},
		{"//evil/new", ""},
		{"rtsps://camera/new", ""},
		{"http://camera/new", ""},
		{"new", ""},
		{"", ""},
		{"rtsp://[::1", ""},
	} {
		got, ok := mustTarget(t, "rtsp://camera/old").redirect(c.location, remote)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%q: %s, %v, want %q", c.location, got, ok, c.want)
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"rtsp://h/x":               "h:554",
		"rtsp://h:8554/x":          "h:8554",
		"rtsp://[2001:db8::1]/x":   "[2001:db8::1]:554",
		"rtsp://u:p@[::1]:8554/x":  "[::1]:8554",
		"rtsp://[fe80::1%25eth0]/": "[fe80::1%eth0]:554",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := address(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
