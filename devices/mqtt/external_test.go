package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
)

// outside is a client of an outside broker, with stations "st" and "other" and
// gateway "gw" with its child "child" registered.
type outside struct {
	*External
	t     testing.TB
	reg   *devices.Registry
	prom  *prometheus.Registry
	inbox inbox
	log   *recorder
}

func externalOptions(url string) ExternalOptions {
	return ExternalOptions{
		URL: url, ClientID: "ioc-1", MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
	}
}

func newOutside(t testing.TB, o ExternalOptions) *outside {
	t.Helper()
	x := &outside{t: t, reg: registry(t), prom: prometheus.NewRegistry(), inbox: newInbox(), log: &recorder{}}
	for _, d := range []devices.Device{
		{ID: "gw", Kind: devices.Gateway}, {ID: "child", Kind: devices.Station, Parent: "gw"},
		{ID: "st", Kind: devices.Station}, {ID: "other", Kind: devices.Station},
	} {
		d.Name = string(d.ID)
		register(t, x.reg, d)
	}
	o.Registry, o.Metrics = x.reg, x.prom
	o.Log = slog.New(slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.Handle == nil {
		o.Handle = x.inbox.handle
	}
	var err error
	if x.External, err = StartExternal(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.close)
	return x
}

func (x *outside) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := x.Close(ctx); err != nil {
		x.t.Errorf("Close: %v", err)
	}
}

// abandon ends it as kill -9 would: what is not acknowledged stays so.
func (x *outside) abandon() {
	x.cut()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = x.Close(ctx)
	<-x.gone
}

func (x *outside) value(name, reason string) float64 {
	x.t.Helper()
	return gathered(x.t, x.prom, name, reason)
}

func (x *outside) subscribed() {
	x.t.Helper()
	defer func() {
		if x.t.Failed() {
			x.t.Logf("log:\n%s", x.log)
		}
	}()
	eventually(x.t, "subscribed", func() bool { return x.value("ioc_mqtt_external_connected", "") == 1 })
}

// gathered reads a metric, of a reason if it has one.
func gathered(t testing.TB, reg *prometheus.Registry, name, reason string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			is := reason == ""
			for _, l := range m.GetLabel() {
				is = is || l.GetName() == "reason" && l.GetValue() == reason
			}
			if is {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, reason)
	return 0
}

// tells publishes once and waits for the broker's acknowledgement.
func tells(t testing.TB, addr, topic, payload string) {
	t.Helper()
	c := connect(t, addr, hello{v: 4, id: "p" + strconv.FormatInt(time.Now().UnixNano(), 36), anonymous: true})
	c.send(publish311(topic, 1, 1, []byte(payload)))
	c.wantAck(1, 0)
	c.Close()
}

func TestExternalAcknowledgesWhenDurable(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	x.subscribed()
	for topic, want := range map[string]Message{
		"devices/st/telemetry":  {Device: "st", From: "st", Kind: devices.Station, Leaf: "telemetry"},
		"devices/st/attributes": {Device: "st", From: "st", Kind: devices.Station, Leaf: "attributes"},
		"devices/st/netjson":    {Device: "st", From: "st", Kind: devices.Station, Leaf: "netjson"},
		"gateways/gw/telemetry": {Device: "gw", From: "gw", Kind: devices.Gateway, Leaf: "telemetry", Gateway: true},
	} {
		tells(t, m.addr, topic, "a "+topic)
		h := x.inbox.next(t)
		if string(h.Payload) != "a "+topic {
			t.Errorf("%s: %+v", topic, h.Message)
		}
		got := h.Message
		got.Payload, want.Topic = nil, topic
		if got.Topic != want.Topic || got.Device != want.Device || got.From != want.From || got.Kind != want.Kind ||
			got.Leaf != want.Leaf || got.Gateway != want.Gateway || got.Refused != "" {
			t.Errorf("%s: %+v", topic, got)
		}
		// The broker holds it until done.
		if n := m.logged("Received PUBACK from ioc-1"); n != 0 {
			t.Fatalf("acknowledged before it was durable: %d", n)
		}
		defer h.done(nil)
	}
	if x.value("ioc_mqtt_external_unacked", "") != 4 {
		t.Errorf("%v unacknowledged", x.value("ioc_mqtt_external_unacked", ""))
	}
	x.abandon() // the same session again gets all four
	again := newOutside(t, externalOptions("mqtt://"+m.addr))
	for range 4 {
		h := again.inbox.next(t)
		if h.Leaf == "netjson" {
			h.done(ErrSetAside)
		} else {
			h.done(nil)
		}
	}
	eventually(t, "all are acknowledged", func() bool { return m.logged("Received PUBACK from ioc-1") == 4 })
	again.close()
	last := newOutside(t, externalOptions("mqtt://"+m.addr))
	last.subscribed()
	tells(t, m.addr, "devices/other/telemetry", "new")
	if h := last.inbox.next(t); h.Device != "other" {
		t.Errorf("what was acknowledged came again: %+v", h.Message)
	} else {
		h.done(nil)
	}
	if d, _ := last.reg.Get("other"); d.ID == "" {
		t.Error("not registered")
	}
}

func TestExternalKeepsWhatCameWhileAway(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	x.subscribed()
	x.close()
	eventually(t, "goodbye", func() bool { return m.logged("Received DISCONNECT from ioc-1") == 1 })
	const n = 100
	for i := range n {
		tells(t, m.addr, "devices/st/telemetry", fmt.Sprint(i))
	}
	x = newOutside(t, externalOptions("mqtt://"+m.addr))
	for i := range n {
		h := x.inbox.next(t)
		if string(h.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, h.Payload)
		}
		h.done(nil)
	}
}

func TestExternalStoreFailure(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	x.subscribed()
	for i := range 3 {
		tells(t, m.addr, "devices/st/telemetry", fmt.Sprint(i))
	}
	first, second, third := x.inbox.next(t), x.inbox.next(t), x.inbox.next(t)
	third.done(nil)
	second.done(errors.New("disk full"))
	first.done(nil) // before the failed one, but its connection is gone
	seen := map[string]int{}
	for range 3 {
		h := x.inbox.next(t)
		seen[string(h.Payload)]++
		h.done(nil)
		h.done(errors.New("a second answer changes nothing"))
	}
	if seen["0"] != 1 || seen["1"] != 1 || seen["2"] != 1 {
		t.Errorf("came again: %v", seen)
	}
	if x.value("ioc_refused_total", "store") != 1 || x.value("ioc_mqtt_external_lost_total", "") != 1 {
		t.Errorf("store %v, lost %v", x.value("ioc_refused_total", "store"), x.value("ioc_mqtt_external_lost_total", ""))
	}
	eventually(t, "acknowledged", func() bool { return x.value("ioc_mqtt_external_unacked", "") == 0 })
	if !strings.Contains(x.log.String(), errStore.Error()) {
		t.Errorf("not told:\n%s", x.log)
	}
}

func TestExternalRefusesByTopic(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	x.subscribed()
	for topic, reason := range map[string]string{
		"devices/nobody/telemetry":                          "unknown_device",
		"gateways/st/telemetry":                             "unknown_device", // is no gateway
		"devices/not an id/telemetry":                       "bad_topic",
		"devices//attributes":                               "bad_topic",
		"devices/" + strings.Repeat("x", 1000) + "/netjson": "bad_topic",
	} {
		tells(t, m.addr, topic, "x")
		h := x.inbox.next(t)
		if h.Refused != reason || string(h.Payload) != "x" || len(h.Topic) > maxDetail+30 {
			t.Errorf("%s: %+v", topic, h.Message)
		}
		h.done(ErrSetAside)
	}
	if topic, unknown := x.value("ioc_refused_total", "topic"), x.value("ioc_refused_total", "unknown_device"); topic != 3 || unknown != 2 {
		t.Errorf("counted %v and %v", topic, unknown)
	}
	tells(t, m.addr, "devices/st/telemetry", strings.Repeat("x", MaxPayload+1))
	tells(t, m.addr, "devices/st/telemetry", strings.Repeat("y", 3<<20)) // cut on its way in
	for range 2 {
		h := x.inbox.next(t)
		if h.Refused != "too_many" || h.Payload != nil || h.Topic != "devices/st/telemetry" || h.Detail == "" {
			t.Errorf("beyond the bound: %+v", h.Message)
		}
		h.done(ErrSetAside)
	}
	tells(t, m.addr, "devices/st/telemetry", strings.Repeat("z", MaxPayload))
	if h := x.inbox.next(t); len(h.Payload) != MaxPayload || h.Payload[0] != 'z' {
		t.Errorf("%d bytes of %q", len(h.Payload), h.Payload[0])
	} else {
		h.done(nil)
	}
	eventually(t, "all are acknowledged", func() bool { return m.logged("Received PUBACK from ioc-1") == 8 })
	if n := x.value("ioc_refused_total", "oversize"); n != 2 {
		t.Errorf("%v too long", n)
	}
	if x.value("ioc_mqtt_external_lost_total", "") != 0 {
		t.Errorf("the connection was lost:\n%s", x.log)
	}
}

func TestExternalRetained(t *testing.T) {
	m := newMosquitto(t)
	c := connect(t, m.addr, hello{v: 4, id: "p", anonymous: true})
	for i, leaf := range []string{"telemetry", "attributes"} {
		c.send(packet(0x33, join(str("devices/st/"+leaf), u16(i+1), []byte(leaf))...))
		c.wantAck(i+1, 0)
	}
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	h := x.inbox.next(t)
	if h.Leaf != "attributes" {
		t.Errorf("old values look live: %+v", h.Message)
	}
	h.done(nil)
	eventually(t, "both are acknowledged", func() bool { return m.logged("Received PUBACK from ioc-1") == 2 })
	if x.value("ioc_refused_total", "retained") != 1 {
		t.Error("not counted")
	}
}

func TestExternalRefusedSubscriptionIsTold(t *testing.T) {
	plugin, _ := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so") // is part of mosquitto's package
	if len(plugin) == 0 {
		t.Fatal("mosquitto without its plugin of rules; an acl_file cannot refuse a subscription")
	}
	rules := filepath.Join(t.TempDir(), "rules.json")
	allow := func(gateways bool) {
		writeFile(t, rules, fmt.Sprintf(`{"anonymousGroup":"all","groups":[{"groupname":"all","roles":[{"rolename":"r"}]}],
			"defaultACLAccess":{"publishClientSend":true,"publishClientReceive":true,"subscribe":true,"unsubscribe":true},
			"roles":[{"rolename":"r","acls":[{"acltype":"subscribeLiteral","topic":"gateways/+/telemetry","allow":%v}]}]}`, gateways))
	}
	allow(false)
	m := newMosquitto(t, "allow_anonymous true", "plugin "+plugin[0], "plugin_opt_config_file "+rules)
	o := externalOptions("mqtt://" + m.addr)
	o.Resubscribe = 20 * time.Millisecond
	x := newOutside(t, o)
	eventually(t, "it is told, and tried again", func() bool {
		return strings.Contains(x.log.String(), "refuses a subscription") && x.value("ioc_refused_total", "subscribe") >= 3
	})
	if x.value("ioc_mqtt_external_connected", "") != 0 || strings.Contains(x.log.String(), "filter=devices") {
		t.Errorf("log:\n%s", x.log)
	}
	tells(t, m.addr, "devices/st/telemetry", "what is granted comes")
	x.inbox.next(t).done(nil)
	m.end(syscall.SIGTERM)
	allow(true)
	m.start()
	x.subscribed()
	tells(t, m.addr, "gateways/gw/telemetry", "x")
	x.inbox.next(t).done(nil)
}

func TestExternalPasswordIsNeverTold(t *testing.T) {
	const secret = "mật khẩu"
	m := newMosquitto(t, "allow_anonymous false")
	o := externalOptions("mqtt://" + m.addr)
	o.Username, o.Password = "ioc", secret
	x := newOutside(t, o)
	eventually(t, "the refusal is told", func() bool { return strings.Contains(x.log.String(), "ot Authorized") })
	if strings.Contains(x.log.String(), secret) {
		t.Errorf("the password, too:\n%s", x.log)
	}
	if n := strings.Count(x.log.String(), "not connected"); n != 1 {
		t.Errorf("told %d times:\n%s", n, x.log)
	}
}

func TestExternalTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key := a.server("127.0.0.1")
	m := newMosquitto(t, "allow_anonymous true", "certfile "+cert, "keyfile "+key)
	o := externalOptions("mqtts://" + m.addr)
	for what, c := range map[string]struct{ ca, url string }{
		"the system's roots": {"", o.URL},
		"another authority":  {stranger.file, o.URL},
		"another name":       {a.file, strings.Replace(o.URL, "127.0.0.1", "localhost", 1)},
		"no TLS":             {a.file, "mqtt://" + m.addr},
	} {
		o := o
		o.CAFile, o.URL = c.ca, c.url
		x := newOutside(t, o)
		eventually(t, what+" is refused", func() bool { return strings.Contains(x.log.String(), "not connected") })
		if strings.Contains(x.log.String(), "broker connected") {
			t.Errorf("%s: connected:\n%s", what, x.log)
		}
		x.close()
	}
	o.CAFile = a.file
	x := newOutside(t, o)
	x.subscribed()
	pub, err := tool(t, &province{addr: m.addr}, "mosquitto_pub", "--cafile", a.file, "-q", "1", "-t", "devices/st/telemetry", "-m", "over TLS")
	if err != nil {
		t.Fatal(err, pub)
	}
	h := x.inbox.next(t)
	if string(h.Payload) != "over TLS" {
		t.Errorf("%s", h.Payload)
	}
	h.done(nil)
}

func TestExternalOverIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	a := newAuthority(t)
	cert, key := a.server("::1")
	newMosquitto(t, "allow_anonymous true", "listener "+port+" ::1", "certfile "+cert, "keyfile "+key)
	o := externalOptions("mqtts://" + addr)
	o.CAFile = a.file
	newOutside(t, o).subscribed()
}

func TestExternalShared(t *testing.T) {
	m := newMosquitto(t)
	var all sync.Map
	var twice, other sync.Map
	inbox := make(chan string, 1000)
	member := func(id string) *outside {
		o := externalOptions("mqtt://" + m.addr)
		o.ClientID, o.Share = id, "ioc"
		o.Handle = func(h Message, done func(error)) {
			if before, again := all.LoadOrStore(string(h.Payload), id); again {
				twice.Store(string(h.Payload), before)
			}
			if id == "ioc-2" {
				other.Store(id, true)
			}
			done(nil)
			inbox <- string(h.Payload)
		}
		return newOutside(t, o)
	}
	one, two := member("ioc-1"), member("ioc-2")
	one.subscribed()
	two.subscribed()
	c := connect(t, m.addr, hello{v: 4, id: "p", anonymous: true})
	const n = 300
	for i := range n {
		c.send(publish311("devices/st/telemetry", 1, i+1, []byte(fmt.Sprint(i))))
		c.wantAck(i+1, 0)
	}
	for range n {
		select {
		case <-inbox:
		case <-time.After(patience):
			t.Fatal("some are missing")
		}
	}
	count := 0
	all.Range(func(k, v any) bool { count++; return true })
	twice.Range(func(k, v any) bool { t.Errorf("%v came to both", k); return true })
	if _, ok := other.Load("ioc-2"); !ok || count != n {
		t.Errorf("%d messages; two took part: %v", count, ok)
	}
}

// A replica that joins a group gives up its own subscriptions, and the other
// way round; the session on the broker stays the same.
func TestExternalChangesItsGroup(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	x.subscribed()
	x.close()
	o := externalOptions("mqtt://" + m.addr)
	o.Share, o.FormerShares = "ioc", []string{"", "ioc"}
	x = newOutside(t, o)
	x.subscribed()
	tells(t, m.addr, "devices/st/telemetry", "1")
	x.inbox.next(t).done(nil)
	tells(t, m.addr, "devices/st/telemetry", "2")
	if h := x.inbox.next(t); string(h.Payload) != "2" {
		t.Errorf("%s came by two subscriptions", h.Payload)
	} else {
		h.done(nil)
	}
}

// At its bound the client reads no more; neither that nor a store that is
// slow costs the connection.
func TestExternalIsBounded(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true", "max_inflight_messages 1000")
	for what, bound := range map[string]func(*ExternalOptions){
		"count": func(o *ExternalOptions) { o.MaxUnackedCount = 5 },
		"bytes": func(o *ExternalOptions) { o.MaxUnackedBytes = 50 << 10 },
	} {
		o := externalOptions("mqtt://" + m.addr)
		o.KeepAlive, o.ClientID = time.Second, "ioc-"+what
		bound(&o)
		x := newOutside(t, o)
		x.subscribed()
		c := connect(t, m.addr, hello{v: 4, id: "p", anonymous: true})
		const n = 40
		body := strings.Repeat("x", 10<<10)
		for i := range n {
			c.send(publish311("devices/st/telemetry", 1, i+1, fmt.Appendf(nil, "%03d%s", i, body)))
			c.wantAck(i+1, 0)
		}
		waiting := []held{x.inbox.next(t)}
		eventually(t, "the bound", func() bool {
			for len(x.inbox) > 0 {
				waiting = append(waiting, <-x.inbox)
			}
			return len(waiting) == 5 || what == "bytes" && len(waiting) == 4
		})
		pings := m.logged("Received PINGREQ from ioc-" + what)
		eventually(t, "the connection is kept alive, though nothing is read", func() bool {
			return m.logged("Received PINGREQ from ioc-"+what) > pings+2
		})
		for i := 0; i < n; i++ {
			h := waiting[0]
			if waiting = waiting[1:]; len(waiting) == 0 && i < n-1 {
				h.done(nil)
				waiting = append(waiting, x.inbox.next(t))
			} else {
				h.done(nil)
			}
			if string(h.Payload[:3]) != fmt.Sprintf("%03d", i) {
				t.Fatalf("%s: message %d is %.3s", what, i, h.Payload)
			}
			if len(x.inbox) > 5 {
				t.Fatalf("%s: %d beyond the bound", what, len(x.inbox))
			}
		}
		if x.value("ioc_mqtt_external_lost_total", "") != 0 {
			t.Errorf("%s: the connection was lost:\n%s", what, x.log)
		}
		x.close()
	}
}

func TestExternalCloseDrains(t *testing.T) {
	m := newMosquitto(t)
	x := newOutside(t, externalOptions("mqtt://"+m.addr))
	x.subscribed()
	tells(t, m.addr, "devices/st/telemetry", "1")
	h := x.inbox.next(t)
	closed := make(chan struct{})
	go func() { defer close(closed); x.close() }()
	eventually(t, "it stops", func() bool {
		select {
		case <-x.stop:
			return true
		default:
			return false
		}
	})
	tells(t, m.addr, "devices/st/telemetry", "2") // is not taken any more
	h.done(nil)
	<-closed
	eventually(t, "goodbye", func() bool { return m.logged("Received DISCONNECT from ioc-1") == 1 })
	if n := m.logged("Received PUBACK from ioc-1"); n != 1 {
		t.Errorf("%d acknowledged", n)
	}
	x = newOutside(t, externalOptions("mqtt://"+m.addr))
	if h := x.inbox.next(t); string(h.Payload) != "2" {
		t.Errorf("%s comes next", h.Payload)
	} else {
		h.done(nil)
	}
}

func TestExternalCloseGivesUp(t *testing.T) {
	m := newMosquitto(t)
	o := externalOptions("mqtt://" + m.addr)
	o.MaxUnackedCount = 1
	x := newOutside(t, o)
	x.subscribed()
	for i := range 20 { // all but the first wait at the bound
		tells(t, m.addr, "devices/st/telemetry", fmt.Sprint(i))
	}
	h := x.inbox.next(t)
	x.abandon()
	h.done(nil) // too late, and harmless
	if n := m.logged("Received PUBACK from ioc-1"); n != 0 {
		t.Error("acknowledged after the end")
	}
}

// Without a broker it starts, tells, and stops at once.
func TestExternalWithoutABroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	x := newOutside(t, externalOptions("mqtt://"+l.Addr().String()))
	eventually(t, "it is told", func() bool { return strings.Contains(x.log.String(), "not connected") })
	if x.value("ioc_mqtt_external_connected", "") != 0 {
		t.Error("looks connected")
	}
}
