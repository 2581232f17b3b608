package mqtt

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bufio"
)

// publisher sends 0, 1, 2, ... of one device with a few in flight, through
// whatever happens to the broker, and keeps a ledger of what was acknowledged.
type publisher struct {
	addr, device string
	n, inflight  int

	sent  int          // messages, once each
	acked map[int]bool // by the broker
}

// run ends when all n are acknowledged, or with the test's patience.
func (p *publisher) run() error {
	p.acked = map[int]bool{}
	end := time.Now().Add(3 * patience)
	for len(p.acked) < p.n {
		if time.Now().After(end) {
			return fmt.Errorf("%s: %d of %d acknowledged", p.device, len(p.acked), p.n)
		}
		if p.once(end) != nil {
			time.Sleep(20 * time.Millisecond) // the broker is down: the pace of a device, not a wait for anything
		}
	}
	return nil
}

func (p *publisher) once(end time.Time) error {
	conn, err := net.DialTimeout("tcp", p.addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(end)
	r := bufio.NewReader(conn)
	c := &client{v: 4, Conn: conn, r: r}
	if _, err := conn.Write(hello{v: 4, id: p.device, anonymous: true}.bytes()); err != nil {
		return err
	}
	if _, _, err := c.next(); err != nil {
		return err
	}
	under := 0
	send := func(i int) error {
		under++
		_, err := conn.Write(publish311("devices/"+p.device+"/telemetry", 1, i+1, fmt.Append(nil, i)))
		return err
	}
	for i := range p.sent { // again, what was not acknowledged
		if !p.acked[i] {
			if err := send(i); err != nil {
				return err
			}
		}
	}
	for len(p.acked) < p.n {
		for under < p.inflight && p.sent < p.n {
			p.sent++
			if err := send(p.sent - 1); err != nil {
				return err
			}
		}
		first, body, err := c.next()
		if err != nil {
			return err
		}
		if first == 0x40 {
			under--
			p.acked[int(binary.BigEndian.Uint16(body))-1] = true
		}
	}
	return nil
}

// store is what a log with deduplication makes of the messages: they are
// durable in groups, some groups fail, and a repeat is dropped.
type store struct {
	mu      sync.Mutex
	rows    map[string]bool
	repeats int
	open    []held
	wake    chan struct{}
}

func newStore() *store { return &store{rows: map[string]bool{}, wake: make(chan struct{}, 1)} }

func (s *store) handle(m Message, done func(error)) {
	s.mu.Lock()
	s.open = append(s.open, held{m, done})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// commit runs until stop; every failEvery-th group is lost.
func (s *store) commit(stop <-chan struct{}, failEvery int, random *rand.Rand) {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		case <-s.wake:
		}
		time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond) // an fsync
		s.mu.Lock()
		group := s.open
		s.open = nil
		if failEvery > 0 && n%failEvery == 0 {
			s.mu.Unlock()
			for _, h := range group {
				h.done(errStore)
			}
			continue
		}
		for _, h := range group {
			row := string(h.Device) + " " + string(h.Payload)
			if s.rows[row] {
				s.repeats++
			}
			s.rows[row] = true
		}
		s.mu.Unlock()
		for _, h := range group {
			h.done(nil)
		}
	}
}

// The broker is restarted five times under load, the store fails now and then,
// and the client itself is killed and started again: acknowledged ⊆ stored ⊆ sent.
func TestExternalLosesNothingAcrossRestarts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	m := newMosquitto(t, "allow_anonymous true", "log_type error", "max_inflight_messages 100")
	s := newStore()
	stop := make(chan struct{})
	var committing sync.WaitGroup
	committing.Go(func() { s.commit(stop, 50, random) })
	defer func() { close(stop); committing.Wait() }()
	o := externalOptions("mqtt://" + m.addr)
	o.Handle = s.handle
	x := newOutside(t, o)
	x.subscribed()

	const each = 1500
	devices := []string{"st", "other", "child", "gw"}
	var publishing sync.WaitGroup
	publishers := make([]*publisher, len(devices))
	for i, id := range devices {
		publishers[i] = &publisher{addr: m.addr, device: id, n: each, inflight: 8}
		publishing.Go(func() {
			if err := publishers[i].run(); err != nil {
				t.Error(err)
			}
		})
	}
	have := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.rows) }
	for i := range 5 {
		want := (i + 1) * len(devices) * each / 8
		eventually(t, "progress", func() bool { return have() >= want })
		m.end(syscall.SIGTERM) // it writes its store; killed outright it would lose what it acknowledged itself
		if i == 2 {
			x.abandon() // kill -9 of ours
			x = newOutside(t, o)
		}
		m.start()
	}
	publishing.Wait()
	eventually(t, "all is stored", func() bool { return have() >= len(devices)*each })
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := 0
	for _, p := range publishers {
		sent += p.sent
		for i := range p.acked {
			if !s.rows[fmt.Sprint(p.device, " ", i)] {
				t.Errorf("%s %d: acknowledged, not stored", p.device, i)
			}
		}
	}
	if len(s.rows) != sent {
		t.Errorf("%d stored, %d sent", len(s.rows), sent)
	}
	t.Logf("%d sent, %d stored, %d came again", sent, len(s.rows), s.repeats)
}

// A broker that is killed outright loses what it held in memory; the client
// comes back by itself and takes in what is sent from then on.
func TestExternalComesBackToABrokerThatWasKilled(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	for i := range 3 {
		x.subscribed()
		lost := x.value("ioc_mqtt_external_lost_total", "")
		m.end(syscall.SIGKILL)
		eventually(t, "it is seen", func() bool { return x.value("ioc_mqtt_external_lost_total", "") > lost })
		if x.value("ioc_mqtt_external_connected", "") != 0 {
			t.Error("looks connected")
		}
		m.start()
		x.subscribed()
		tells(t, m.addr, "devices/st/telemetry", fmt.Sprint(i))
		if h := x.inbox.next(t); string(h.Payload) != fmt.Sprint(i) {
			t.Errorf("%s instead of %d", h.Payload, i)
		} else {
			h.done(nil)
		}
	}
	if !strings.Contains(x.log.String(), "not connected; trying again") {
		t.Errorf("not told:\n%s", x.log)
	}
}
