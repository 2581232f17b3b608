package field

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"cuulong/devices"
)

// A far is the other end of a test: a real broker, bare, whose publishes end in
// memory. It can be cut off and come again on the same address.
type far struct {
	t    *testing.T
	addr string
	tls  *tls.Config // nil: none

	mu     sync.Mutex
	server *mochi.Server
	socket *cutListener
	memory map[string]map[int64]float64 // "device/metric" → time → value
	count  map[string]int               // messages by topic
	bad    int                          // payloads that are no telemetry
	again  int                          // observations that came twice, equal
	other  int                          // observations that came twice, different

	// judge, when set, decides over a publish: nil keeps and acknowledges it.
	// It is called with mu held.
	judge func(packets.Packet) error
	// heard, when set, is told each message after it was kept, with mu held.
	heard func(topic string, payload []byte)
}

func newFar(t *testing.T) *far {
	t.Helper()
	return newFarAt(t, "127.0.0.1:0", nil)
}

func newFarAt(t *testing.T, addr string, secure *tls.Config) *far {
	t.Helper()
	f := &far{t: t, tls: secure, memory: map[string]map[int64]float64{}, count: map[string]int{}}
	f.start(addr)
	t.Cleanup(f.cut)
	return f
}

func (f *far) start(addr string) {
	f.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = l.Addr().String()
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(&farHook{far: f}, nil); err != nil {
		f.t.Fatal(err)
	}
	socket := &cutListener{Listener: l}
	var heard net.Listener = socket
	if f.tls != nil {
		heard = tls.NewListener(socket, f.tls)
	}
	if err := s.AddListener(listeners.NewNet("t", heard)); err != nil {
		f.t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		f.t.Fatal(err)
	}
	f.server, f.socket = s, socket
}

// cut ends the broker as a power cut would, seen from outside.
func (f *far) cut() {
	if f.server == nil {
		return
	}
	f.socket.cut()
	_ = f.server.Close()
	f.server = nil
}

// with runs do under the lock.
func (f *far) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *far) stored(_ context.Context, device devices.ID, metric string, from, to int64, yield func(int64, float64) bool) error {
	f.mu.Lock()
	series := f.memory[string(device)+"/"+metric]
	var times []int64
	for at := range series {
		if at >= from && at < to {
			times = append(times, at)
		}
	}
	f.mu.Unlock()
	slices.Sort(times)
	for _, at := range times {
		if !yield(at, series[at]) {
			return nil
		}
	}
	return nil
}

func (f *far) observations() (n int) {
	f.with(func() {
		for _, s := range f.memory {
			n += len(s)
		}
	})
	return n
}

// cutListener remembers its connections, to break them.
type cutListener struct {
	net.Listener
	mu    sync.Mutex
	conns []*takenConn
}

// takenConn tells that the broker has taken it up.
type takenConn struct {
	*net.TCPConn
	once  sync.Once
	taken chan struct{}
}

func (c *takenConn) Read(b []byte) (int, error) {
	c.once.Do(func() { close(c.taken) })
	return c.TCPConn.Read(b)
}

func (l *cutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &takenConn{TCPConn: c.(*net.TCPConn), taken: make(chan struct{})}
	l.mu.Lock()
	l.conns = append(l.conns, t)
	l.mu.Unlock()
	return t, nil
}

func (l *cutListener) cut() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.SetLinger(0) // what is under way is lost
		_ = c.Close()
		<-c.taken // the broker counts it then, and must not while it is closed
	}
}

type farHook struct {
	mochi.HookBase
	far *far
}

func (h *farHook) ID() string { return "far" }

func (h *farHook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish}, b) >= 0
}

func (h *farHook) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	return string(pk.Connect.Password) != "wrong"
}

func (h *farHook) OnACLCheck(*mochi.Client, string, bool) bool { return true }

func (h *farHook) OnPublish(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	f := h.far
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.judge != nil {
		if err := f.judge(pk); err != nil {
			return pk, err
		}
	}
	f.count[pk.TopicName]++
	f.keep(pk.TopicName, pk.Payload)
	if f.heard != nil {
		f.heard(pk.TopicName, slices.Clone(pk.Payload))
	}
	return pk, nil
}

// keep reads the contract's plain telemetry, strictly and apart from the product's decoder.
func (f *far) keep(topic string, payload []byte) {
	type sample struct {
		TS     int64              `json:"ts"`
		Values map[string]float64 `json:"values"`
	}
	var samples []sample
	device, ok := cutTopic(topic)
	if !ok {
		return
	}
	if bytes.HasPrefix(payload, []byte("{")) {
		var one sample
		if json.Unmarshal(payload, &one) != nil {
			f.bad++
			return
		}
		samples = append(samples, one)
	} else if json.Unmarshal(payload, &samples) != nil {
		f.bad++
		return
	}
	for _, s := range samples {
		for metric, v := range s.Values {
			name := device + "/" + metric
			if f.memory[name] == nil {
				f.memory[name] = map[int64]float64{}
			}
			if old, ok := f.memory[name][s.TS]; ok && old == v {
				f.again++
			} else if ok {
				f.other++
			}
			f.memory[name][s.TS] = v
		}
	}
}

func cutTopic(topic string) (device string, ok bool) {
	rest, ok := bytes.CutPrefix([]byte(topic), []byte("devices/"))
	id, leaf, _ := bytes.Cut(rest, []byte("/"))
	return string(id), ok && string(leaf) == "telemetry"
}
