package video

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/video/fmp4"
	"cuulong/video/rtsp"
)

// accept serves connections by hand.
func accept(t testing.TB, f func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				f(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// closedPort is an address where nobody listens, and nobody else will.
func closedPort(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

// silent takes what comes and says nothing, until the other side leaves.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

func garbage(conn net.Conn) {
	b := make([]byte, 4096)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	conn.Write(b)
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestFailedDialsLeakNothing(t *testing.T) {
	kinds := []struct {
		address string
		within  time.Duration
		ok      func(rtsp.Code) bool
	}{
		{closedPort(t), time.Minute, func(c rtsp.Code) bool { return c == rtsp.Refused }},
		{accept(t, silent), 50 * time.Millisecond, func(c rtsp.Code) bool { return c == rtsp.TimedOut || c == rtsp.Silent }},
		{accept(t, garbage), time.Minute, func(c rtsp.Code) bool { return c != "" }},
		{accept(t, func(net.Conn) {}), time.Minute, func(c rtsp.Code) bool { return c != "" }},
	}
	c := open(t)
	dialOnce := func(i int) {
		kind := kinds[i%len(kinds)]
		u, _ := parseAddress("rtsp://u:p@" + kind.address + "/x")
		ctx := context.Background()
		sess, err := dial(ctx, u, rtsp.Options{Dial: c.guard.dial, Handshake: kind.within})
		var fault *rtsp.Error
		if err == nil {
			sess.Close()
			t.Errorf("dial %d succeeded", i)
		} else if !errors.As(err, &fault) || !kind.ok(fault.Code) {
			t.Errorf("dial %d: %v", i, err)
		}
	}
	for i := range 8 {
		dialOnce(i)
	}
	// The other sides are in this process, too: they need a moment to leave.
	settled := func() (fds, goroutines int) {
		for range 200 {
			fds, goroutines = descriptors(t), runtime.NumGoroutine()
			time.Sleep(10 * time.Millisecond)
			if f, g := descriptors(t), runtime.NumGoroutine(); f == fds && g == goroutines {
				return f, g
			}
		}
		return fds, goroutines
	}
	fds, goroutines := settled()
	var all sync.WaitGroup
	for w := range 10 {
		all.Go(func() {
			for i := range 100 {
				dialOnce(w*100 + i)
			}
		})
	}
	all.Wait()
	fdsAfter, goroutinesAfter := settled()
	if fdsAfter > fds+2 || goroutinesAfter > goroutines+2 {
		t.Errorf("1,000 failed dials: %d descriptors before, %d after; %d goroutines before, %d after", fds, fdsAfter, goroutines, goroutinesAfter)
	}
}

// hostileFeed is a camera that changes its size at each key frame and lets
// packets be garbage.
func hostileFeed() feed {
	f := feed{every: 20 * time.Millisecond, gop: 5, size: 4000, sps: func(n int) []byte { return makeSPS(66, 64+16*(n/5%100), 64+16*(n/5%60)) }}
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(3, 4))
	f.hook = func(packet []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch r.IntN(8) {
		case 0:
			return nil
		case 1:
			return [][]byte{packet, packet}
		case 2:
			bad := bytes.Clone(packet)
			for range 8 {
				bad[r.IntN(len(bad))] ^= byte(1 << r.IntN(8))
			}
			return [][]byte{bad}
		case 3:
			return [][]byte{packet[:r.IntN(len(packet))+1]}
		}
		return [][]byte{packet}
	}
	return f
}

// TestThirtyCameras: one is dead, one flaps, one is hostile; of the other 27
// not a picture is missing.
func TestThirtyCameras(t *testing.T) {
	good := feed{every: 40 * time.Millisecond, gop: 25, size: 2000}
	flap := good
	flap.last = 10
	address, _ := serve(t, rtsp.ServerOptions{Open: func(path string) (rtsp.Source, error) {
		switch path {
		case "good":
			return good, nil
		case "flaps":
			return flap, nil
		case "hostile":
			return hostileFeed(), nil
		}
		return nil, fs.ErrNotExist
	}})
	registry := prometheus.NewRegistry()
	c := open(t, func(o *Options) { o.Metrics = registry })
	create(t, c, camera("dead", "rtsp://"+accept(t, silent)+"/x"))
	create(t, c, camera("flaps", "rtsp://"+address+"/flaps"))
	create(t, c, camera("hostile", "rtsp://"+address+"/hostile"))
	for i := range 27 {
		create(t, c, camera(fmt.Sprintf("good-%d", i), "rtsp://"+address+"/good"))
	}
	start(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var bystanders sync.WaitGroup
	for _, id := range []string{"dead", "flaps", "hostile"} {
		v := subscribe(t, c, id)
		bystanders.Go(func() {
			last := uint64(0)
			for {
				ev, err := v.Next(ctx)
				if err != nil {
					return
				}
				if ev.Fragment == nil {
					continue
				}
				f, err := fmp4.ParseFragment(ev.Fragment)
				if err != nil || len(f.Samples) == 0 || last > 0 && f.Samples[0].DTS <= last {
					t.Errorf("camera %s: fragment %+v after %d, %v", id, f, last, err)
					return
				}
				last = f.Samples[0].DTS
			}
		})
	}
	var watchers sync.WaitGroup
	for i := range 27 {
		v := subscribe(t, c, fmt.Sprintf("good-%d", i))
		watchers.Go(func() {
			var last uint32
			var dts uint64
			for seen := 0; seen < 200; {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				ev, err := v.Next(ctx)
				cancel()
				if err != nil {
					t.Errorf("good-%d: %v after %d pictures", i, err, seen)
					return
				}
				if ev.Lost != nil && (seen > 0 || ev.Lost.State != Connecting) {
					t.Errorf("good-%d was lost after %d pictures: %+v", i, seen, ev.Lost)
					return
				}
				if ev.Fragment == nil {
					continue
				}
				n, sample := numberOf(t, ev.Fragment)
				if seen > 0 && (n != last+1 || sample.DTS != dts+3600) {
					t.Errorf("good-%d: picture %d after %d, %d ticks later", i, n, last, sample.DTS-dts)
				}
				last, dts = n, sample.DTS
				seen++
			}
		})
	}
	watchers.Wait()
	if s, _ := c.Status("dead"); s.State == Live {
		t.Errorf("the dead camera is %+v", s)
	}
	if n := testutil.ToFloat64(c.meters.dropped[viewerSlow]); n > 0 {
		t.Logf("%v units were dropped for slow viewers", n) // of the three, if at all
	}
	if n := testutil.ToFloat64(c.meters.dropped[damaged]); n == 0 {
		t.Error("the hostile camera did no harm at all; the test proves nothing")
	}
	if n := testutil.ToFloat64(c.meters.refused.WithLabelValues("camera", "panic")); n != 0 {
		t.Errorf("%v panics", n)
	}
	if n, err := testutil.GatherAndCount(registry, "ioc_camera_state"); err != nil || n != 30*4 {
		t.Errorf("%d states are told, %v", n, err)
	}
	cancel()
	bystanders.Wait()
}

func TestNameThatLeadsHomeIsRefused(t *testing.T) {
	address, _ := serve(t, rtsp.ServerOptions{Open: only(feed{every: 20 * time.Millisecond, gop: 5, size: 100})})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, func(o *Options) { o.Allow = nil })
	// Not a literal address, so that it is taken; it may resolve to the machine
	// itself all the same, by the hosts file.
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{host, "localhost.localdomain"} {
		u := &url.URL{Scheme: "rtsp", Host: net.JoinHostPort(name, port), Path: "/x"}
		addresses, _ := net.LookupHost(name)
		_, err := c.Probe(context.Background(), u.String(), "")
		var fault *rtsp.Error
		if !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, a := range addresses {
			if ip := net.ParseIP(a); ip != nil && ip.IsLoopback() && fault.Code != rtsp.AddressRefused {
				t.Errorf("%s is %v and was dialled: %v", name, addresses, fault)
			}
		}
	}
	// What a resolver may say at the second asking does not count, what is dialled does.
	for _, literal := range []string{"127.0.0.1", "[::ffff:127.0.0.1]"} {
		conn, err := c.guard.dial(context.Background(), "tcp", literal+":"+port)
		var fault *rtsp.Error
		if err == nil {
			conn.Close()
			t.Fatalf("%s was dialled", literal)
		}
		if !errors.As(err, &fault) || fault.Code != rtsp.AddressRefused {
			t.Errorf("%s: %v", literal, err)
		}
	}
	if n := testutil.ToFloat64(c.meters.refused.WithLabelValues("camera", "address_refused")); n < 2 {
		t.Errorf("%v refusals counted", n)
	}
}

// TestSecretsStayIn plants passwords and looks everywhere for them.
func TestSecretsStayIn(t *testing.T) {
	const password, parameter, wrong = "mật%khẩu+Zq7", "tham-so-Zq8", "sai-Zq9"
	secrets := []string{password, parameter, wrong}
	escaped := url.UserPassword("xem", password).String()
	address, stopCamera := serve(t, rtsp.ServerOptions{
		Open:     only(feed{every: 20 * time.Millisecond, gop: 10, size: 500}),
		Password: func(user string) (string, bool) { return password, user == "xem" },
		Basic:    true,
	})
	dir := t.TempDir()
	var log safeBuffer
	registry := prometheus.NewRegistry()
	options := func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Metrics = registry
	}
	c := reopen(t, dir, options)
	stop := start(t, c)
	query := "?password=" + parameter
	made := create(t, c, camera("cam-1", "rtsp://"+escaped+"@"+address+"/live"+query))
	mustNotLeak(t, "the answer to Create", fmt.Sprintf("%+v", made), secrets...)
	create(t, c, camera("wrong", "rtsp://xem:"+wrong+"@"+address+"/live"))
	create(t, c, camera("echo", "rtsp://xem:"+wrong+"@"+accept(t, func(conn net.Conn) {
		// A camera that says all it hears.
		b := make([]byte, 4096)
		n, _ := conn.Read(b)
		fmt.Fprintf(conn, "RTSP/1.0 500 %q\r\nCSeq: 1\r\n\r\n", b[:n])
	})+"/live"+query))
	nextStream(t, subscribe(t, c, "cam-1"))
	await(t, c, "wrong", func(s Status) bool { return s.Code == rtsp.Unauthorized })
	await(t, c, "echo", func(s Status) bool { return s.State == Retrying })

	// Everything that answers.
	var answers []string
	say := func(v any, err error) { answers = append(answers, fmt.Sprintf("%+v %v %#v", v, err, err)) }
	ctx := context.Background()
	for _, u := range []string{"rtsp://xem:" + wrong + "@" + address + "/live", "rtsp://xem:" + wrong + "@" + closedPort(t) + "/" + query, "rtsp://xem:" + wrong + "@127.0.0.1:x/" + query, "rtsp://xem:" + wrong + "%zz@h/" + query, "rtsp://xem:" + wrong + "@169.254.1.1/"} {
		say(c.Probe(ctx, u, ""))
		say(c.Create(ctx, camera("-", u)))
		say(c.Update(ctx, camera("nobody", u)))
		n, refused, err := c.Import(ctx, strings.NewReader("id,name,url,lon,lat\ncam-9,,"+u+",x,"+u+"\n"))
		say([]any{n, refused}, err)
		_, _, err = c.Import(ctx, strings.NewReader("cam-9,a,"+u+",106,10\n"))
		say(nil, err)
	}
	for _, cam := range c.All() {
		s, _ := c.Status(cam.ID)
		answers = append(answers, fmt.Sprintf("%+v %+v", cam, s))
	}
	answers = append(answers, fmt.Sprintf("%+v", c.Near(made.Position, 10)))
	mustNotLeak(t, "an answer", strings.Join(answers, "\n"), secrets...)

	stopCamera()
	await(t, c, "cam-1", func(s Status) bool { return s.State == Retrying })
	metrics, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	mustNotLeak(t, "a metric", fmt.Sprint(metrics), secrets...)
	stop()
	if text := log.String(); !strings.Contains(text, "camera is live") || !strings.Contains(text, "unauthorized") {
		t.Errorf("the log says too little: %s", text)
	}
	mustNotLeak(t, "the log", log.String(), secrets...)
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		mustNotLeak(t, "the file "+d.Name(), string(b), secrets...)
		return err
	})
	if err != nil || files < 2 {
		t.Errorf("%d files were read: %v", files, err)
	}
	// The test would see it if it were there.
	if !bytes.Contains([]byte("x"+escaped), []byte(forms(password)[3])) {
		t.Error("the escaped form is not looked for")
	}
}

func TestFirstPictureComesFromTheCache(t *testing.T) {
	address, _ := serve(t, rtsp.ServerOptions{Open: only(feed{every: 20 * time.Millisecond, gop: 100_000, size: 500})})
	c := open(t)
	create(t, c, camera("cam-1", "rtsp://"+address+"/live"))
	start(t, c)
	first := subscribe(t, c, "cam-1")
	nextStream(t, first)
	for range 20 {
		next(t, first)
	}
	// There is one key frame in the whole stream, and it has gone by.
	late := subscribe(t, c, "cam-1")
	nextStream(t, late)
	if n, sample := numberOf(t, next(t, late).Fragment); n != 0 || !sample.Key {
		t.Errorf("it begins with picture %d", n)
	}
}
