//go:build process

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
)

// Ten times kill -9 under 2,000 messages a second: by the publishers' own
// ledger nothing that was acknowledged is lost, and nothing is there twice.
func TestProcessKillLosesNothingAcknowledged(t *testing.T) {
	kills := 10
	if s := os.Getenv("PROCESS_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	seed := processSeed(t)
	t.Logf("%d kills", kills)
	random := rand.New(rand.NewPCG(seed, 0))

	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	const connections = 20
	logins := loadLogins(t, c, connections)
	ledger := filepath.Join(t.TempDir(), "ledger")

	// Far longer than the kills take: the load is ended below.
	load := startLoad(t, field.LoadOptions{
		Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 64,
		Rate: 2000, QoS: 1, Version: 5, Messages: int64(2000 * 3 * kills), Ledger: ledger, Seed: seed, Drain: time.Minute,
	})
	for i := range kills {
		wait := time.Duration(500+random.IntN(2000)) * time.Millisecond
		select {
		case o := <-load.ended:
			t.Fatalf("the load ended before kill %d: %+v", i, o)
		case <-time.After(wait):
		}
		p.kill()
		p.start()
	}
	o := <-load.ended
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Logf("sent %d, acknowledged %d, resent %d, reconnects %d", o.Sent, o.Acked, o.Resent, o.Reconnects)
	if o.Unacked != 0 || o.Strange != 0 || o.Acked != o.Sent || o.Reconnects < int64(kills) {
		t.Errorf("load: %+v", o.LoadResult)
	}
	audit(t, login(t, p.Addrs.HTTP[0]), ledger)
	if err := p.stop(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
}

// An orderly stop under load: exit 0 within 5 s, nothing acknowledged lost.
func TestProcessStopsInOrderUnderLoad(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	logins := loadLogins(t, c, 10)
	ledger := filepath.Join(t.TempDir(), "ledger")
	load := startLoad(t, field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins, Connections: 10, Rate: 2000, QoS: 1, Ledger: ledger})
	eventually(t, "observations arrive", func() bool { _, ok := c.latest(string(field.LoadDevice(3)), field.LoadMetrics[0]); return ok })
	begun := time.Now()
	if err := p.stop(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.tail())
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	load.stop()
	if o := <-load.ended; o.err != nil {
		t.Error(o.err)
	}
	p.start()
	audit(t, login(t, p.Addrs.HTTP[0]), ledger)
}

// A port that another program holds is named, and nothing is left behind.
func TestProcessNamesATakenPort(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	out, err := runToEnd(t, []string{"IOC_HTTP_ADDR=" + p.Addrs.HTTP[0], "IOC_MQTT_ADDR=127.0.0.1:0", "IOC_DATA_DIR=" + t.TempDir()}, "serve")
	if err == nil || !contains(out, p.Addrs.HTTP[0], "in use", "http.addr") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = runToEnd(t, []string{"IOC_HTTP_ADDR=127.0.0.1:0", "IOC_MQTT_ADDR=" + p.Addrs.MQTT[0], "IOC_DATA_DIR=" + t.TempDir()}, "serve")
	if err == nil || !contains(out, p.Addrs.MQTT[0], "in use", "mqtt.addr") {
		t.Errorf("%v: %s", err, out)
	}
}
