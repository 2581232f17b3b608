package video

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/video/rtsp"
)

// stage is a relay with a viewer or more and no camera: units are published by hand.
type stage struct {
	t      testing.TB
	c      *Cameras
	relay  *relay
	stream *Stream
	n      int
	at     time.Duration
}

func newStage(t testing.TB) *stage {
	c := open(t)
	create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
	rec, _ := c.find("cam-1")
	return &stage{t: t, c: c, relay: rec.relay, stream: &Stream{Codecs: "a", Init: []byte("init")}}
}

// publish publishes units, 40 ms apart, each with its number in it.
func (s *stage) publish(n int, key func(i int) bool, size int) {
	for range n {
		fragment := fmt.Appendf(make([]byte, 0, size), "%d", s.n)
		s.relay.publish(unit{fragment: fragment[:max(size, len(fragment))], stream: s.stream, at: s.at, key: key(s.n), dts: uint64(s.n) * 3600})
		s.n++
		s.at += 40 * time.Millisecond
	}
}

func everyGOP(n int) func(int) bool { return func(i int) bool { return i%n == 0 } }

func never(int) bool { return false }

// take is what the viewer can have without waiting.
func (s *stage) take(v *Viewer) (numbers []int, streams, lost int) {
	for {
		ev, wake, err := v.read()
		switch {
		case err != nil:
			s.t.Fatal(err)
		case wake != nil:
			return numbers, streams, lost
		case ev.Stream != nil:
			streams++
		case ev.Lost != nil:
			lost++
		default:
			var n int
			fmt.Sscanf(string(ev.Fragment), "%d", &n)
			numbers = append(numbers, n)
		}
	}
}

func (s *stage) slow() int { return int(testutil.ToFloat64(s.c.meters.dropped[viewerSlow])) }

func sequence(t testing.TB, what string, got []int, first, last int) {
	t.Helper()
	if len(got) != last-first+1 || len(got) > 0 && (got[0] != first || got[len(got)-1] != last) {
		t.Errorf("%s: got %v, want %d to %d", what, got, first, last)
	}
}

func TestViewerBeginsAtTheNewestKeyFrame(t *testing.T) {
	s := newStage(t)
	early := subscribe(t, s.c, "cam-1")
	if got, streams, lost := s.take(early); len(got) != 0 || streams != 0 || lost != 1 {
		t.Errorf("before the first picture: %v, %d streams, %d lost", got, streams, lost)
	}
	s.publish(130, everyGOP(50), 100)
	late := subscribe(t, s.c, "cam-1")
	got, streams, lost := s.take(late)
	sequence(t, "who comes late", got, 100, 129)
	if streams != 1 || lost != 0 {
		t.Errorf("%d streams, %d lost", streams, lost)
	}
	s.publish(20, everyGOP(50), 100)
	got, streams, _ = s.take(late)
	sequence(t, "who is there", got, 130, 149)
	if streams != 0 || s.slow() != 0 {
		t.Errorf("%d streams, %d dropped", streams, s.slow())
	}
}

func TestSlowViewerGoesOnAtAKeyFrame(t *testing.T) {
	s := newStage(t)
	v := subscribe(t, s.c, "cam-1")
	s.publish(10, everyGOP(50), 100)
	got, _, _ := s.take(v)
	sequence(t, "at first", got, 0, 9)
	// A second behind, with a newer key frame: all is still there.
	s.publish(50, everyGOP(50), 100)
	got, _, _ = s.take(v)
	sequence(t, "a little behind", got, 10, 59)
	if s.slow() != 0 {
		t.Errorf("%d dropped", s.slow())
	}
	// Four seconds behind without a newer key frame: nothing to go on from.
	s.publish(100, never, 100)
	got, _, _ = s.take(v)
	sequence(t, "behind in a long group", got, 60, 159)
	// More than two seconds behind with one.
	s.publish(140, func(i int) bool { return i == 290 }, 100)
	got, _, _ = s.take(v)
	sequence(t, "far behind", got, 290, 299)
	if s.slow() != 290-160 {
		t.Errorf("%d dropped, want %d", s.slow(), 290-160)
	}
}

// inOrder is what waits for v: streams by their codecs, pictures by their first byte.
func inOrder(v *Viewer) (order []string) {
	for {
		ev, wake, err := v.read()
		switch {
		case wake != nil || err != nil:
			return order
		case ev.Stream != nil:
			order = append(order, ev.Stream.Codecs)
		default:
			order = append(order, string(ev.Fragment[:1]))
		}
	}
}

func TestChangeOfStreamComesBeforeItsPictures(t *testing.T) {
	s := newStage(t)
	v := subscribe(t, s.c, "cam-1")
	s.publish(5, everyGOP(50), 100)
	s.stream = &Stream{Codecs: "b"}
	s.publish(5, func(i int) bool { return i == 5 }, 100)
	// Who begins now begins with the new one, and never sees the old.
	if got, want := fmt.Sprint(inOrder(v)), "[b 5 6 7 8 9]"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestChangeOfStreamReachesWhoIsThere(t *testing.T) {
	s := newStage(t)
	v := subscribe(t, s.c, "cam-1")
	s.publish(3, everyGOP(50), 100)
	s.take(v)
	s.publish(2, never, 100)
	s.stream = &Stream{Codecs: "b"}
	s.publish(2, func(i int) bool { return i == 5 }, 100)
	if got, want := fmt.Sprint(inOrder(v)), "[3 4 b 5 6]"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestLostCameraShowsNothingStale(t *testing.T) {
	s := newStage(t)
	v := subscribe(t, s.c, "cam-1")
	s.publish(60, everyGOP(50), 1000)
	s.take(v)
	s.relay.set(Retrying, rtsp.Ended, "ended")
	if s.relay.ring.units != nil || s.relay.ring.bytes != 0 {
		t.Errorf("the ring of a lost camera holds %d bytes", s.relay.ring.bytes)
	}
	newcomer := subscribe(t, s.c, "cam-1")
	for name, v := range map[string]*Viewer{"who is there": v, "who comes": newcomer} {
		if got, streams, lost := s.take(v); len(got) != 0 || streams != 0 || lost != 1 {
			t.Errorf("%s: %v, %d streams, %d lost", name, got, streams, lost)
		}
	}
	s.relay.set(Retrying, rtsp.Refused, "refused")
	if _, _, lost := s.take(v); lost != 1 {
		t.Error("another reason is not told")
	}
	s.relay.set(Retrying, rtsp.Refused, "refused")
	if _, _, lost := s.take(v); lost != 0 {
		t.Error("the same reason is told twice")
	}
	s.n = 100
	s.publish(3, everyGOP(50), 100)
	for name, v := range map[string]*Viewer{"who is there": v, "who comes": newcomer} {
		got, streams, _ := s.take(v)
		sequence(t, name, got, 100, 102)
		if streams != 1 {
			t.Errorf("%s: %d streams", name, streams)
		}
	}
	// Lost and back between two looks of one who is up to date.
	s.relay.set(Retrying, rtsp.Ended, "ended")
	s.stream = &Stream{Codecs: "b"}
	s.n = 150
	s.publish(1, everyGOP(50), 100)
	got, streams, _ := s.take(v)
	sequence(t, "back at once", got, 150, 150)
	if streams != 1 || s.slow() != 0 {
		t.Errorf("%d streams, %d dropped", streams, s.slow())
	}
}

func TestRingIsBounded(t *testing.T) {
	r := &ring{}
	held := func() (units, bytes int) {
		for n := r.first; n != r.next; n++ {
			bytes += len(r.at(n).fragment)
		}
		return r.len(), bytes
	}
	check := func(what string) {
		t.Helper()
		units, bytes := held()
		if bytes != r.bytes || units > ringUnits || bytes > ringBytes {
			t.Fatalf("%s: %d units, %d bytes (counted %d)", what, units, bytes, r.bytes)
		}
		if r.key != 0 && (r.key < r.first || r.key >= r.next || !r.at(r.key).key) {
			t.Fatalf("%s: key %d of %d to %d", what, r.key, r.first, r.next)
		}
		alive := 0
		for i := range r.units {
			if r.units[i].fragment != nil {
				alive++
			}
		}
		if alive != units {
			t.Fatalf("%s: %d fragments are held for %d units", what, alive, units)
		}
	}
	at := time.Duration(0)
	push := func(key bool, size int) {
		at += 40 * time.Millisecond
		r.push(unit{fragment: make([]byte, size), at: at, key: key})
	}
	// Usual: never more than a group and two seconds.
	for i := range 1000 {
		push(i%50 == 0, 100)
		check("usual")
		if r.len() > 50+51 {
			t.Fatalf("%d units are held of groups of 50", r.len())
		}
	}
	// A group without end: the cache is let go, what is new stays for two seconds.
	for range 3 * ringUnits {
		push(false, 100)
		check("endless")
	}
	if r.key != 0 || r.len() > 52 {
		t.Errorf("after an endless group: key %d, %d units", r.key, r.len())
	}
	push(true, 100)
	if r.key == 0 {
		t.Error("the next key frame is no key frame")
	}
	// Many bytes.
	for range 300 {
		push(false, 200<<10)
		check("large")
	}
	if r.key != 0 {
		t.Error("16 MB of pictures are held, and the key frame before them")
	}
	push(true, ringBytes)
	check("one that fills it")
	if r.len() != 1 || r.key == 0 {
		t.Errorf("%d units", r.len())
	}
	r.clear()
	check("empty")
	push(true, 10)
	check("again")
}

func TestViewersAreBounded(t *testing.T) {
	s := newStage(t)
	for i := range 4 {
		create(t, s.c, camera(fmt.Sprintf("more-%d", i), "rtsp://10.0.0.1/"))
	}
	var all []*Viewer
	for range maxPerCamera {
		all = append(all, subscribe(t, s.c, "cam-1"))
	}
	if _, err := s.c.Subscribe("cam-1"); !errors.Is(err, ErrFull) {
		t.Errorf("one more of a camera: %v", err)
	}
	for i := len(all); i < maxViewers; i++ {
		all = append(all, subscribe(t, s.c, fmt.Sprintf("more-%d", i%4)))
	}
	if _, err := s.c.Subscribe("more-0"); !errors.Is(err, ErrFull) {
		t.Errorf("one more of all: %v", err)
	}
	if n := testutil.ToFloat64(s.c.meters.viewers); n != maxViewers {
		t.Errorf("%v viewers counted", n)
	}
	for _, v := range all {
		v.Close()
	}
	if n := testutil.ToFloat64(s.c.meters.viewers); n != 0 {
		t.Errorf("%v viewers counted when all have left", n)
	}
	if n := testutil.ToFloat64(s.c.meters.refused.WithLabelValues("camera", "full")); n != 2 {
		t.Errorf("%v refusals counted", n)
	}
	subscribe(t, s.c, "cam-1")
}

func TestCloseWhileNextWaits(t *testing.T) {
	c := open(t)
	synctest.Test(t, func(t *testing.T) {
		create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
		v, err := c.Subscribe("cam-1")
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := v.Next(context.Background()); err != nil || ev.Lost == nil {
			t.Fatalf("%+v, %v", ev, err)
		}
		var got error
		go func() { _, got = v.Next(context.Background()) }()
		synctest.Wait()
		v.Close()
		synctest.Wait()
		if !errors.Is(got, ErrClosed) {
			t.Errorf("Next: %v", got)
		}
		rec, _ := c.find("cam-1")
		rec.relay.end(ErrClosed) // its timer ends with the test
	})
}

// TestPublishAllocates holds what a picture costs beside its own bytes: the
// channel that wakes, and nothing for each viewer.
func TestPublishAllocates(t *testing.T) {
	s := newStage(t)
	for range 200 {
		s.relay.viewers++
	}
	s.publish(100, everyGOP(25), 100)
	fragment := make([]byte, 100)
	n := testing.AllocsPerRun(1000, func() {
		s.n++
		s.at += 40 * time.Millisecond
		s.relay.publish(unit{fragment: fragment, stream: s.stream, at: s.at, key: s.n%25 == 0})
	})
	if n > 1 {
		t.Errorf("publish allocates %v times", n)
	}
	m, begin := testMux(t, false)
	pictures := [2][]byte{picture(0, true, 20_000), picture(1, false, 20_000)}
	i := 0
	n = testing.AllocsPerRun(1000, func() {
		u := rtsp.Unit{PTS: int64(i) * 3600, Received: begin.Add(time.Duration(i) * 40 * time.Millisecond), Key: i%25 == 0, Data: pictures[min(i%25, 1)], SPS: scriptSPS, PPS: testPPS}
		if _, ok := m.push(&u); !ok {
			t.Fatal("no picture")
		}
		i++
	})
	if n > 1 {
		t.Errorf("a picture becomes a fragment by %v allocations", n)
	}
	v := subscribe(t, s.c, "cam-1")
	s.take(v)
	ctx := context.Background()
	n = testing.AllocsPerRun(1000, func() {
		s.at += 40 * time.Millisecond
		s.relay.publish(unit{fragment: fragment, stream: s.stream, at: s.at, key: true})
		if _, err := v.Next(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 {
		t.Errorf("publish and Next allocate %v times", n)
	}
}

// BenchmarkPicture is one 20 KB picture from the wire's unit to the ring: 1080p25
// at 4 Mbit/s, of which 50 cameras are wanted.
func BenchmarkPicture(b *testing.B) {
	m, begin := testMux(b, false)
	s := newStage(b)
	pictures := [2][]byte{picture(0, true, 20_000), picture(1, false, 20_000)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		u := rtsp.Unit{PTS: int64(i) * 3600, Received: begin.Add(time.Duration(i) * 40 * time.Millisecond), Key: i%50 == 0, Data: pictures[min(i%50, 1)], SPS: scriptSPS, PPS: testPPS}
		out, ok := m.push(&u)
		if !ok {
			b.Fatal("no picture")
		}
		s.relay.publish(out)
	}
	b.ReportMetric(50*25*100*b.Elapsed().Seconds()/float64(b.N), "%core@50cams")
}

// BenchmarkPublish is one camera's picture to its viewers, each of which waits
// for it in Next. 25 a second are wanted.
func BenchmarkPublish(b *testing.B) {
	for _, viewers := range []int{0, 1, 200} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			s := newStage(b)
			ctx, cancel := context.WithCancel(context.Background())
			var all, got sync.WaitGroup
			for range viewers {
				v, err := s.c.Subscribe("cam-1")
				if err != nil {
					b.Fatal(err)
				}
				all.Go(func() {
					defer v.Close()
					for {
						ev, err := v.Next(ctx)
						if err != nil {
							return
						}
						if ev.Fragment != nil {
							got.Done()
						}
					}
				})
			}
			fragment := make([]byte, 20_000)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				got.Add(viewers)
				s.at += 40 * time.Millisecond
				s.relay.publish(unit{fragment: fragment, stream: s.stream, at: s.at, key: i%50 == 0})
				got.Wait()
			}
			b.StopTimer()
			b.ReportMetric(25*100*b.Elapsed().Seconds()/float64(b.N), "%core@25fps")
			cancel()
			all.Wait()
		})
	}
}
