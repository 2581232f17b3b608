package influx

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/storetest"
)

// perRequest asks once a connection.
var perRequest = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

func get(t *testing.T, url string) io.ReadCloser {
	t.Helper()
	resp, err := perRequest.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp.Body
}

// TestVictoriaMetrics: the same writer fills a database that speaks line protocol
// and is not InfluxDB; what it exports is what was written, to the bit.
func TestVictoriaMetrics(t *testing.T) {
	url := influxtest.Victoria(t, t.TempDir())
	s, err := Open(Options{URL: url, Bucket: "ioc", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := map[string][]telemetry.Point{}
	var list []telemetry.Observation
	for i := range int64(3000) {
		o := telemetry.Observation{Device: devices.ID(fmt.Sprintf("tram-%d", i%3)), Metric: "level", At: storetest.T0 + i*1000, Seen: storetest.T0 + i*1000 + 7, Value: math.Round(100*math.Sin(float64(i)/50)) / 100, Flag: telemetry.Pass}
		if i%100 == 0 {
			o.Flag, o.Test = telemetry.Fail, telemetry.TestGrossRange
		}
		list = append(list, o)
		want[string(o.Device)] = append(want[string(o.Device)], telemetry.Point{At: o.At, Value: o.Value, Flag: o.Flag})
	}
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: list}); err != nil {
		t.Fatal(err)
	}
	_ = get(t, url+"/internal/force_flush")
	values, flags := export(t, url, "observation_value"), export(t, url, "observation_flag")
	for id, w := range want {
		got := make([]telemetry.Point, 0, len(w))
		for at, v := range values[id] {
			got = append(got, telemetry.Point{At: at, Value: v, Flag: telemetry.Flag(flags[id][at])})
		}
		slices.SortFunc(got, func(a, b telemetry.Point) int { return int(a.At - b.At) })
		if !slices.Equal(got, w) {
			t.Errorf("%s: %d points, want %d", id, len(got), len(w))
		}
	}
}

// export reads a metric's values by device and time.
func export(t *testing.T, url, name string) map[string]map[int64]float64 {
	t.Helper()
	out := map[string]map[int64]float64{}
	scan := bufio.NewScanner(get(t, url+"/api/v1/export?match%5B%5D="+name))
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var row struct {
			Metric     map[string]string
			Values     []float64
			Timestamps []int64
		}
		if err := json.Unmarshal(scan.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		id := row.Metric["device"]
		if out[id] == nil {
			out[id] = map[int64]float64{}
		}
		for i, at := range row.Timestamps {
			if _, twice := out[id][at]; twice {
				t.Errorf("%s: %s has %d twice", name, id, at)
			}
			out[id][at] = row.Values[i]
		}
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
