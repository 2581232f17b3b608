package video

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, good := range []string{
		"rtsp://h", "rtsp://h:8554/", "RTSP://H/p", "rtsp://u:p@h/p?a=b&c", "rtsp://[2001:db8::1]:554/x", "rtsp://[fe80::1%25eth0]/x",
		"rtsp://u:p@ss@h/x", "rtsp://u%40corp:p%23%2F@h/x", "  rtsp://h/x\n", "rtsp://@h/x", "rtsp://h/user=a&password=b",
	} {
		if _, why := parseAddress(good); why != "" {
			t.Errorf("%q: %s", good, why)
		}
	}
	for _, bad := range []string{
		"", " ", "h", "h/x", "rtsp://::", "rtsp://a:b:1/x", "rtsp://2001:db8::1/x", "http://h/x", "rtsps://h/x", "rtsp:h", "rtsp:///x", "rtsp://:554/x", "rtsp://h:0/x", "rtsp://h:65536/x", "rtsp://h:x/y",
		"rtsp://u:hunter2%zz@h/x", "rtsp://u:p#q@h/x", "rtsp://h/a b", "rtsp://h/\x00", "rtsp://h/\xff", "rtsp://h/\u202e hunter2", "rtsp://u:hun/ter2@h/x",
		"rtsp://h/" + strings.Repeat("x", maxURL), "rtsp://h/" + strings.Repeat("ư", 400),
	} {
		u, why := parseAddress(bad)
		if why == "" {
			t.Errorf("%q was taken as %v", bad, u)
		}
		if strings.Contains(why, "hunter") || strings.Contains(why, "zz") {
			t.Errorf("%q: the answer repeats it: %s", bad, why)
		}
	}
}

func TestShownHidesSecrets(t *testing.T) {
	for given, want := range map[string]string{
		"rtsp://u:p@h:554/live":             "rtsp://h:554/live",
		"rtsp://u@h/live":                   "rtsp://h/live",
		"rtsp://h/live?channel=1&subtype=0": "rtsp://h/live?channel=1&subtype=0",
		"rtsp://h/user=a&password=S3&channel=1&stream=0.sdp?real_stream": "rtsp://h/user=*&password=*&channel=1&stream=0.sdp?real_stream",
		"rtsp://h/user=a_password=S3_channel=1_stream=0.sdp":             "rtsp://h/user=*",
		"rtsp://h/channel=1_user=a_password=S3":                          "rtsp://h/channel=1_user=*",
		"rtsp://h/live?PassWord=S3;x=1":                                  "rtsp://h/live?PassWord=*;x=1",
		"rtsp://h/live?p%61ss=S3":                                        "rtsp://h/live?p%61ss=*",
		"rtsp://h/live?pwd%3DS3":                                         "rtsp://h/live?pwd%3D*",
		"rtsp://h/x/token=S3/y?access_token=S3&apiKey=S3&Auth=S3":        "rtsp://h/x/token=*/y?access_token=*&apiKey=*&Auth=*",
		"rtsp://h/live?%zz=S3":                                           "",
		"rtsp://h/live?secret=":                                          "rtsp://h/live?secret=*",
		"rtsp://H":                                                       "rtsp://h",
		"rtsp://h/live?psw=S3&pw=S3":                                     "rtsp://h/live?psw=*&pw=*",
		"rtsp://h/rtsp://u:S3@10.0.0.5/s":                                "rtsp://h/rtsp://*/s",
		"rtsp://h/x?url=rtsp://u:S3@10.0.0.5/s":                          "rtsp://h/x?url=rtsp://*/s",
		"rtsp://h/x?url=rtsp%3A%2F%2Fu%3AS3%4010.0.0.5":                  "rtsp://h/x?url=*",
		"rtsp://h/x?a=b=u:S3@10.0.0.5&c=1":                               "rtsp://h/x?a=*&c=1",
		"rtsp://[2001:db8::1%25eth0]/x":                                  "rtsp://[2001:db8::1%25eth0]/x",
	} {
		u, why := parseAddress(given)
		if why != "" {
			t.Errorf("%s: %s", given, why)
			continue
		}
		got := shown(u)
		if want != "" && got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
		if strings.Contains(got, "S3") || u.User != nil && strings.Contains(got, "@") {
			t.Errorf("%s is shown as %s", given, got)
		}
		again, why := parseAddress(got)
		if why != "" || shown(again) != got {
			t.Errorf("what is shown, %s, is shown again as %v (%s)", got, again, why)
		}
	}
}

func TestComplete(t *testing.T) {
	const stored = "rtsp://u:p@h:8554/a?user=x&pwd=S3&ch=1"
	tests := []struct {
		given, stored string
		lost          bool
		want          string // "": refused
	}{
		{given: "rtsp://h/a", want: "rtsp://h/a"},
		{given: "rtsp://v:q@h/a", want: "rtsp://v:q@h/a"},
		{given: "rtsp://@h/a", want: "rtsp://h/a"},
		{given: "rtsp://:q@h/a"},
		{given: "rtsp://h/a?pwd=*"},
		{given: "rtsp://h:8554/b", stored: stored, want: "rtsp://u:p@h:8554/b"},
		{given: "rtsp://H:8554/b", stored: stored, want: "rtsp://u:p@h:8554/b"},
		{given: "rtsp://v:q@h:8554/b", stored: stored, want: "rtsp://v:q@h:8554/b"},
		{given: "rtsp://@h:8554/b", stored: stored, want: "rtsp://h:8554/b"},
		{given: "rtsp://h:8555/b", stored: stored},
		{given: "rtsp://i:8554/b", stored: stored},
		{given: "rtsp://h/b", stored: stored},
		{given: "rtsp://@i:8554/b", stored: stored, want: "rtsp://i:8554/b"},
		{given: "rtsp://v:q@i/b", stored: stored, want: "rtsp://v:q@i/b"},
		{given: "rtsp://i/b", stored: "rtsp://h/a", want: "rtsp://i/b"},
		{given: "rtsp://h/b", stored: "rtsp://u:p@h:554/a", want: "rtsp://u:p@h/b"},
		{given: "rtsp://h:8554/a?user=*&pwd=*&ch=2", stored: stored, want: "rtsp://u:p@h:8554/a?user=x&pwd=S3&ch=2"},
		{given: "rtsp://h:8554/a?ch=2&pwd=*", stored: stored, want: "rtsp://u:p@h:8554/a?ch=2&pwd=S3"},
		{given: "rtsp://h:8554/a?pwd=*", stored: stored, want: "rtsp://u:p@h:8554/a?pwd=S3"},
		{given: "rtsp://h:8554/a?pwd=*&pwd=*", stored: stored},
		{given: "rtsp://h:8554/a?token=*", stored: stored},
		{given: "rtsp://v:q@i:8554/a?pwd=*", stored: stored},
		{given: "rtsp://h/a", lost: true},
		{given: "rtsp://h/a?pwd=*", lost: true},
		{given: "rtsp://v:q@h/a", lost: true, want: "rtsp://v:q@h/a"},
		{given: "rtsp://@h/a", lost: true, want: "rtsp://h/a"},
	}
	for _, test := range tests {
		given, why := parseAddress(test.given)
		if why != "" {
			t.Fatalf("%s: %s", test.given, why)
		}
		before := given.String()
		full, why := func() (string, string) {
			if test.stored == "" {
				full, why := complete(given, nil, test.lost)
				if full == nil {
					return "", why
				}
				return full.String(), why
			}
			s, _ := parseAddress(test.stored)
			full, why := complete(given, s, test.lost)
			if full == nil {
				return "", why
			}
			return full.String(), why
		}()
		if full != test.want || (why == "") != (test.want != "") {
			t.Errorf("%s over %q: %q (%s), want %q", test.given, test.stored, full, why, test.want)
		}
		if strings.Contains(why, "S3") || strings.Contains(why, "8554") {
			t.Errorf("%s: the answer repeats what is stored: %s", test.given, why)
		}
		if given.String() != before {
			t.Errorf("%s was changed to %s", before, given)
		}
	}
}

// A slash or a question mark in a password that was not escaped makes another URL of
// it, whose host, port or path are pieces of user and password: to be refused
// before they are shown or dialled.
func TestMisreadCredentialsAreRefused(t *testing.T) {
	stored, _ := parseAddress("rtsp://u:p@h/live@1")
	for _, text := range []string{
		"rtsp://admin:12/S3@h/x", "rtsp://admin/S3@h/x", "rtsp://admin:/S3@h/x", "rtsp://admin:554?S3@h/x", "rtsp://h2/live@1",
	} {
		u, why := parseAddress(text)
		if why != "" {
			t.Fatalf("%s: %s", text, why)
		}
		for _, before := range []*url.URL{nil, stored} {
			switch _, why := complete(u, before, false); {
			case why == "":
				t.Errorf("%s was taken", text)
			case strings.Contains(why, "S3") || strings.Contains(why, "admin"):
				t.Errorf("%s: the answer repeats it: %s", text, why)
			}
		}
	}
	for _, text := range []string{"rtsp://u:p@h2/live@1", "rtsp://@h2/live@1", "rtsp://h2/live%401", "rtsp://h/live@1", "rtsp://h2/rtsp://u:p@10.0.0.5/s"} {
		u, why := parseAddress(text)
		if why != "" {
			t.Fatalf("%s: %s", text, why)
		}
		before := stored
		if u.User == nil && u.Host == "h2" {
			before = nil
		}
		if _, why := complete(u, before, false); why != "" {
			t.Errorf("%s: %s", text, why)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"rtsp://u:p@h:554/live", "rtsp://h/user=a&password=S3&channel=1", "rtsp://h/a?pwd%3DS3;x", "rtsp://[::1]/%zz?=", "rtsp://h?", "rtsp://@h//?&;",
		"rtsp://[2001:db8::1%25a]/x?url=rtsp://u:S3@h/s", "rtsp://h/*?x=*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, why := parseAddress(text)
		if why != "" {
			return
		}
		// What is sealed is what is dialled after a restart.
		if stored, why := parseAddress(u.String()); why != "" || stored.String() != u.String() || stored.User.String() != u.User.String() ||
			stored.EscapedPath() != u.EscapedPath() || stored.Host != u.Host {
			t.Fatalf("%q is stored as %q and read as %v (%s)", text, u, stored, why)
		}
		s := shown(u)
		if u.User != nil && strings.Contains(strings.TrimPrefix(s, "rtsp://"+u.Host), "@") && !strings.Contains(u.EscapedPath()+u.RawQuery, "@") {
			t.Fatalf("%q is shown as %q", text, s)
		}
		again, why := parseAddress(s)
		if why != "" {
			return // too long or odd; it is never dialled
		}
		if shown(again) != s {
			t.Fatalf("%q is shown as %q, then as %q", text, s, shown(again))
		}
		// What is shown leads back to what is stored.
		full, why := complete(again, u, false)
		if why != "" {
			t.Fatalf("%q, shown as %q, cannot be given back: %s", text, s, why)
		}
		if full.User.String() != u.User.String() && u.User.Username() != "" || full.EscapedPath() != u.EscapedPath() || full.RawQuery != u.RawQuery {
			t.Fatalf("%q came back as %q", u, full)
		}
	})
}

func TestGuard(t *testing.T) {
	g := &guard{refused: func() {}}
	for _, bad := range []string{
		"127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "239.1.2.3", "ff02::1", "255.255.255.255",
		"::ffff:127.0.0.1", "::ffff:169.254.1.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::127.0.0.1", "64:ff9b:1:7f00:0:100::", "2002:7f00:1::", "2002:a9fe:a9fe::1",
	} {
		if g.may(netip.MustParseAddr(bad)) {
			t.Errorf("%s may be dialled", bad)
		}
	}
	for _, good := range []string{"10.0.0.1", "192.168.1.64", "172.16.0.9", "8.8.8.8", "2001:db8::1", "fd00::5", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1"} {
		if !g.may(netip.MustParseAddr(good)) {
			t.Errorf("%s may not be dialled", good)
		}
	}
	if g.may(netip.Addr{}) {
		t.Error("no address may be dialled")
	}
	for host, may := range map[string]bool{"localhost": false, "LOCALHOST.": false, "x.localhost": false, "127.0.0.1": false, "::1": false, "camera": true, "notlocalhost": true, "10.0.0.1": true} {
		if g.mayHost(host) != may {
			t.Errorf("host %s: %v", host, !may)
		}
	}
	g.allow = loopback
	for _, good := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"} {
		if !g.may(netip.MustParseAddr(good)) {
			t.Errorf("%s may not be dialled though its network is allowed", good)
		}
	}
	if g.may(netip.MustParseAddr("169.254.1.1")) || !g.mayHost("localhost") {
		t.Error("the exception is not kept to")
	}
	g.allow = []netip.Prefix{netip.MustParsePrefix("fe80::/10")}
	if !g.may(netip.MustParseAddr("fe80::1%eth0")) || g.may(netip.MustParseAddr("fe80::1").Next()) == false {
		t.Error("a zone hides an allowed network")
	}
}
