package geo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"
)

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func openAtlasAt(t testing.TB, path string) *Atlas {
	t.Helper()
	a, err := Open(t.Context(), openDB(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// openAtlas opens an atlas on a new data folder, which holds the built-in rivers.
func openAtlas(t testing.TB) *Atlas {
	t.Helper()
	return openAtlasAt(t, filepath.Join(t.TempDir(), "records.db"))
}

func mustPutZones(t testing.TB, a *Atlas, features ...string) {
	t.Helper()
	accepted, refused, err := a.PutZones(t.Context(), strings.NewReader(collection(features...)))
	if err != nil || accepted != len(features) || len(refused) != 0 {
		t.Fatalf("accepted %d of %d, refused %v, %v", accepted, len(features), refused, err)
	}
}

func zoneIDs(zones []Zone) (ids []string) {
	for _, z := range zones {
		ids = append(ids, z.ID)
	}
	return ids
}

func riverIDs(a *Atlas) (ids []string) {
	for _, v := range a.Rivers() {
		ids = append(ids, v.ID)
	}
	return ids
}

var builtIn = []string{"ba-lai", "co-chien", "cua-dai", "cua-tieu", "cung-hau", "ham-luong", "hau-dinh-an", "hau-tran-de", "soai-rap", "tien", "vam-co", "vam-co-tay"}

func TestBuiltInRiversAreSeededOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	a := openAtlasAt(t, path)
	if got := riverIDs(a); !slices.Equal(got, builtIn) {
		t.Fatalf("seeded %v; want %v", got, builtIn)
	}
	tieu, ok := a.River("cua-tieu")
	if !ok || tieu.Name != "Sông Cửa Tiểu" || tieu.Mouth != "Cửa Tiểu" || tieu.Joins == nil || *tieu.Joins != (Join{"tien", 0, "upstream"}) || tieu.LengthKM < 35.6 || tieu.LengthKM > 35.7 {
		t.Errorf("Cửa Tiểu: %+v", tieu)
	}
	// Another geodesic program (Vincenty) measured the same lines.
	for _, f := range baseFeatures(t, "rivers.geojson") {
		v, _ := a.River(f.ID.(string))
		if want := f.Properties["length_km"].(float64); v.LengthKM < want-0.01 || v.LengthKM > want+0.01 {
			t.Errorf("%s: %v km; want %v", v.ID, v.LengthKM, want)
		}
	}
	if was, err := a.DeleteRiver(t.Context(), "tien"); !was || err != nil {
		t.Fatal(was, err)
	}
	if was, err := a.DeleteRiver(t.Context(), "tien"); was || err != nil {
		t.Fatal("deleted twice:", was, err)
	}
	if _, ok := a.River("tien"); ok {
		t.Error("tien is still there")
	}
	again := openAtlasAt(t, path)
	if got, want := riverIDs(again), slices.DeleteFunc(slices.Clone(builtIn), func(id string) bool { return id == "tien" }); !slices.Equal(got, want) {
		t.Errorf("after opening again %v; want %v", got, want)
	}
}

func TestZonesOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	a := openAtlasAt(t, path)
	// Clockwise shell, anticlockwise hole, altitudes, a foreign member, a numeric id, Vietnamese.
	mustPutZones(t, a,
		`{"type":"Feature","id":28300,"bbox":[0,0,1,1],"properties":{"name":" Phường Mỹ Tho ","kind":"phường","dân_số":12},"source":"x","geometry":{"type":"Polygon","coordinates":[[[106,10,5],[106,11,5],[107,11,5],[107,10,5],[106,10,5]],[[106.4,10.4],[106.6,10.4],[106.6,10.6],[106.4,10.4]]]}}`,
		`{"type":"Feature","properties":{"id":"z.2_x-Y"},"geometry":{"type":"MultiPolygon","coordinates":[`+square+`,[[[108,10],[109,10],[108.5,11],[108,10]]]]}}`,
		polygon("gone", square),
	)
	if was, err := a.DeleteZone(t.Context(), "gone"); !was || err != nil {
		t.Fatal(was, err)
	}
	if was, err := a.DeleteZone(t.Context(), "gone"); was || err != nil {
		t.Fatal(was, err)
	}
	for name, a := range map[string]*Atlas{"before": a, "after": openAtlasAt(t, path)} {
		if got := zoneIDs(a.Zones()); !slices.Equal(got, []string{"28300", "z.2_x-Y"}) {
			t.Fatalf("%s: zones %v", name, got)
		}
		z, ok := a.Zone("28300")
		if !ok || z.Name != "Phường Mỹ Tho" || z.Kind != "phường" || z.Box != (Box{106, 10, 107, 11}) {
			t.Errorf("%s: %+v, %v", name, z, ok)
		}
		want := `{"geometry":{"coordinates":[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106.4,10.4],[106.6,10.6],[106.6,10.4],[106.4,10.4]]],"type":"Polygon"},"id":"28300","properties":{"name":" Phường Mỹ Tho ","kind":"phường","dân_số":12},"source":"x","type":"Feature"}`
		if string(z.GeoJSON) != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, z.GeoJSON, want)
		}
		if z, _ := a.Zone("z.2_x-Y"); z.Name != "z.2_x-Y" || z.Kind != "" || z.Box != (Box{106, 10, 109, 11}) {
			t.Errorf("%s: %+v", name, z)
		}
		if got := zoneIDs(a.ZonesAt(Point{106.2, 10.2})); !slices.Equal(got, []string{"28300", "z.2_x-Y"}) {
			t.Errorf("%s: at a point in both: %v", name, got)
		}
		if got := zoneIDs(a.ZonesAt(Point{106.55, 10.5})); !slices.Equal(got, []string{"z.2_x-Y"}) {
			t.Errorf("%s: in the hole of one: %v", name, got)
		}
		if a.InZone("gone", Point{106.5, 10.5}) || a.InZone("28300", Point{105, 10}) || !a.InZone("28300", Point{106, 10}) {
			t.Errorf("%s: InZone", name)
		}
		if _, ok := a.Zone("gone"); ok {
			t.Errorf("%s: a deleted zone is there", name)
		}
	}
}

func TestPutReplaces(t *testing.T) {
	a := openAtlas(t)
	mustPutZones(t, a, polygon("a", square), polygon("b", square))
	mustPutZones(t, a, strings.Replace(polygon("a", `[[[1,1],[2,1],[2,2],[1,1]]]`), `"n"`, `"new"`, 1))
	if got := zoneIDs(a.Zones()); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("zones %v", got)
	}
	if z, _ := a.Zone("a"); z.Name != "new" || z.Box != (Box{1, 1, 2, 2}) {
		t.Errorf("%+v", z)
	}
	if got := zoneIDs(a.ZonesAt(Point{106.5, 10.5})); !slices.Equal(got, []string{"b"}) {
		t.Errorf("where a was: %v", got)
	}
	if n, refused, err := a.PutRivers(t.Context(), strings.NewReader(collection(lineString("tien", `[[106,10],[106,10.1]]`)))); n != 1 || err != nil {
		t.Fatal(n, refused, err)
	}
	if v, _ := a.River("tien"); v.LengthKM != 11.061 || v.Mouth != "" || !slices.Equal(riverIDs(a), builtIn) {
		t.Errorf("%+v among %v", v, riverIDs(a))
	}
	if n, refused, err := a.PutZones(t.Context(), strings.NewReader(collection())); n != 0 || refused == nil || len(refused) != 0 || err != nil {
		t.Errorf("an empty collection: %d, %v, %v", n, refused, err)
	}
}

// What is refused reads well in JSON as the contract has it.
func TestRefusalJSON(t *testing.T) {
	_, refused, err := openAtlas(t).PutZones(t.Context(), strings.NewReader(collection(`{"type":"Feature"}`)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(refused)
	if want := `[{"index":0,"why":"has no id: neither \"id\" nor properties.id"}]`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}

// Listeners are told after the change, may read and change the atlas, and
// hear nothing of what changed nothing.
func TestOnChange(t *testing.T) {
	a := openAtlas(t)
	var told []string
	deleting := false
	a.OnChange(func() {
		told = append(told, fmt.Sprint(zoneIDs(a.Zones()), len(a.Rivers())))
		if !deleting && len(a.Zones()) == 2 {
			deleting = true
			if was, err := a.DeleteZone(t.Context(), "b"); !was || err != nil {
				t.Error(was, err)
			}
		}
	})
	mustPutZones(t, a, polygon("a", square), polygon("b", square))
	if _, err := a.DeleteZone(t.Context(), "none"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.PutZones(t.Context(), strings.NewReader(collection(`null`))); err != nil {
		t.Fatal(err)
	}
	if _, err := a.DeleteRiver(t.Context(), "tien"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"[a b] 12", "[a] 12", "[a] 11"}; !slices.Equal(told, want) {
		t.Errorf("told %v; want %v", told, want)
	}
}

// When the database fails, nothing of the collection is taken and the error is no InputError.
func TestDatabaseFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	a := openAtlasAt(t, path)
	mustPutZones(t, a, polygon("a", square))
	a.OnChange(func() { t.Error("told of a change") })
	if _, err := a.db.Exec(`CREATE TRIGGER full BEFORE INSERT ON geo_zones WHEN NEW.id = 'c' BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	accepted, refused, err := a.PutZones(t.Context(), strings.NewReader(collection(polygon("b", square), polygon("c", square), `null`)))
	var input *InputError
	if err == nil || errors.As(err, &input) || accepted != 0 || refused != nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("%d, %v, %v", accepted, refused, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.PutZones(cancelled, strings.NewReader(collection(polygon("b", square)))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, a := range []*Atlas{a, openAtlasAt(t, path)} {
		if got := zoneIDs(a.Zones()); !slices.Equal(got, []string{"a"}) {
			t.Errorf("zones %v", got)
		}
	}
	a.db.Close()
	if was, err := a.DeleteZone(t.Context(), "a"); was || err == nil {
		t.Errorf("deleting on a closed database: %v, %v", was, err)
	}
	if got := zoneIDs(a.ZonesAt(Point{106.5, 10.5})); !slices.Equal(got, []string{"a"}) {
		t.Errorf("reads without the database: %v", got)
	}
}

// A record that cannot be read is named at start, not dropped.
func TestSpoiltRecord(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "records.db"))
	if _, err := Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO geo_zones (id, feature) VALUES ('spoilt', '{"type":"Feature"')`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), db); err == nil || !strings.Contains(err.Error(), `geo_zones, record "spoilt"`) {
		t.Errorf("opened with %v", err)
	}
}

// Reads and writes at one time; the race detector looks on.
func TestConcurrentUse(t *testing.T) {
	a := openAtlas(t)
	mustPutZones(t, a, polygon("always", square))
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			id := fmt.Sprintf("w%d", w)
			for range 15 {
				if n, _, err := a.PutZones(t.Context(), strings.NewReader(collection(polygon(id, square)))); n != 1 || err != nil {
					t.Error(n, err)
				}
				if was, err := a.DeleteZone(t.Context(), id); !was || err != nil {
					t.Error(was, err)
				}
			}
		})
		g.Go(func() {
			for range 300 {
				if !slices.Contains(zoneIDs(a.ZonesAt(Point{106.5, 10.5})), "always") {
					t.Error("always is not there")
				}
				a.Snap(Point{106.5, 10.2}, 5000)
			}
		})
	}
	g.Wait()
	if got := zoneIDs(a.Zones()); !slices.Equal(got, []string{"always"}) {
		t.Errorf("zones %v", got)
	}
}
