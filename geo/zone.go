package geo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tidwall/rtree"
)

// trust says whether a feature comes from outside, or was judged before it was stored.
type trust bool

const (
	untrusted trust = false
	stored    trust = true
)

// zone is a Zone with what it is searched by. Immutable.
type zone struct {
	Zone
	area area
}

// newZone reads a Feature. The id comes back with an error too, as far as it is known.
func newZone(raw json.RawMessage, t trust) (*zone, string, error) {
	f, err := readFeature(raw)
	if err != nil {
		return nil, f.id, err
	}
	z := &zone{Zone: Zone{ID: f.id}}
	if z.Name, err = f.label("name"); err != nil {
		return nil, f.id, err
	}
	z.Name = cmp.Or(z.Name, f.id)
	if z.Kind, err = f.label("kind"); err != nil {
		return nil, f.id, err
	}
	polygons, err := f.polygons()
	if err != nil {
		return nil, f.id, err
	}
	if t == stored {
		z.GeoJSON = raw
	} else {
		for i, rings := range polygons {
			if err := checkPolygon(rings); err != nil {
				if len(polygons) > 1 {
					err = fmt.Errorf("polygon %d: %w", i, err)
				}
				return nil, f.id, err
			}
		}
		if z.GeoJSON, err = f.rewrite(polygonText(f.geometry, polygons)); err != nil {
			return nil, f.id, err
		}
	}
	z.area = newArea(polygons)
	z.Box = z.area.box
	return z, f.id, nil
}

func (f *feature) polygons() (polygons [][][]Point, err error) {
	switch f.geometry {
	case "Polygon":
		rings, err := f.coords.polygon()
		return [][][]Point{rings}, err
	case "MultiPolygon":
		return f.coords.multiPolygon()
	}
	return nil, fmt.Errorf("its geometry is %s; a zone is a Polygon or a MultiPolygon", f.geometryName())
}

func (f *feature) geometryName() string {
	if f.geometry == "" {
		return "of no type"
	}
	return shorten(f.geometry)
}

func polygonText(geometry string, polygons [][][]Point) []byte {
	if geometry == "Polygon" {
		return appendPolygon(nil, polygons[0])
	}
	b := []byte{'['}
	for i, rings := range polygons {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPolygon(b, rings)
	}
	return append(b, ']')
}

// zoneSet is all zones at one time. Immutable.
type zoneSet struct {
	byID  map[string]*zone
	all   []Zone // by id
	boxes rtree.RTreeGN[float64, *zone]
}

func newZoneSet(byID map[string]*zone) *zoneSet {
	s := &zoneSet{byID: byID}
	for _, z := range byID {
		lo, hi := z.Box.grown(edgeDeg).corners()
		s.boxes.Insert(lo, hi, z)
		s.all = append(s.all, z.Zone)
	}
	slices.SortFunc(s.all, func(a, b Zone) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (s *zoneSet) with(zones []*zone) *zoneSet {
	byID := maps.Clone(s.byID)
	for _, z := range zones {
		byID[z.ID] = z
	}
	return newZoneSet(byID)
}

func (s *zoneSet) without(id string) *zoneSet {
	byID := maps.Clone(s.byID)
	delete(byID, id)
	return newZoneSet(byID)
}

func (s *zoneSet) at(p Point) []Zone {
	var out []Zone
	s.boxes.Search([2]float64{p.Lon, p.Lat}, [2]float64{p.Lon, p.Lat}, func(_, _ [2]float64, z *zone) bool {
		if z.area.contains(p) {
			out = append(out, z.Zone)
		}
		return true
	})
	slices.SortFunc(out, func(a, b Zone) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
