package mqtt

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// Close acknowledges what was submitted before it says goodbye.
func TestCloseDrains(t *testing.T) {
	p := newProvince(t, Options{})
	own, v3, idle, stranger := p.connect(t, 5, "st"), p.connect(t, 4, "gw"), p.connect(t, 5, "other"), dial(t, p.addr)
	own.send(publish(5, "devices/st/telemetry", 1, 1, nil))
	first := p.inbox.next(t)
	v3.send(publish(4, "gateways/gw/telemetry", 1, 2, nil))
	second := p.inbox.next(t)
	closed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		closed <- p.Close(ctx)
	}()
	<-p.stop
	eventually(t, "reading has stopped", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.conns {
			c.acks.mu.Lock()
			stopped := c.acks.stopped
			c.acks.mu.Unlock()
			if !stopped {
				return false
			}
		}
		return true
	})
	own.send(publish(5, "devices/st/telemetry", 1, 3, nil)) // too late: not taken
	first.done(nil)                                         // flushed or not: the last commit may be behind us
	own.wantAck(1, 0)
	second.done(ErrSetAside)
	v3.wantAck(2, 0)
	v3.wantEnd(0)
	own.wantEnd(0x8b)
	idle.wantEnd(0x8b)
	stranger.wantEnd(0)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if len(p.inbox) != 0 {
		t.Error("a message was taken while draining")
	}
	if c, err := net.Dial("tcp", p.addr); err == nil {
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("still listening")
		}
		c.Close()
	}
}

// What is never answered holds Close no longer than its context.
func TestCloseGivesUp(t *testing.T) {
	p := newProvince(t, Options{MaxUnackedCount: 1})
	c := p.connect(t, 5, "st")
	c.send(publish(5, "devices/st/telemetry", 1, 1, nil), publish(5, "devices/st/telemetry", 1, 2, nil))
	m := p.inbox.next(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for {
		if _, _, err := c.next(); err != nil {
			break
		}
	}
	m.done(nil) // late, and harmless
	p.Flush()
	eventually(t, "the connection is gone", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.conns) == 0
	})
	if n := p.metric(t, reasonMalformed); n != 0 {
		t.Errorf("the second message, which nobody took, counts as malformed: %v", n)
	}
}

// A Handler that blocks is back-pressure: nothing more of the connection is
// read, others go on.
func TestHandlerMayBlock(t *testing.T) {
	gate, in := make(chan struct{}), newInbox()
	p := newProvince(t, Options{Handle: func(m Message, done func(error)) {
		if m.From == "st" {
			<-gate
		}
		in.handle(m, done)
	}})
	c, other := p.connect(t, 4, "st"), p.connect(t, 4, "other")
	c.send(publish(4, "devices/st/telemetry", 1, 1, nil), ping)
	other.send(publish(4, "devices/other/telemetry", 1, 1, nil))
	m := in.next(t)
	m.done(nil)
	p.Flush()
	other.wantAck(1, 0)
	close(gate)
	in.next(t).done(nil)
	c.want(0xd0)
	p.Flush()
	c.wantAck(1, 0)
}

func TestSeveralListeners(t *testing.T) {
	p := newProvince(t, Options{})
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("no IPv6 loopback: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	p.connect(t, 4, "st").alive()
	connect(t, l.Addr().String(), p.hello(4, "other")).alive()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Serve(again); err != nil { // closed already
		t.Error(err)
	}
}

func TestNewWantsRegistryAndHandler(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no error")
	}
}
