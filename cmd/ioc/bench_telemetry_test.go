//go:build bench

package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"cuulong/cmd/fieldsim/field"
	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/tsdb"
)

// Messages of 50 observations, and the acknowledgement at half the most.
func benchBatches(t *testing.T) {
	bare, _, _ := startBare(t, "broker")
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	const connections = 20
	// Devices of their own each round: at this rate the load's times run ahead of
	// the clock, and a second round would lie within the first.
	logins := loadLogins(t, login(t, p.Addrs.HTTP[0]), connections*(benchRounds+1))
	load := func(broker string, logins []field.Login, rate float64) field.LoadResult {
		r, err := field.Load(t.Context(), field.LoadOptions{
			Broker: broker, Logins: logins, Connections: connections, Inflight: 16, Batch: 50, QoS: 1, Rate: rate, Duration: benchRound,
		})
		if err != nil || r.Unacked > 0 || len(r.Refused) > 0 {
			t.Fatalf("%v %+v", err, r)
		}
		return r
	}
	var ours, ratios []float64
	var all []field.LoadResult
	for i := range benchRounds {
		reference := load(bare, nil, 0).Rate()
		all = append(all, load(p.Addrs.MQTT[0], logins[i*connections:], 0))
		own := all[i].Rate()
		ours, ratios = append(ours, own), append(ratios, own/reference)
	}
	var sent int64
	for _, r := range all {
		sent += r.Observations
	}
	if stored := counter(t, login(t, p.Addrs.HTTP[0]), `ioc_observations_total{result="stored"}`); int64(stored) != sent {
		t.Errorf("%.0f observations are stored of %d acknowledged", stored, sent)
	}
	row("messages of 50 observations, durable / bare broker", "≥ 400,000 observations/s", "%.0f observations/s (%.0f messages/s; %.0f %% of the bare broker)",
		median(ours)*50, median(ours), median(ratios)*100)
	half := load(p.Addrs.MQTT[0], logins[benchRounds*connections:], median(ours)/2)
	row("acknowledgement at half of that rate, p99", "≤ 50 ms", "%v (p50 %v; %.0f messages/s)", half.P99.Round(time.Millisecond), half.P50.Round(time.Millisecond), half.Rate())
}

// 20,000 devices with 5 metrics each at 2,000 messages a second, by 20 gateways:
// a message is what one device says.
func benchMemory(t *testing.T) {
	const gateways, children, rate, seconds = 20, 1000, 2000, 60
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	var speaking sync.WaitGroup
	logins := make([]deviceLogin, gateways)
	for g := range gateways {
		var answer struct{ Credentials deviceLogin }
		c.must(http.MethodPost, "/api/v1/devices", map[string]any{"id": fmt.Sprint("gw-", g), "name": "gateway", "kind": "gateway", "position": map[string]float64{"lon": 106.5, "lat": 10.3}}, http.StatusCreated, &answer)
		logins[g] = answer.Credentials
	}
	for g := range gateways {
		for i := range children {
			c.must(http.MethodPost, "/api/v1/devices", map[string]any{"id": fmt.Sprintf("d-%d-%d", g, i), "name": "station", "kind": "station", "parent": fmt.Sprint("gw-", g), "position": map[string]float64{"lon": 106.5, "lat": 10.3}}, http.StatusCreated, nil)
		}
	}
	var sent atomic.Int64
	for g := range gateways {
		client := pahoClient(t, p.Addrs.MQTT[0], logins[g].Username, logins[g].Password)
		speaking.Go(func() {
			tick := time.NewTicker(time.Second * gateways / rate)
			defer tick.Stop()
			for i := range rate * seconds / gateways {
				<-tick.C
				text := fmt.Sprintf(`{"d-%d-%d":{"ts":%d,"values":{"salinity":%d.5,"level":1.25,"ph":7.%d,"water_temperature":28.5,"battery":12.6}}}`, g, i%children, time.Now().UnixMilli(), i%30, i%10)
				client.Publish(fmt.Sprintf("gateways/gw-%d/telemetry", g), 1, false, text)
				sent.Add(1)
			}
			client.Disconnect(2000)
		})
	}
	most := int64(0)
	done := make(chan struct{})
	go func() { speaking.Wait(); close(done) }()
	for {
		select {
		case <-done:
			// The goodbye of a client does not wait for its last acknowledgement.
			eventually(t, "all are stored", func() bool { return counter(t, c, `ioc_observations_total{result="stored"}`) == rate*seconds*5 })
			row("RSS with 20,000 devices × 5 metrics at 2,000 messages/s", "≤ 400 MB", "%.0f MB (%d messages in %d s, by %d gateways)", float64(most)/1e6, sent.Load(), seconds, gateways)
			return
		case <-time.After(time.Second):
			most = max(most, p.rss())
		}
	}
}

// What a device costs that comes by itself, and not by a gateway.
func benchConnections(t *testing.T) {
	const connections = 2000
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	logins := loadLogins(t, c, connections)
	most := p.rss()
	before := most
	o := field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 4, Batch: 5, Rate: 2000, QoS: 1, Duration: 15 * time.Second}
	ended := make(chan error, 1)
	go func() { _, err := field.Load(t.Context(), o); ended <- err }()
	stacks := 0.0
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			row("memory of a device's own connection", "", "%.0f KB (RSS %.0f → %.0f MB with %d of them; stacks %.0f KB each)",
				float64(most-before)/connections/1e3, float64(before)/1e6, float64(most)/1e6, connections, stacks/connections/1e3)
			return
		case <-time.After(500 * time.Millisecond):
			most = max(most, p.rss())
			stacks = max(stacks, counter(t, c, "go_memstats_stack_inuse_bytes "))
		}
	}
}

// The pile: mosquitto, a subscriber that writes to InfluxDB, InfluxDB. It stands
// in for Telegraf with the writes that serve it best: 5,000 points at once.
func benchPile(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	server.Create(t, "pile")
	broker := openMosquitto(t)
	var stored atomic.Int64
	subscriber(t, broker, server, &stored)
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	const connections = 20
	logins := loadLogins(t, login(t, p.Addrs.HTTP[0]), 6*connections) // its own each round
	rounds := 0
	for _, b := range []struct {
		batch    int
		messages int64
		want     float64
	}{{1, 60_000, 3}, {50, 12_000, 2.5}} {
		var ours, theirs, ratios []float64
		for range 3 {
			options := field.LoadOptions{Connections: connections, Inflight: 16, Batch: b.batch, QoS: 1, Messages: b.messages, Drain: time.Minute}
			before, begun := stored.Load(), time.Now()
			options.Broker = broker
			r, err := field.Load(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			for stored.Load()-before < r.Observations {
				if time.Since(begun) > 2*time.Minute {
					t.Fatalf("the pile has %d of %d", stored.Load()-before, r.Observations)
				}
				time.Sleep(5 * time.Millisecond)
			}
			reference := float64(r.Observations) / time.Since(begun).Seconds()
			options.Broker, options.Logins = p.Addrs.MQTT[0], logins[rounds*connections:]
			rounds++
			begun = time.Now()
			if r, err = field.Load(t.Context(), options); err != nil || r.Unacked > 0 {
				t.Fatalf("%v %+v", err, r)
			}
			own := float64(r.Observations) / time.Since(begun).Seconds() // acknowledged is readable
			ours, theirs, ratios = append(ours, own), append(theirs, reference), append(ratios, own/reference)
		}
		row(fmt.Sprintf("stored and readable / mosquitto + subscriber + InfluxDB, by %d", b.batch), fmt.Sprintf("≥ %.1f ×", b.want), "%.1f × (%.0f/s of %.0f/s)",
			median(ratios), median(ours), median(theirs))
	}
}

// openMosquitto starts one that lets everybody in and drops nothing.
func openMosquitto(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := "listener " + port + " 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
	}
	cmd := exec.Command(path, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("mosquitto does not listen")
	return ""
}

// subscriber writes what devices say to InfluxDB and counts what it has stored.
func subscriber(t *testing.T, broker string, server *influxtest.Server, stored *atomic.Int64) {
	t.Helper()
	client := pahoClient(t, broker, "pile", "")
	type batch struct {
		text []byte
		n    int64
	}
	messages := make(chan batch, 1000)
	t.Cleanup(func() { client.Disconnect(100); close(messages) })
	go func() {
		var b batch
		flush := func() {
			if b.n > 0 {
				server.Write(t, "pile", string(b.text))
				stored.Add(b.n)
				b = batch{text: b.text[:0]}
			}
		}
		for m := range messages {
			b.text, b.n = append(b.text, m.text...), b.n+m.n
			if b.n >= 5000 || len(messages) == 0 {
				flush()
			}
		}
	}()
	token := client.Subscribe("devices/+/telemetry", 1, func(_ paho.Client, m paho.Message) {
		id := strings.Split(m.Topic(), "/")[1]
		decoded := telemetry.DecodeTelemetry(devices.ID(id), "", m.Payload(), time.Now().UnixMilli())
		var text []byte
		for _, o := range decoded.Observations {
			text = fmt.Appendf(text, "observation,device=%s,metric=%s value=%v %d\n", o.Device, o.Metric, o.Value, o.At)
		}
		messages <- batch{text, int64(len(decoded.Observations))}
	})
	if token.Wait(); token.Error() != nil {
		t.Fatal(token.Error())
	}
}

// A year of ten-minute values: windows and the raw series over HTTP, beside VictoriaMetrics.
func benchHistory(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	station := c.station("tram-1", 106.5, 10.3, nil)
	vm := influxtest.Victoria(t, t.TempDir())
	const points, step = 52_560, 600_000
	from := (time.Now().UnixMilli()/step - points - 10) * step
	client := pahoClient(t, p.Addrs.MQTT[0], station.Username, station.Password)
	var lines strings.Builder
	series := tideYear(1, points)
	for i := 0; i < points; i += 5000 {
		var text []string
		for k := i; k < min(i+5000, points); k++ {
			at := from + int64(k)*step
			text = append(text, fmt.Sprintf(`{"ts":%d,"values":{"salinity":%v}}`, at, series[k]))
			fmt.Fprintf(&lines, "observation,device=tram-1,metric=salinity value=%v %d\n", series[k], at*1_000_000)
		}
		if token := client.Publish("devices/tram-1/telemetry", 1, false, "["+strings.Join(text, ",")+"]"); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	client.Disconnect(100)
	post(t, vm+"/write", lines.String())
	fetch(t, http.DefaultClient, vm+"/internal/force_flush", "")
	to := from + points*step
	windows := fmt.Sprintf("%s/api/v1/observations?device=tram-1&metric=salinity&from=%d&to=%d&every=526m&agg=mean,min,max&limit=10000", c.base, from, to)
	theirs := fmt.Sprintf("%s/api/v1/query_range?query=%s&start=%d&end=%d&step=526m&nocache=1", vm, url.QueryEscape(`rollup(observation_value{metric="salinity"}[526m])`), from/1000, to/1000)
	csvOurs := fmt.Sprintf("%s/api/v1/observations?device=tram-1&metric=salinity&from=%d&to=%d", c.base, from, to)
	csvTheirs := vm + "/api/v1/export/csv?format=__timestamp__:unix_ms,__value__&match=observation_value"
	plain := &http.Client{}
	for _, b := range []struct {
		name, want, ours, accept, theirs string
		least                            int
	}{
		{"a year of 10-minute values to 1,000 windows of mean, min, max / VictoriaMetrics", "≤ 100 %", windows, "application/json", theirs, 3 * 900 * 10},
		{"the raw year as CSV / VictoriaMetrics", "≤ 40 ms", csvOurs, "text/csv", csvTheirs, points * 20},
	} {
		var own, other []time.Duration
		for range 25 {
			begun := time.Now()
			if n := fetch(t, plain, b.theirs, ""); n < b.least/2 {
				t.Fatalf("VictoriaMetrics answers %d bytes", n)
			}
			other = append(other, time.Since(begun))
			begun = time.Now()
			if n := fetch(t, c.http, b.ours, b.accept); n < b.least {
				t.Fatalf("%d bytes", n)
			}
			own = append(own, time.Since(begun))
		}
		row(b.name, b.want, "%.0f %% (%.1f ms of %.1f ms)", 100*float64(median(own))/float64(median(other)), ms(median(own)), ms(median(other)))
	}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func post(t *testing.T, to, text string) {
	t.Helper()
	resp, err := http.Post(to, "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatal(resp.Status)
	}
}

// answer is what stands at an address.
func answer(t *testing.T, from string) string {
	t.Helper()
	resp, err := http.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fetch reads an answer to its end and returns its size.
func fetch(t *testing.T, client *http.Client, from, accept string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s: %s %v", from, resp.Status, err)
	}
	return int(n)
}

// tideYear is a station's year, every ten minutes: a mixed tide, a season, weather and a sensor's noise, in two decimals.
func tideYear(seed uint64, n int) []float64 {
	rng := rand.New(rand.NewPCG(seed, 7))
	out := make([]float64, n)
	weather := 0.0
	for i := range out {
		h := float64(i) / 6
		weather = 0.999*weather + 0.01*rng.NormFloat64()
		v := 4 + 2*math.Sin(2*math.Pi*h/12.42) + 1.2*math.Sin(2*math.Pi*h/23.93) + 2*math.Sin(2*math.Pi*h/8766) + weather + 0.02*rng.NormFloat64()
		out[i] = math.Round(max(v, 0)*100) / 100
	}
	return out
}

// Bytes an observation on the disk: the same year of ten stations in three stores.
func benchBytes(t *testing.T) {
	const stations, points, step = 10, 52_560, 600_000
	from := (time.Now().UnixMilli()/step - points - 1000) * step
	dir := t.TempDir()
	db, err := tsdb.Open(dir, tsdb.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := influxtest.Start(t, "127.0.0.1", nil)
	server.Create(t, "bytes")
	vmDir := t.TempDir()
	vm := influxtest.Victoria(t, vmDir)
	years := make([][]float64, stations)
	for s := range years {
		years[s] = tideYear(uint64(s), points)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < points; i += 500 {
		r := &telemetry.Record{}
		var lines bytes.Buffer
		for k := i; k < min(i+500, points); k++ {
			for s := range stations {
				at := from + int64(k)*step
				r.Observations = append(r.Observations, telemetry.Observation{Device: devices.ID(fmt.Sprint("tram-", s)), Metric: "salinity", At: at, Seen: at + 200 + rng.Int64N(1500), Value: years[s][k], Flag: telemetry.Pass})
				fmt.Fprintf(&lines, "observation,device=tram-%d,metric=salinity value=%v %d\n", s, years[s][k], at)
			}
		}
		if err := db.Append(r); err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(r); err != nil {
			t.Fatal(err)
		}
		server.Write(t, "bytes", lines.String())
		post(t, vm+"/write?precision=ms", lines.String())
	}
	if err := db.Compact(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fetch(t, http.DefaultClient, vm+"/internal/force_flush", "")
	fetch(t, http.DefaultClient, vm+"/internal/force_merge", "")
	held := fmt.Sprintf("%s/api/v1/query?query=%s&nocache=1", vm, url.QueryEscape("sum(count_over_time(observation_value[400d]))"))
	if got, want := answer(t, held), fmt.Sprintf("%q]", strconv.Itoa(stations*points)); !strings.Contains(got, want) {
		t.Errorf("VictoriaMetrics holds %s, not %s", got, want)
	}
	n := float64(stations * points)
	settled := func(dir string) float64 {
		last, same := int64(-1), 0
		for same < 6 {
			time.Sleep(time.Second)
			if now := sizeOf(t, dir); now == last {
				same++
			} else {
				last, same = now, 0
			}
		}
		return float64(last) / n
	}
	row("bytes an observation on the disk (two decimals, tide)", "≤ 2", "%.2f (VictoriaMetrics %.2f, InfluxDB %.2f)",
		float64(sizeOf(t, filepath.Join(dir, "series")))/n, settled(vmDir), settled(filepath.Join(server.DataDir(), "bytes", "autogen")))
}

func sizeOf(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // a file may go meanwhile
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// How fast the forwarder catches up with an InfluxDB that was away, while 2,000 observations a second go on coming.
func benchCatchUp(t *testing.T) {
	const rate = 2000
	server := influxtest.Start(t, "127.0.0.1", nil)
	bucket := server.Create(t, "ioc")
	config := filepath.Join(t.TempDir(), "ioc.yaml")
	text := fmt.Sprintf("data_dir: %q\nhttp: {addr: \"127.0.0.1:0\"}\nmqtt: {addr: \"127.0.0.1:0\"}\nlog: {format: json}\nstore: {engine: influx, influx: {url: %q, token_env: BENCH_TOKEN, bucket: %q}}\n",
		filepath.Join(t.TempDir(), "data"), server.URL, bucket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, args: []string{"serve", "--config", config}, env: []string{"IOC_ADMIN_PASSWORD=" + testPassword, "BENCH_TOKEN=" + influxtest.Token}}
	p.start()
	t.Cleanup(p.kill)
	c := login(t, p.Addrs.HTTP[0])
	logins := loadLogins(t, c, 20)
	load := func(messages int64, rate float64, d time.Duration) {
		if _, err := field.Load(t.Context(), field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins, Connections: 20, Inflight: 16, QoS: 1, Rate: rate, Messages: messages, Duration: d}); err != nil {
			t.Fatal(err)
		}
	}
	load(0, rate, 3*time.Second)
	server.Kill()
	load(600_000, 0, 2*time.Minute) // five minutes at the live rate
	ended := make(chan struct{})
	go func() { defer close(ended); load(0, rate, 30*time.Second) }()
	server.Start(t)
	before, begun := counter(t, c, "ioc_forward_written_total"), time.Now()
	for counter(t, c, "ioc_forward_lag_records") > rate {
		if time.Since(begun) > 2*time.Minute {
			t.Fatal("it does not catch up")
		}
		time.Sleep(50 * time.Millisecond)
	}
	caught := (counter(t, c, "ioc_forward_written_total") - before) / time.Since(begun).Seconds()
	<-ended
	row("catching up with an InfluxDB that was away, at 2,000/s live", "≥ 5 × live", "%.1f × (%.0f observations/s)", caught/rate, caught)
}

// A start that has to bring 1,000,000 records of the log into the series.
func benchColdStart(t *testing.T) {
	const records = 1_000_000
	dir, err := os.MkdirTemp("/dev/shm", "ioc-bench-") // writing the log is not what is measured
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	db, err := tsdb.Open(filepath.Join(data, "series"), tsdb.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-24 * time.Hour).UnixMilli()
	for i := range int64(records) {
		r := &telemetry.Record{Observations: []telemetry.Observation{{Device: devices.ID("tram-" + strconv.FormatInt(i%100, 10)), Metric: "salinity", At: at + i*80, Seen: at + i*80, Value: float64(i%4000) / 100, Flag: telemetry.Pass}}}
		if err := db.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(data, "series", "series")); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	startProcess(t, data)
	row("cold start with 1,000,000 records of the log", "≤ 5 s", "%.1f s until it listens", time.Since(begun).Seconds())
}
