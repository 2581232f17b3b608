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

// InfluxDB and ioc are killed in turn under 2,000 messages a second. At the end
// InfluxDB, asked through the API, holds what was acknowledged, once; meanwhile
// acknowledgements did not wait for it.
func TestProcessInfluxDownAndBack(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	bucket := server.Create(t, "ioc")
	t.Setenv("IOC_TEST_INFLUX_TOKEN", influxtest.Token) // the process inherits it
	p := startProcess(t, filepath.Join(t.TempDir(), "data"),
		fmt.Sprintf("store: {engine: influx, influx: {url: %q, token_env: IOC_TEST_INFLUX_TOKEN, bucket: %q}}", server.URL, bucket))
	c := login(t, p.Addrs.HTTP[0])
	const connections = 10
	logins := loadLogins(t, c, connections)
	ledger := filepath.Join(t.TempDir(), "ledger")
	load := startLoad(t, field.LoadOptions{
		Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 64,
		Rate: 2000, QoS: 1, Version: 5, Messages: 2000 * 20, Ledger: ledger, Seed: 10, Drain: time.Minute,
	})
	stored := func() float64 {
		return counter(t, login(t, p.Addrs.HTTP[0]), `ioc_observations_total{result="stored"}`)
	}
	more := func(what string) {
		t.Helper()
		before := stored()
		eventually(t, what, func() bool { return stored() > before+2000 })
	}
	more("the load runs")
	server.Kill()
	more("acknowledged while InfluxDB is down")
	p.kill() // its place in the log is behind what InfluxDB has
	p.start()
	more("acknowledged after the kill, InfluxDB still down")
	server.Start(t)
	more("acknowledged while it catches up")
	p.kill() // while it catches up, or after
	p.start()
	server.Kill()
	more("acknowledged while it is down again")
	server.Start(t)

	o := <-load.ended
	if o.err != nil || o.Unacked != 0 || o.Strange != 0 || o.Acked != o.Sent || o.Reconnects < 2 {
		t.Errorf("load: %+v", o)
	}
	begun := time.Now()
	c = login(t, p.Addrs.HTTP[0])
	eventually(t, "InfluxDB has everything", func() bool { return counter(t, c, "ioc_forward_lag_records") == 0 })
	t.Logf("caught up %v after the load; acknowledged %d", time.Since(begun).Round(time.Millisecond), o.Acked)
	audit(t, c, ledger)
	if n := counter(t, c, "ioc_forward_quarantined_total"); n != 0 {
		t.Errorf("%v points in quarantine", n)
	}
	if err := p.stop(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
}

// A backup under load, of a server whose series are in an InfluxDB: records and
// log are whole, so that what was acknowledged when it began is there again,
// from an InfluxDB that has it or from one that never heard of it.
func TestProcessBackupBesideInflux(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	t.Setenv("IOC_TEST_INFLUX_TOKEN", influxtest.Token)
	store := func(name string) string {
		return fmt.Sprintf("store: {engine: influx, influx: {url: %q, token_env: IOC_TEST_INFLUX_TOKEN, bucket: %q}}", server.URL, server.Create(t, name))
	}
	dir := filepath.Join(t.TempDir(), "data")
	first := store("first")
	p := startProcess(t, dir, first)
	const connections = 5
	logins := loadLogins(t, login(t, p.Addrs.HTTP[0]), connections)
	ledger, before := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "before")
	load := startLoad(t, field.LoadOptions{
		Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 64, Rate: 1000, QoS: 1, Version: 5,
		Batch:  len(field.LoadMetrics), // a message is a row, so that a copy of a ledger ends with whole ones
		Ledger: ledger, SyncEvery: 200 * time.Millisecond,
	})
	eventually(t, "observations are forwarded", func() bool {
		return counter(t, login(t, p.Addrs.HTTP[0]), "ioc_forward_written_total") > 5000
	})
	if err := copyTree(t.Context(), ledger, before); err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "backup")
	if out, err := runToEnd(t, nil, "backup", dest, "--data-dir", dir); err != nil || !contains(out, dest, "files") {
		t.Fatalf("%v: %s", err, out)
	}
	load.stop()
	if o := <-load.ended; o.err != nil {
		t.Error(o.err)
	}
	p.kill()
	for _, config := range []string{first, store("second")} {
		into := filepath.Join(t.TempDir(), "data")
		if out, err := runToEnd(t, nil, "restore", dest, "--data-dir", into); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		restored := startProcess(t, into, config)
		c := login(t, restored.Addrs.HTTP[0])
		eventually(t, "InfluxDB has what the log holds", func() bool { return counter(t, c, "ioc_forward_lag_records") == 0 })
		audit(t, c, before)
		if err := restored.stop(); err != nil {
			t.Errorf("orderly stop: %v", err)
		}
	}
}
