//go:build process

package main

import (
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
)

// Killed under load again and again, the server has raised and returned exactly
// the alarms that follow from the series it keeps: none is missing of what was
// durable but not judged yet, and none is there twice.
func TestProcessKilledServerRaisesEveryAlarmOnce(t *testing.T) {
	const kills, connections, messages = 5, 4, 600
	seed := processSeed(t)
	random := rand.New(rand.NewPCG(seed, 1))
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	logins := loadLogins(t, c, connections)
	metric := field.LoadMetrics[0]
	const on, off = 24, 12 // values lie between 6 and 30
	c.must(http.MethodPost, "/api/v1/rules", map[string]any{"id": "high", "title": "Mặn cao", "metric": metric, "scope": map[string]any{},
		"on": map[string]any{"above": on}, "off": map[string]any{"below": off}, "priority": "high", "flags": []int{1, 2, 3, 4}}, http.StatusCreated, nil)

	begun := time.Now()
	load := startLoad(t, field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 64,
		Rate: 60, Batch: 400, QoS: 1, Version: 5, Messages: messages, Seed: seed, Drain: time.Minute})
	for range kills {
		select {
		case o := <-load.ended:
			t.Fatalf("the load ended before the last kill: %+v", o)
		case <-time.After(time.Duration(300+random.IntN(1500)) * time.Millisecond):
		}
		p.kill()
		p.start()
	}
	if o := <-load.ended; o.err != nil || o.Unacked != 0 || o.Acked != messages {
		t.Fatalf("load: %+v", o)
	}
	p.kill() // what came last too must be made up for
	p.start()

	c = login(t, p.Addrs.HTTP[0])
	api := &field.API{URL: c.base, Token: c.token()}
	raised := 0
	for i := range connections {
		device := field.LoadDevice(i)
		var want []float64
		high := false
		err := api.Stored(t.Context(), device, metric, begun.Add(-time.Minute).UnixMilli(), time.Now().Add(time.Minute).UnixMilli(), func(_ int64, v float64) bool {
			switch {
			case !high && v > on:
				want, high = append(want, v), true
			case high && v < off:
				want, high = append(want, -1), false
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []float64
		eventually(t, "the alarms of "+string(device)+" are those of its series", func() bool {
			got = c.transitions(string(device))
			return len(got) >= len(want)
		})
		if !slices.Equal(got, want) {
			n := 0
			for n < min(len(got), len(want)) && got[n] == want[n] {
				n++
			}
			t.Errorf("%s: %d transitions, want %d; from the %dth on %v, want %v", device, len(got), len(want), n+1, got[n:min(n+5, len(got))], want[n:min(n+5, len(want))])
		}
		raised += len(got)
	}
	t.Logf("%d transitions", raised)
	if raised < 10*connections {
		t.Errorf("only %d transitions: the load hardly tries", raised)
	}
}

// transitions is the journal of a subject's one alarm: the value of each
// raising, and -1 for each return.
func (c *client) transitions(subject string) (out []float64) {
	c.t.Helper()
	var alarms struct {
		Items []struct{ ID, Subject string }
	}
	c.must(http.MethodGet, "/api/v1/alarms?limit=1000", nil, http.StatusOK, &alarms)
	for _, a := range alarms.Items {
		if a.Subject != subject {
			continue
		}
		var journal struct {
			Items []struct {
				Type  string
				Alarm struct{ Value float64 }
			}
		}
		c.must(http.MethodGet, "/api/v1/alarms/"+a.ID+"/journal", nil, http.StatusOK, &journal)
		for _, e := range journal.Items {
			if e.Type == "raised" {
				out = append(out, e.Alarm.Value)
			} else {
				out = append(out, -1)
			}
		}
	}
	return out
}
