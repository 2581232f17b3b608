package rtsp

import (
	"strings"
	"testing"
	"time"
)

func TestDigestVectors(t *testing.T) {
	const (
		old = `realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`
		new = `realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
		nc  = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	for _, c := range []struct {
		name, challenge, password, cnonce, want string
	}{
		{"RFC 2069 §2.4, with its erratum", `Digest ` + old, "CircleOfLife", "", "1949323746fe6a43ef61f9606e7febea"},
		{"RFC 2617 §3.5", `Digest qop="auth,auth-int", ` + old, "Circle Of Life", "0a4f113b", "6629fae49393a05397450978507c4ef1"},
		{"RFC 7616 §3.9.1, MD5", `Digest algorithm=MD5, ` + new, "Circle of Life", nc, "8ca523f5e9506fed4657c9700eebdbec"},
		{"RFC 7616 §3.9.1, SHA-256", `Digest algorithm=SHA-256, ` + new, "Circle of Life", nc, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"MD5-sess, by Python's hashlib", `Digest algorithm=MD5-sess, ` + new, "Circle of Life", nc, "e783283f46242139c486a698fec7211d"},
		{"SHA-256-sess, by Python's hashlib", `Digest algorithm=SHA-256-sess, ` + new, "Circle of Life", nc, "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7"},
		{"auth-int alone, by Python's hashlib", `Digest algorithm=SHA-256, ` + strings.Replace(new, "auth, auth-int", "auth-int", 1), "Circle of Life", nc, "8bdf6f15638e260831e905028de5450562816d093c9bfc5c13d3a46adcdde940"},
	} {
		got, ok := chooseChallenge([]string{c.challenge})
		if !ok {
			t.Errorf("%s: challenge is not understood", c.name)
			continue
		}
		l := newLogin("Mufasa", c.password, got)
		l.cnonce = func() string { return c.cnonce }
		answer := l.authorization("GET", "/dir/index.html")
		if !strings.Contains(answer, `response="`+c.want+`"`) {
			t.Errorf("%s: %s, want %s", c.name, answer, c.want)
		}
		params := splitChallenges(answer)[0].params
		asked := splitChallenges(c.challenge)[0].params
		for _, echoed := range []string{"realm", "nonce", "opaque"} {
			if params[echoed] != asked[echoed] {
				t.Errorf("%s: %s is %q, was asked with %q", c.name, echoed, params[echoed], asked[echoed])
			}
		}
	}
}

func TestNonceCountRises(t *testing.T) {
	c, _ := chooseChallenge([]string{`Digest realm="r", nonce="n", qop="auth"`})
	l := newLogin("u", "p", c)
	first, second := l.authorization("PLAY", "/"), l.authorization("PLAY", "/")
	if !strings.Contains(first, "nc=00000001,") || !strings.Contains(second, "nc=00000002,") {
		t.Errorf("counts in %q and %q", first, second)
	}
	if a, b := splitChallenges(first)[0].params["cnonce"], splitChallenges(second)[0].params["cnonce"]; a == b || a == "" {
		t.Errorf("client nonces %q and %q", a, b)
	}
}

func TestChooseChallenge(t *testing.T) {
	const (
		basic  = `Basic realm="cam"`
		md5    = `Digest realm="cam", nonce="m", algorithm=MD5`
		sha    = `Digest realm="cam", nonce="s", algorithm="SHA-256", qop="auth"`
		sha512 = `Digest realm="cam", nonce="t", algorithm=SHA-512-256, qop="auth"`
	)
	for _, c := range []struct {
		name   string
		values []string
		digest bool
		nonce  string
		ok     bool
	}{
		{"nothing", nil, false, "", false},
		{"basic", []string{basic}, false, "", true},
		{"digest before basic", []string{basic, md5}, true, "m", true},
		{"the strongest of lines", []string{md5, basic, sha}, true, "s", true},
		{"the strongest of one line", []string{md5 + ", " + basic + ", " + sha}, true, "s", true},
		{"what is not known is left out", []string{sha512, md5}, true, "m", true},
		{"only what is not known", []string{sha512, `Negotiate`, `Bearer realm="x"`}, false, "", false},
		{"qop that is not known", []string{`Digest realm="r", nonce="n", qop="token"`, basic}, false, "", true},
		{"empty qop is none", []string{`Digest realm="r", nonce="n", qop=""`}, true, "n", true},
		{"no nonce", []string{`Digest realm="r"`}, false, "", false},
		{"Hikvision", []string{`Digest realm="IP Camera(C1234)", nonce="6b8f", stale="FALSE"`, `Basic realm="IP Camera(C1234)"`}, true, "6b8f", true},
		{"a quote that never ends", []string{`Digest nonce="n", realm="x`}, true, "n", true},
		{"escapes and commas in quotes", []string{`Digest realm="a\", nonce=\"forged", nonce="n"`}, true, "n", true},
		{"scheme in capitals, spaces around", []string{`  DIGEST   realm = "r" ,nonce = "n" `}, true, "n", true},
		{"parameters without a scheme", []string{`="x", nonce="n"`}, false, "", false},
		{"nine offers, the last is too many", append(strings.Split(strings.Repeat(basic+"\n", 8), "\n")[:8], sha), false, "", true},
	} {
		got, ok := chooseChallenge(c.values)
		if ok != c.ok || got.digest != c.digest || got.nonce != c.nonce {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

// The client's answers are tried on the server's guard, whatever user and
// password hold.
func TestGuardTakesOurLogin(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, user := range []string{"admin", `q"uo\te`, "giám sát", ""} {
		for _, password := range []string{"", "12345", `p"\:ä,=`, strings.Repeat("x", 300)} {
			g := newGuard(`Cửu "Long"`, true, func(u string) (string, bool) { return password, u == user })
			g.now = func() time.Time { return now }
			var h header
			g.challenge(&h, denied)
			for _, offered := range h.values("WWW-Authenticate") {
				c, ok := chooseChallenge([]string{offered})
				if !ok {
					t.Fatalf("own challenge %q is not understood", offered)
				}
				try := func(user, password string) verdict {
					r := &request{method: "SETUP", url: "rtsp://h/cam/track1"}
					r.header.add("Authorization", newLogin(user, password, c).authorization(r.method, r.url))
					got, v := g.verify(r)
					if v == granted && got != user {
						t.Errorf("let in %q as %q", user, got)
					}
					return v
				}
				if v := try(user, password); v != granted {
					t.Errorf("%q %q by %q: verdict %d", user, password, offered, v)
				}
				if v := try(user, password+"x"); v != denied {
					t.Errorf("%q with a wrong password by %q: verdict %d", user, offered, v)
				}
				if v := try(user+"x", password); v != denied {
					t.Errorf("unknown user by %q: verdict %d", offered, v)
				}
			}
		}
	}
}

func TestGuardDenies(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	g := newGuard("r", false, func(u string) (string, bool) { return "p", u == "u" })
	g.now = func() time.Time { return now }
	other := newGuard("r", false, g.password)
	other.now = g.now
	answer := func(from *guard, method, uri string) string {
		var h header
		from.challenge(&h, denied)
		c, _ := chooseChallenge(h.values("WWW-Authenticate"))
		return newLogin("u", "p", c).authorization(method, uri)
	}
	right := answer(g, "PLAY", "rtsp://h/cam")
	for _, c := range []struct {
		name, authorization string
		later               time.Duration
		want                verdict
	}{
		{"right", right, 0, granted},
		{"right for the stream, asked for a track of it", answer(g, "PLAY", "rtsp://h"), 0, granted},
		{"old nonce", right, nonceLife + time.Second, stale},
		{"old nonce, wrong answer", answer(g, "PAUSE", "rtsp://h/cam"), nonceLife + time.Second, denied},
		{"nonce of another server", answer(other, "PLAY", "rtsp://h/cam"), 0, denied},
		{"another method", answer(g, "PAUSE", "rtsp://h/cam"), 0, denied},
		{"another path", answer(g, "PLAY", "rtsp://h/other"), 0, denied},
		{"a path that begins alike", answer(g, "PLAY", "rtsp://h/ca"), 0, denied},
		{"nothing", "", 0, denied},
		{"Basic where it is not offered", "Basic dTpw", 0, denied},
		{"no uri", strings.Replace(right, "uri=", "x=", 1), 0, denied},
		{"no response", strings.Replace(right, "response=", "x=", 1), 0, denied},
		{"no cnonce", strings.Replace(right, "cnonce=", "x=", 1), 0, denied},
		{"half a header", right[:len(right)/2], 0, denied},
	} {
		now = time.Unix(1_800_000_000, 0).Add(c.later)
		r := &request{method: "PLAY", url: "rtsp://h/cam"}
		r.header.add("Authorization", c.authorization)
		if _, v := g.verify(r); v != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, v, c.want)
		}
	}
	var h header
	g.challenge(&h, stale)
	if c, ok := chooseChallenge(h.values("WWW-Authenticate")); !ok || !c.stale {
		t.Error("a stale nonce is not told as such")
	}
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, stale=true, Basic realm="b"`)
	f.Add(`Digest username="u", realm="r", nonce="n", uri="/", response="x", nc=00000001, cnonce="y"`)
	f.Add(`Digest nonce="\", realm=`)
	g := newGuard("r", true, func(string) (string, bool) { return "p", true })
	f.Fuzz(func(t *testing.T, v string) {
		if c, ok := chooseChallenge([]string{v}); ok {
			// Whatever was asked, the answer stays one header line.
			r := request{method: "PLAY", url: "rtsp://h/"}
			r.header.add("Authorization", newLogin("u", "p", c).authorization("PLAY", "rtsp://h/"))
			if text := string(r.appendTo(nil)); strings.Count(text, "\n") != 3 {
				t.Errorf("%q", text)
			}
		}
		r := &request{method: "PLAY", url: "rtsp://h/"}
		r.header.add("Authorization", v)
		if _, verdict := g.verify(r); verdict == granted && !strings.HasPrefix(strings.ToLower(v), "basic") {
			t.Errorf("%q is let in", v)
		}
	})
}
