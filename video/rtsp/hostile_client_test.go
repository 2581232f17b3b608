package rtsp

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Every way a camera can go wrong before it plays, and what is said of it.
func TestHostileHandshake(t *testing.T) {
	describe := func(lines ...string) *scriptedCamera {
		return &scriptedCamera{on: map[string]func(*wire, *request){"DESCRIBE": func(w *wire, r *request) { w.answer(r, 200, lines...) }}}
	}
	status := func(method string, status int, lines ...string) *scriptedCamera {
		return &scriptedCamera{on: map[string]func(*wire, *request){method: func(w *wire, r *request) { w.answer(r, status, lines...) }}}
	}
	hail := func(text string) *scriptedCamera {
		return &scriptedCamera{hail: func(w *wire) { w.write(text); w.read() }}
	}
	endless := func(head, text string) *scriptedCamera {
		return &scriptedCamera{hail: func(w *wire) {
			for ok := w.write(head); ok; ok = w.write(text) {
			}
		}}
	}
	media := func(m string) *scriptedCamera { return &scriptedCamera{sdp: "v=0\r\ns=" + secret + "\r\n" + m} }

	for _, c := range []struct {
		name   string
		script *scriptedCamera
		want   Code
	}{
		{"DESCRIBE with length -1", describe("Content-Length: -1"), Protocol},
		{"DESCRIBE with length 3e9", describe("Content-Length: 3000000000"), TooLarge},
		{"DESCRIBE with length 1e30", describe("Content-Length: 1000000000000000000000000000000"), TooLarge},
		{"DESCRIBE with length of words", describe("Content-Length: " + secret), Protocol},
		{"DESCRIBE with two lengths", describe("Content-Length: 1", "Content-Length: 2", "", "xx"), Protocol},
		{"DESCRIBE without a body", describe(), BadDescription},
		{"body that ends early", &scriptedCamera{on: map[string]func(*wire, *request){"DESCRIBE": func(w *wire, r *request) {
			w.answer(r, 200, "Content-Length: 1000", "", testSDP[:100])
			w.nc.Close()
		}}}, Ended},
		{"lone m=video", media("m=video\r\n"), BadDescription},
		{"m=video without formats", media("m=video 0 RTP/AVP\r\n"), BadDescription},
		{"binary description", media(strings.Repeat("\x00\xff=\n", 1000)), BadDescription},
		{"17 media", media(strings.Repeat("m=video 0 RTP/AVP 96\r\n", 17)), TooLarge},
		{"sound alone", media(testAudio), NoVideo},
		{"H.265", media("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"), UnsupportedCodec},
		{"a codec of the camera's own words", media("m=video 0 RTP/AVP 96\r\na=rtpmap:96 " + secret + "/90000\r\n"), UnsupportedCodec},
		{"control URL without end", media("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:" + strings.Repeat("x", 5000) + "\r\n"), BadDescription},

		{"endless headers", endless("RTSP/1.0 200 OK\r\n", "X-Pad: "+secret+"\r\n"), TooLarge},
		{"header without end", endless("RTSP/1.0 200 OK\r\nX-Pad: ", strings.Repeat("x", 1000)), TooLarge},
		{"folded header without end", endless("RTSP/1.0 200 OK\r\nX-Pad: x\r\n", " "+strings.Repeat("x", 1000)+"\r\n"), TooLarge},
		{"status line without end", endless("RTSP/1.0 200 ", strings.Repeat("x", 1000)), TooLarge},
		{"empty lines without end", endless("", "\r\n\r\n"), Protocol},
		{"header without a name", hail("RTSP/1.0 200 OK\r\n: x\r\n\r\n"), Protocol},
		{"header without a colon", hail("RTSP/1.0 200 OK\r\n" + secret + "\r\n\r\n"), Protocol},
		{"no status", hail("RTSP/1.0 OK\r\n\r\n"), Protocol},
		{"status 0", hail("RTSP/1.0 0 OK\r\n\r\n"), Protocol},
		{"status 99999999999999999999", hail("RTSP/1.0 99999999999999999999 OK\r\n\r\n"), Protocol},
		{"frames in place of an answer", hail(strings.Repeat(frame(0, make([]byte, 100)), 10)), NotRTSP},
		{"web server", hail("HTTP/1.1 400 Bad Request\r\n\r\n"), NotRTSP},
		{"SSH", hail("SSH-2.0-OpenSSH_9.2p1\r\n"), NotRTSP},
		{"TLS alert", hail("\x15\x03\x01\x00\x02\x02\x46"), NotRTSP},
		{"a client", hail("OPTIONS rtsp://" + secret + "/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"), NotRTSP},
		{"hangs up", &scriptedCamera{hail: func(w *wire) {}}, Ended},
		{"answers to what was not asked", endless("", "RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n"), Protocol},
		{"interim answers without end", endless("", "RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n"), Protocol},
		{"requests without end", endless("RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), Protocol},
		{"garbage without end", endless("RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n", strings.Repeat("R$O\x00", 1000)), Protocol},

		{"no user", status("DESCRIBE", 401, `WWW-Authenticate: Digest realm="`+secret+`", nonce="n"`), Unauthorized},
		{"401 without a challenge", status("OPTIONS", 401), Unauthorized},
		{"forbidden", status("DESCRIBE", 403), Forbidden},
		{"no such path", status("DESCRIBE", 404), NotFound},
		{"server error", status("DESCRIBE", 500), BadStatus},
		{"no such track", status("SETUP", 404), NotFound},
		{"UDP alone", status("SETUP", 461), BadStatus},
		{"UDP in the answer", status("SETUP", 200, "Transport: RTP/AVP;unicast;client_port=1-2;server_port=3-4"), Protocol},
		{"channel 256", status("SETUP", 200, "Transport: RTP/AVP/TCP;interleaved=256-257"), Protocol},
		{"channel -1", status("SETUP", 200, "Transport: RTP/AVP/TCP;interleaved=-1-0"), Protocol},
		{"one channel for both", status("SETUP", 200, "Transport: RTP/AVP/TCP;interleaved=3-3"), Protocol},
		{"one channel for two tracks", &scriptedCamera{sdp: testSDP + testAudio, on: map[string]func(*wire, *request){
			"SETUP": func(w *wire, r *request) { w.answer(r, 200, "Transport: RTP/AVP/TCP;interleaved=1-2") },
		}}, Protocol},
		{"PLAY refused", status("PLAY", 455), BadStatus},

		{"redirect to itself", status("DESCRIBE", 302, "Location: /cam"), Redirected},
		{"redirect of OPTIONS to itself", status("OPTIONS", 301, "Location: /cam"), Redirected},
		{"redirect to another host", status("DESCRIBE", 301, "Location: rtsp://"+secret+".example/cam"), Redirected},
		{"redirect to another port", status("DESCRIBE", 301, "Location: rtsp://127.0.0.1:1/x"), Redirected},
		{"redirect to nowhere", status("DESCRIBE", 302), Redirected},
		{"redirect to the web", status("DESCRIBE", 303, "Location: http://127.0.0.1/"), Redirected},
		{"redirect to no URL", status("DESCRIBE", 307, "Location: rtsp://[::1/%zz"), Redirected},
		{"redirect of PLAY", status("PLAY", 302, "Location: /x"), Redirected},
		{"redirects without end", &scriptedCamera{on: map[string]func(*wire, *request){
			"DESCRIBE": func(w *wire, r *request) { w.answer(r, 302, "Location: "+r.url+"x") },
		}}, Redirected},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Dial(t.Context(), c.script.start(t), quick)
			if err == nil {
				s.Close()
				t.Fatal("plays")
			}
			checkFault(t, c.name, err, c.want)
		})
	}
}

// What takes for ever ends with the handshake's one deadline.
func TestHandshakeHasOneDeadline(t *testing.T) {
	short := Options{Handshake: 300 * time.Millisecond}
	for _, c := range []struct {
		name string
		hail func(w *wire)
	}{
		{"accepts and is silent", func(w *wire) {
			for w.read() != nil {
			}
		}},
		{"slow bytes", func(w *wire) {
			text := "RTSP/1.0 200 OK\r\nX-Slow: " + strings.Repeat("x", 3000)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := range text {
				if <-tick.C; !w.write(text[i : i+1]) {
					return
				}
			}
		}},
		{"frames without an answer", func(w *wire) {
			w.read()
			for w.write("RTSP/1.0 100 Continue\r\n\r\n"); w.write(w.picture(0)); {
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Dial(t.Context(), (&scriptedCamera{hail: c.hail}).start(t), short)
			checkFault(t, c.name, err, TimedOut)
		})
	}
}

func TestDialFaults(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	_, err = Dial(t.Context(), &url.URL{Scheme: "rtsp", Host: ln.Addr().String()}, quick)
	checkFault(t, "closed port", err, Refused)

	opErr := func(e error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: e} }
	for _, c := range []struct {
		err  error
		want Code
	}{
		{opErr(syscall.ECONNREFUSED), Refused},
		{opErr(syscall.EHOSTUNREACH), NoRoute},
		{opErr(syscall.ENETUNREACH), NoRoute},
		{opErr(syscall.ETIMEDOUT), TimedOut},
		{opErr(context.DeadlineExceeded), TimedOut},
		{&net.DNSError{Err: "no such host", Name: secret, IsNotFound: true}, NoSuchHost},
		{&net.DNSError{Err: "server misbehaving", Name: secret, IsTemporary: true}, NoSuchHost},
		{fmt.Errorf("%s", secret), NoRoute},
		{fmt.Errorf("wrapped: %w", fault(AddressRefused, nil, "on loopback")), AddressRefused},
	} {
		o := quick
		o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, c.err }
		_, err := Dial(t.Context(), &url.URL{Scheme: "rtsp", Host: "camera"}, o)
		checkFault(t, fmt.Sprint(c.err), err, c.want)
	}
	for _, u := range []string{"http://h/", "rtsp:///x", "rtsp:opaque", "rtsp://h/" + strings.Repeat("x", 3000)} {
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Dial(t.Context(), parsed, quick)
		checkFault(t, "not an RTSP URL", err, NotFound)
	}
}

func TestDialEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := &scriptedCamera{hail: func(w *wire) {
		w.read()
		cancel()
		w.read() // returns when the client hangs up
	}}
	if s, err := Dial(ctx, asked.start(t), quick); err != context.Canceled {
		t.Errorf("%v, %v", s, err)
	}
}

// What a camera does wrong while it plays ends the session, or does not.
func TestHostileStream(t *testing.T) {
	lies := func(change func(b []byte) []byte) func(*wire) string {
		return func(w *wire) string {
			w.seq++
			return frame(0, change(rtpPacket(w.seq, uint32(w.seq)*3600, "\x65\x88lie"+secret)))
		}
	}
	for _, c := range []struct {
		name string
		text func(w *wire) string // comes between two good pictures
	}{
		{"channel never announced", func(*wire) string { return frame(77, []byte(secret)) }},
		{"empty frames", func(*wire) string { return frame(0, nil) + frame(1, nil) + frame(200, nil) }},
		{"the longest frame", func(*wire) string { return frame(9, make([]byte, 65535)) }},
		{"RTP of one byte", func(*wire) string { return frame(0, []byte{0x80}) }},
		{"RTP version 1", lies(func(b []byte) []byte { b[0] = 0x40; return b })},
		{"padding longer than the packet", lies(func(b []byte) []byte { b[0] |= 0x20; b[len(b)-1] = 255; return b })},
		{"padding of the whole payload and more", lies(func(b []byte) []byte { b[0] |= 0x20; b[len(b)-1] = byte(len(b) - 11); return b })},
		{"padding of 0", lies(func(b []byte) []byte { b[0] |= 0x20; b[len(b)-1] = 0; return b })},
		{"padding of all there is", lies(func(b []byte) []byte { b = b[:13]; b[0] |= 0x20; b[12] = 1; return b })},
		{"15 CSRCs that are not there", lies(func(b []byte) []byte { b[0] |= 0x0f; return b[:20] })},
		{"extension longer than the packet", lies(func(b []byte) []byte { b[0] |= 0x10; b[14], b[15] = 0xff, 0xff; return b })},
		{"extension cut off", lies(func(b []byte) []byte { b[0] |= 0x10; return b[:14] })},
		{"extension whose elements lie", lies(func(b []byte) []byte {
			b = append(b[:12], "\xbe\xde\x00\x01\x1f\xff\xff\xff\x65\x88"...)
			b[0] |= 0x10
			return b
		})},
		{"payload type not announced", lies(func(b []byte) []byte { b[1] = 0x80 | 33; return b })},
		{"RTCP that lies about its length", func(*wire) string { return frame(1, []byte("\x80\xc8\xff\xff\x00\x00\x00\x00")) }},
		{"RTCP with 31 reports that are not there", func(*wire) string { return frame(1, append([]byte("\x9f\xc8\x00\x06"), make([]byte, 24)...)) }},
		{"RTCP goodbye", func(*wire) string { return frame(1, []byte("\x81\xcb\x00\x01\x00\x00\xca\xfe")) }},
		{"bytes lost in a frame", func(w *wire) string { return w.picture(0)[:30] }},
		{"garbage", func(*wire) string { return strings.Repeat("\x00garbage $ R RTSP O\xff", 100) }},
		{"empty lines", func(*wire) string { return "\r\n\r\n" }},
		{"answers nobody waits for", func(*wire) string { return "RTSP/1.0 500 " + secret + "\r\nCSeq: 999\r\n\r\n" }},
		{"answer without number", func(*wire) string { return "RTSP/1.0 200 OK\r\n\r\n" }},
		{"answer with a body", func(*wire) string { return "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\n$\x00\x00\x01x" }},
		{"answer after garbage", func(*wire) string { return "xxRTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n" }},
		{"ANNOUNCE", func(*wire) string { return "ANNOUNCE rtsp://x/ RTSP/1.0\r\nCSeq: 3\r\nContent-Length: 3\r\n\r\nv=0" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, (&scriptedCamera{play: func(w *wire) {
				w.write(w.picture(0) + w.picture(0) + c.text(w) + w.picture(0))
				w.stream()
			}}).start(t), quick)
			for range 10 {
				u, err := s.Read()
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(u.Data), secret) {
					t.Fatalf("unit holds what was no packet: %q", u.Data)
				}
			}
		})
	}

	for _, c := range []struct {
		name string
		text string
		want Code
	}{
		{"negative length", "RTSP/1.0 200 OK\r\nCSeq: 5\r\nContent-Length: -1\r\n\r\n", Protocol},
		{"length beyond bounds", "RTSP/1.0 200 OK\r\nCSeq: 5\r\nContent-Length: 3000000000\r\n\r\n", TooLarge},
		{"TEARDOWN", "TEARDOWN rtsp://x/ RTSP/1.0\r\nCSeq: 3\r\n\r\n", Ended},
		{"REDIRECT", "REDIRECT rtsp://x/ RTSP/1.0\r\nCSeq: 3\r\nLocation: rtsp://" + secret + "/\r\n\r\n", Redirected},
		{"garbage without end", strings.Repeat("garbage!", 10000), Protocol},
		{"hangs up", "", Ended},
		{"hangs up in a frame", "$\x00\x10\x00xxx", Ended},
		{"hangs up in an answer", "RTSP/1.0 200 O", Ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, (&scriptedCamera{play: func(w *wire) {
				w.write(w.picture(0) + w.picture(0) + c.text)
				w.nc.(*net.TCPConn).CloseWrite()
			}}).start(t), quick)
			readPicture(t, s)
			readFault(t, s, c.want)
		})
	}
}

func TestSilence(t *testing.T) {
	short := Options{Silence: 300 * time.Millisecond}
	idle := func(w *wire) {
		for w.read() != nil {
		}
	}
	for _, c := range []struct {
		name string
		play func(w *wire)
	}{
		{"nothing at all", idle},
		{"nothing after a picture", func(w *wire) { w.write(w.picture(0) + w.picture(0)); idle(w) }},
		{"a channel never announced", func(w *wire) {
			for w.write(frame(9, []byte("x"))) {
			}
		}},
		{"packets without pictures", func(w *wire) {
			for w.write(frame(0, []byte{0x80})) {
			}
		}},
		{"reports alone", func(w *wire) {
			for w.write(frame(1, []byte("\x80\xc9\x00\x01\x00\x00\xca\xfe"))) {
			}
		}},
		{"a frame that never ends", func(w *wire) { w.write("$\x00\xff\xff" + secret); idle(w) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			readFault(t, open(t, (&scriptedCamera{play: c.play}).start(t), short), Silent)
		})
	}
}
