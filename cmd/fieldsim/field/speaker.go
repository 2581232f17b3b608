package field

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"cuulong/devices"
)

const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 15 * time.Second
	ackPatience  = 10 * time.Second // then the connection is taken for dead
	backlogMost  = 120              // samples a station keeps while it cannot send; the oldest go first
	gatewayOwn   = 6                // a gateway tells of itself every so many intervals
)

// A speaker holds one MQTT connection: a station, an access point, or a
// gateway with its children. Everything in it is owned by run.
type speaker struct {
	world    world
	own      *site
	children []*site // a gateway's
	login    Login
	every    time.Duration
	o        Options
	outage   *outage // shared by all
	rand     *rand.Rand

	backlog []int64 // phenomenon times measured and not yet acknowledged, oldest first
	held    int     // samples still to pass before held-back ones are sent
	ticks   int
}

// run connects, speaks until the connection is lost, and begins again.
func (sp *speaker) run(ctx context.Context) {
	wait := time.Duration(sp.rand.Int64N(int64(min(sp.every, time.Second)) + 1)) // not all at once
	for sleep(ctx, wait) {
		l, err := sp.connect(ctx)
		if err != nil {
			if ctx.Err() == nil {
				sp.outage.failed(sp.own.device.ID, err)
			}
			wait = sp.backoff(wait)
			continue
		}
		sp.outage.connected(sp.own.device.ID)
		began := time.Now()
		sp.speak(ctx, l)
		l.close(ctx.Err() != nil)
		// A connection that lived is no reason to wait long; one that is thrown out at once is.
		if time.Since(began) > backoffMost {
			wait = 0
		}
		wait = sp.backoff(wait)
	}
}

// backoff is the wait after one of last: longer, and not the same for everybody.
func (sp *speaker) backoff(last time.Duration) time.Duration {
	next := min(backoffMost, max(backoffFirst, 2*last))
	return next/2 + time.Duration(sp.rand.Int64N(int64(next/2)+1))
}

// sleep waits, and says whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// A line is one connection, from CONNACK to its loss.
type line struct {
	client paho.Client
	conn   net.Conn
	lost   chan struct{} // closed when the connection is gone
}

// connect opens a clean MQTT 3.1.1 session under the device's own id.
func (sp *speaker) connect(ctx context.Context) (*line, error) {
	dialCtx, cancel := context.WithTimeout(ctx, ackPatience)
	defer cancel()
	conn, err := dial(dialCtx, sp.o.Broker, sp.o.TLS)
	if err != nil {
		return nil, err
	}
	// paho reads CONNACK without a deadline of its own.
	_ = conn.SetDeadline(time.Now().Add(ackPatience))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	l := &line{conn: conn, lost: make(chan struct{})}
	o := paho.NewClientOptions().
		AddBroker("tcp://" + sp.o.Broker).
		SetClientID(string(sp.own.device.ID)).
		SetUsername(sp.login.Username).
		SetPassword(sp.login.Password).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetKeepAlive(30 * time.Second).
		SetWriteTimeout(ackPatience).
		SetOrderMatters(false).
		SetConnectionLostHandler(func(paho.Client, error) { close(l.lost) }).
		SetCustomOpenConnectionFn(func(_ *url.URL, _ paho.ClientOptions) (net.Conn, error) { return conn, nil })
	l.client = paho.NewClient(o)
	token := l.client.Connect()
	<-token.Done() // ends by the deadline at the latest
	stopped := stop()
	if err := token.Error(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if !stopped {
		l.close(true)
		return nil, ctx.Err()
	}
	_ = conn.SetDeadline(time.Time{})
	return l, nil
}

// close ends the line, with DISCONNECT when polite.
func (l *line) close(polite bool) {
	if !polite {
		_ = l.conn.Close()
	}
	l.client.Disconnect(50) // ms for what is under way
	_ = l.conn.Close()
}

// publish sends at QoS 1 and waits for the acknowledgement.
func (l *line) publish(ctx context.Context, topic string, payload []byte) error {
	token := l.client.Publish(topic, 1, false, payload)
	t := time.NewTimer(ackPatience)
	defer t.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-l.lost:
		return errors.New("connection lost")
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return errors.New("no acknowledgement")
	}
}

// speak publishes until the connection is lost or ctx ends.
func (sp *speaker) speak(ctx context.Context, l *line) {
	if l.publish(ctx, "devices/"+string(sp.own.device.ID)+"/attributes", sp.attributes()) != nil {
		return
	}
	for {
		if err := sp.tick(ctx, l); err != nil {
			return
		}
		// Clocks of real devices drift; nobody publishes in step with the others.
		pause := time.Duration((0.9 + 0.2*sp.rand.Float64()) * float64(sp.every))
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-l.lost:
			t.Stop()
			return
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

var errCut = errors.New("connection cut by the fault plan")

// tick measures once and sends what waits.
func (sp *speaker) tick(ctx context.Context, l *line) error {
	f, id := sp.o.Faults, string(sp.own.device.ID)
	now := sp.o.Now().UnixMilli()
	sp.ticks++
	if chance(sp.rand, f.Disconnect) {
		_ = l.conn.Close()
		return errCut
	}
	if chance(sp.rand, f.Garbage) {
		bad := rubbish[sp.rand.IntN(len(rubbish))]
		if err := l.publish(ctx, "devices/"+id+"/telemetry", []byte(bad)); err != nil {
			return err
		}
	}
	if sp.own.device.Kind == devices.Gateway && sp.ticks%gatewayOwn == 1 {
		if err := sp.send(ctx, l, "devices/"+id+"/telemetry", sp.telemetry(sp.own, []int64{now})); err != nil {
			return err
		}
	}
	if sp.own.device.Kind == devices.AccessPoint {
		if chance(sp.rand, f.DropOut) {
			return nil
		}
		// NetJSON has no phenomenon time: what was missed stays missed.
		return sp.send(ctx, l, "devices/"+id+"/netjson", sp.world.netJSON(sp.own, now))
	}
	if !chance(sp.rand, f.DropOut) && (len(sp.backlog) == 0 || now > sp.backlog[len(sp.backlog)-1]) {
		sp.backlog = append(sp.backlog, now)
		if extra := len(sp.backlog) - backlogMost; extra > 0 {
			sp.backlog = slices.Delete(sp.backlog, 0, extra)
		}
	}
	if sp.held > 0 {
		sp.held--
		return nil
	}
	if chance(sp.rand, f.Late) {
		sp.held = 1 + sp.rand.IntN(6)
		return nil
	}
	if len(sp.backlog) == 0 {
		return nil
	}
	times := sp.backlog
	if chance(sp.rand, f.Shuffled) {
		times = slices.Clone(times)
		slices.Reverse(times)
	}
	topic, payload := "devices/"+id+"/telemetry", []byte(nil)
	if sp.own.device.Kind == devices.Gateway {
		topic, payload = "gateways/"+id+"/telemetry", sp.forChildren(times)
	} else {
		payload = sp.telemetry(sp.own, times)
	}
	if err := sp.send(ctx, l, topic, payload); err != nil {
		return err
	}
	sp.backlog = sp.backlog[:0]
	return nil
}

// send publishes, twice when the fault plan says so.
func (sp *speaker) send(ctx context.Context, l *line, topic string, payload []byte) error {
	if err := l.publish(ctx, topic, payload); err != nil {
		return err
	}
	if chance(sp.rand, sp.o.Faults.Duplicate) {
		return l.publish(ctx, topic, payload)
	}
	return nil
}
