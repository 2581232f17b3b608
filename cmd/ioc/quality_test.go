package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestQualityOfAStation: limits and derived series are set by the API and act at once.
func TestQualityOfAStation(t *testing.T) {
	addrs, stop := startHere(t, t.TempDir(), false)
	t.Cleanup(func() { stop() })
	c := login(t, addrs.HTTP[0])
	station := c.station("tram-1", 106.58, 10.28, map[string]any{"derive": map[string]string{"salinity": "ec25"}})
	t0 := time.Now().Add(-time.Hour).UnixMilli()
	send := func(minutes int, values string) {
		t.Helper()
		text := fmt.Sprintf(`{"ts":%d,"values":%s}`, t0+int64(minutes)*60_000, values)
		if out, err := publish(addrs.MQTT[0], "5", station, "devices/tram-1/telemetry", text); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const salinity, level = "/api/v1/observations?device=tram-1&metric=salinity&from=0", "/api/v1/observations?device=tram-1&metric=level&from=0"
	send(0, `{"ec25":7.276,"level":1}`)
	if _, points := c.raw(salinity); len(points) != 1 || points[0][1] != 4 || points[0][2] != 1 {
		t.Errorf("derived %v", points)
	}
	c.must(http.MethodPatch, "/api/v1/devices/tram-1", `{"quality":{"level":{"spike":[0.5,2],"suspect":[0,3]}}}`, http.StatusOK, nil)
	send(1, `{"level":1.1}`)
	send(2, `{"level":1.1}`)
	send(3, `{"level":2.9}`)
	send(4, `{"level":3.2}`)
	_, points := c.raw(level)
	var flags []string
	for _, p := range points {
		flags = append(flags, fmt.Sprint(p[2]))
	}
	if got := strings.Join(flags, " "); got != "1 1 1 3 3" {
		t.Errorf("flags %s, want 1 1 1 3 3", got)
	}
	var d struct {
		Quality map[string]struct{ Spike []float64 }
		Derive  map[string]string
		Clock   int64 `json:"clock_offset_ms"`
	}
	c.must(http.MethodGet, "/api/v1/devices/tram-1", nil, http.StatusOK, &d)
	if len(d.Quality["level"].Spike) != 2 || d.Derive["salinity"] != "ec25" || d.Clock > -50*60_000 || d.Clock < -57*60_000 {
		t.Errorf("%+v", d)
	}
	for _, bad := range []string{`{"quality":{"level":{"spike":[2,1]}}}`, `{"quality":{"Level":{}}}`, `{"quality":{"level":{"flat":{"eps":1}}}}`, `{"derive":{"ph":"ec25"}}`, `{"derive":{"salinity":"tds"}}`} {
		c.must(http.MethodPatch, "/api/v1/devices/tram-1", bad, http.StatusUnprocessableEntity, nil)
	}
}
