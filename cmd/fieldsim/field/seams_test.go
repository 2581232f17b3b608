package field

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the registry's and the atlas's driver

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
)

// The registry, the atlas and the catalogue take what the demo proposes.
func TestTheProductTakesTheProvince(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "records.db")+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	atlas, err := geo.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := devices.Open(t.Context(), db, func(p geo.Point) (geo.Chainage, bool) { return atlas.Snap(p, 2000) })
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range Province() {
		got, login, err := registry.Create(t.Context(), d)
		if err != nil || login.Password == "" {
			t.Fatalf("%s: %v", d.ID, err)
		}
		if s := siteOf(t, d.ID); s.river != "" && (got.Chainage == nil || got.Chainage.River != s.river) {
			t.Errorf("%s on %s was put on %+v", d.ID, s.river, got.Chainage)
		}
		for _, m := range d.Metrics {
			if _, ok := telemetry.Lookup(m.Metric); !ok {
				t.Errorf("%s promises %s, which the catalogue does not know", d.ID, m.Metric)
			}
		}
	}
	took, refused, err := atlas.PutZones(t.Context(), bytes.NewReader(Zones()))
	if err != nil || took != len(zoneShapes) || len(refused) > 0 {
		t.Errorf("%d zones taken, refused %+v, %v", took, refused, err)
	}
	for _, r := range Rules() {
		if _, ok := telemetry.Lookup(r.Metric); !ok {
			t.Errorf("rule %s judges %s", r.ID, r.Metric)
		}
	}
	to := time.Date(2026, 3, 20, 9, 0, 0, 0, time.UTC)
	History(to.Add(-7*24*time.Hour), to, func(obs []telemetry.Observation) bool {
		for _, o := range obs {
			if m, ok := telemetry.Lookup(o.Metric); !ok || o.Value < m.Min || o.Value > m.Max {
				t.Fatalf("%s/%s = %v, plausible %v to %v", o.Device, o.Metric, o.Value, m.Min, m.Max)
			}
		}
		return true
	})
	for _, name := range LoadMetrics {
		m, ok := telemetry.Lookup(name)
		if !ok || m.Min > 6 || m.Max < 30 || m.Counter {
			t.Errorf("a load's values of 6 to 30 are not plausible for %s: %+v", name, m)
		}
	}
}
