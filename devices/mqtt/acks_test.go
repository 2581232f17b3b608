package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestAcknowledgementWaitsForDone(t *testing.T) {
	p := newProvince(t, Options{})
	for _, v := range []byte{4, 5} {
		c := p.connect(t, v, "st")
		c.send(publish(v, "devices/st/telemetry", 1, 9, []byte("x")), publish(v, "devices/st/telemetry", 0, 0, []byte("y")))
		m, zero := p.inbox.next(t), p.inbox.next(t)
		c.alive() // the PINGRESP comes, and no PUBACK before it
		m.done(nil)
		zero.done(nil)
		c.alive() // nor before the flush
		p.Flush()
		c.wantAck(9, 0)
		m.done(errors.New("a second call changes nothing"))
		p.Flush()
		c.alive()
		c.Close()
	}
}

func TestSetAsideIsAcknowledged(t *testing.T) {
	p := newProvince(t, Options{})
	for v, reason := range map[byte]byte{4: 0, 5: 0x99} {
		c := p.connect(t, v, "st")
		c.send(publish(v, "devices/st/telemetry", 1, 9, []byte("{")))
		p.inbox.next(t).done(fmt.Errorf("bad_json: %w", ErrSetAside))
		p.Flush()
		c.wantAck(9, reason)
		c.alive()
		c.Close()
	}
}

// A refusal does not overtake the acknowledgements before it, and answers
// come in the order of the publishes whatever order done is called in.
func TestAcknowledgementsKeepTheirOrder(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.connect(t, 5, "st")
	own := "devices/st/telemetry"
	c.send(publish(5, own, 1, 1, nil), publish(5, "devices/other/telemetry", 1, 2, nil), publish(5, own, 1, 3, nil),
		publish(5, own, 0, 0, nil), publish(5, own, 1, 4, nil))
	var held []held
	for range 4 {
		held = append(held, p.inbox.next(t))
	}
	c.alive()
	held[3].done(nil)
	held[1].done(ErrSetAside)
	held[2].done(nil)
	p.Flush()
	c.alive()
	held[0].done(nil)
	p.Flush()
	for id, reason := range []byte{0, 0x87, 0x99, 0} {
		c.wantAck(id+1, reason)
	}
	c.alive()
}

// Refusals that no commit follows leave nothing behind for one.
func TestRefusalsNeedNoFlush(t *testing.T) {
	p := newProvince(t, Options{})
	c := p.connect(t, 5, "st")
	for id := 1; id <= 100; id++ {
		c.send(publish(5, "devices/other/telemetry", 1, id, nil))
		c.wantAck(id, 0x87)
	}
	p.dirtyMu.Lock()
	defer p.dirtyMu.Unlock()
	if len(p.dirty) != 0 {
		t.Errorf("%d connections wait for a flush", len(p.dirty))
	}
}

func TestStoreFailureClosesWithoutAcknowledgement(t *testing.T) {
	p := newProvince(t, Options{})
	for _, v := range []byte{4, 5} {
		c := p.connect(t, v, "st")
		bystander := p.connect(t, v, "other")
		for id := 1; id <= 3; id++ {
			c.send(publish(v, "devices/st/telemetry", 1, id, nil))
		}
		a, b, last := p.inbox.next(t), p.inbox.next(t), p.inbox.next(t)
		a.done(nil)
		b.done(errors.New("disk full"))
		last.done(nil)
		p.Flush()
		c.wantAck(1, 0) // what is durable is said
		c.wantEnd(0)
		bystander.alive()
		bystander.Close()
	}
	if n := p.metric(t, reasonStore); n != 2 {
		t.Errorf("counted %v", n)
	}
	// A QoS 0 publish that is lost costs nothing.
	c := p.connect(t, 4, "st")
	c.send(publish(4, "devices/st/telemetry", 0, 0, nil))
	p.inbox.next(t).done(errors.New("disk full"))
	c.alive()
}

func TestUnacknowledgedAreBounded(t *testing.T) {
	for name, o := range map[string]Options{"count": {MaxUnackedCount: 4}, "bytes": {MaxUnackedBytes: 40}} {
		for _, qos := range []byte{0, 1} {
			t.Run(fmt.Sprint(name, " QoS ", qos), func(t *testing.T) {
				p := newProvince(t, o)
				c := p.connect(t, 4, "st")
				for id := 1; id <= 10; id++ {
					c.send(publish(4, "devices/st/telemetry", qos, id, []byte("0123456789")))
				}
				c.send(ping)
				var held []held
				for range 4 {
					held = append(held, p.inbox.next(t))
				}
				bystander := p.connect(t, 4, "other") // a round trip through the broker
				bystander.alive()
				if n := len(p.inbox); n != 0 {
					t.Fatalf("%d messages beyond the bound", n)
				}
				for i := range 10 {
					held[0].done(nil)
					held = held[1:]
					p.Flush()
					if qos == 1 {
						c.wantAck(i+1, 0)
					}
					if i < 6 {
						held = append(held, p.inbox.next(t))
						if n := len(p.inbox); n != 0 {
							t.Fatalf("%d messages beyond the bound", n)
						}
					}
					if i == 5 { // the tenth is in: the ping behind it is read
						c.want(0xd0)
					}
				}
			})
		}
	}
}

// A single payload larger than the byte bound passes alone.
func TestLargestPayload(t *testing.T) {
	p := newProvince(t, Options{MaxUnackedBytes: 1000})
	for _, v := range []byte{4, 5} {
		c := p.connect(t, v, "st")
		big := bytes.Repeat([]byte("x"), MaxPayload)
		c.send(publish(v, "devices/st/telemetry", 1, 1, big))
		m := p.inbox.next(t)
		if len(m.Payload) != MaxPayload {
			t.Errorf("payload of %d bytes", len(m.Payload))
		}
		m.done(nil)
		p.Flush()
		c.wantAck(1, 0)
		c.send(publish(v, "devices/st/telemetry", 1, 2, append(big, 'x')))
		c.wantEnd(0x95)
	}
	if n := p.metric(t, reasonOversize); n != 2 {
		t.Errorf("counted %v", n)
	}
}

// A connection that is blocked at its bound ends when it must.
func TestBlockedConnectionEnds(t *testing.T) {
	p := newProvince(t, Options{MaxUnackedCount: 1})
	c := p.connect(t, 5, "st")
	c.send(publish(5, "devices/st/telemetry", 1, 1, nil), publish(5, "devices/st/telemetry", 1, 2, nil))
	p.inbox.next(t)
	if err := p.reg.Delete(t.Context(), "st"); err != nil {
		t.Fatal(err)
	}
	c.wantEnd(0x87)
	eventually(t, "nothing is left", func() bool { return p.metric(t, "") == 0 })
	if len(p.inbox) != 0 {
		t.Error("a message of a deleted device was handled")
	}
}

// Many at once, answered in any order: each sender reads its answers in the
// order in which it published.
func TestOrderUnderShuffledAnswers(t *testing.T) {
	p := newProvince(t, Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const n = 700
	c := p.connect(t, 5, "st")
	codes := make([]byte, n+1)
	var all []held
	for id := 1; id <= n; id++ {
		topic := "devices/st/telemetry"
		if random.IntN(10) == 0 {
			topic, codes[id] = "devices/other/telemetry", 0x87
		}
		c.send(publish(5, topic, 1, id, []byte(fmt.Sprint(id))))
		if codes[id] == 0 {
			all = append(all, p.inbox.next(t))
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	go func() {
		for i, m := range all {
			m.done(nil)
			if i%37 == 0 || i == len(all)-1 {
				p.Flush()
			}
		}
	}()
	for id := 1; id <= n; id++ {
		c.wantAck(id, codes[id])
	}
}

// Publishers, a committer, changes of the registry and reconnects at once.
func TestManyAtOnce(t *testing.T) {
	g := newGroupCommitter()
	p := newProvince(t, Options{Handle: g.handle})
	g.flush = p.Flush
	go g.run()
	defer g.stop()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if err := pump(p.addr, p.cred["gw"], fmt.Sprint("gw-", i), 16, 400); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			c := p.connect(t, 5, "st") // takes its own id over
			c.send(publish(5, "devices/st/telemetry", 1, 1, nil))
			if err := p.reg.SetAttributes(t.Context(), "gw", map[string]any{"n": time.Now().UnixNano()}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if err := p.Close(t.Context()); err != nil { // while the committer still answers
		t.Error(err)
	}
}
