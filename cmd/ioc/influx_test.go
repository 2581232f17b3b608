package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cuulong/devices/mqtt"
	"cuulong/telemetry/influx/influxtest"
)

// withInflux makes an ioc answer queries from a bucket of the server.
func withInflux(server *influxtest.Server, bucket, ca string) func(*Config, *runOptions) {
	return func(c *Config, _ *runOptions) {
		c.Store = StoreConfig{Engine: "influx", Influx: InfluxConfig{URL: server.URL, TokenEnv: "TOKEN", Bucket: bucket, CA: ca}}
		c.influxToken = influxtest.Token
	}
}

// raw asks for a series by the API.
func (c *client) raw(path string) (status int, points [][3]float64) {
	c.t.Helper()
	status, text, err := c.call(http.MethodGet, path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	var answer struct {
		Series []struct{ Points [][3]float64 }
	}
	if status == http.StatusOK {
		if err := json.Unmarshal(text, &answer); err != nil {
			c.t.Fatal(err)
		}
		for _, s := range answer.Series {
			points = append(points, s.Points...)
		}
	}
	return status, points
}

// TestInfluxBehindTwo: two servers feed one InfluxDB over TLS and IPv6, what both got is there
// once, and while it is down only the questions about the past fail.
func TestInfluxBehindTwo(t *testing.T) {
	cert, key := selfMade(t, t.TempDir(), "influx", 1)
	authorities, err := mqtt.ReadCA(cert)
	if err != nil {
		t.Fatal(err)
	}
	server := influxtest.Start(t, "::1", &influxtest.TLS{CertFile: cert, KeyFile: key, Client: &tls.Config{RootCAs: authorities}})
	bucket := server.Create(t, "ioc")
	one, stopOne := startHere(t, t.TempDir(), false, withInflux(server, bucket, cert))
	two, stopTwo := startHere(t, t.TempDir(), false, withInflux(server, bucket, cert))
	t.Cleanup(func() { stopOne(); stopTwo() })
	a, b := login(t, one.HTTP[0]), login(t, two.HTTP[0])
	stationA, stationB := a.station("tram-1", 106.58, 10.28, nil), b.station("tram-1", 106.58, 10.28, nil)
	t0 := time.Now().UnixMilli() - 3600_000
	send := func(mqtt string, as deviceLogin, minutes ...int) {
		t.Helper()
		var list []string
		for _, m := range minutes {
			list = append(list, fmt.Sprintf(`{"ts":%d,"values":{"level":%d.25}}`, t0+int64(m)*60_000, m))
		}
		if out, err := publish(mqtt, "5", as, "devices/tram-1/telemetry", "["+strings.Join(list, ",")+"]"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const query = "/api/v1/observations?device=tram-1&metric=level"
	has := func(c *client, n int) func() bool {
		return func() bool { status, points := c.raw(query); return status == http.StatusOK && len(points) == n }
	}
	send(one.MQTT[0], stationA, 1, 2, 3)
	send(two.MQTT[0], stationB, 3, 4)
	eventually(t, "both see what either got", func() bool { return has(a, 4)() && has(b, 4)() })

	server.Kill()
	for _, accept := range []string{"application/json", "text/csv"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.base+query, nil)
		req.Header.Set("Accept", accept)
		resp, err := a.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p struct{ Detail string }
		err = json.NewDecoder(resp.Body).Decode(&p)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "does not answer") ||
			resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %+v %v", accept, resp.StatusCode, resp.Header, p, err)
		}
	}
	send(one.MQTT[0], stationA, 5, 6)
	if v, ok := a.latest("tram-1", "level"); !ok || v != 6.25 {
		t.Errorf("latest is %v, %v while InfluxDB is down", v, ok)
	}
	if got := counter(t, a, "ioc_forward_lag_records"); got < 1 {
		t.Errorf("lag is %v", got)
	}
	if status, _, err := a.call(http.MethodGet, "/readyz", nil); err != nil || status != http.StatusOK {
		t.Errorf("readyz: %d %v", status, err)
	}
	server.Start(t)
	eventually(t, "what came meanwhile is there", func() bool { return has(a, 6)() && has(b, 6)() })
	_, points := a.raw(query + "&every=1h&agg=count")
	n := 0.0
	for _, p := range points {
		n += p[1]
	}
	if n != 6 {
		t.Errorf("windows count %v, want 6: %v", n, points)
	}
	eventually(t, "nothing lags", func() bool { return counter(t, a, "ioc_forward_lag_records") == 0 })
}

func TestConfigInflux(t *testing.T) {
	env := func(k string) string { return map[string]string{"INFLUX_TOKEN": "ioc:secret"}[k] }
	c, err := loadConfig(writeConfig(t, `store: {engine: influx, influx: {url: "https://[fd00::5]:8086", token_env: INFLUX_TOKEN, org: province, bucket: ioc/autogen}}`), false, env)
	if err != nil || c.influxToken != "ioc:secret" || c.Store.Influx.URL != "https://[fd00::5]:8086" {
		t.Errorf("%+v %v", c.Store, err)
	}
	for name, bad := range map[string]struct {
		text string
		want []string
	}{
		"nothing":        {`{}`, []string{"store.influx.url:", "store.influx.bucket:"}},
		"no scheme":      {`{url: "10.0.0.5:8086", bucket: b}`, []string{"store.influx.url:"}},
		"user in it":     {`{url: "http://ioc:geheim@h:8086", bucket: b}`, []string{"store.influx.url:", "holds a user"}},
		"token as name":  {`{url: "http://h:8086", bucket: b, token_env: geheim}`, []string{"store.influx.token_env:"}},
		"authority":      {`{url: "http://h:8086", bucket: b, ca: /nowhere.pem}`, []string{"store.influx.ca: open /nowhere.pem", "is for https"}},
		"empty variable": {`{url: "http://h:8086", bucket: b, token_env: EMPTY}`, []string{"store.influx.token_env:"}},
	} {
		_, err := loadConfig(writeConfig(t, "store: {engine: influx, influx: "+bad.text+"}"), false, env)
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range bad.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: not said: %s\nin: %v", name, want, err)
			}
		}
	}
}
