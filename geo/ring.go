package geo

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// gridDeg is the grid on which validity is judged: 0.1 mm. On it coordinates
// are whole numbers, so that orientations are exact.
const gridDeg = 1e-9

// vertex is a point in units of gridDeg: whole numbers up to 1.8e11.
type vertex struct{ x, y float64 }

func onGrid(p Point) vertex {
	return vertex{math.Round(p.Lon / gridDeg), math.Round(p.Lat / gridDeg)}
}

func (v vertex) String() string { return fmt.Sprintf("%.6f,%.6f", v.x*gridDeg, v.y*gridDeg) }

// orient is the side of the line from a to b on which c lies: 1 left, -1 right, 0 on it. Exact.
func orient(a, b, c vertex) int {
	l1, l2 := b.x-a.x, c.y-a.y
	r1, r2 := b.y-a.y, c.x-a.x
	left, right := l1*l2, r1*r2
	if left == right {
		// Rounded alike; what rounding took off decides. The factors are whole
		// numbers below 2^53, so fused multiply-add gives it exactly.
		left, right = math.FMA(l1, l2, -left), math.FMA(r1, r2, -right)
	}
	switch {
	case left > right:
		return 1
	case left < right:
		return -1
	}
	return 0
}

// ring is a closed ring on the grid, the last vertex not repeated, no two neighbours alike.
type ring []vertex

// newRing checks closure and length, and drops repeated neighbours.
func newRing(points []Point) (ring, error) {
	if len(points) < 4 {
		return nil, fmt.Errorf("has %d positions; a ring needs at least 4", len(points))
	}
	first, last := onGrid(points[0]), onGrid(points[len(points)-1])
	if first != last {
		return nil, fmt.Errorf("is open: it begins at %v and ends at %v", first, last)
	}
	r := make(ring, 0, len(points)-1)
	for _, p := range points[:len(points)-1] {
		if v := onGrid(p); len(r) == 0 || v != r[len(r)-1] {
			r = append(r, v)
		}
	}
	for len(r) > 1 && r[0] == r[len(r)-1] {
		r = r[:len(r)-1]
	}
	if len(r) < 3 {
		return nil, fmt.Errorf("has fewer than 3 different positions near %v", first)
	}
	return r, nil
}

// anticlockwise says which way round a simple ring goes, by the turn at its lowest, leftmost vertex.
func (r ring) anticlockwise() bool {
	low := 0
	for i, v := range r {
		if v.y < r[low].y || v.y == r[low].y && v.x < r[low].x {
			low = i
		}
	}
	n := len(r)
	return orient(r[(low+n-1)%n], r[low], r[(low+1)%n]) > 0
}

// checkPolygon says why rings are not a valid polygon (OGC Simple Features
// 6.1.11: rings are simple; holes lie in the shell and not in each other;
// rings may touch at points), and turns them the right way round (RFC 7946
// §3.1.6: shell anticlockwise, holes clockwise), in place.
func checkPolygon(rings [][]Point) error {
	if len(rings) == 0 {
		return errors.New("has no rings")
	}
	rs := make([]ring, len(rings))
	for i, points := range rings {
		r, err := newRing(points)
		if err != nil {
			return fmt.Errorf("ring %d %w", i, err)
		}
		rs[i] = r
	}
	if err := checkCrossings(rs); err != nil {
		return err
	}
	if err := checkHoles(rings); err != nil {
		return err
	}
	for i, r := range rs {
		if r.anticlockwise() != (i == 0) {
			slices.Reverse(rings[i])
		}
	}
	return nil
}
