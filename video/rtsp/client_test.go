package rtsp

import (
	"errors"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// A requestLog keeps the requests that a camera saw, in order.
type requestLog struct {
	mu  sync.Mutex
	all []*request
}

func (l *requestLog) add(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

func (l *requestLog) methods() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		names = append(names, r.method)
	}
	return names
}

// logged makes a camera note every request before it does what it would.
func logged(s *scriptedCamera) *requestLog {
	l := &requestLog{}
	do := s.on
	s.on = map[string]func(*wire, *request){}
	for _, method := range []string{"OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"} {
		s.on[method] = func(w *wire, r *request) {
			l.add(r)
			if do[method] != nil {
				do[method](w, r)
			} else {
				s.usual(w, r)
			}
		}
	}
	return l
}

func TestHandshake(t *testing.T) {
	ended := make(chan struct{})
	camera := &scriptedCamera{sdp: testSDP + testAudio}
	camera.on = map[string]func(*wire, *request){
		"DESCRIBE": func(w *wire, r *request) {
			w.answer(r, 200, "Content-Base: rtsp://admin:"+secret+"@10.0.0.1/live/", "Content-Length: "+strconv.Itoa(len(camera.sdp)), "", camera.sdp)
		},
		"SETUP": func(w *wire, r *request) {
			// The camera has its own idea of channels, and of spelling.
			to := "6-7"
			if strings.HasSuffix(r.url, "track2") {
				to = "4"
			}
			w.answer(r, 200, "session:  a$b.C ; Timeout = 40", "transport: rtp/avp/tcp;unicast;interleaved="+to+";ssrc=1;mode=\"PLAY\"")
		},
		"TEARDOWN": func(w *wire, r *request) { close(ended) },
	}
	camera.play = func(w *wire) { w.write(w.picture(6) + w.picture(6)) }
	log := logged(camera)
	u := camera.start(t)
	u.User = url.UserPassword("u", "p")
	u.RawQuery = "channel=1"
	s := open(t, u, quick)
	readPicture(t, s)
	if s.keepAlive != 20*time.Second {
		t.Errorf("keep-alive every %v of a session of 40 s", s.keepAlive)
	}
	if n := len(s.Tracks()); n != 2 {
		t.Errorf("%d tracks", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended

	host := "rtsp://" + u.Host
	want := []string{
		"OPTIONS " + host + "/cam?channel=1", "DESCRIBE " + host + "/cam?channel=1",
		"SETUP " + host + "/live/track1", "SETUP " + host + "/live/track2", "PLAY " + host + "/live/", "TEARDOWN " + host + "/live/",
	}
	var got []string
	for i, r := range log.all {
		got = append(got, r.method+" "+r.url)
		if r.cseq() != i+1 {
			t.Errorf("request %d has number %d", i+1, r.cseq())
		}
		if id := r.header.get("Session"); (i > 2) != (id == "a$b.C") {
			t.Errorf("%s has session %q", got[i], id)
		}
		if r.header.get("Authorization") != "" {
			t.Errorf("%s has credentials nobody asked for", got[i])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v := log.all[4].header.get("Range"); v != "npt=0.000-" {
		t.Errorf("range %q", v)
	}
	if v := log.all[2].header.get("Transport"); v != "RTP/AVP/TCP;unicast;interleaved=0-1" {
		t.Errorf("transport %q", v)
	}
}

// Without Content-Base, what the description calls the session is the base.
func TestSessionControlIsTheBase(t *testing.T) {
	camera := &scriptedCamera{sdp: strings.Replace(testSDP, "a=control:*", "a=control:rtsp://10.0.0.1/live/7/", 1), play: (*wire).stream}
	log := logged(camera)
	u := camera.start(t)
	readPicture(t, open(t, u, quick))
	for i, want := range map[int]string{2: "/live/7/track1", 3: "/live/7/"} {
		if got := log.all[i].url; got != "rtsp://"+u.Host+want {
			t.Errorf("%s %s, want %s", log.all[i].method, got, want)
		}
	}
}

// A camera that will not give its sound is still seen.
func TestSoundIsNotNeeded(t *testing.T) {
	camera := &scriptedCamera{sdp: testSDP + testAudio, play: (*wire).stream}
	camera.on = map[string]func(*wire, *request){"SETUP": func(w *wire, r *request) {
		if strings.HasSuffix(r.url, "track2") {
			w.answer(r, 454)
			return
		}
		camera.usual(w, r)
	}}
	s := open(t, camera.start(t), quick)
	readPicture(t, s)
	if n := len(s.Tracks()); n != 1 {
		t.Errorf("%d tracks", n)
	}
}

func TestRedirectIsFollowed(t *testing.T) {
	for _, location := range []string{"/other?x=1", "rtsp://HOST/other?x=1", "rtsp://user:" + secret + "@HOST/other?x=1"} {
		camera := &scriptedCamera{play: (*wire).stream}
		camera.on = map[string]func(*wire, *request){"DESCRIBE": func(w *wire, r *request) {
			if strings.HasSuffix(r.url, "/cam") {
				w.answer(r, 302, "Location: "+strings.ReplaceAll(location, "HOST", w.nc.LocalAddr().String()))
				return
			}
			camera.usual(w, r)
		}}
		log := logged(camera)
		u := camera.start(t)
		readPicture(t, open(t, u, quick))
		if got, want := log.all[4].url, "rtsp://"+u.Host+"/other?x=1/track1"; got != want {
			t.Errorf("%s: SETUP %s, want %s", location, got, want)
		}
	}
}

// Frames that come before the answer of PLAY are part of the stream.
func TestFramesBeforeTheAnswer(t *testing.T) {
	camera := &scriptedCamera{}
	camera.on = map[string]func(*wire, *request){"PLAY": func(w *wire, r *request) {
		for range 5 {
			w.write(w.picture(0))
		}
		camera.usual(w, r)
	}}
	s := open(t, camera.start(t), quick)
	for i := range 5 {
		if u := readPicture(t, s); u.Lost {
			t.Errorf("picture %d follows a loss", i)
		}
	}
}

// What is kept of such frames is bounded by what it costs to keep them: frames of
// no bytes at all are four on the wire and many times that in memory.
func TestEmptyFramesBeforeTheAnswer(t *testing.T) {
	camera := &scriptedCamera{}
	camera.on = map[string]func(*wire, *request){"PLAY": func(w *wire, r *request) {
		for range 100 {
			w.write(strings.Repeat(frame(0, nil), 1000))
		}
		camera.usual(w, r)
	}}
	s := open(t, camera.start(t), quick)
	if got, most := len(s.early), maxEarly/earlyCost; got > most {
		t.Errorf("%d frames kept, want %d at most", got, most)
	}
}

// What a camera asks in the midst of the stream is answered.
func TestRequestsOfTheCamera(t *testing.T) {
	answers := make(chan *response, 3)
	camera := &scriptedCamera{play: func(w *wire) {
		w.write(w.picture(0))
		for _, method := range []string{"OPTIONS", "ANNOUNCE", "TEARDOWN"} {
			w.write(method + " * RTSP/1.0\r\nCSeq: 70\r\n\r\n")
			r, err := readResponse(w.br)
			if err != nil {
				t.Error(err)
			}
			answers <- r
		}
	}}
	readFault(t, open(t, camera.start(t), quick), Ended)
	for _, want := range []int{200, 501, 200} {
		if r := <-answers; r == nil || r.status != want || r.cseq() != 70 {
			t.Errorf("answer %+v, want %d", r, want)
		}
	}
}

// Cameras get receiver reports that tell what was lost.
func TestReceiverReport(t *testing.T) {
	var rc receiver
	rc.channels, rc.clockRate, rc.payloadType, rc.assembler = channels{4, 5}, 90000, 96, nothing{}
	if rc.report(time.Now()) != nil {
		t.Error("a report before any packet")
	}
	start := time.Unix(1_800_000_000, 0)
	for i := range 100 {
		if i%4 != 3 { // a quarter is lost
			rc.packet(rtpPacket(uint16(65500+i), uint32(i)*3600, "\x65x"), start.Add(time.Duration(i)*40*time.Millisecond))
		}
	}
	rc.packet(rtpPacket(65500+100-65536, 100*3600, "\x65x"), start.Add(4*time.Second))
	rc.control(append([]byte("\x80\xc8\x00\x06\x00\x00\xca\xfe\x11\x22\x33\x44\x55\x66\x77\x88"), make([]byte, 12)...), start.Add(4*time.Second))
	frame := rc.report(start.Add(6 * time.Second))
	if frame[0] != '$' || frame[1] != 5 || int(frame[2])<<8|int(frame[3]) != len(frame)-4 {
		t.Fatalf("frame %x", frame)
	}
	packets, err := rtcp.Unmarshal(frame[4:])
	if err != nil || len(packets) != 2 {
		t.Fatalf("%v, %v", packets, err)
	}
	got := packets[0].(*rtcp.ReceiverReport).Reports[0]
	want := rtcp.ReceptionReport{
		SSRC: 0xcafe, FractionLost: 25 * 256 / 101, TotalLost: 25, LastSequenceNumber: 65600,
		LastSenderReport: 0x33445566, Delay: 2 * 65536,
	}
	if got != want {
		t.Errorf("report %+v, want %+v", got, want)
	}
}

// A camera that waits for a report before it goes on gets one.
func TestReportIsSent(t *testing.T) {
	camera := &scriptedCamera{play: func(w *wire) {
		w.write(w.picture(0) + w.picture(0))
		head := make([]byte, 4)
		if _, err := io.ReadFull(w.br, head); err != nil || head[0] != '$' || head[1] != 1 {
			t.Errorf("%x in place of a report, %v", head, err)
		}
		w.stream()
	}}
	s := open(t, camera.start(t), quick)
	readPicture(t, s)
	s.nextReport = time.Now()
	for range 5 {
		readPicture(t, s)
	}
}

// nothing is an assembler that makes nothing.
type nothing struct{ assembler }

func (nothing) push(*rtp.Packet, time.Time) {}
func (nothing) report(*rtcp.SenderReport)   {}

// What was set up is given back when the rest fails.
func TestFailedHandshakeIsTornDown(t *testing.T) {
	ended := make(chan string, 1)
	camera := &scriptedCamera{on: map[string]func(*wire, *request){
		"PLAY":     func(w *wire, r *request) { w.answer(r, 453) },
		"TEARDOWN": func(w *wire, r *request) { ended <- r.header.get("Session") },
	}}
	_, err := Dial(t.Context(), camera.start(t), quick)
	checkFault(t, "PLAY refused", err, BadStatus)
	if id := <-ended; id != "1234" {
		t.Errorf("TEARDOWN of session %q", id)
	}
}

// However a session ends, its descriptor goes with it.
func TestNothingLeaks(t *testing.T) {
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	refused := func(w *wire, r *request) { w.answer(r, 404) }
	camera := &scriptedCamera{on: map[string]func(*wire, *request){"DESCRIBE": refused}}
	playing := &scriptedCamera{play: func(w *wire) { w.write(w.picture(0) + "RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n") }}
	bad, good := camera.start(t), playing.start(t)
	nobody := &url.URL{Scheme: "rtsp", Host: "127.0.0.1:1"}
	round := func() {
		for _, u := range []*url.URL{bad, nobody} {
			if _, err := Dial(t.Context(), u, quick); err == nil {
				t.Fatal("plays")
			}
		}
		s, err := Dial(t.Context(), good, quick)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = s.Read()
		}
	}
	round()
	before := descriptors()
	for range 200 {
		round()
	}
	// The cameras' sides of the last connections may still be closing.
	if after := descriptors(); after > before+20 {
		t.Errorf("%d descriptors before, %d after 600 sessions", before, after)
	}
}

// Close from another goroutine ends a Read that waits.
func TestCloseEndsRead(t *testing.T) {
	camera := &scriptedCamera{play: func(w *wire) { w.write(w.picture(0)) }}
	s := open(t, camera.start(t), quick)
	readPicture(t, s)
	ended := make(chan error)
	go func() {
		_, err := s.Read()
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkFault(t, "Read", <-ended, Ended)
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// Some cameras close the connection after they have asked for the log-in.
func TestLoginOnASecondConnection(t *testing.T) {
	for _, ends := range []int{1, 100} {
		camera := &scriptedCamera{}
		var asked atomic.Int32
		camera.on = map[string]func(*wire, *request){
			"DESCRIBE": func(w *wire, r *request) {
				if r.header.get("Authorization") != "" && asked.Load() >= int32(ends) {
					camera.usual(w, r)
					return
				}
				asked.Add(1)
				w.answer(r, 401, `WWW-Authenticate: Basic realm="camera"`, "Connection: close")
				w.nc.Close()
			},
		}
		camera.play = (*wire).stream
		u := camera.start(t)
		u.User = url.UserPassword("u", "p")
		s, err := Dial(t.Context(), u, quick)
		if ends > 1 {
			if fault := (*Error)(nil); !errors.As(err, &fault) || fault.Code != Unauthorized || asked.Load() != 2 {
				t.Errorf("a camera that never lets in: %v after %d questions", err, asked.Load())
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		readPicture(t, s)
		s.Close()
	}
}
