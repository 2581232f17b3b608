package devices_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"cuulong/devices"
	"cuulong/geo"
)

func TestAttributesMerge(t *testing.T) {
	snap := func(p geo.Point) (geo.Chainage, bool) { return geo.Chainage{River: "tien", KM: p.Lat}, true }
	r, path := open(t, snap)
	d := station("s")
	d.Position = nil
	create(t, r, d)
	changes := 0
	r.OnChange(func(devices.Change) { changes++ })
	set := func(attrs map[string]any) error { return r.SetAttributes(t.Context(), "s", attrs) }
	if err := set(map[string]any{"fw": "1", "hw": map[string]any{"rev": 2.0}}); err != nil {
		t.Fatal(err)
	}
	if err := set(map[string]any{"fw": "2", "position": map[string]any{"lon": 106.0, "lat": 10.5}}); err != nil {
		t.Fatal(err)
	}
	if err := set(map[string]any{"fw": "2"}); err != nil { // nothing new
		t.Fatal(err)
	}
	if err := set(map[string]any{"hw": nil, "position": map[string]any{"lon": 1.0, "lat": 1.0}}); err != nil {
		t.Fatal(err)
	}
	if changes != 3 {
		t.Errorf("%d changes told, want 3", changes)
	}
	again, err := devices.Open(t.Context(), openDB(t, path), snap)
	if err != nil {
		t.Fatal(err)
	}
	for _, reg := range []*devices.Registry{r, again} {
		got, _ := reg.Get("s")
		if got.Attributes["fw"] != "2" || got.Attributes["hw"] != nil {
			t.Errorf("attributes %v", got.Attributes)
		}
		// The first position is taken, a later one does not move the device.
		if got.Position == nil || *got.Position != (geo.Point{Lon: 106, Lat: 10.5}) || got.Chainage == nil || got.Chainage.KM != 10.5 {
			t.Errorf("position %+v chainage %+v", got.Position, got.Chainage)
		}
	}
	for name, bad := range map[string]map[string]any{
		"too large":     {"x": strings.Repeat("a", 20<<10)},
		"not JSON":      {"x": math.NaN()},
		"name too long": {strings.Repeat("k", 65): 1},
		"name empty":    {"": 1},
		"too many": func() map[string]any {
			m := map[string]any{}
			for i := range 65 {
				m[fmt.Sprint("k", i)] = i
			}
			return m
		}(),
	} {
		var field *devices.FieldError
		if err := set(bad); !errors.As(err, &field) || field.Field != "attributes" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.SetAttributes(t.Context(), "nobody", nil); !errors.Is(err, devices.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestBadPositionInAttributesMovesNothing(t *testing.T) {
	for name, p := range map[string]any{
		"out of range": map[string]any{"lon": 200.0, "lat": 10.0},
		"half":         map[string]any{"lon": 106.0},
		"text":         "106,10",
	} {
		r, _ := open(t, nil)
		d := station("s")
		d.Position = nil
		create(t, r, d)
		if err := r.SetAttributes(t.Context(), "s", map[string]any{"position": p}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := r.Get("s"); got.Position != nil {
			t.Errorf("%s: moved to %+v", name, got.Position)
		}
	}
}
