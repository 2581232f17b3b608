//go:build process

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"cuulong/cmd/fieldsim/field"
	"cuulong/devices"
)

// Ten minutes of event time, each observation three times: by the station's own
// connection or by its gateway's, shuffled over all of it, alone and in company.
// Everything is acknowledged, stored once, and still so after kill -9.
func TestProcessThriceShuffledIsOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(processSeed(t), 0))
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])

	var gateway struct{ Credentials deviceLogin }
	c.must("POST", "/api/v1/devices", map[string]any{"id": "gw", "name": "Cổng", "kind": "gateway", "position": map[string]float64{"lon": 106.5, "lat": 10.3}}, 201, &gateway)
	lines := []paho.Client{pahoClient(t, p.Addrs.MQTT[0], gateway.Credentials.Username, gateway.Credentials.Password)}
	const stations, rows = 4, 300
	for i := range stations {
		as := c.station(fmt.Sprint("tram-", i), 106.5, 10.3, map[string]any{"parent": "gw"})
		lines = append(lines, pahoClient(t, p.Addrs.MQTT[0], as.Username, as.Password))
	}

	type series struct{ device, metric string }
	type observation struct {
		series
		at    int64
		value float64
	}
	begin := time.Now().Add(-time.Hour).UnixMilli()
	sent := map[series]map[int64]float64{}
	var thrice []observation
	for i := range stations {
		for _, metric := range []string{"salinity", "level"} {
			s := series{fmt.Sprint("tram-", i), metric}
			sent[s] = map[int64]float64{}
			for row := range int64(rows) {
				o := observation{s, begin + row*2000 + int64(i), float64(rng.IntN(3000)) / 100}
				sent[s][o.at] = o.value
				thrice = append(thrice, o, o, o)
			}
		}
	}
	rng.Shuffle(len(thrice), func(i, j int) { thrice[i], thrice[j] = thrice[j], thrice[i] })

	type sample struct {
		TS     int64              `json:"ts"`
		Values map[string]float64 `json:"values"`
	}
	var acks []paho.Token
	publish := func(line int, topic string, payload any) {
		text, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, lines[line].Publish(topic, 1, false, text))
	}
	for some := range slices.Chunk(thrice, 12) {
		byGateway := map[string][]sample{}
		for _, o := range some {
			s := sample{o.at, map[string]float64{o.metric: o.value}}
			if rng.IntN(2) == 0 {
				byGateway[o.device] = append(byGateway[o.device], s)
			} else {
				publish(1+int(o.device[5]-'0'), "devices/"+o.device+"/telemetry", s)
			}
		}
		if len(byGateway) > 0 {
			publish(0, "gateways/gw/telemetry", byGateway)
		}
	}
	for i, ack := range acks {
		if !ack.WaitTimeout(time.Minute) || ack.Error() != nil {
			t.Fatalf("message %d of %d: no acknowledgement (%v)", i, len(acks), ack.Error())
		}
	}
	for _, l := range lines {
		l.Disconnect(250)
	}
	const once = stations * 2 * rows
	for result, want := range map[string]float64{"stored": once, "duplicate": 2 * once, "revised": 0, "quarantined": 0} {
		if n := counter(t, c, `ioc_observations_total{result="`+result+`"}`); n != want {
			t.Errorf("%s: %v, want %v", result, n, want)
		}
	}
	check := func(c *client) {
		t.Helper()
		api := &field.API{URL: c.base, Token: c.token()}
		for s, want := range sent {
			got := map[int64]float64{}
			n := 0
			if err := api.Stored(t.Context(), devices.ID(s.device), s.metric, begin-1, begin+3600_000, func(at int64, v float64) bool {
				got[at] = v
				n++
				return true
			}); err != nil {
				t.Fatal(err)
			}
			if n != rows || !maps.Equal(got, want) {
				t.Errorf("%v: %d observations, %d of them different in time, want %d", s, n, len(got), rows)
			}
			newest := slices.Max(slices.Collect(maps.Keys(want)))
			if v, ok := c.latest(s.device, s.metric); !ok || v != want[newest] {
				t.Errorf("%v: newest %v, want %v", s, v, want[newest])
			}
		}
	}
	check(c)
	p.kill()
	p.start()
	check(login(t, p.Addrs.HTTP[0]))
}
