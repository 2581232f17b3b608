//go:build process

package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
	"cuulong/telemetry/influx/influxtest"
)

// Two ioc share one mosquitto's subscription over TLS and feed one InfluxDB; they
// are killed in turn, and InfluxDB once. What the broker acknowledged to the
// publishers is in InfluxDB, once, whichever of the two is asked, and each knows
// the newest of all.
func TestProcessTwoShareABrokerAndAnInfluxDB(t *testing.T) {
	const connections, rate, seconds = 12, 1000, 20
	var logins []field.Login
	var users []string
	for _, d := range field.LoadDevices(connections) {
		users = append(users, string(d.ID))
		logins = append(logins, field.Login{Username: string(d.ID), Password: brokerPassword})
	}
	broker := startMosquitto(t, users...)
	server := influxtest.Start(t, "127.0.0.1", nil)
	bucket := server.Create(t, "ioc")
	t.Setenv("IOC_TEST_INFLUX_TOKEN", influxtest.Token) // the processes inherit them
	t.Setenv("IOC_TEST_BROKER_PASSWORD", brokerPassword)
	both := [2]*process{}
	for i := range both {
		both[i] = startProcess(t, filepath.Join(t.TempDir(), "data"),
			fmt.Sprintf("  external: {url: %q, username: ioc, password_env: IOC_TEST_BROKER_PASSWORD, share: tinh, ca: %q}", "mqtts://"+broker.tls, broker.ca),
			fmt.Sprintf("store: {engine: influx, influx: {url: %q, token_env: IOC_TEST_INFLUX_TOKEN, bucket: %q}}", server.URL, bucket),
			fmt.Sprintf("alerts: {enabled: %v}", i == 0))
		_ = loadLogins(t, login(t, both[i].Addrs.HTTP[0]), connections) // each has its own registry
	}
	each := func(i int, name string) float64 { return counter(t, login(t, both[i].Addrs.HTTP[0]), name) }
	for i := range both {
		eventually(t, "subscribed", func() bool { return each(i, "ioc_mqtt_external_connected") == 1 })
	}

	ledger := filepath.Join(t.TempDir(), "ledger")
	load := startLoad(t, field.LoadOptions{
		Broker: broker.plain, Logins: logins, Connections: connections, Inflight: 16,
		Rate: rate, QoS: 1, Version: 4, Messages: rate * seconds, Ledger: ledger, Seed: 11, Drain: time.Minute,
	})
	more := func(i int, what string) {
		t.Helper()
		before := each(i, "ioc_forward_written_total")
		eventually(t, what, func() bool { return each(i, "ioc_forward_written_total") > before+500 })
	}
	for i := range both {
		more(i, "each gets its share")
	}
	both[0].kill()
	more(1, "the other goes on")
	both[0].start()
	server.Kill()
	both[1].kill()
	both[1].start()
	server.Start(t)
	for i := range both {
		more(i, "each gets its share again")
	}
	if o := <-load.ended; o.err != nil || o.Acked != o.Sent || o.Sent != rate*seconds {
		t.Fatalf("load: %+v", o)
	}

	for i, p := range both {
		c := login(t, p.Addrs.HTTP[0])
		api := &field.API{URL: c.base, Token: c.token()}
		var verdict field.AuditResult
		// The broker may still be handing over what was in flight at a kill.
		eventually(t, "everything is in InfluxDB", func() bool {
			var err error
			if verdict, err = field.Audit(t.Context(), ledger, api.Stored); err != nil {
				t.Fatal(err)
			}
			return verdict.Stored >= verdict.Acked
		})
		t.Logf("asked at %d: %+v", i, verdict)
		if !verdict.OK() || verdict.Acked != rate*seconds {
			t.Errorf("asked at %d: %+v", i, verdict)
		}
	}
	a, b := login(t, both[0].Addrs.HTTP[0]), login(t, both[1].Addrs.HTTP[0])
	known := 0
	for _, id := range users {
		for _, metric := range field.LoadMetrics {
			eventually(t, "both know the newest of "+id+"/"+metric, func() bool {
				x, okX := a.latest(id, metric)
				y, okY := b.latest(id, metric)
				return okX == okY && x == y
			})
			if _, ok := a.latest(id, metric); ok {
				known++
			}
		}
	}
	if known < connections {
		t.Errorf("they know %d datastreams", known)
	}
	if n := each(0, "ioc_followed_total") + each(1, "ioc_followed_total"); n == 0 {
		t.Error("neither took in anything from the other")
	}
	if n := each(0, "ioc_forward_quarantined_total") + each(1, "ioc_forward_quarantined_total"); n != 0 {
		t.Errorf("%v points in quarantine", n)
	}
}
