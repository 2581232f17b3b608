//go:build process

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
	"cuulong/telemetry/influx/influxtest"
)

// restart lets mosquitto write its store; killed outright it would lose what
// it has itself acknowledged.
func (m *mosquitto) restart() {
	m.t.Helper()
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	_ = m.cmd.Wait()
	m.start()
}

// pair is two ioc behind one mosquitto, and the devices of a load.
type pair struct {
	t      *testing.T
	broker *mosquitto
	ioc    [2]*process
	logins []field.Login
}

// newPair gives each of the two the devices and a configuration; more are
// further lines of it.
func newPair(t *testing.T, share string, more ...string) *pair {
	t.Helper()
	const connections = 8
	names := make([]string, connections)
	pr := &pair{t: t, logins: make([]field.Login, connections)}
	for i := range names {
		names[i] = string(field.LoadDevice(i))
		pr.logins[i] = field.Login{Username: names[i], Password: brokerPassword}
	}
	pr.broker = startMosquitto(t, names...)
	t.Setenv("TEST_BROKER_PASSWORD", brokerPassword)
	external := fmt.Sprintf("  external: {url: \"mqtts://%s\", username: ioc, password_env: TEST_BROKER_PASSWORD, ca: %q, share: %q}", pr.broker.tls, pr.broker.ca, share)
	alarms := "alerts: {enabled: true}"
	for i := range pr.ioc {
		pr.ioc[i] = startProcess(t, filepath.Join(t.TempDir(), "data"), append([]string{external, alarms}, more...)...)
		alarms = "alerts: {enabled: false}" // one of them judges
		loadLogins(t, login(t, pr.ioc[i].Addrs.HTTP[0]), connections)
	}
	pr.subscribed()
	return pr
}

// reconfigure changes a word of both configurations and starts both again.
func (pr *pair) reconfigure(from, to string) {
	pr.t.Helper()
	for _, p := range pr.ioc {
		if err := p.stop(); err != nil {
			pr.t.Errorf("orderly stop: %v", err)
		}
		file := p.args[len(p.args)-1]
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), from) {
			pr.t.Fatalf("%v %s", err, text)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
			pr.t.Fatal(err)
		}
		p.start()
	}
	pr.subscribed()
}

func (pr *pair) subscribed() {
	pr.t.Helper()
	for _, p := range pr.ioc {
		c := login(pr.t, p.Addrs.HTTP[0])
		eventually(pr.t, "subscribed", func() bool { return counter(pr.t, c, "ioc_mqtt_external_connected") == 1 })
	}
}

// load publishes, and something may happen meanwhile.
func (pr *pair) load(messages int64, meanwhile func()) (ledger string) {
	pr.t.Helper()
	ledger = filepath.Join(pr.t.TempDir(), "ledger")
	var loading sync.WaitGroup
	loading.Go(func() {
		r, err := field.Load(pr.t.Context(), field.LoadOptions{
			Broker: pr.broker.plain, Logins: pr.logins, Connections: len(pr.logins), Inflight: 32, Rate: 1000, QoS: 1,
			Messages: messages, Ledger: ledger, Drain: time.Minute,
		})
		pr.t.Logf("sent %d, acknowledged %d, resent %d, reconnects %d", r.Sent, r.Acked, r.Resent, r.Reconnects)
		if err != nil || r.Unacked != 0 || r.Acked != r.Sent {
			pr.t.Errorf("load: %v %+v", err, r)
		}
	})
	meanwhile()
	loading.Wait()
	return ledger
}

// stores are the two as their HTTP APIs show them.
func (pr *pair) stores() (stores []field.Stored) {
	for _, p := range pr.ioc {
		c := login(pr.t, p.Addrs.HTTP[0])
		stores = append(stores, (&field.API{URL: c.base, Token: c.token()}).Stored)
	}
	return stores
}

// holds audits stored until nothing is missing, and says how much there is.
func (pr *pair) holds(ledger string, stored field.Stored) field.AuditResult {
	pr.t.Helper()
	var verdict field.AuditResult
	whole := func() bool {
		var err error
		if verdict, err = field.Audit(pr.t.Context(), ledger, stored); err != nil {
			pr.t.Fatal(err)
		}
		return verdict.Lost == 0
	}
	// What is on its way arrives within seconds.
	for end := time.Now().Add(20 * time.Second); !whole() && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	pr.t.Logf("audit: %+v", verdict)
	if !verdict.OK() || verdict.Acked == 0 || verdict.Stored < verdict.Acked {
		pr.t.Errorf("what the broker acknowledged is not there once: %+v", verdict)
		for _, p := range pr.ioc {
			pr.t.Logf("log:\n%s", p.tail())
		}
	}
	return verdict
}

// pause is the pace of the tests, not a wait for anything.
func pause() { time.Sleep(time.Second) }

// stop ends both in order.
func (pr *pair) stop() {
	for _, p := range pr.ioc {
		if err := p.stop(); err != nil {
			pr.t.Errorf("orderly stop: %v", err)
		}
	}
}

// Two ioc share the messages of one mosquitto over TLS. Each message goes to
// one of them; and through kill -9 of one and an orderly stop of the other
// under load nothing is lost, and nothing is there twice.
func TestProcessTwoShareOneBroker(t *testing.T) {
	pr := newPair(t, "tinh")
	ledger := pr.load(3000, func() {})
	var both int
	pr.holds(ledger, field.Union(pr.stores(), &both))
	if both != 0 {
		t.Errorf("%d observations came to both", both)
	}
	for i, stored := range pr.stores() {
		if alone, err := field.Audit(t.Context(), ledger, stored); err != nil || alone.Stored == 0 || alone.Stored >= 3000 {
			t.Errorf("%d took %d: %v", i, alone.Stored, err)
		}
	}
	ledger = pr.load(6000, func() {
		for range 2 {
			pause()
			pr.ioc[0].kill()
			pause()
			pr.ioc[0].start()
			if err := pr.ioc[1].stop(); err != nil {
				t.Errorf("orderly stop: %v", err)
			}
			pr.ioc[1].start()
		}
	})
	pr.holds(ledger, field.Union(pr.stores(), &both))
	pr.stop()
}

// The same two without a share: each takes everything, as the InfluxDB behind
// them stores it once; then also restarts of the broker lose nothing that it
// acknowledged. (mosquitto 2.0 forgets shared subscriptions when it restarts,
// and acknowledges to devices what nobody is subscribed to then.)
func TestProcessTwoBehindABrokerThatRestarts(t *testing.T) {
	pr := newPair(t, "tinh")
	pr.reconfigure(`share: "tinh"`, `share: ""`)
	ledger := pr.load(10_000, func() {
		for range 5 {
			pause()
			pr.broker.restart()
			pr.ioc[0].kill()
			pr.ioc[0].start()
		}
	})
	stores := pr.stores()
	for _, stored := range stores {
		pr.holds(ledger, stored)
	}
	var both int
	if v := pr.holds(ledger, field.Union(stores, &both)); int64(both) != v.Stored {
		t.Errorf("%d stored, %d at both", v.Stored, both)
	}
	pr.stop()
}

// As above, and both feed one InfluxDB, which is killed and started again, too:
// asked through either of them, it holds what the broker acknowledged, once.
func TestProcessTwoShareOneBrokerAndOneInfluxDB(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	t.Setenv("IOC_TEST_INFLUX_TOKEN", influxtest.Token)
	bucket := server.Create(t, "ioc")
	pr := newPair(t, "tinh", fmt.Sprintf("store: {engine: influx, influx: {url: %q, token_env: IOC_TEST_INFLUX_TOKEN, bucket: %q}}",
		server.URL, bucket))
	ledger := pr.load(8000, func() {
		pause()
		server.Kill()
		pr.ioc[0].kill()
		pause()
		pr.ioc[0].start()
		server.Start(t)
		pause()
		pr.ioc[1].kill()
		pause()
		pr.ioc[1].start()
	})
	for _, p := range pr.ioc {
		c := login(t, p.Addrs.HTTP[0])
		eventually(t, "its log is forwarded", func() bool {
			return counter(t, c, "ioc_mqtt_external_unacked") == 0 && counter(t, c, "ioc_forward_lag_records") == 0
		})
	}
	for _, stored := range pr.stores() {
		pr.holds(ledger, stored)
	}
	pr.holds(ledger, field.Influx{URL: server.URL, Bucket: bucket, Token: influxtest.Token}.Stored) // and without them
	pr.stop()
}
