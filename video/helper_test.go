package video

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/video/fmp4"
	"cuulong/video/rtsp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// open opens cameras in a new folder; options may be changed by edit.
func open(t testing.TB, edit ...func(*Options)) *Cameras {
	t.Helper()
	return reopen(t, t.TempDir(), edit...)
}

// reopen opens the cameras of a folder.
func reopen(t testing.TB, dir string, edit ...func(*Options)) *Cameras {
	t.Helper()
	o := Options{Keys: filepath.Join(dir, "keys"), Allow: loopback, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range edit {
		f(&o)
	}
	c, err := Open(context.Background(), openDB(t, filepath.Join(dir, "records.db")), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs c until the test ends.
func start(t testing.TB, c *Cameras) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func camera(id, url string) Camera {
	return Camera{ID: devices.ID(id), Name: "Camera " + id, URL: url, Position: geo.Point{Lon: 106.4, Lat: 10.2}}
}

func create(t testing.TB, c *Cameras, cam Camera) Camera {
	t.Helper()
	made, err := c.Create(context.Background(), cam)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func subscribe(t testing.TB, c *Cameras, id string) *Viewer {
	t.Helper()
	v, err := c.Subscribe(devices.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// next is the viewer's next event; the deadline only ends a test that fails.
func next(t testing.TB, v *Viewer) Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ev, err := v.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return ev
}

// nextStream passes over what was lost until a stream begins.
func nextStream(t testing.TB, v *Viewer) *Stream {
	t.Helper()
	for {
		switch ev := next(t, v); {
		case ev.Stream != nil:
			return ev.Stream
		case ev.Fragment != nil:
			t.Fatal("a fragment came before the stream was told")
		}
	}
}

// await waits until the camera is in a state.
func await(t testing.TB, c *Cameras, id string, ok func(Status) bool) Status {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		status, found := c.Status(devices.ID(id))
		if found && ok(status) {
			return status
		}
		if time.Now().After(deadline) {
			t.Fatalf("camera %s is %+v for ever", id, status)
		}
		time.Sleep(5 * time.Millisecond) // between two looks, not instead of one
	}
}

// bitWriter writes parameter sets as cameras do.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) bits(value uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(value>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) golomb(v uint32) {
	n := 0
	for v+1 >= 1<<(n+1) {
		n++
	}
	w.bits(0, n)
	w.bits(v+1, n+1)
}

// makeSPS is a sequence parameter set of a size in whole macroblocks
// (ITU-T H.264 §7.3.2.1.1).
func makeSPS(profile byte, width, height int) []byte {
	w := &bitWriter{b: []byte{0x67, profile, 0, 31}, n: 32}
	w.golomb(0)
	if profile == 100 {
		w.golomb(1) // 4:2:0
		w.golomb(0)
		w.golomb(0)
		w.bits(0, 2)
	}
	w.golomb(0) // log2_max_frame_num - 4
	w.golomb(2) // pic_order_cnt_type
	w.golomb(1)
	w.bits(0, 1)
	w.golomb(uint32(width/16 - 1))
	w.golomb(uint32(height/16 - 1))
	w.bits(0b1100, 4) // frames only, direct_8x8; no cropping, no VUI
	w.bits(1, 1)
	return w.b
}

var testPPS = []byte{0x68, 0xce, 0x38, 0x80}

// picture is an access unit that carries its number and size bytes.
func picture(number uint32, key bool, size int) []byte {
	nal := make([]byte, 4+2+4+size)
	binary.BigEndian.PutUint32(nal, uint32(len(nal)-4))
	nal[4], nal[5] = 0x41, 0x9a
	if key {
		nal[4], nal[5] = 0x65, 0x88
	}
	binary.BigEndian.PutUint32(nal[6:], number)
	for i := range nal[10:] {
		nal[10+i] = byte(i)%251 + 1 // no start codes
	}
	return nal
}

// numberOf reads the number of the picture in a fragment.
func numberOf(t testing.TB, fragment []byte) (number uint32, sample fmp4.Sample) {
	t.Helper()
	f, err := fmp4.ParseFragment(fragment)
	if err != nil {
		t.Fatalf("fragment: %v", err)
	}
	if len(f.Samples) == 0 || f.Samples[0].Track != videoTrack {
		t.Fatalf("fragment without picture: %+v", f.Samples)
	}
	return binary.BigEndian.Uint32(f.Samples[0].Data[6:]), f.Samples[0]
}

// feed is a camera on the wire: units at their pace, numbered from 0 in each session.
type feed struct {
	every time.Duration
	gop   int // pictures between key frames
	size  int // bytes of a picture
	sps   func(number int) []byte
	last  int                          // number of the last picture; 0: goes on
	hook  func(packet []byte) [][]byte // sees every packet
}

func (f feed) Tracks() []rtsp.Track {
	return []rtsp.Track{{Codec: rtsp.H264, ClockRate: videoRate, SPS: f.spsOf(0), PPS: testPPS}}
}

func (f feed) spsOf(n int) []byte {
	if f.sps == nil {
		return makeSPS(66, 640, 352)
	}
	return f.sps(n)
}

func (f feed) Play(ctx context.Context, w *rtsp.Writer) error {
	if f.hook != nil {
		w.Packet = func(_ int, packet []byte) [][]byte { return f.hook(packet) }
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	step := int64(f.every) * 9 / 100_000
	for n := 0; ; n++ {
		u := rtsp.Unit{PTS: int64(n) * step, Key: n%f.gop == 0, Data: picture(uint32(n), n%f.gop == 0, f.size), SPS: f.spsOf(n), PPS: testPPS}
		if err := w.Write(u); err != nil {
			return err
		}
		if f.last > 0 && n == f.last {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// serve serves sources by path on a port of the machine.
func serve(t testing.TB, o rtsp.ServerOptions) (address string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := rtsp.NewServer(o)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	stop = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the camera: %v", err)
		}
		<-done
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func only(source rtsp.Source) func(string) (rtsp.Source, error) {
	return func(string) (rtsp.Source, error) { return source, nil }
}

func mustContain(t testing.TB, err error, field string) {
	t.Helper()
	var faults devices.FieldErrors
	if !errors.As(err, &faults) {
		t.Fatalf("error %v instead of faults", err)
	}
	for _, f := range faults {
		if f.Field == field {
			return
		}
	}
	t.Fatalf("faults %v name no %s", err, field)
}
