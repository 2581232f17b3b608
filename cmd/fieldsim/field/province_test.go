package field

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/telemetry"
)

func TestProvince(t *testing.T) {
	count := map[devices.Kind]int{}
	seen := map[devices.ID]bool{}
	for _, d := range Province() {
		if _, err := devices.ParseID(string(d.ID)); err != nil || seen[d.ID] {
			t.Errorf("id %q: %v, again %v", d.ID, err, seen[d.ID])
		}
		if d.Parent != "" && !seen[d.Parent] {
			t.Errorf("%s comes before its gateway %s", d.ID, d.Parent)
		}
		if d.Position == nil || d.Name == "" || len(d.Metrics) == 0 {
			t.Errorf("%s: incomplete: %+v", d.ID, d)
		}
		seen[d.ID] = true
		count[d.Kind]++
	}
	if count[devices.Station] != 20 || count[devices.AccessPoint] != 24 || count[devices.Gateway] != 3 {
		t.Errorf("%v", count)
	}
}

// Every value of two weeks is finite, and everything promised is told.
func TestHistoryTellsEveryPromise(t *testing.T) {
	to := time.UnixMilli(at(t, "2026-03-20T09:07:13Z"))
	from := to.Add(-14 * 24 * time.Hour)
	told := map[string]int{}
	n := 0
	History(from, to, func(obs []telemetry.Observation) bool {
		n += len(obs)
		for _, o := range obs {
			if o.At < from.UnixMilli() || o.At >= to.UnixMilli() || o.Seen != o.At || math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
				t.Fatalf("%+v", o)
			}
			told[string(o.Device)+"/"+o.Metric]++
		}
		return true
	})
	if n < 150_000 || n > 300_000 {
		t.Errorf("%d observations", n)
	}
	for _, d := range Province() {
		for _, m := range d.Metrics {
			if told[string(d.ID)+"/"+m.Metric] < 300 {
				t.Errorf("%s/%s: %d values in two weeks", d.ID, m.Metric, told[string(d.ID)+"/"+m.Metric])
			}
		}
	}
	calls := 0
	History(from, to, func([]telemetry.Observation) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("went on %d times after no", calls-1)
	}
}

// Counters never run back but with a restart, which uptime shows.
func TestCountersRise(t *testing.T) {
	w := world{tide: 1}
	s := siteOf(t, "wifi-my-tho-03")
	start := at(t, "2026-03-01T00:00:00Z")
	before, boots := w.radio(s, start), 0
	for i := int64(1); i < 30*24*6; i++ {
		r := w.radio(s, start+i*600e3)
		if r.uptime < before.uptime {
			boots++
		} else if r.rx < before.rx || r.tx < before.tx {
			t.Fatalf("step %d: rx %v after %v, tx %v after %v", i, r.rx, before.rx, r.tx, before.tx)
		}
		before = r
	}
	if boots < 1 || boots > 7 {
		t.Errorf("%d restarts in 30 days", boots)
	}
}

func TestNetJSONSaysWhatHistorySays(t *testing.T) {
	w := world{tide: 1}
	s := siteOf(t, "wifi-my-tho-03")
	ms := at(t, "2026-03-20T03:00:00Z")
	var doc struct {
		Type    string
		General struct {
			Hostname string
			Uptime   float64
		}
		Resources  struct{ Load []float64 }
		Interfaces []struct {
			Statistics struct {
				Rx float64 `json:"rx_bytes"`
				Tx float64 `json:"tx_bytes"`
			}
			Wireless struct {
				Noise   float64
				Clients []struct{ MAC string }
			}
		}
	}
	if err := json.Unmarshal(w.netJSON(s, ms), &doc); err != nil {
		t.Fatal(err)
	}
	r := w.radio(s, ms)
	wlan := doc.Interfaces[0]
	if doc.Type != "DeviceMonitoring" || doc.General.Uptime != r.uptime || wlan.Statistics.Rx != r.rx ||
		wlan.Statistics.Tx != r.tx || wlan.Wireless.Noise != r.noise || len(wlan.Wireless.Clients) != r.clients ||
		doc.Resources.Load[0] != r.load || r.clients == 0 {
		t.Errorf("%+v\nbut %+v", doc, r)
	}
	for _, c := range wlan.Wireless.Clients {
		if second := strings.ToLower(c.MAC)[1]; !strings.ContainsRune("26ae", rune(second)) {
			t.Errorf("%s is not a locally administered unicast address", c.MAC)
		}
	}
}

func TestZonesAreSound(t *testing.T) {
	var c struct {
		Features []struct {
			ID         string
			Properties struct {
				Name, Kind   string
				Illustrative bool
			}
			Geometry struct {
				Type        string
				Coordinates [][][2]float64
			}
		}
	}
	if err := json.Unmarshal(Zones(), &c); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Features); n < 3 || n > 5 {
		t.Errorf("%d zones", n)
	}
	for _, f := range c.Features {
		if _, err := devices.ParseID(f.ID); err != nil || f.Properties.Name == "" || f.Properties.Kind == "" || !f.Properties.Illustrative {
			t.Errorf("%+v: %v", f, err)
		}
		ring := f.Geometry.Coordinates[0]
		if f.Geometry.Type != "Polygon" || len(ring) < 4 || ring[0] != ring[len(ring)-1] {
			t.Fatalf("%s: ring is not closed", f.ID)
		}
		area := 0.0
		for i := 1; i < len(ring); i++ {
			a, b := ring[i-1], ring[i]
			area += a[0]*b[1] - b[0]*a[1]
			if a[0] < 105.9 || a[0] > 106.9 || a[1] < 9.8 || a[1] > 10.6 {
				t.Errorf("%s: %v lies elsewhere", f.ID, a)
			}
			for j := i + 2; j < len(ring); j++ {
				if (i != 1 || j != len(ring)-1) && cross(a, b, ring[j-1], ring[j]) {
					t.Errorf("%s crosses itself between %v and %v", f.ID, a, ring[j])
				}
			}
		}
		if area <= 0 { // RFC 7946 §3.1.6
			t.Errorf("%s runs clockwise", f.ID)
		}
	}
}

func cross(a, b, c, d [2]float64) bool {
	side := func(p, q, r [2]float64) float64 { return (q[0]-p[0])*(r[1]-p[1]) - (q[1]-p[1])*(r[0]-p[0]) }
	return side(a, b, c)*side(a, b, d) < 0 && side(c, d, a)*side(c, d, b) < 0
}

// holds says whether a limit is passed.
func holds(l alerts.Limit, v float64) bool {
	return l.Above != nil && v > *l.Above || l.Below != nil && v < *l.Below
}

// A demo may start at any hour of any season: some alarms stand, of several
// priorities, and never a flood.
func TestFewAlarmsStandAtTheStart(t *testing.T) {
	for i := range int64(400) {
		start := at(t, "2025-06-01T00:00:00Z") + i*(17*3600e3+987654)
		w := world{start: start, tide: DemoTide, live: true}
		standing := map[alerts.Priority]int{}
		n := 0
		for k := range sites() {
			s := &sites()[k]
			for _, r := range w.read(s, start, nil) {
				for _, rule := range Rules() {
					if rule.Metric == r.metric && inScope(rule.Scope, s) && holds(rule.On, r.value) {
						standing[rule.Priority]++
						n++
					}
				}
			}
		}
		if n < 3 || n > 9 || len(standing) < 2 || standing[alerts.Urgent] > 0 {
			t.Errorf("start %s: %v", time.UnixMilli(start).UTC(), standing)
		}
	}
}

func inScope(sc alerts.Scope, s *site) bool {
	any := func(n int, match func(i int) bool) bool {
		for i := range n {
			if match(i) {
				return true
			}
		}
		return n == 0
	}
	return any(len(sc.Kinds), func(i int) bool { return sc.Kinds[i] == s.device.Kind }) &&
		any(len(sc.Tags), func(i int) bool {
			for _, tag := range s.device.Tags {
				if tag == sc.Tags[i] {
					return true
				}
			}
			return false
		})
}

// A rule that returned where it raises would chatter.
func TestRulesHaveRoomBetweenOnAndOff(t *testing.T) {
	for _, r := range Rules() {
		switch {
		case r.On.Above != nil && r.Off.Below != nil && *r.Off.Below < *r.On.Above:
		case r.On.Below != nil && r.Off.Above != nil && *r.Off.Above > *r.On.Below:
		default:
			t.Errorf("rule %s", r.ID)
		}
	}
}
