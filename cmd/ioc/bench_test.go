//go:build bench

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/cmd/fieldsim/field"
)

// Rounds are interleaved, ours and the reference in turn, so that a change of
// the machine's mood meets both; the median of the rounds' ratios is told.
const (
	benchRounds = 5
	benchRound  = 4 * time.Second
)

func median[T int64 | float64 | time.Duration](v []T) T {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// row prints one line of the table.
func row(what, target, format string, args ...any) {
	fmt.Printf("| %-58s | %-22s | %s |\n", what, target, fmt.Sprintf(format, args...))
}

func TestBench(t *testing.T) {
	fmt.Println("| figure | wanted | measured |\n|---|---|---|")
	t.Run("ingest", benchIngest)
	t.Run("batches", benchBatches)
	t.Run("pile", benchPile)
	t.Run("memory", benchMemory)
	t.Run("connections", benchConnections)
	t.Run("history", benchHistory)
	t.Run("bytes", benchBytes)
	t.Run("catchup", benchCatchUp)
	t.Run("coldstart", benchColdStart)
	t.Run("live", benchLive)
	t.Run("deaf", benchDeafClients)
	t.Run("cameras", benchCameras)
	t.Run("viewers", benchViewers)
	t.Run("demo", benchDemo)
}

// Durable QoS 1 ingest with everything on, against the broker library bare.
func benchIngest(t *testing.T) {
	bare, _, _ := startBare(t, "broker")
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	// Devices of their own each round: at these rates the load's times run ahead of
	// the clock, and a second round would lie within the first, as late values.
	logins := loadLogins(t, login(t, p.Addrs.HTTP[0]), (100+1)*benchRounds)
	for _, b := range []struct {
		name                  string
		connections, inflight int
		want                  float64
	}{
		{"100 connections, 16 in flight", 100, 16, 1},
		{"1 connection, 256 in flight", 1, 256, 0.75},
	} {
		load := func(broker string, logins []field.Login) field.LoadResult {
			r, err := field.Load(t.Context(), field.LoadOptions{
				Broker: broker, Logins: logins, Connections: b.connections, Inflight: b.inflight, QoS: 1, Duration: benchRound,
			})
			if err != nil || r.Unacked > 0 || len(r.Refused) > 0 {
				t.Fatalf("%v %+v", err, r)
			}
			return r
		}
		var ratios, ours, theirs []float64
		var p99 []time.Duration
		var last []field.Login
		for range benchRounds {
			reference := load(bare, nil)
			last = logins[:b.connections]
			logins = logins[b.connections:]
			own := load(p.Addrs.MQTT[0], last)
			ratios = append(ratios, own.Rate()/reference.Rate())
			ours, theirs, p99 = append(ours, own.Rate()), append(theirs, reference.Rate()), append(p99, own.P99)
		}
		row("durable QoS 1 / bare broker: "+b.name, fmt.Sprintf("≥ %.0f %%", b.want*100), "%.0f %% (%.0f/s of %.0f/s; p99 ack %v)",
			median(ratios)*100, median(ours), median(theirs), median(p99).Round(time.Millisecond))
		if b.connections == 1 {
			late := load(p.Addrs.MQTT[0], last)
			row("the same, of values that are late: each is looked for", "", "%.0f/s (p99 ack %v)", late.Rate(), late.P99.Round(time.Millisecond))
		}
	}
}

// Publish → value on a WebSocket at 2,000 observations a second with 50
// clients, and alarm transition → client. Device times are the publisher's
// clock, which is ours.
func benchLive(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	// One value a second and device: none hides behind a newer one of its own
	// datastream within a flush.
	const connections, clients, watched = 2000, 50, 3
	logins := loadLogins(t, c, connections)
	alarmed := c.station("bench-alarm", 106.5, 10.3, nil)
	c.must(http.MethodPost, "/api/v1/rules", map[string]any{
		"id": "bench", "title": "bench", "metric": "level", "scope": map[string]any{"devices": []string{"bench-alarm"}},
		"on": map[string]any{"above": 1}, "off": map[string]any{"below": 1}, "priority": "low",
	}, http.StatusCreated, nil)

	// The first second, when all devices log in at once, is told apart.
	type delays struct{ values, alarms []time.Duration }
	var mu sync.Mutex
	var began time.Time
	var rush, steady delays
	var reading sync.WaitGroup
	var sockets []*websocket.Conn
	for i := range clients {
		ws := c.live()
		sockets = append(sockets, ws)
		for _, topic := range []string{"telemetry", "alarms"} {
			if err := ws.WriteJSON(map[string]any{"op": "sub", "id": topic, "topic": topic}); err != nil {
				t.Fatal(err)
			}
		}
		reading.Go(func() {
			for {
				_, text, err := ws.ReadMessage()
				if err != nil {
					return
				}
				now := time.Now()
				if i >= watched {
					continue // they cost the server the same; decoding would cost this process
				}
				var f frame
				if json.Unmarshal(text, &f) != nil {
					continue
				}
				mu.Lock()
				into := &steady
				if now.Sub(began) < time.Second {
					into = &rush
				}
				switch f.Op {
				case "d":
					for _, r := range f.Set {
						if at, ok := r[1].(float64); ok && strings.HasPrefix(fmt.Sprint(r[0]), "load-") {
							into.values = append(into.values, now.Sub(time.UnixMilli(int64(at))))
						}
					}
				case "ev":
					into.alarms = append(into.alarms, now.Sub(f.E.At))
				}
				mu.Unlock()
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	mu.Lock()
	began = time.Now()
	mu.Unlock()
	var flipping sync.WaitGroup
	flipping.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = publish(p.Addrs.MQTT[0], "5", alarmed, "devices/bench-alarm/telemetry", fmt.Sprintf(`{"values":{"level":%d}}`, i%2*3))
			if i%2 == 0 {
				continue
			}
			time.Sleep(50 * time.Millisecond) // the pace of the load, not a wait for anything
		}
	})
	r, err := field.Load(t.Context(), field.LoadOptions{
		Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 16, Rate: 2000, QoS: 1, Duration: 15 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	flipping.Wait()
	for _, ws := range sockets {
		ws.Close()
	}
	reading.Wait()
	for _, d := range [][]time.Duration{steady.values, steady.alarms, rush.values, rush.alarms} {
		if len(d) == 0 {
			t.Fatalf("too little was seen: %d and %d values, %d and %d transitions",
				len(rush.values), len(steady.values), len(rush.alarms), len(steady.alarms))
		}
		slices.Sort(d)
	}
	row("publish → value on a WebSocket, p99 (2,000/s, 50 clients)", "≤ 400 ms", "%v (p50 %v; %.0f/s)",
		at99(steady.values).Round(time.Millisecond), steady.values[len(steady.values)/2].Round(time.Millisecond), r.Rate())
	row("alarm transition → client, p99", "≤ 100 ms", "%v (%d transitions)", at99(steady.alarms).Round(time.Millisecond), len(steady.alarms)/watched)
	row("the same two in the second in which 2,000 devices log in", "", "%v, %v", at99(rush.values).Round(time.Millisecond), at99(rush.alarms).Round(time.Millisecond))
}

func at99(sorted []time.Duration) time.Duration { return sorted[(len(sorted)*99)/100] }

// A client that subscribes and never reads.
func benchDeafClients(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	const connections, deaf = 100, 100
	logins := loadLogins(t, c, connections)
	load := func(d time.Duration) {
		if _, err := field.Load(t.Context(), field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Rate: 2000, QoS: 1, Duration: d}); err != nil {
			t.Fatal(err)
		}
	}
	load(10 * time.Second)
	before := p.rss()
	for range deaf {
		ws := c.live()
		if err := ws.WriteJSON(map[string]any{"op": "sub", "id": "t", "topic": "telemetry"}); err != nil {
			t.Fatal(err)
		}
	}
	most := before
	for range 4 {
		load(2 * time.Second)
		most = max(most, p.rss())
	}
	row("memory of a client that never reads", "≤ 0.5 MB", "%.2f MB (RSS growth with %d of them, each: %.1f → %.1f MB)",
		float64(most-before)/deaf/1e6, deaf, float64(before)/1e6, float64(most)/1e6)
}

// ioc demo: start to first page usable, and idle memory.
func benchDemo(t *testing.T) {
	var starts []time.Duration
	var rss int64
	for i := range 3 {
		p := &process{t: t, args: []string{"demo"}, env: []string{
			"IOC_ADMIN_PASSWORD=" + testPassword, "IOC_HTTP_ADDR=127.0.0.1:0", "IOC_MQTT_ADDR=127.0.0.1:0", "IOC_DATA_DIR=" + filepath.Join(t.TempDir(), "demo")}}
		begun := time.Now()
		p.start()
		c := &client{t: t, base: "http://" + p.Addrs.HTTP[0], http: &http.Client{Timeout: 10 * time.Second}}
		c.http.Jar, _ = cookiejar.New(nil)
		c.must(http.MethodPost, "/api/v1/session", map[string]any{"username": "admin", "password": testPassword}, http.StatusNoContent, nil)
		c.must(http.MethodGet, "/", nil, http.StatusOK, nil)
		ws := c.live()
		if err := ws.WriteJSON(map[string]any{"op": "sub", "id": "t", "topic": "telemetry"}); err != nil {
			t.Fatal(err)
		}
		until(t, ws, "live values", func(f frame) bool { return f.Op == "snap" && len(f.D) > 0 })
		starts = append(starts, time.Since(begun))
		ws.Close()
		if i == 2 {
			time.Sleep(60 * time.Second) // idle: the field speaks, nobody looks
			rss = p.rss()
		}
		if err := p.stop(); err != nil {
			t.Errorf("demo: %v", err)
		}
	}
	row("ioc demo: start to first page with live values", "≤ 3 s", "%.1f s (median of 3)", median(starts).Seconds())
	row("ioc demo: idle RSS after a minute", "≤ 200 MB", "%.0f MB", float64(rss)/1e6)
}
