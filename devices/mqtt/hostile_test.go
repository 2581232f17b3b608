package mqtt

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Whatever a stranger sends first ends that connection and nothing else.
func TestHostileStrangers(t *testing.T) {
	p := newProvince(t, Options{})
	bystander := p.connect(t, 5, "other")
	good := p.hello(4, "st").bytes()
	reserved, version, name := bytes.Clone(good), bytes.Clone(good), bytes.Clone(good)
	reserved[9] |= 1
	version[8] = 6
	name[4] = 'X'
	for what, c := range map[string]struct {
		bytes  []byte
		reason string
		ack    byte // CONNACK code, 0 for none
	}{
		"HTTP":                      {[]byte("GET / HTTP/1.1\r\n\r\n"), reasonMalformed, 0},
		"TLS":                       {[]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, reasonMalformed, 0},
		"PINGREQ first":             {ping, reasonMalformed, 0},
		"PUBLISH first":             {publish(4, "devices/st/telemetry", 1, 1, nil), reasonMalformed, 0},
		"CONNECT with flags":        {[]byte{0x11, 0}, reasonMalformed, 0},
		"empty CONNECT":             {[]byte{0x10, 0}, reasonMalformed, 0},
		"truncated CONNECT":         {packet(0x10, good[2:20]...), reasonMalformed, 0},
		"CONNECT of 256 MB":         {[]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, reasonMalformed, 0},
		"length that does not end":  {[]byte{0x10, 0xff, 0xff, 0xff, 0xff, 1}, reasonMalformed, 0},
		"CONNECT with reserved bit": {reserved, reasonMalformed, 1},
		"CONNECT of version 6":      {version, reasonMalformed, 1},
		"CONNECT of XQTT":           {name, reasonMalformed, 1},
		"v5 properties beyond end":  {packet(0x10, join(str("MQTT"), []byte{5, 2, 0, 60, 0x7f, 0x11}, str("a"))...), reasonMalformed, 0},
		"v5 unknown property":       {packet(0x10, join(str("MQTT"), []byte{5, 2, 0, 60, 2, 0x99, 1}, str("a"))...), reasonMalformed, 0},
	} {
		before := p.metric(t, c.reason)
		conn := dial(t, p.addr)
		conn.send(c.bytes)
		if c.ack != 0 {
			if ack := conn.want(0x20); ack[1] != c.ack {
				t.Errorf("%s: CONNACK % x", what, ack)
			}
		}
		conn.wantEnd(0)
		eventually(t, what+" is counted", func() bool { return p.metric(t, c.reason) == before+1 })
		bystander.alive()
	}
}

// Whatever a logged-in device sends ends that connection and nothing else.
func TestHostileDevices(t *testing.T) {
	p := newProvince(t, Options{})
	bystander := p.connect(t, 5, "other")
	telemetry := str("devices/st/telemetry")
	for what, c := range map[string]struct {
		v      byte
		bytes  []byte
		reason string
		end    byte // v5 DISCONNECT reason, 0 for none
	}{
		"truncated SUBSCRIBE":           {5, packet(0x82, join(u16(1), []byte{0}, str("devices/st/commands"))...), reasonMalformed, 0},
		"truncated SUBSCRIBE of v4":     {4, packet(0x82, join(u16(1), str("devices/st/commands"))...), reasonMalformed, 0},
		"SUBSCRIBE without filters":     {5, packet(0x82, 0, 1, 0), reasonMalformed, 0x82},
		"SUBSCRIBE with wrong flags":    {4, []byte{0x80, 0}, reasonMalformed, 0},
		"both QoS bits":                 {4, packet(0x36, telemetry...), reasonMalformed, 0},
		"DUP at QoS 0":                  {4, packet(0x38, telemetry...), reasonMalformed, 0},
		"PUBLISH without id":            {5, publish(5, "devices/st/telemetry", 1, 0, nil), reasonMalformed, 0x82},
		"PUBLISH to a wildcard":         {5, publish(5, "devices/+/telemetry", 1, 1, nil), reasonMalformed, 0x82},
		"PUBLISH without topic":         {4, packet(0x30, 0, 0), reasonMalformed, 0},
		"empty PUBLISH":                 {4, []byte{0x30, 0}, reasonMalformed, 0},
		"topic beyond the end":          {4, packet(0x30, 0xff, 0xff, 'a'), reasonMalformed, 0},
		"topic with NUL":                {4, publish(4, "devices/st\x00/telemetry", 1, 1, nil), reasonMalformed, 0},
		"topic not UTF-8":               {4, publish(4, "devices/st/\xff\xfe", 1, 1, nil), reasonMalformed, 0},
		"v5 properties beyond the end":  {5, packet(0x32, join(telemetry, u16(1), []byte{0x7f, 1})...), reasonMalformed, 0},
		"v5 user property cut":          {5, packet(0x32, join(telemetry, u16(1), []byte{3, 0x26, 0, 9})...), reasonMalformed, 0},
		"v5 subscription id in PUBLISH": {5, packet(0x32, join(telemetry, u16(1), []byte{2, 0x0b, 1})...), reasonMalformed, 0x82},
		"packet of 256 MB":              {4, []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, reasonOversize, 0},
		"length that does not end":      {4, []byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}, reasonMalformed, 0},
		"second CONNECT":                {5, p.hello(5, "st").bytes(), reasonMalformed, 0x82},
		"second CONNECT of v4":          {4, p.hello(4, "st").bytes(), reasonMalformed, 0},
		"CONNACK":                       {4, []byte{0x20, 2, 0, 0}, reasonMalformed, 0},
		"type 0":                        {4, []byte{0, 0}, reasonMalformed, 0},
		"AUTH":                          {5, []byte{0xf0, 2, 0x18, 0}, reasonMalformed, 0x82},
		"garbage":                       {4, []byte("Bản tin mực nước, Hà Nội"), reasonMalformed, 0},
	} {
		before := p.metric(t, c.reason)
		conn := p.connect(t, c.v, "st")
		conn.send(c.bytes)
		conn.wantEnd(c.end)
		eventually(t, what+" is counted", func() bool { return p.metric(t, c.reason) == before+1 })
		bystander.alive()
	}
	if len(p.inbox) != 0 {
		t.Errorf("%d messages were handled", len(p.inbox))
	}
	bystander.Close()
	eventually(t, "nothing is left", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.conns)+len(p.byID)+len(p.byDevice) == 0 && p.server.Clients.Len() == 0
	})
}

// After a panic inside mochi the session is gone and the device may come back.
func TestComeBackAfterAPanic(t *testing.T) {
	p := newProvince(t, Options{})
	for range 3 {
		c := p.connect(t, 5, "st")
		c.send(subscribe(5, 1, "devices/st/commands"))
		c.want(0x90)
		c.send(packet(0x82, join(u16(1), []byte{0}, str("x"))...))
		c.wantEnd(0)
	}
	c := p.connect(t, 5, "st")
	c.alive()
	if n := p.metric(t, ""); n != 1 {
		t.Errorf("%v connections", n)
	}
}

// Lengths alone make no room: large packets take turns, and one that stalls
// holds nobody else up but those behind it.
func TestLargePacketsTakeTurns(t *testing.T) {
	p := newProvince(t, Options{})
	for range cap(p.large) {
		p.large <- struct{}{}
	}
	c, bystander := p.connect(t, 4, "st"), p.connect(t, 4, "other")
	big := bytes.Repeat([]byte("x"), smallPacket+1)
	c.send(publish(4, "devices/st/telemetry", 1, 1, big[:100]))
	p.inbox.next(t).done(nil)
	p.Flush()
	c.wantAck(1, 0)
	c.send(publish(4, "devices/st/telemetry", 1, 2, big))
	bystander.alive()
	if len(p.inbox) != 0 {
		t.Fatal("no turn was taken")
	}
	<-p.large
	m := p.inbox.next(t)
	if len(m.Payload) != len(big) {
		t.Errorf("payload of %d bytes", len(m.Payload))
	}
	m.done(nil)
	p.Flush()
	c.wantAck(2, 0)
	if n := len(p.large); n != cap(p.large)-1 {
		t.Errorf("%d turns are held", n)
	}
	// A connection that ends within a large packet gives its turn back.
	c.send([]byte{0x32, 0xff, 0xff, 0x3f, 'x'})
	eventually(t, "it has a turn", func() bool { return len(p.large) == cap(p.large) })
	c.Close()
	eventually(t, "it gave its turn back", func() bool { return len(p.large) == cap(p.large)-1 })
	for len(p.large) > 0 {
		<-p.large
	}

	for range cap(p.strangers) {
		p.strangers <- struct{}{}
	}
	large := p.hello(4, "st")
	large.will = &lastWords{topic: "devices/st/attributes", payload: strings.Repeat("x", 60<<10)}
	stranger := dial(t, p.addr)
	stranger.Write(large.bytes()[:smallConnect])
	stranger.wantEnd(0)
	for range cap(p.strangers) {
		<-p.strangers
	}
	c = connect(t, p.addr, large)
	c.send([]byte{0xe0, 0})
	c.wantEnd(0)
	eventually(t, "counted", func() bool { return p.metric(t, reasonTooMany) == 1 })
}

// Frames are followed however the bytes are cut.
func TestFramesAreFollowed(t *testing.T) {
	p := newProvince(t, Options{})
	stream := join(ping, publish(4, "devices/st/telemetry", 1, 1, bytes.Repeat([]byte("y"), smallPacket)), ping,
		publish(4, "devices/st/telemetry", 1, 2, bytes.Repeat([]byte("y"), 200)), ping)
	for _, cut := range []int{1, 2, 3, 5, 7, 1000, len(stream)} {
		near, far := net.Pipe()
		c := newConn(p.Broker, near)
		turns := 0
		for rest := stream; len(rest) > 0; {
			n := min(cut, len(rest))
			held := c.frame.large
			if !c.passFrames(rest[:n]) {
				t.Fatal("ended")
			}
			if !held && c.frame.large {
				turns++
			}
			rest = rest[n:]
		}
		want := 1
		if cut == len(stream) {
			want = 0 // taken and given back within one read
		}
		if c.frame != (frame{}) && c.frame.left+c.frame.header != 0 || turns != want || len(p.large) != 0 {
			t.Errorf("cut %d: %+v, %d turns", cut, c.frame, turns)
		}
		near.Close()
		far.Close()
	}
}

// A client that never reads its acknowledgements is ended by the write
// deadline and holds up nobody.
func TestClientThatNeverReads(t *testing.T) {
	p := newProvince(t, Options{WriteTimeout: 50 * time.Millisecond, Handle: func(m Message, done func(error)) { done(nil) }})
	// A pipe has no buffers: the first write blocks.
	near, far := net.Pipe()
	defer far.Close()
	far.SetDeadline(time.Now().Add(patience))
	p.accept(near)
	c := &client{t: t, v: 4, Conn: far}
	if _, err := far.Write(p.hello(4, "st").bytes()); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(far, make([]byte, 4))
	bystander := p.connect(t, 4, "other")
	if _, err := c.Write(publish(4, "devices/st/telemetry", 1, 1, nil)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is ended", func() bool { p.Flush(); return p.metric(t, "") == 1 })
	bystander.alive()
}

// recorder keeps log lines.
type recorder struct {
	mu sync.Mutex
	bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Buffer.Write(b)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Buffer.String()
}

func TestRepeatedRefusalsAreLoggedOncePerBurst(t *testing.T) {
	var log recorder
	r, err := newRefusals(slog.New(slog.NewTextHandler(&log, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		r.count(reasonTopic, "st@10.0.0.7", strings.Repeat("x", 1000))
	}
	r.count(reasonTopic, "other@10.0.0.8", "y")
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "st@10.0.0.7") || log.Len() > 1000 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	r.sweep()
	if !strings.Contains(log.String(), "count=499") {
		t.Errorf("the rest is not told:\n%s", log.String())
	}
	r.sweep()
	if n := strings.Count(log.String(), "\n"); n != 3 || len(r.bursts) != 0 {
		t.Errorf("%d lines, %d bursts kept", n, len(r.bursts))
	}
	for i := range 3 * maxBursts {
		r.count(reasonMalformed, fmt.Sprint("10.1.", i), "z")
	}
	if n := strings.Count(log.String(), "\n"); n > maxBursts+4 || len(r.bursts) > maxBursts+1 {
		t.Errorf("%d lines, %d bursts for many sources", n, len(r.bursts))
	}
}

func TestLogNamesNoPassword(t *testing.T) {
	var log recorder
	p := newProvince(t, Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	h := p.hello(5, "st")
	c := connect(t, p.addr, h)
	c.send(h.bytes())
	c.wantEnd(0x82)
	h.user = "nobody"
	try(t, p.addr, h)
	eventually(t, "both are logged", func() bool {
		return strings.Count(log.String(), "refused") == 2
	})
	if strings.Contains(log.String(), h.password) {
		t.Errorf("it does:\n%s", log.String())
	}
}
