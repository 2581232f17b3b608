package mqtt

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"cuulong/devices"
)

// groupCommitter acknowledges trivially, as the ingest's committer would:
// whole groups, in order of submission, from one goroutine, then a flush.
type groupCommitter struct {
	mu    sync.Mutex
	open  []func(error)
	some  sync.Cond
	ended bool
	flush func()
	done  chan struct{}
}

func newGroupCommitter() *groupCommitter {
	g := &groupCommitter{done: make(chan struct{})}
	g.some.L = &g.mu
	return g
}

func (g *groupCommitter) handle(m Message, done func(error)) {
	g.mu.Lock()
	g.open = append(g.open, done)
	if len(g.open) == 1 {
		g.some.Signal()
	}
	g.mu.Unlock()
}

func (g *groupCommitter) run() {
	defer close(g.done)
	var group []func(error)
	for {
		g.mu.Lock()
		for len(g.open) == 0 {
			if g.ended {
				g.mu.Unlock()
				return
			}
			g.some.Wait()
		}
		group, g.open = g.open, group[:0]
		g.mu.Unlock()
		for i, done := range group {
			done(nil)
			group[i] = nil
		}
		g.flush()
	}
}

func (g *groupCommitter) stop() {
	g.mu.Lock()
	g.ended = true
	g.some.Signal()
	g.mu.Unlock()
	<-g.done
}

// pump is one raw connection that keeps window publishes in flight and
// counts the PUBACKs itself.
func pump(addr string, cred devices.Credentials, clientID string, window, total int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := conn.Write(connect311(clientID, cred.Username, cred.Password, true, 60)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	if _, err := io.ReadFull(conn, buf[:4]); err != nil {
		return err
	}
	if buf[0] != 0x20 || buf[3] != 0 {
		return fmt.Errorf("CONNACK % x", buf[:4])
	}
	one := publish311("devices/"+cred.Username+"/telemetry", 1, 1, []byte(`{"ts":1700000000000,"values":{"salinity":3.21,"level":0.87}}`))
	idAt := 2 + 2 + len("devices/"+cred.Username+"/telemetry")
	var out []byte
	var id uint16
	fill := func(n int) {
		out = out[:0]
		for range n {
			if id++; id == 0 {
				id = 1
			}
			at := len(out)
			out = append(out, one...)
			binary.BigEndian.PutUint16(out[at+idAt:], id)
		}
	}
	sent := min(window, total)
	fill(sent)
	if _, err := conn.Write(out); err != nil {
		return err
	}
	have, acked := 0, 0
	for acked < total {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		got := have / 4
		have = copy(buf, buf[got*4:have])
		acked += got
		if more := min(got, total-sent); more > 0 {
			fill(more)
			if _, err := conn.Write(out); err != nil {
				return err
			}
			sent += more
		}
	}
	return nil
}

// rate publishes total messages over conns connections and returns messages a second.
func rate(b *testing.B, addr string, creds []devices.Credentials, conns, window, total int) float64 {
	b.Helper()
	errs := make(chan error, conns)
	start := time.Now()
	for i := range conns {
		go func() {
			errs <- pump(addr, creds[i], creds[i].Username, window, total/conns)
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	return float64(total/conns*conns) / time.Since(start).Seconds()
}

// allowAll lets everybody do everything, as mochi's own hook of that name.
type allowAll struct{ mochi.HookBase }

func (*allowAll) ID() string { return "allow-all" }
func (*allowAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (*allowAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allowAll) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

func bareBroker(b *testing.B) string {
	b.Helper()
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(new(allowAll), nil); err != nil {
		b.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"})
	if err := s.AddListener(l); err != nil {
		b.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return l.Address()
}

// BenchmarkEdge compares this edge, acknowledged in groups by one committer
// that stores nothing, with the same broker library bare: interleaved rounds,
// medians. ratio is what the edge reaches of the bare rate.
func BenchmarkEdge(b *testing.B) {
	for _, shape := range []struct{ conns, window, total int }{{100, 16, 200_000}, {1, 256, 150_000}} {
		b.Run(fmt.Sprintf("%dx%d", shape.conns, shape.window), func(b *testing.B) {
			reg := registry(b)
			creds := make([]devices.Credentials, shape.conns)
			for i := range creds {
				creds[i] = register(b, reg, devices.Device{ID: devices.ID(fmt.Sprintf("dev-%03d", i)), Name: "d", Kind: devices.Station})
			}
			g := newGroupCommitter()
			edge, addr := serve(b, Options{Registry: reg, Handle: g.handle})
			g.flush = edge.Flush
			go g.run()
			defer g.stop()
			bare := bareBroker(b)
			var ours, theirs []float64
			for b.Loop() {
				ours = append(ours, rate(b, addr, creds, shape.conns, shape.window, shape.total))
				theirs = append(theirs, rate(b, bare, creds, shape.conns, shape.window, shape.total))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			our, their := ours[len(ours)/2], theirs[len(theirs)/2]
			b.ReportMetric(our, "msg/s")
			b.ReportMetric(their, "bare-msg/s")
			b.ReportMetric(our/their, "ratio")
		})
	}
}

// BenchmarkIdleConnection tells what a connection that has published once
// keeps: heap and stacks of this process, the test's own end included.
func BenchmarkIdleConnection(b *testing.B) {
	reg := registry(b)
	cred := register(b, reg, devices.Device{ID: "st", Name: "d", Kind: devices.Station})
	edge, addr := serve(b, Options{Registry: reg, Handle: func(m Message, done func(error)) { done(nil) }})
	const n = 1000
	var perConn float64
	for b.Loop() {
		before := inUse()
		conns := make([]net.Conn, n)
		for i := range conns {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			conns[i] = c
			c.SetDeadline(time.Now().Add(time.Minute))
			c.Write(connect311(fmt.Sprint("tool", i), cred.Username, cred.Password, true, 0))
			c.Write(publish311("devices/st/telemetry", 1, 1, []byte(`{"values":{"ph":7}}`)))
			c.Write(ping)
			var answers [6]byte // CONNACK, PINGRESP
			if _, err := io.ReadFull(c, answers[:]); err != nil {
				b.Fatal(err)
			}
			edge.Flush()
		}
		perConn = (inUse() - before) / n
		for _, c := range conns {
			c.Close()
		}
		eventually(b, "all are gone", func() bool { edge.mu.Lock(); defer edge.mu.Unlock(); return len(edge.conns) == 0 })
	}
	b.ReportMetric(perConn, "B/conn")
}

func inUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}
