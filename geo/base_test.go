package geo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type baseFeature struct {
	Type       string         `json:"type"`
	ID         any            `json:"id,omitempty"`
	Properties map[string]any `json:"properties"`
	Geometry   struct {
		Type        string          `json:"type"`
		Coordinates json.RawMessage `json:"coordinates"`
	} `json:"geometry"`
}

func baseFeatures(t testing.TB, name string) []baseFeature {
	t.Helper()
	text, err := BaseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Features []baseFeature }
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c.Features
}

var baseFiles = []string{"land.geojson", "places.geojson", "reaches.geojson", "rivers.geojson", "stations.geojson", "water.geojson"}

func TestBaseHoldsItsFilesWithinItsSize(t *testing.T) {
	entries, err := Base.ReadDir("base")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	total := 0
	for _, e := range entries {
		text, err := BaseFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name())
		total += len(text)
	}
	if !slices.Equal(names, baseFiles) {
		t.Errorf("base holds %v; want %v", names, baseFiles)
	}
	if total > 1_500_000 {
		t.Errorf("base is %d bytes; at most 1,500,000", total)
	}
	if _, err := BaseFile("nothing.geojson"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Hoàng Sa and Trường Sa are Vietnamese, and the map says so (DOMAIN.md).
func TestBaseSovereignty(t *testing.T) {
	want := map[string]Point{
		"Quần đảo Hoàng Sa (Việt Nam)":  {112.0, 16.5},
		"Quần đảo Trường Sa (Việt Nam)": {113.5, 9.5},
	}
	for _, f := range baseFeatures(t, "places.geojson") {
		name, _ := f.Properties["name"].(string)
		at, ok := want[name]
		if !ok {
			continue
		}
		delete(want, name)
		if f.Properties["kind"] != "archipelago" || f.Properties["rank"] != 1.0 {
			t.Errorf("%s: kind %v, rank %v", name, f.Properties["kind"], f.Properties["rank"])
		}
		var p [2]float64
		if err := json.Unmarshal(f.Geometry.Coordinates, &p); err != nil || Distance(at, Point{p[0], p[1]}) > 100e3 {
			t.Errorf("%s lies at %v; want about %v", name, p, at)
		}
	}
	for name := range want {
		t.Errorf("no label %q", name)
	}
}

// Land has no countries and no borders: nothing but its class, and no text
// anywhere on the base map names a country other than Việt Nam.
func TestBaseNamesNoCountry(t *testing.T) {
	for _, name := range []string{"land.geojson", "water.geojson"} {
		for i, f := range baseFeatures(t, name) {
			if len(f.Properties) != 1 || f.Properties["class"] == nil || f.ID != nil {
				t.Fatalf("%s: feature %d has properties %v; only its class may be there", name, i, f.Properties)
			}
			if f.Geometry.Type != "Polygon" {
				t.Fatalf("%s: feature %d is a %s; lines could be borders", name, i, f.Geometry.Type)
			}
		}
	}
	country := regexp.MustCompile(`(?i)china|trung quốc|中国|philippin|malaysia|cambodia|campuchia|\blao|lào|thailand|thái lan|taiwan|đài loan|paracel|spratly|iso_?a[23]|admin|country|sovereign|border`)
	for _, name := range baseFiles {
		for i, f := range baseFeatures(t, name) {
			for k, v := range f.Properties {
				if s := k + " " + fmt.Sprint(v); country.MatchString(s) {
					t.Errorf("%s: feature %d: %q", name, i, s)
				}
			}
		}
	}
}

// An inset map can draw both archipelagos.
func TestBaseHasTheIslands(t *testing.T) {
	boxes := map[string]Box{"Hoàng Sa": {111, 15.5, 113, 17.3}, "Trường Sa": {111.5, 7, 116.6, 12}}
	count := map[string]int{}
	for _, f := range baseFeatures(t, "land.geojson") {
		c := coords{text: f.Geometry.Coordinates}
		rings, err := c.polygon()
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range boxes {
			if b.holds(boxOf(rings[0])) {
				count[name]++
			}
		}
	}
	if count["Hoàng Sa"] < 5 || count["Trường Sa"] < 30 {
		t.Errorf("islands: %v", count)
	}
}

// What we draw ourselves passes the door that others' zones must pass.
func TestBasePolygonsAreValid(t *testing.T) {
	for _, name := range []string{"land.geojson", "water.geojson", "reaches.geojson"} {
		features := baseFeatures(t, name)
		for i := range features {
			features[i].ID = fmt.Sprintf("f%d", i)
		}
		text, err := json.Marshal(map[string]any{"type": "FeatureCollection", "features": features})
		if err != nil {
			t.Fatal(err)
		}
		accepted, refused, err := openAtlas(t).PutZones(t.Context(), bytes.NewReader(text))
		if err != nil || accepted != len(features) {
			t.Errorf("%s: %d of %d accepted, %v; refused: %v", name, accepted, len(features), err, refused)
		}
	}
}

// Reaches and stations speak of rivers that are there, at kilometres that they have.
func TestBaseStationsAndReachesLieOnTheRivers(t *testing.T) {
	a := openAtlas(t)
	for _, f := range baseFeatures(t, "reaches.geojson") {
		r, ok := a.River(f.Properties["river"].(string))
		if from, to := f.Properties["from_km"].(float64), f.Properties["to_km"].(float64); !ok || from < 0 || to <= from || from > r.LengthKM {
			t.Errorf("reach %v", f.Properties)
		}
	}
	salinity := 0
	for _, f := range baseFeatures(t, "stations.geojson") {
		var at [2]float64
		if err := json.Unmarshal(f.Geometry.Coordinates, &at); err != nil {
			t.Fatal(err)
		}
		if f.Properties["illustrative"] != true {
			t.Errorf("%v is not marked illustrative", f.ID)
		}
		if f.Properties["kind"] != "salinity" {
			continue
		}
		salinity++
		c, ok := a.Snap(Point{at[0], at[1]}, 3000)
		if !ok || c.River != f.Properties["river"] || math.Abs(c.KM-f.Properties["chainage_km"].(float64)) > 0.3 {
			t.Errorf("%v lies at %v km %v; snapped to %+v, %v", f.ID, f.Properties["river"], f.Properties["chainage_km"], c, ok)
		}
	}
	if salinity != 14 {
		t.Errorf("%d salinity stations; want 14", salinity)
	}
}

func TestBaseAttribution(t *testing.T) {
	text, err := os.ReadFile("base/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"© OpenStreetMap contributors", "ODbL", "GeoNames", "CC BY 4.0"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("base/README.md does not say %q", want)
		}
	}
}
