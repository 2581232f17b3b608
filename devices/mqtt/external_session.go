package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"cuulong/devices"
)

const (
	connectTimeout = 10 * time.Second // of dialling and TLS, and again of each step of MQTT's greeting
	writeTimeout   = 10 * time.Second
	goodbye        = 500 * time.Millisecond
	putAway        = 10 * time.Second // for paho to end its goroutines; they wait for nothing of ours
)

var errStore = errors.New("the store failed: the broker is to send again what was not acknowledged")

// session is one connection to the broker. paho's client is used for one
// connection only: an acknowledgement thereby belongs to the connection on
// which its message came, and reconnecting is decided in one place, here.
type session struct {
	e       *External
	client  paho.Client
	guard   *guard        // nil until dialled
	unwatch func() bool   // as guard
	ended   chan struct{} // closed when paho has put its goroutines away after a loss
	why     error         // paho's reason; read after ended
	resumed bool          // the broker has kept our state
}

func (s *session) isLost() bool {
	select {
	case <-s.guard.lost:
		return true
	default:
		return false
	}
}

// connect opens a session; handlers stand before it is open, since the broker
// sends at once what it has kept.
func (e *External) connect() (*session, error) {
	s := &session{e: e, ended: make(chan struct{})}
	o := paho.NewClientOptions()
	o.Servers = []*url.URL{{Scheme: "tcp", Host: e.broker.Addr}} // for paho to read; we dial
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return s.dial() })
	o.SetClientID(e.o.ClientID).SetUsername(e.o.Username).SetPassword(e.o.Password)
	o.SetProtocolVersion(4).SetCleanSession(false).SetAutoReconnect(false)
	o.SetAutoAckDisabled(true).SetOrderMatters(true)
	// A reader that waits for the store is not dead: the guard tells the two apart.
	o.SetKeepAlive(e.o.KeepAlive).SetPingTimeout(never * time.Second)
	o.SetConnectTimeout(connectTimeout).SetWriteTimeout(writeTimeout)
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { s.take(m) })
	o.SetConnectionLostHandler(func(_ paho.Client, err error) { s.why = err; close(s.ended) })
	s.client = paho.NewClient(o)
	token := s.client.Connect()
	token.Wait() // bounded by the deadlines of dialling and greeting, and by e.ctx
	if err := token.Error(); err != nil {
		if s.guard != nil {
			s.unwatch()
			s.guard.drop(err)
			if why := s.guard.why; !errors.Is(why, net.ErrClosed) {
				err = why
			}
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	s.resumed = token.(*paho.ConnectToken).SessionPresent()
	return s, nil
}

func (s *session) dial() (net.Conn, error) {
	e := s.e
	ctx, cancel := context.WithTimeout(e.ctx, connectTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", e.broker.Addr)
	if err != nil {
		return nil, err
	}
	secure, err := e.tlsConfig()
	if err != nil {
		raw.Close()
		return nil, err
	}
	if secure != nil {
		c := tls.Client(raw, secure)
		if err := c.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		raw = c
	}
	g := newGuard(raw, e.o.KeepAlive+e.o.KeepAlive/2+connectTimeout/2, writeTimeout, e.window.wake)
	s.guard = g
	// Close has given up, or has drained: paho's goodbye is quicker than this.
	s.unwatch = context.AfterFunc(e.ctx, func() {
		select {
		case <-g.lost:
		case <-time.After(2 * goodbye):
			g.drop(net.ErrClosed)
		}
	})
	return g, nil
}

// ReadCA reads the certificates that a broker's own must lead to.
func ReadCA(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// jitter spreads the replicas of one broker: 3/4 to 5/4 of d.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// attend subscribes, again and again what is refused, until the session is
// lost or the client is closed.
func (e *External) attend(s *session) {
	e.o.Log.Info("mqtt: outside broker connected", "broker", e.broker.Addr, "tls", e.broker.TLS, "client_id", e.o.ClientID, "resumed", s.resumed)
	e.told = ""
	missing := filters(e.o.Share)
	again := time.NewTimer(0)
	defer again.Stop()
	go s.keepAlive()
	for {
		select {
		case <-s.guard.lost:
			return
		case <-e.ctx.Done():
			return
		case <-again.C:
		}
		missing = s.subscribe(missing)
		if len(missing) == 0 && !s.isLost() {
			s.forget(e.o.FormerShares)
			e.connected.Set(1)
			e.o.Log.Info("mqtt: outside broker subscribed", "broker", e.broker.Addr, "filters", filters(e.o.Share))
			continue // the timer does not fire again
		}
		again.Reset(e.o.Resubscribe)
	}
}

func (s *session) keepAlive() {
	tick := time.NewTicker(s.e.o.KeepAlive / 2)
	defer tick.Stop()
	for {
		select {
		case <-s.guard.lost:
			return
		case <-tick.C:
			s.guard.keepAlive(s.e.o.KeepAlive / 2)
		}
	}
}

// subscribe asks for each filter by itself and returns those that are not granted.
func (s *session) subscribe(wanted []string) (missing []string) {
	for _, f := range wanted {
		token := s.client.Subscribe(f, 1, nil).(*paho.SubscribeToken)
		if !s.wait(token) {
			return wanted
		}
		granted, err := byte(0x80), token.Error()
		for _, code := range token.Result() {
			granted = code
		}
		if err == nil && granted == 1 {
			continue
		}
		missing = append(missing, f)
		detail := f
		switch {
		case err != nil:
			detail += ": " + err.Error()
		case granted == 0:
			detail += ": granted for QoS 0 only, at which the broker may lose messages"
		}
		s.e.refused.counters[reasonSubscribe].Inc()
		s.e.o.Log.Error("mqtt: outside broker refuses a subscription; its rules must let us read", "broker", s.e.broker.Addr, "filter", detail, "code", granted)
	}
	return missing
}

// forget gives up the subscriptions of groups that were left.
func (s *session) forget(groups []string) {
	for _, group := range groups {
		if group == s.e.o.Share {
			continue
		}
		for _, f := range filters(group) {
			if !s.wait(s.client.Unsubscribe(f)) {
				return
			}
		}
	}
}

// wait waits for an answer of the broker. It may stand behind messages that
// wait for the store, so only the loss of the connection ends it.
func (s *session) wait(t paho.Token) bool {
	select {
	case <-t.Done():
		return true
	case <-s.guard.lost:
	case <-s.e.ctx.Done():
	}
	return false
}

// close puts paho's client away and says why the session ended.
func (s *session) close(orderly bool) error {
	if orderly {
		s.client.Disconnect(uint(goodbye.Milliseconds()))
	}
	s.unwatch()
	s.guard.drop(net.ErrClosed)
	why := s.guard.why
	if orderly {
		return why
	}
	select {
	case <-s.ended:
		if errors.Is(why, net.ErrClosed) {
			why = s.why
		}
	case <-time.After(putAway):
		s.client.Disconnect(0)
	}
	return why
}

// take receives a message on paho's own goroutine: it hands over and returns,
// or waits at the bounds, which is the back-pressure.
func (s *session) take(m paho.Message) {
	msg, drop := s.e.judge(m)
	d := &delivery{from: m, s: s, msg: msg, size: len(m.Payload())}
	if drop {
		d.settled, d.ack = true, true // in its turn
	}
	s.e.window.admit(d)
}

// done is the store's answer.
func (d *delivery) done(err error) {
	if !d.answered.CompareAndSwap(false, true) {
		return
	}
	ok := err == nil || errors.Is(err, ErrSetAside)
	if !ok && d.from.Qos() > 0 {
		// Before it is settled, so that none after it is acknowledged.
		d.s.e.refused.count(reasonStore, "store", "an observation could not be kept; the outside broker will send it again")
		d.s.guard.drop(errStore)
	}
	d.s.e.window.settle(d, ok)
}

func shortTopic(topic string) string {
	return strings.ToValidUTF8(topic[:min(len(topic), maxDetail)], "?")
}

// judge says whose message it is. The topic alone tells: who may write there
// is for the broker's own rules. A message that is not accepted is
// acknowledged all the same, since it would come again unchanged; drop means
// that it is counted and no more, else the Handler sets it aside.
func (e *External) judge(m paho.Message) (msg Message, drop bool) {
	topic := m.Topic()
	refuse := func(reason string) {
		e.refused.count(reason, "outside broker "+e.broker.Addr, topic)
	}
	id, leaf, gateway, ok := parseTopic(topic)
	msg = Message{Topic: topic, Leaf: leaf, Gateway: gateway, Payload: m.Payload()}
	if len(m.Payload()) > MaxPayload {
		refuse(reasonOversize)
		msg.Topic, msg.Payload = shortTopic(topic), nil
		msg.Refused = "too_many"
		msg.Detail = "more than 1 MiB; not kept"
		return msg, false
	}
	device, err := devices.ParseID(id)
	if !ok || err != nil {
		refuse(reasonTopic)
		msg.Topic = shortTopic(topic)
		msg.Refused = "bad_topic"
		msg.Detail = "neither a device's topic nor a gateway's"
		return msg, false
	}
	msg.Device, msg.From = device, device
	// A retained message is a copy of one that came when it was new, or is
	// older than our session: without a time of its own it would look live.
	if m.Retained() && leaf != "attributes" {
		refuse(reasonRetained)
		return msg, true
	}
	d, known := e.o.Registry.Get(device)
	if !known || gateway && d.Kind != devices.Gateway {
		refuse(reasonUnknown)
		msg.Refused = "unknown_device"
		msg.Detail = string(device) + " is not registered"
		if known {
			msg.Detail = string(device) + " is no gateway"
		}
		return msg, false
	}
	msg.Kind = d.Kind
	e.o.Registry.Heard(device, time.Now())
	return msg, false
}
