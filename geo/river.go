package geo

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tidwall/rtree"
)

// river is a River with its line. Immutable.
type river struct {
	River
	line *line
}

// newRiver reads a Feature. The id comes back with an error too, as far as it is known.
func newRiver(raw json.RawMessage, t trust) (*river, string, error) {
	f, err := readFeature(raw)
	if err != nil {
		return nil, f.id, err
	}
	v := &river{River: River{ID: f.id}}
	if v.Name, err = f.label("name"); err != nil {
		return nil, f.id, err
	}
	v.Name = cmp.Or(v.Name, f.id)
	if v.Mouth, err = f.label("mouth"); err != nil {
		return nil, f.id, err
	}
	if v.Joins, err = f.joins(); err != nil {
		return nil, f.id, err
	}
	if f.geometry != "LineString" {
		return nil, f.id, fmt.Errorf("its geometry is %s; a river is a LineString, its first vertex at the mouth", f.geometryName())
	}
	points, err := f.coords.line()
	if err != nil {
		return nil, f.id, err
	}
	if v.line, err = newLine(points); err != nil {
		return nil, f.id, err
	}
	v.Box, v.LengthKM = v.line.box, math.Round(v.line.length()*1e3)/1e3
	if v.GeoJSON = raw; t == untrusted {
		if v.GeoJSON, err = f.rewrite(appendLine(nil, points)); err != nil {
			return nil, f.id, err
		}
	}
	return v, f.id, nil
}

// joins reads properties.joins: which river this one meets, and where. Whether
// that river exists is not asked, since it may come later.
func (f *feature) joins() (*Join, error) {
	raw := f.properties["joins"]
	if isNull(raw) {
		return nil, nil
	}
	var j struct {
		River *string
		KM    *float64
		End   string
	}
	switch err := json.Unmarshal(raw, &j); {
	case err != nil || j.River == nil || j.KM == nil:
		return nil, errors.New(`properties.joins is not {"river","km","end"}`)
	case !idPattern.MatchString(*j.River):
		return nil, errors.New("properties.joins.river is not an id")
	case *j.KM < 0:
		return nil, errors.New("properties.joins.km is below 0")
	case j.End != "upstream" && j.End != "downstream":
		return nil, errors.New(`properties.joins.end is neither "upstream" nor "downstream"`)
	}
	return &Join{*j.River, *j.KM, j.End}, nil
}

// segment is one piece of a river's line.
type segment struct {
	river *river
	at    int
}

// riverSet is all rivers at one time. Immutable.
type riverSet struct {
	byID     map[string]*river
	all      []River // by id
	segments rtree.RTreeGN[float64, segment]
}

func newRiverSet(byID map[string]*river) *riverSet {
	s := &riverSet{byID: byID}
	for _, v := range byID {
		for i := range len(v.line.points) - 1 {
			lo, hi := v.line.segmentBox(i).corners()
			s.segments.Insert(lo, hi, segment{v, i})
		}
		s.all = append(s.all, v.River)
	}
	slices.SortFunc(s.all, func(a, b River) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (s *riverSet) with(rivers []*river) *riverSet {
	byID := maps.Clone(s.byID)
	for _, v := range rivers {
		byID[v.ID] = v
	}
	return newRiverSet(byID)
}

func (s *riverSet) without(id string) *riverSet {
	byID := maps.Clone(s.byID)
	delete(byID, id)
	return newRiverSet(byID)
}

// snap finds the nearest place on any river; of rivers equally near (where
// they part) the one with the lesser id, so that the answer is always the same.
func (s *riverSet) snap(p Point, maxM float64) (best Chainage, ok bool) {
	if !p.Valid() || !(maxM >= 0) {
		return Chainage{}, false
	}
	s.segments.Nearby(func(lo, hi [2]float64, g segment, item bool) float64 {
		if item {
			m, _ := g.river.line.nearest(g.at, p)
			return m
		}
		return boxM(p, lo, hi)
	}, func(_, _ [2]float64, g segment, m float64) bool {
		if m > maxM || ok && m > best.OffsetM {
			return false
		}
		_, km := g.river.line.nearest(g.at, p)
		if !ok || cmp.Or(cmp.Compare(g.river.ID, best.River), cmp.Compare(km, best.KM)) < 0 {
			best, ok = Chainage{g.river.ID, km, m}, true
		}
		return true
	})
	return best, ok
}
