package geo

import (
	"errors"
	"fmt"
	"math"
)

// line is a river's centre line with the chainage of each vertex. Immutable.
type line struct {
	box    Box
	points []Point
	km     []float64 // from the first vertex, geodesic
}

func newLine(points []Point) (*line, error) {
	if len(points) < 2 {
		return nil, fmt.Errorf("has %d position; a line needs at least 2", len(points))
	}
	l := &line{box: boxOf(points), points: points, km: make([]float64, len(points))}
	for i := 1; i < len(points); i++ {
		l.km[i] = l.km[i-1] + Distance(points[i-1], points[i])/1000
	}
	if l.length() == 0 {
		return nil, errors.New("all its positions are one place")
	}
	return l, nil
}

func (l *line) length() float64 { return l.km[len(l.km)-1] }

// nearest is the place on segment i (from vertex i to the next) that is
// nearest to p: its distance in metres and its chainage. The foot is found on
// a plane that touches the earth at p, which is sound for segments of up to
// some tens of kilometres.
func (l *line) nearest(i int, p Point) (offsetM, km float64) {
	a, b := l.points[i], l.points[i+1]
	shrink := math.Cos(radians(p.Lat))
	ax, ay := (a.Lon-p.Lon)*shrink, a.Lat-p.Lat
	dx, dy := (b.Lon-a.Lon)*shrink, b.Lat-a.Lat
	t := 0.0
	if d := dx*dx + dy*dy; d > 0 {
		t = min(max(-(ax*dx+ay*dy)/d, 0), 1)
	}
	foot := Point{a.Lon + t*(b.Lon-a.Lon), a.Lat + t*(b.Lat-a.Lat)}
	return Distance(p, foot), l.km[i] + t*(l.km[i+1]-l.km[i])
}

// segmentBox is the box of segment i.
func (l *line) segmentBox(i int) Box { return boxOf(l.points[i : i+2]) }
