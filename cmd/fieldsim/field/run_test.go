package field

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

// A listener reads what the field says with the product's own decoders.
type listener struct {
	now    func() time.Time
	parent map[devices.ID]devices.ID
	want   map[string]bool // "device/metric" not heard yet
	all    chan struct{}   // closed when want is empty
	aside  []string        // what the decoders would not keep
	late   int             // observations older than another one heard of the same datastream
	same   int             // equal (device, metric, time) again
	newest map[string]int64
	times  map[string]bool
}

func newListener() *listener {
	l := &listener{now: time.Now, parent: map[devices.ID]devices.ID{}, newest: map[string]int64{}, times: map[string]bool{}}
	for _, d := range Province() {
		l.parent[d.ID] = d.Parent
	}
	l.again()
	return l
}

// again wants to hear everybody once more.
func (l *listener) again() {
	l.want, l.all = map[string]bool{}, make(chan struct{})
	for _, d := range Province() {
		for _, m := range d.Metrics {
			l.want[string(d.ID)+"/"+m.Metric] = true
		}
	}
}

func (l *listener) hear(topic string, payload []byte) {
	parts := strings.Split(topic, "/")
	id := devices.ID(parts[1])
	now := l.now().UnixMilli()
	var b telemetry.Batch
	switch parts[0] + "/" + parts[2] {
	case "devices/telemetry":
		b = telemetry.DecodeTelemetry(id, topic, payload, now)
	case "devices/netjson":
		b = telemetry.DecodeNetJSON(id, topic, payload, now)
	case "gateways/telemetry":
		b = telemetry.DecodeGateway(func(c devices.ID) bool { return l.parent[c] == id }, topic, payload, now)
	case "devices/attributes":
		if _, err := telemetry.DecodeAttributes(payload); err != nil {
			l.aside = append(l.aside, topic+": "+err.Error())
		}
	default:
		l.aside = append(l.aside, "topic "+topic)
	}
	for _, a := range b.SetAside {
		l.aside = append(l.aside, fmt.Sprintf("%s: %s %s", topic, a.Reason, a.Detail))
	}
	for _, o := range b.Observations {
		stream := string(o.Device) + "/" + o.Metric
		delete(l.want, stream)
		if o.At == 0 {
			continue
		}
		if o.At < l.newest[stream] {
			l.late++
		}
		l.newest[stream] = max(l.newest[stream], o.At)
		if moment := fmt.Sprintf("%s@%d", stream, o.At); l.times[moment] {
			l.same++
		} else {
			l.times[moment] = true
		}
	}
	if len(l.want) == 0 && l.all != nil {
		close(l.all)
		l.all = nil
	}
}

func (l *listener) missing() (names []string) {
	for name := range l.want {
		names = append(names, name)
	}
	return names
}

// wait until done is closed; far too long is a failure.
func wait(t *testing.T, done <-chan struct{}, f *far, l *listener) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		f.with(func() { t.Fatalf("not heard: %v", l.missing()) })
	}
}

func startField(t *testing.T, o Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the field does not end with its context")
		}
	}
}

// Everybody speaks, in payloads that the product keeps whole; and again after
// the broker died and came back.
func TestRunSpeaksForTheProvince(t *testing.T) {
	f, l := newFar(t), newListener()
	f.heard = l.hear
	first := l.all
	stop := startField(t, Options{Broker: f.addr, Every: 50 * time.Millisecond, Tide: DemoTide})
	wait(t, first, f, l)
	f.cut()
	var second chan struct{}
	f.with(func() { l.again(); second = l.all })
	f.start(f.addr)
	wait(t, second, f, l)
	stop()
	f.with(func() {
		if len(l.aside) > 0 || l.late > 0 {
			t.Errorf("%d late; not kept: %v", l.late, l.aside[:min(3, len(l.aside))])
		}
	})
}

// With every fault on, what is good still comes through, and each fault is to be seen.
func TestRunWithFaults(t *testing.T) {
	f, l := newFar(t), newListener()
	const p = 0.15
	seen := make(chan struct{})
	closed := false
	f.heard = func(topic string, payload []byte) {
		l.hear(topic, payload)
		if !closed && len(l.want) == 0 && l.same > 0 && l.late > 0 && len(l.aside) > 0 {
			closed = true
			close(seen)
		}
	}
	stop := startField(t, Options{Broker: f.addr, Every: 40 * time.Millisecond, Seed: 5,
		Faults: Faults{Duplicate: p, Late: p, Shuffled: p, Garbage: p, Disconnect: p / 5, DropOut: p}})
	wait(t, seen, f, l)
	stop()
}

// Nobody speaks without credentials where credentials are known, and a field without a broker ends when told.
func TestRunKeepsToItsLogins(t *testing.T) {
	f := newFar(t)
	one := make(chan struct{})
	n := 0
	f.heard = func(topic string, _ []byte) {
		if n++; n == 5 {
			close(one)
		}
	}
	stop := startField(t, Options{Broker: f.addr, Every: 20 * time.Millisecond,
		Logins: map[devices.ID]Login{"sal-cua-tieu-1": {Username: "sal-cua-tieu-1", Password: "x"}, "air-1": {Username: "air-1", Password: "wrong"}}})
	<-one
	stop()
	f.with(func() {
		for topic := range f.count {
			if !strings.HasPrefix(topic, "devices/sal-cua-tieu-1/") {
				t.Errorf("heard on %s", topic)
			}
		}
	})
	f.cut()
	stop = startField(t, Options{Broker: f.addr, Every: 20 * time.Millisecond})
	stop()
	for name, o := range map[string]Options{"no broker": {}, "minus a tide": {Broker: f.addr, Tide: -1}} {
		if Run(t.Context(), o) == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Garbage is garbage to the product, each piece of it.
func TestRubbishIsSetAside(t *testing.T) {
	for _, r := range rubbish {
		b := telemetry.DecodeTelemetry("sal-cua-tieu-1", "test", []byte(r), time.Now().UnixMilli())
		if len(b.SetAside) == 0 {
			t.Errorf("%q was kept: %+v", r, b.Observations)
		}
	}
}
