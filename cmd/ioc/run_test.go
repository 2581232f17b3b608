package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// serveHere runs the server in this process until the test ends, and checks that it stops in order.
func serveHere(t *testing.T, dir string, demo bool) Addrs {
	t.Helper()
	addrs, stop := startHere(t, dir, demo)
	t.Cleanup(stop)
	return addrs
}

// startHere runs it until the func returned is called; change may have a last word on how.
func startHere(t *testing.T, dir string, demo bool, change ...func(*Config, *runOptions)) (Addrs, func()) {
	t.Helper()
	cfg := defaults(demo)
	cfg.DataDir, cfg.HTTP.Addr, cfg.MQTT.Addr = dir, "127.0.0.1:0", "127.0.0.1:0"
	cfg.adminPassword = testPassword
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan Addrs, 1), make(chan error, 1)
	o := runOptions{
		demo: demo, logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		out: io.Discard, ready: func(a Addrs) { ready <- a },
	}
	for _, f := range change {
		f(&cfg, &o)
	}
	go func() { ended <- run(ctx, cfg, o) }()
	stop := func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
	}
	select {
	case a := <-ready:
		return a, stop
	case err := <-ended:
		t.Fatalf("run: %v", err)
		panic("not reached")
	}
}

func TestFromDeviceToWall(t *testing.T) {
	addrs := serveHere(t, t.TempDir(), false)
	c := login(t, addrs.HTTP[0])
	device := c.station("tram-1", 106.58, 10.28, map[string]any{"metrics": []map[string]any{{"metric": "salinity", "every_s": 60}}})
	other := c.station("tram-2", 106.60, 10.27, nil)

	ws := c.live()
	for _, topic := range []string{"telemetry", "alarms", "devices"} {
		if err := ws.WriteJSON(map[string]any{"op": "sub", "id": topic, "topic": topic}); err != nil {
			t.Fatal(err)
		}
		until(t, ws, "snapshot of "+topic, func(f frame) bool { return f.Op == "snap" && f.ID == topic && !f.More })
	}
	c.must(http.MethodPost, "/api/v1/rules", map[string]any{
		"id": "man-4", "title": "Độ mặn vượt 4 g/l", "metric": "salinity", "scope": map[string]any{"kinds": []string{"station"}},
		"on": map[string]any{"above": 4}, "off": map[string]any{"below": 3.5}, "priority": "high",
	}, http.StatusCreated, nil)

	for i, protocol := range []string{"5", "311"} {
		value := float64(i) + 1.5
		payload, _ := json.Marshal(map[string]any{"ts": time.Now().UnixMilli(), "values": map[string]float64{"salinity": value}})
		if out, err := publish(addrs.MQTT[0], protocol, device, "devices/tram-1/telemetry", string(payload)); err != nil {
			t.Fatalf("mosquitto_pub -V %s: %v: %s", protocol, err, out)
		}
		until(t, ws, "value on the wall", func(f frame) bool {
			return f.Op == "d" && f.ID == "telemetry" && len(f.Set) > 0 && f.Set[0][0] == "tram-1/salinity" && f.Set[0][2] == value
		})
	}

	if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":5.5}}`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raised := until(t, ws, "alarm", func(f frame) bool { return f.Op == "ev" && f.E.Type == "raised" })
	if raised.E.Alarm.Subject != "tram-1" || raised.E.Alarm.State != "active" {
		t.Errorf("raised %+v", raised.E)
	}
	c.must(http.MethodPost, "/api/v1/alarms/"+raised.E.Alarm.ID+"/ack", map[string]any{"comment": "đã gọi trực cống"}, http.StatusOK, nil)
	until(t, ws, "acknowledgement", func(f frame) bool { return f.Op == "ev" && f.E.Type == "acknowledged" })

	refusals := []struct {
		name            string
		as              deviceLogin
		topic, protocol string
		more            []string
	}{
		{"wrong password", deviceLogin{"tram-1", "wrong"}, "devices/tram-1/telemetry", "5", nil},
		{"unknown user", deviceLogin{"nobody", device.Password}, "devices/nobody/telemetry", "311", nil},
		{"another's topic v5", device, "devices/tram-2/telemetry", "5", nil},
		{"another's client id", device, "devices/tram-1/telemetry", "5", []string{"-i", "tram-2"}},
		{"another's will", device, "devices/tram-1/telemetry", "5", []string{"--will-topic", "devices/tram-2/telemetry", "--will-payload", "{}"}},
	}
	for _, r := range refusals {
		before := counter(t, c, `ioc_refused_total{`, `where="mqtt"`)
		out, err := publish(addrs.MQTT[0], r.protocol, r.as, r.topic, `{"values":{"salinity":9}}`, r.more...)
		// mosquitto_pub 2.0 prints a refused v5 publish and exits 0.
		if err == nil && !strings.Contains(strings.ToLower(out), "not authorized") {
			t.Errorf("%s: accepted: %s", r.name, out)
		}
		if after := counter(t, c, `ioc_refused_total{`, `where="mqtt"`); after <= before {
			t.Errorf("%s: not counted", r.name)
		}
	}
	if _, ok := c.latest("tram-2", "salinity"); ok {
		t.Error("a stranger's value was stored")
	}
	if v, _ := c.latest("tram-1", "salinity"); v != 5.5 {
		t.Errorf("latest is %v", v)
	}
	_ = other
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addrs, stop := startHere(t, dir, false)
	c := login(t, addrs.HTTP[0])
	device := c.station("tram-1", 106.58, 10.28, nil)
	c.must(http.MethodPost, "/api/v1/rules", map[string]any{
		"id": "man-4", "title": "Độ mặn", "metric": "salinity", "scope": map[string]any{},
		"on": map[string]any{"above": 4}, "off": map[string]any{"below": 3.5}, "priority": "urgent",
	}, http.StatusCreated, nil)
	if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":6.25}}`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var alarms struct {
		Items []struct{ ID, State string }
	}
	eventually(t, "an alarm", func() bool {
		c.must(http.MethodGet, "/api/v1/alarms", nil, http.StatusOK, &alarms)
		return len(alarms.Items) == 1
	})
	id := alarms.Items[0].ID
	stop()

	addrs = serveHere(t, dir, false)
	c = login(t, addrs.HTTP[0])
	if v, ok := c.latest("tram-1", "salinity"); !ok || v != 6.25 {
		t.Errorf("latest after restart: %v %v", v, ok)
	}
	c.must(http.MethodGet, "/api/v1/alarms", nil, http.StatusOK, &alarms)
	if len(alarms.Items) != 1 || alarms.Items[0].ID != id || alarms.Items[0].State != "active" {
		t.Errorf("alarms after restart: %+v", alarms.Items)
	}
	if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":1}}`); err != nil {
		t.Errorf("credentials after restart: %v: %s", err, out)
	}
}

func TestPasswdHelpsTheLostAdministrator(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addrs := serveHere(t, dir, false)
	const fresh = "mật-khẩu-mới-rất-dài"
	if err := setPassword(t.Context(), dir, "admin", fresh); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, base: "http://" + addrs.HTTP[0], http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(c.http.CloseIdleConnections)
	c.must(http.MethodPost, "/api/v1/session", map[string]any{"username": "admin", "password": fresh}, http.StatusNoContent, nil)
	if err := setPassword(t.Context(), filepath.Join(dir, "nowhere"), "admin", fresh); err == nil {
		t.Error("a mistyped folder was taken")
	}
	if err := setPassword(t.Context(), dir, "nobody", fresh); err == nil {
		t.Error("an unknown account got a password")
	}
}

// The first password is shown once, so not by a start that comes to nothing.
func TestFirstPasswordIsShownByAStartThatStands(t *testing.T) {
	taken, err := listen("", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(taken)
	cfg := defaults(false)
	cfg.DataDir, cfg.HTTP.Addr, cfg.MQTT.Addr = filepath.Join(t.TempDir(), "data"), taken[0].Addr().String(), "127.0.0.1:0"
	var shown strings.Builder
	o := runOptions{logger: slog.New(slog.DiscardHandler), out: &shown}
	if err := run(t.Context(), cfg, o); err == nil {
		t.Fatal("started on a port that is taken")
	}
	if shown.Len() > 0 {
		t.Errorf("a start that failed shows %q", shown.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.HTTP.Addr = "127.0.0.1:0"
	o.ready = func(Addrs) { cancel() }
	if err := run(ctx, cfg, o); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown.String(), "user: admin") || !strings.Contains(shown.String(), "password: ") {
		t.Errorf("shown: %q", shown.String())
	}
}

// counter sums the samples of a metric whose line holds all the parts.
func counter(t testing.TB, c *client, parts ...string) (sum float64) {
	t.Helper()
	status, text, err := c.call(http.MethodGet, "/metrics", nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("metrics: %d %v", status, err)
	}
lines:
	for line := range strings.Lines(string(text)) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue lines
			}
		}
		var v float64
		if err := json.Unmarshal([]byte(line[strings.LastIndexByte(line, ' ')+1:]), &v); err == nil {
			sum += v
		}
	}
	return sum
}

func TestDemoIsAliveAndLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addrs := serveHere(t, dir, true)
	c := login(t, addrs.HTTP[0])
	var devices struct {
		Items []struct{ ID, State string }
	}
	c.must(http.MethodGet, "/api/v1/devices?limit=1000", nil, http.StatusOK, &devices)
	if len(devices.Items) < 44 {
		t.Errorf("%d devices", len(devices.Items))
	}
	eventually(t, "every salinity station speaks", func() bool {
		var latest struct {
			Items []struct {
				Device string
				AgeS   float64 `json:"age_s"`
			}
		}
		c.must(http.MethodGet, "/api/v1/latest?metric=salinity", nil, http.StatusOK, &latest)
		live := 0
		for _, it := range latest.Items {
			if it.AgeS < 30 {
				live++
			}
		}
		return live >= 12 // drop-outs are part of the field
	})
	var past struct {
		Series []struct{ Points [][]float64 }
	}
	from := time.Now().Add(-13 * 24 * time.Hour).Format(time.RFC3339)
	c.must(http.MethodGet, "/api/v1/observations?device=sal-cua-tieu-1&metric=salinity&every=1h&agg=mean&from="+strings.ReplaceAll(from, "+", "%2B"), nil, http.StatusOK, &past)
	if len(past.Series) != 1 || len(past.Series[0].Points) < 280 {
		t.Errorf("thirteen days of hours: %d series", len(past.Series))
	}
	if _, err := os.Stat(filepath.Join(dir, "records.db")); err != nil {
		t.Error(err)
	}
}
