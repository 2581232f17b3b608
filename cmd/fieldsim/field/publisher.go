package field

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"cuulong/devices"
)

const (
	loadAckPatience = 30 * time.Second // nothing acknowledged for so long: the connection is taken for dead
	loadBackoffMost = time.Second
	loadKeepAliveS  = 60
	loadPingAfter   = 20 * time.Second
	// ts never runs farther ahead of the clock: what is 5 min ahead would be set
	// aside. A connection that keeps above 1,000 observations a second and metric
	// for long is slowed to that.
	clockLead = 4 * time.Minute
)

// errRefused ends a load: coming again cannot help.
var errRefused = errors.New("log-in refused")

// A slot is one unacknowledged message; its packet id is the slot's place plus 1.
type slot struct {
	busy   bool
	packet []byte // the whole PUBLISH, kept to be sent again
	seq    uint64
	sent   time.Time // first
}

// A publisher is one connection of a load.
type publisher struct {
	o      *LoadOptions
	outage *outage // shared by all
	login  Login
	topic  string
	book   *ledger
	quota  int64         // messages to send; 0 unbounded
	every  time.Duration // between messages; 0 as fast as it goes
	turn   time.Duration // of this connection within every

	// Owned by run's goroutine.
	valueKey uint64
	due      time.Time
	drainEnd time.Time
	met      bool   // was connected before
	next     uint64 // sequence
	row      int64
	cell     int
	payload  []byte
	conn     net.Conn
	out      *bufio.Writer
	window   int // slots the broker lets us use

	progress chan struct{} // capacity 1: an acknowledgement came

	mu      sync.Mutex // guards what follows: the reader's share
	slots   []slot
	free    []int
	sent    int64
	acked   int64
	refused map[byte]int64
	strange int64
	last    time.Time // acknowledgement, or sending at QoS 0
	lat     latencies

	resent, reconnects int64 // owned by run's goroutine
}

func newPublisher(o *LoadOptions, out *outage, i int) (*publisher, error) {
	id, err := devices.ParseID(o.Logins[i].Username)
	if err != nil {
		return nil, fmt.Errorf("load: login %d: %w", i, err)
	}
	p := &publisher{o: o, outage: out, login: o.Logins[i], topic: "devices/" + string(id) + "/telemetry",
		valueKey: key(o.Seed, string(id), "load"),
		progress: make(chan struct{}, 1), slots: make([]slot, o.Inflight), refused: map[byte]int64{}}
	for s := o.Inflight - 1; s >= 0; s-- {
		p.free = append(p.free, s)
	}
	if o.Rate > 0 {
		p.every = time.Duration(float64(o.Connections) / o.Rate * float64(time.Second))
	}
	if o.Messages > 0 {
		p.quota = o.Messages / int64(o.Connections)
		if int64(i) < o.Messages%int64(o.Connections) {
			p.quota++
		}
	}
	if o.Ledger != "" {
		p.book, err = openLedger(o.Ledger, ledgerHead{Device: id, Seed: o.Seed, Metrics: o.Metrics})
		if err != nil {
			return nil, err
		}
		p.book.each = o.SyncEach
		p.next, p.row, p.cell = p.book.next, p.book.row, p.book.cell
	}
	// Connections take turns within the interval.
	p.turn = p.every * time.Duration(i) / time.Duration(o.Connections)
	return p, nil
}

// run connects, publishes and connects again until all is sent and acknowledged.
func (p *publisher) run(ctx context.Context, began time.Time) error {
	p.due = began.Add(p.turn)
	sendCtx, drainCtx := ctx, ctx
	if p.o.Duration > 0 {
		var cancel, cancel2 context.CancelFunc
		sendCtx, cancel = context.WithDeadline(ctx, began.Add(p.o.Duration))
		defer cancel()
		drainCtx, cancel2 = context.WithDeadline(ctx, began.Add(p.o.Duration+p.o.Drain))
		defer cancel2()
	}
	wait := 50 * time.Millisecond
	for {
		err := p.session(drainCtx, sendCtx)
		var untrusted *tls.CertificateVerificationError
		switch {
		case err == nil || errors.Is(err, errRefused) || errors.Is(err, errLedger) || errors.As(err, &untrusted):
			return err
		case drainCtx.Err() != nil:
			return nil
		}
		p.outage.failed(devices.ID(p.login.Username), err)
		if p.finished(sendCtx) && (p.underWay() == 0 || p.drained()) {
			return nil
		}
		if !sleep(drainCtx, wait) {
			return nil
		}
		wait = min(loadBackoffMost, wait*2)
	}
}

var errLedger = errors.New("ledger cannot be written")

func (p *publisher) underWay() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) - len(p.free)
}

func (p *publisher) finished(ctx context.Context) bool {
	return ctx.Err() != nil || p.quota > 0 && p.sent >= p.quota // sent is written by this goroutine
}

// drained says whether patience for the last acknowledgements, which begins
// with the first question, is over.
func (p *publisher) drained() bool {
	if p.drainEnd.IsZero() {
		p.drainEnd = time.Now().Add(p.o.Drain)
	}
	return time.Now().After(p.drainEnd)
}

// session is one connection. nil means that all is done.
func (p *publisher) session(ctx, sendCtx context.Context) error {
	lost, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_ = p.conn.Close()
		<-lost // the reader has then done its last work: it sends once and closes
	}()
	stop := context.AfterFunc(ctx, func() { _ = p.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if p.met {
		p.reconnects++
	}
	p.met = true
	if err := p.resend(); err != nil {
		return err
	}
	for !p.finished(sendCtx) {
		if err := p.pace(sendCtx, lost); err != nil {
			return err
		}
		if p.finished(sendCtx) {
			break
		}
		s, err := p.acquire(sendCtx, lost)
		if err != nil {
			return err
		}
		if s < 0 {
			break
		}
		if err := p.publish(s); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.drained()
	drain, cancel := context.WithDeadline(ctx, p.drainEnd)
	defer cancel()
	for p.underWay() > 0 {
		select {
		case <-p.progress:
		case err := <-lost:
			return err
		case <-drain.Done():
			return nil // what is still under way is counted
		}
	}
	_, err = p.conn.Write(disconnect)
	if p.o.QoS == 0 && err != nil {
		return err
	}
	return nil
}

// open dials, logs in and starts the reader, whose error comes through lost.
func (p *publisher) open(ctx context.Context) (lost chan error, err error) {
	dialCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p.conn, err = dial(dialCtx, p.o.Broker, p.o.TLS)
	if err != nil {
		return nil, err
	}
	ok := false
	defer func() {
		if !ok {
			_ = p.conn.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = p.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = p.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := p.conn.Write(connectPacket(p.o.Version, p.login, loadKeepAliveS)); err != nil {
		return nil, err
	}
	in := &packetReader{in: bufio.NewReaderSize(p.conn, p.o.buffer())}
	answer, err := in.next()
	if err != nil {
		return nil, fmt.Errorf("no CONNACK: %w", err)
	}
	code, most, err := answer.connack(p.o.Version)
	if err != nil {
		return nil, err
	}
	switch code {
	case 0:
	case 4, 5, 0x84, 0x86, 0x87: // bad protocol, credentials, or right
		return nil, fmt.Errorf("%w: CONNACK 0x%02x", errRefused, code)
	default:
		return nil, fmt.Errorf("CONNACK 0x%02x", code)
	}
	_ = p.conn.SetDeadline(time.Time{})
	p.outage.connected(devices.ID(p.login.Username))
	p.window = min(p.o.Inflight, most) // [MQTT-3.3.4-9]
	p.out = bufio.NewWriterSize(p.conn, p.o.buffer())
	lost = make(chan error, 1)
	go func() {
		defer close(lost)
		lost <- p.read(in)
	}()
	ok = true
	return lost, nil
}

// read takes acknowledgements until the connection ends.
func (p *publisher) read(in *packetReader) error {
	for {
		k, err := in.next()
		if err != nil {
			return err
		}
		switch k.kind {
		case packetPuback:
			id, reason, err := k.puback()
			if err != nil {
				return err
			}
			p.ack(int(id)-1, reason)
		case packetPingresp:
		case packetDisconnect:
			if len(k.body) > 0 {
				return fmt.Errorf("broker said DISCONNECT 0x%02x", k.body[0])
			}
			return errors.New("broker said DISCONNECT")
		default:
			return fmt.Errorf("mqtt: packet of kind %d", k.kind)
		}
	}
}

func (p *publisher) ack(i int, reason byte) {
	now := time.Now()
	p.mu.Lock()
	if i < 0 || i >= len(p.slots) || !p.slots[i].busy {
		p.strange++
		p.mu.Unlock()
		return
	}
	s := &p.slots[i]
	s.busy = false
	seq := s.seq
	p.lat.add(now.Sub(s.sent))
	p.last = now
	if reason < 0x80 {
		p.acked++
	} else {
		p.refused[reason]++
	}
	// Written before the slot is free: no ledger then tells of a later message first.
	p.book.write(record{kind: recordAcked, extra: reason, seq: seq, us: now.UnixMicro()})
	p.free = append(p.free, i)
	p.mu.Unlock()
	select {
	case p.progress <- struct{}{}:
	default:
	}
}

// pace waits until the next message is due.
func (p *publisher) pace(ctx context.Context, lost <-chan error) error {
	for {
		now := time.Now()
		ahead := time.UnixMilli(p.row).Sub(now) - clockLead
		wait := max(ahead, 0)
		if p.every > 0 {
			if p.due.Before(now.Add(-time.Second)) {
				p.due = now // it was away: what was not sent then is not sent now
			}
			wait = max(wait, p.due.Sub(now))
		}
		if wait <= 0 {
			p.due = p.due.Add(p.every)
			return nil
		}
		if err := p.flush(); err != nil {
			return err
		}
		t := time.NewTimer(min(wait, loadPingAfter))
		select {
		case <-t.C:
			if wait > loadPingAfter {
				if _, err := p.conn.Write(pingreq); err != nil {
					return err
				}
			}
		case err := <-lost:
			t.Stop()
			return err
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// acquire takes a free slot; -1 when sending is over. At QoS 0 slot 0 serves all.
func (p *publisher) acquire(ctx context.Context, lost <-chan error) (int, error) {
	if p.o.QoS == 0 {
		select {
		case err := <-lost:
			return -1, err
		default:
			return 0, nil
		}
	}
	var patience *time.Timer
	for {
		p.mu.Lock()
		if n := len(p.free); n > 0 && len(p.slots)-n < p.window {
			s := p.free[n-1]
			p.free = p.free[:n-1]
			p.mu.Unlock()
			return s, nil
		}
		p.mu.Unlock()
		if patience == nil {
			if err := p.flush(); err != nil {
				return -1, err
			}
			patience = time.NewTimer(loadAckPatience)
			defer patience.Stop()
		}
		select {
		case <-p.progress:
		case err := <-lost:
			return -1, err
		case <-ctx.Done():
			return -1, nil
		case <-patience.C:
			return -1, errors.New("nothing acknowledged for too long")
		}
	}
}

func (p *publisher) addTo(r *LoadResult, l *latencies, last *time.Time) {
	r.Sent += p.sent
	r.Observations += p.sent * int64(p.o.Batch)
	r.Acked += p.acked
	for reason, n := range p.refused {
		r.Refused[reason] += n
	}
	if p.o.QoS > 0 {
		r.Unacked += int64(len(p.slots) - len(p.free))
	}
	r.Resent += p.resent
	r.Reconnects += p.reconnects
	r.Strange += p.strange
	l.merge(&p.lat)
	if p.last.After(*last) {
		*last = p.last
	}
}
