package geo

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Box is west, south, east, north in degrees; it never crosses the antimeridian.
// In JSON it is [w,s,e,n] (RFC 7946 §5).
type Box struct{ W, S, E, N float64 }

// ParseBox reads "w,s,e,n" in degrees. The error says what is wrong, and is fit to be shown.
func ParseBox(s string) (Box, error) {
	parts := strings.Split(s, ",")
	if len(parts) != 4 {
		return Box{}, fmt.Errorf("a box is west,south,east,north: 4 numbers with commas between, not %d", len(parts))
	}
	var v [4]float64
	for i, part := range parts {
		x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			return Box{}, fmt.Errorf("a box is west,south,east,north: number %d is not readable", i+1)
		}
		v[i] = x
	}
	b := Box{v[0], v[1], v[2], v[3]}
	if err := b.check(); err != nil {
		return Box{}, err
	}
	return b, nil
}

func (b Box) check() error {
	switch {
	case !Point{b.W, b.S}.Valid() || !Point{b.E, b.N}.Valid():
		return errors.New("a box is west,south,east,north in degrees: longitudes in -180..180, latitudes in -90..90")
	case b.W > b.E:
		return fmt.Errorf("the west of the box (%g) lies east of its east (%g); a box must not cross the antimeridian", b.W, b.E)
	case b.S > b.N:
		return fmt.Errorf("the south of the box (%g) lies north of its north (%g)", b.S, b.N)
	}
	return nil
}

// Valid says that the box's corners are valid points in the right order.
func (b Box) Valid() bool { return b.check() == nil }

// Contains says whether p lies in the box or on its edge.
func (b Box) Contains(p Point) bool {
	return p.Lon >= b.W && p.Lon <= b.E && p.Lat >= b.S && p.Lat <= b.N
}

// Intersects says whether the boxes share a point.
func (b Box) Intersects(o Box) bool {
	return b.W <= o.E && o.W <= b.E && b.S <= o.N && o.S <= b.N
}

// Union is the smallest box that holds both.
func (b Box) Union(o Box) Box {
	return Box{min(b.W, o.W), min(b.S, o.S), max(b.E, o.E), max(b.N, o.N)}
}

// MarshalJSON writes [w,s,e,n].
func (b Box) MarshalJSON() ([]byte, error) { return json.Marshal([4]float64{b.W, b.S, b.E, b.N}) }

// UnmarshalJSON reads [w,s,e,n] and refuses what ParseBox would.
func (b *Box) UnmarshalJSON(text []byte) error {
	var v []*float64
	if err := json.Unmarshal(text, &v); err != nil || len(v) != 4 {
		return errors.New("a box is [west,south,east,north], 4 numbers in degrees")
	}
	for _, x := range v {
		if x == nil {
			return errors.New("a box is [west,south,east,north], 4 numbers in degrees")
		}
	}
	got := Box{*v[0], *v[1], *v[2], *v[3]}
	if err := got.check(); err != nil {
		return err
	}
	*b = got
	return nil
}

// boxOf is the smallest box round the points; of none it is a box that holds nothing.
func boxOf(points []Point) Box {
	b := Box{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
	for _, p := range points {
		b = Box{min(b.W, p.Lon), min(b.S, p.Lat), max(b.E, p.Lon), max(b.N, p.Lat)}
	}
	return b
}

func (b Box) corners() (lo, hi [2]float64) {
	return [2]float64{b.W, b.S}, [2]float64{b.E, b.N}
}
