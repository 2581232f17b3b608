package video

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/devices"
	"cuulong/video/rtsp"
)

// script is a session made of steps; it waits by the bubble's clock.
type script struct {
	tracks []rtsp.Track
	step   func(n int) (rtsp.Unit, time.Duration, error) // what comes next, and after how long
	n      int
	once   sync.Once
	closed chan struct{}
}

func newScript(step func(n int) (rtsp.Unit, time.Duration, error)) *script {
	return &script{step: step, closed: make(chan struct{}),
		tracks: []rtsp.Track{{Codec: rtsp.H264, ClockRate: videoRate}, {Codec: rtsp.AAC, ClockRate: 16000, SampleRate: 16000, Channels: 1, Config: []byte{0x14, 0x08}}}}
}

func (s *script) Tracks() []rtsp.Track { return s.tracks }

func (s *script) Read() (rtsp.Unit, error) {
	u, after, err := s.step(s.n)
	s.n++
	select {
	case <-time.After(after):
	case <-s.closed:
		return rtsp.Unit{}, &rtsp.Error{Code: rtsp.Ended, Detail: "closed"}
	}
	u.Received = time.Now()
	return u, err
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

var scriptSPS = makeSPS(66, 640, 352)

// play is a picture every 40 ms for a time, and then the end.
func play(d time.Duration) func(int) (rtsp.Unit, time.Duration, error) {
	return func(n int) (rtsp.Unit, time.Duration, error) {
		if d > 0 && time.Duration(n)*40*time.Millisecond >= d {
			return rtsp.Unit{}, 0, &rtsp.Error{Code: rtsp.Ended, Detail: "the camera closed the connection"}
		}
		return rtsp.Unit{PTS: int64(n) * 3600, Key: n%25 == 0, Data: picture(uint32(n), n%25 == 0, 50), SPS: scriptSPS, PPS: testPPS}, 40 * time.Millisecond, nil
	}
}

func fails(code rtsp.Code) (session, error) {
	return nil, &rtsp.Error{Code: code, Detail: "told " + string(code)}
}

// bubble runs f with cameras whose dialling is the n-th call of dial, by a clock of its own.
func bubble(t *testing.T, dial func(n int, u *url.URL) (session, error), f func(t *testing.T, c *Cameras), edit ...func(*Options)) {
	t.Helper()
	c := open(t, edit...)
	synctest.Test(t, func(t *testing.T) {
		c.dials, c.probes = newDialling(), make(chan struct{}, maxProbes)
		var mu sync.Mutex
		n := 0
		c.dial = func(ctx context.Context, u *url.URL, _ rtsp.Options) (session, error) {
			mu.Lock()
			i := n
			n++
			mu.Unlock()
			return dial(i, u)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		f(t, c)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func status(t *testing.T, c *Cameras, id string) Status {
	t.Helper()
	synctest.Wait()
	s, ok := c.Status(devices.ID(id))
	if !ok {
		t.Fatalf("no camera %s", id)
	}
	return s
}

// settle lets time go by, and all that it brings about happen.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		name  string
		code  rtsp.Code
		after time.Duration // of dialling
		want  []time.Duration
	}{
		{"refused", rtsp.Refused, 0, []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}},
		{"unauthorized", rtsp.Unauthorized, 0, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}},
		{"codec", rtsp.UnsupportedCodec, 0, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var dialled []time.Time
			bubble(t, func(int, *url.URL) (session, error) {
				dialled = append(dialled, time.Now())
				return fails(test.code)
			}, func(t *testing.T, c *Cameras) {
				create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
				if s := status(t, c, "cam-1"); s.State != Retrying || s.Code != test.code {
					t.Errorf("status %+v", s)
				}
				settle(10 * time.Minute)
				since := status(t, c, "cam-1").Since
				if first := dialled[0].UTC(); since.Sub(first).Abs() > time.Millisecond {
					t.Errorf("retrying since %v, first tried %v", since, first)
				}
			})
			for i, want := range test.want {
				most := 30.0
				if test.code != rtsp.Refused {
					most = 60
				}
				got, want := dialled[i+1].Sub(dialled[i]).Seconds(), float64(want)
				if got < max(1, want*0.749) || got > min(most, want*1.251) {
					t.Errorf("wait %d: %.2f s, want about %.0f s", i, got, want)
				}
			}
		})
	}
}

func TestStates(t *testing.T) {
	var mu sync.Mutex
	var told []Status
	var c *Cameras
	bubble(t, func(n int, _ *url.URL) (session, error) {
		switch n {
		case 0:
			return fails(rtsp.Refused)
		case 1:
			return fails(rtsp.Unauthorized)
		case 2:
			return newScript(play(31 * time.Second)), nil
		}
		return newScript(play(0)), nil
	}, func(t *testing.T, cams *Cameras) {
		c = cams
		create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
		v := subscribe(t, c, "cam-1")
		for range 2 {
			ev := next(t, v)
			for ev.Lost != nil && ev.Lost.State == Connecting {
				ev = next(t, v)
			}
			if ev.Lost == nil {
				t.Fatalf("event %+v", ev)
			}
		}
		if s := nextStream(t, v); s.Width != 640 {
			t.Errorf("stream %+v", s)
		}
		first := true
		n, lost := 0, false
		for !lost {
			switch ev := next(t, v); {
			case ev.Fragment != nil:
				if _, sample := numberOf(t, ev.Fragment); first && !sample.Key {
					t.Error("it does not begin with a key frame")
				}
				first = false
				n++
			case ev.Lost != nil:
				lost = true
				if ev.Lost.State != Retrying || ev.Lost.Code != rtsp.Ended {
					t.Errorf("lost: %+v", ev.Lost)
				}
			}
		}
		if n < 774 || n > 775 { // the very last may go with the camera
			t.Errorf("%d pictures of 31 s", n)
		}
		lostAt := time.Now()
		nextStream(t, v)
		if wait := time.Since(lostAt); wait > 1400*time.Millisecond {
			t.Errorf("31 s of playing, and then a wait of %v", wait)
		}
		if s := status(t, c, "cam-1"); s.State != Live || s.Why != "" || s.Code != "" {
			t.Errorf("status %+v", s)
		}
	}, func(o *Options) {
		o.OnChange = func(ch Change) {
			if c != nil {
				s, _ := c.Status(ch.ID)
				mu.Lock()
				told = append(told, s)
				mu.Unlock()
			}
		}
	})
	var words []string
	for _, s := range told {
		if w := string(s.State) + " " + string(s.Code); len(words) == 0 || words[len(words)-1] != w {
			words = append(words, w)
		}
	}
	// Whether the first is told before it changes is chance.
	if got, want := strings.TrimPrefix(strings.Join(words, ", "), "connecting , "), "retrying refused, retrying unauthorized, live , retrying ended, live "; got != want {
		t.Errorf("told %s\nwant %s", got, want)
	}
}

func TestFlappingCameraComesBackSoon(t *testing.T) {
	var ended time.Time
	var waits []time.Duration
	bubble(t, func(n int, _ *url.URL) (session, error) {
		if n > 0 {
			waits = append(waits, time.Since(ended))
		}
		inner := play(2 * time.Second)
		return newScript(func(n int) (rtsp.Unit, time.Duration, error) {
			u, d, err := inner(n)
			if err != nil {
				ended = time.Now()
			}
			return u, d, err
		}), nil
	}, func(t *testing.T, c *Cameras) {
		create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
		settle(3 * time.Minute)
	})
	if len(waits) < 20 {
		t.Errorf("%d sessions in 3 minutes", len(waits))
	}
	for i, w := range waits {
		if w < time.Second || w > 5*time.Second {
			t.Errorf("wait %d: %v", i, w)
		}
	}
}

func TestPicturesThatCannotBeBegunWith(t *testing.T) {
	noKey := func(n int) (rtsp.Unit, time.Duration, error) {
		u, d, err := play(0)(n*25 + 1)
		return u, d, err
	}
	badSPS := func(n int) (rtsp.Unit, time.Duration, error) {
		u, d, err := play(0)(n)
		u.SPS = []byte{0x67, 1, 2}
		return u, d, err
	}
	sound := func(n int) (rtsp.Unit, time.Duration, error) {
		if n == 0 {
			return play(0)(0)
		}
		return rtsp.Unit{Track: 1, PTS: int64(n) * frameSamples, Key: true, Data: []byte("sound")}, 64 * time.Millisecond, nil
	}
	tests := []struct {
		name string
		step func(int) (rtsp.Unit, time.Duration, error)
		code rtsp.Code
		at   time.Duration
	}{
		{"no key frame", noKey, rtsp.NoKeyFrame, keyWithin},
		{"no parameter sets", badSPS, rtsp.NoKeyFrame, keyWithin},
		{"sound alone", sound, rtsp.Silent, silentPicture},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(n int, _ *url.URL) (session, error) { return newScript(test.step), nil }, func(t *testing.T, c *Cameras) {
				create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
				settle(test.at - time.Second)
				if s := status(t, c, "cam-1"); s.State == Retrying {
					t.Errorf("too early: %+v", s)
				}
				settle(1500 * time.Millisecond)
				if s := status(t, c, "cam-1"); s.State != Retrying || s.Code != test.code {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

func TestPanicsStayIn(t *testing.T) {
	registry := prometheus.NewRegistry()
	var log safeBuffer
	var told atomic.Int32
	bubble(t, func(n int, _ *url.URL) (session, error) {
		switch n {
		case 0:
			panic("what the camera said: hunter2")
		case 1:
			return newScript(func(n int) (rtsp.Unit, time.Duration, error) {
				if n > 10 {
					var none []int
					_ = none[n]
				}
				return play(0)(n)
			}), nil
		}
		return newScript(play(0)), nil
	}, func(t *testing.T, c *Cameras) {
		create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
		if s := status(t, c, "cam-1"); s.State != Retrying || s.Code != rtsp.Protocol {
			t.Errorf("status %+v", s)
		}
		settle(time.Minute)
		if s := status(t, c, "cam-1"); s.State != Live {
			t.Errorf("status %+v", s)
		}
		if n := testutil.ToFloat64(c.meters.refused.WithLabelValues("camera", "panic")); n < 2 {
			t.Errorf("%v panics counted", n)
		}
	}, func(o *Options) {
		o.Metrics = registry
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.OnChange = func(Change) {
			// A listener of ours may be wrong, too.
			if bytes.Contains(debug.Stack(), []byte("(*supervisor)")) && told.Add(1) == 1 {
				panic(errors.New("listener"))
			}
		}
	})
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "index out of range") {
		t.Errorf("log: %s", log.String())
	}
}

func TestOnDemand(t *testing.T) {
	dialled := 0
	bubble(t, func(int, *url.URL) (session, error) {
		dialled++
		return newScript(play(0)), nil
	}, func(t *testing.T, c *Cameras) {
		cam := camera("cam-1", "rtsp://10.0.0.1/")
		cam.Pull = OnDemand
		create(t, c, cam)
		settle(time.Hour)
		if s := status(t, c, "cam-1"); s.State != Off || dialled != 0 {
			t.Fatalf("status %+v, dialled %d times for nobody", s, dialled)
		}
		v := subscribe(t, c, "cam-1")
		if ev := next(t, v); ev.Lost == nil || ev.Lost.State != Connecting {
			t.Errorf("event %+v", ev)
		}
		nextStream(t, v)
		v.Close()
		v.Close() // twice is once
		settle(linger - time.Second)
		if s := status(t, c, "cam-1"); s.State != Live {
			t.Errorf("while it lingers: %+v", s)
		}
		v = subscribe(t, c, "cam-1")
		nextStream(t, v)
		settle(5 * time.Minute)
		if s := status(t, c, "cam-1"); s.State != Live || dialled != 1 {
			t.Errorf("while somebody looks: %+v, dialled %d times", s, dialled)
		}
		v.Close()
		settle(linger + time.Second)
		if s := status(t, c, "cam-1"); s.State != Off || s.Code != "" {
			t.Errorf("when all have left: %+v", s)
		}
		nextStream(t, subscribe(t, c, "cam-1"))
		synctest.Wait()
		if dialled != 2 {
			t.Errorf("dialled %d times", dialled)
		}

		// Set to always, it is pulled though nobody looks.
		cam.Pull = Always
		if _, err := c.Update(context.Background(), cam); err != nil {
			t.Fatal(err)
		}
		settle(10 * time.Minute)
		if s := status(t, c, "cam-1"); s.State != Live {
			t.Errorf("set to always: %+v", s)
		}
	})
}

// A camera on demand whose address changes while somebody looks shows the old
// one's pictures no more: not to him, nor to who comes while the new one is dialled.
func TestChangeOfAddressOnDemand(t *testing.T) {
	bubble(t, func(_ int, u *url.URL) (session, error) {
		if u.Path == "/dead" {
			time.Sleep(10 * time.Second)
			return fails(rtsp.TimedOut)
		}
		return newScript(play(0)), nil
	}, func(t *testing.T, c *Cameras) {
		cam := camera("cam-1", "rtsp://10.0.0.1/")
		cam.Pull = OnDemand
		create(t, c, cam)
		nextStream(t, subscribe(t, c, "cam-1"))
		cam.URL = "rtsp://10.0.0.1/dead"
		if _, err := c.Update(t.Context(), cam); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if s := status(t, c, "cam-1"); s.State != Connecting {
			t.Errorf("while it is dialled: %+v", s)
		}
		if ev := next(t, subscribe(t, c, "cam-1")); ev.Lost == nil || ev.Lost.State != Connecting {
			t.Errorf("who comes gets %+v", ev)
		}
	})
}

func TestOnDemandDoesNotHammer(t *testing.T) {
	dialled := 0
	bubble(t, func(int, *url.URL) (session, error) {
		dialled++
		return fails(rtsp.Unauthorized)
	}, func(t *testing.T, c *Cameras) {
		cam := camera("cam-1", "rtsp://10.0.0.1/")
		cam.Pull = OnDemand
		create(t, c, cam)
		// A page that comes and goes: the camera's account must not be locked.
		for range 60 {
			v := subscribe(t, c, "cam-1")
			settle(time.Second)
			v.Close()
			settle(linger + time.Second)
		}
		if dialled > 60 {
			t.Errorf("%d wrong log-ins in half an hour", dialled)
		}
	})
}

func TestChangesOfTheRecord(t *testing.T) {
	var dialled []string
	bubble(t, func(_ int, u *url.URL) (session, error) {
		dialled = append(dialled, u.String())
		return newScript(play(0)), nil
	}, func(t *testing.T, c *Cameras) {
		create(t, c, camera("cam-1", "rtsp://u:p@10.0.0.1/a"))
		v := subscribe(t, c, "cam-1")
		nextStream(t, v)
		renamed := camera("cam-1", "rtsp://10.0.0.1/a")
		renamed.Name, renamed.Position.Lat = "Tên mới", 10.3
		if _, err := c.Update(context.Background(), renamed); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		if len(dialled) != 1 {
			t.Errorf("a new name made it dial again: %v", dialled)
		}
		if _, err := c.Update(context.Background(), camera("cam-1", "rtsp://10.0.0.1/b")); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if len(dialled) != 2 || dialled[1] != "rtsp://u:p@10.0.0.1/b" {
			t.Errorf("dialled %v", dialled)
		}
		nextStream(t, v)
		synctest.Wait()
		ctx := context.Background()
		if err := c.Delete(ctx, "cam-1"); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Next(ctx); !errors.Is(err, ErrNotFound) {
			t.Errorf("after the camera's end: %v", err)
		}
		if _, err := c.Subscribe("cam-1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Subscribe after the camera's end: %v", err)
		}
		settle(time.Hour)
		if len(dialled) != 2 {
			t.Errorf("a deleted camera is dialled: %v", dialled)
		}
		// The same id again is another camera.
		create(t, c, camera("cam-1", "rtsp://10.0.0.9/"))
		nextStream(t, subscribe(t, c, "cam-1"))
	})
}

func TestTheEnd(t *testing.T) {
	var waiting *Viewer
	var cams *Cameras
	var got error
	bubble(t, func(int, *url.URL) (session, error) { return newScript(play(0)), nil }, func(t *testing.T, c *Cameras) {
		cams = c
		create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
		waiting = subscribe(t, c, "cam-1")
		go func() {
			for got == nil {
				_, got = waiting.Next(context.Background())
			}
		}()
		ctx, cancel := context.WithCancel(context.Background())
		v := subscribe(t, c, "cam-1")
		cancel()
		for {
			if _, err := v.Next(ctx); err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Next with a context that ended: %v", err)
				}
				break
			}
		}
		v.Close()
		if _, err := v.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	})
	if !errors.Is(got, ErrClosed) {
		t.Errorf("a viewer at the end got %v", got)
	}
	if _, err := cams.Subscribe("cam-1"); !errors.Is(err, ErrClosed) {
		t.Errorf("Subscribe after the end: %v", err)
	}
	if err := cams.Run(context.Background()); err == nil {
		t.Error("it runs twice")
	}
	// Records can still be kept.
	create(t, cams, camera("cam-2", "rtsp://10.0.0.2/"))
	if _, err := cams.Subscribe("cam-2"); !errors.Is(err, ErrClosed) {
		t.Errorf("Subscribe to a camera made after the end: %v", err)
	}
}

// holding is a dial that takes ten seconds and fails.
type holding struct {
	mu        sync.Mutex
	now, most int
}

func (h *holding) dial(code rtsp.Code) (session, error) {
	h.mu.Lock()
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	time.Sleep(10 * time.Second)
	h.mu.Lock()
	h.now--
	h.mu.Unlock()
	return fails(code)
}

func TestDialsAreBounded(t *testing.T) {
	var dead holding
	bubble(t, func(n int, u *url.URL) (session, error) {
		if u.Path == "/good" {
			return newScript(play(0)), nil
		}
		if n%2 == 0 {
			return dead.dial(rtsp.Protocol) // it answers, as late as it may
		}
		return dead.dial(rtsp.TimedOut)
	}, func(t *testing.T, c *Cameras) {
		for i := range 40 {
			create(t, c, camera("dead-"+string(rune('A'+i%26))+string(rune('a'+i/26)), "rtsp://10.0.0.1/dead"))
		}
		settle(2 * time.Minute)
		if dead.most != 8 {
			t.Errorf("%d dialled at once", dead.most)
		}
		// Forty that do not answer in time leave room for one that does.
		create(t, c, camera("good", "rtsp://10.0.0.2/good"))
		settle(time.Second)
		if s := status(t, c, "good"); s.State != Live {
			t.Errorf("the good camera is %+v", s)
		}
	})
}

func TestTheSameFailureIsLoggedOnce(t *testing.T) {
	var log safeBuffer
	bubble(t, func(n int, _ *url.URL) (session, error) {
		if n < 20 {
			return fails(rtsp.Refused)
		}
		return fails(rtsp.NotFound)
	}, func(t *testing.T, c *Cameras) {
		create(t, c, camera("cam-1", "rtsp://u:p@10.0.0.1/pfad"))
		settle(9*time.Minute + 50*time.Second)
	}, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	text := log.String()
	if n := strings.Count(text, "camera is lost"); n != 1 {
		if n != 2 || !strings.Contains(text, "not_found") {
			t.Errorf("%d lines: %s", n, text)
		}
	}
	if !strings.Contains(text, "camera=cam-1") || strings.Contains(text, "10.0.0.1") || strings.Contains(text, "pfad") {
		t.Errorf("log: %s", text)
	}
}

func TestProbe(t *testing.T) {
	for _, test := range []struct {
		name string
		dial func() (session, error)
		code rtsp.Code
	}{
		{"refused", func() (session, error) { return fails(rtsp.Refused) }, rtsp.Refused},
		{"panic", func() (session, error) { panic("x") }, rtsp.Protocol},
		{"no key frame", func() (session, error) {
			return newScript(func(n int) (rtsp.Unit, time.Duration, error) { return play(0)(25*n + 1) }), nil
		}, rtsp.NoKeyFrame},
		{"good", func() (session, error) { return newScript(play(0)), nil }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var dialled string
			bubble(t, func(_ int, u *url.URL) (session, error) {
				dialled = u.String()
				return test.dial()
			}, func(t *testing.T, c *Cameras) {
				begin := time.Now()
				got, err := c.Probe(context.Background(), "rtsp://u:p@10.0.0.1/a", "")
				if test.code == "" {
					if err != nil || got.Width != 640 || got.Height != 352 || got.Codecs != "avc1.42001f,mp4a.40.2" {
						t.Errorf("%+v, %v", got, err)
					}
				} else {
					var fault *rtsp.Error
					if !errors.As(err, &fault) || fault.Code != test.code {
						t.Errorf("%v, want %s", err, test.code)
					}
				}
				if took := time.Since(begin); took > probeWithin {
					t.Errorf("it took %v", took)
				}
				if dialled != "rtsp://u:p@10.0.0.1/a" {
					t.Errorf("dialled %s", dialled)
				}
				cam := camera("cam-1", "rtsp://v:q@10.0.0.2/a")
				cam.Pull = OnDemand
				create(t, c, cam)
				c.Probe(context.Background(), "rtsp://10.0.0.2/b", "cam-1")
				if dialled != "rtsp://v:q@10.0.0.2/b" {
					t.Errorf("dialled %s", dialled)
				}
				dialled = ""
				_, err = c.Probe(context.Background(), "rtsp://10.0.0.3/b", "cam-1")
				mustContain(t, err, "url")
				_, err = c.Probe(context.Background(), "rtsp://[::ffff:169.254.1.1]/b", "")
				mustContain(t, err, "url")
				if _, err := c.Probe(context.Background(), "rtsp://10.0.0.3/b", "nobody"); !errors.Is(err, ErrNotFound) {
					t.Errorf("%v", err)
				}
				if dialled != "" {
					t.Errorf("dialled %s", dialled)
				}
			})
		})
	}
}
