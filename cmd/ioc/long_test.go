//go:build long

package main

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
)

// Thousands of devices at once: every one is heard, and nothing that was
// acknowledged is lost.
func TestLongThousandsOfConnections(t *testing.T) {
	const connections, messages = 3000, 30_000
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	logins := loadLogins(t, c, connections)
	ledger := filepath.Join(t.TempDir(), "ledger")
	before := p.rss()
	r, err := field.Load(t.Context(), field.LoadOptions{
		Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 4, Rate: 2000, QoS: 1, Version: 5,
		Messages: messages, Ledger: ledger, Drain: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections: sent %d, acknowledged %d, p99 %v, %.0f KB a connection", connections, r.Sent, r.Acked, r.P99,
		float64(p.rss()-before)/connections/1e3)
	if r.Acked != messages || r.Unacked != 0 {
		t.Errorf("load: %+v", r)
	}
	audit(t, c, ledger)
}

// Everybody comes back at once, as after a power cut of the network.
func TestLongEverybodyReconnectsAtOnce(t *testing.T) {
	const connections = 5000
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	logins := loadLogins(t, login(t, p.Addrs.HTTP[0]), connections)
	ledger := filepath.Join(t.TempDir(), "ledger")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var loading sync.WaitGroup
	loading.Go(func() {
		r, err := field.Load(ctx, field.LoadOptions{
			Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 4, Rate: 1000, QoS: 1,
			Messages: 60_000, Ledger: ledger, Drain: 2 * time.Minute,
		})
		if err != nil || r.Unacked != 0 || r.Acked != r.Sent {
			t.Errorf("%v %+v", err, r)
		}
	})
	for range 3 {
		time.Sleep(8 * time.Second) // the pace of the test, not a wait for anything
		p.kill()
		p.start()
	}
	loading.Wait()
	audit(t, login(t, p.Addrs.HTTP[0]), ledger)
}
