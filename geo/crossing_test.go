package geo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// On rings of few places, where every kind of touch is common, the tree finds
// a fault exactly where trying all pairs does.
func TestCrossingsAgainstAllPairs(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	good, bad := 0, 0
	for range 30_000 {
		var rings []ring
		for range 1 + rnd.IntN(3) {
			var points []Point
			for range 3 + rnd.IntN(6) {
				points = append(points, Point{float64(rnd.IntN(9)), float64(rnd.IntN(9))})
			}
			r, err := newRing(append(points, points[0]))
			if err != nil {
				continue
			}
			rings = append(rings, r)
		}
		if len(rings) == 0 {
			continue
		}
		got := checkCrossings(rings)
		want := allPairs(rings)
		if (got != nil) != want {
			t.Fatalf("%v: %v; all pairs say fault: %v", rings, got, want)
		}
		if want {
			bad++
		} else {
			good++
		}
	}
	if good < 1000 || bad < 1000 {
		t.Fatalf("%d good and %d bad: the trial tells little", good, bad)
	}
}

// allPairs is the rule again in plain arithmetic on small whole numbers.
func allPairs(rings []ring) (fault bool) {
	type side struct {
		ring, at int
		a, b     vertex
	}
	var sides []side
	for i, r := range rings {
		for k := range r {
			sides = append(sides, side{i, k, r[k], r[(k+1)%len(r)]})
		}
	}
	turn := func(a, b, c vertex) float64 {
		const u = 1e9
		return (b.x-a.x)/u*(c.y-a.y)/u - (b.y-a.y)/u*(c.x-a.x)/u
	}
	inBox := func(s side, v vertex) bool {
		return v.x >= min(s.a.x, s.b.x) && v.x <= max(s.a.x, s.b.x) && v.y >= min(s.a.y, s.b.y) && v.y <= max(s.a.y, s.b.y)
	}
	for i, s := range sides {
		for _, o := range sides[:i] {
			t1, t2, t3, t4 := turn(s.a, s.b, o.a), turn(s.a, s.b, o.b), turn(o.a, o.b, s.a), turn(o.a, o.b, s.b)
			if t1*t2 < 0 && t3*t4 < 0 {
				return true
			}
			common := map[vertex]bool{}
			for _, x := range []struct {
				turn float64
				on   side
				v    vertex
			}{{t1, s, o.a}, {t2, s, o.b}, {t3, o, s.a}, {t4, o, s.b}} {
				if x.turn == 0 && inBox(x.on, x.v) {
					common[x.v] = true
				}
			}
			n := len(rings[s.ring])
			next := s.ring == o.ring && ((s.at+1)%n == o.at || (o.at+1)%n == s.at)
			if len(common) > 1 || len(common) == 1 && s.ring == o.ring && !next {
				return true
			}
		}
	}
	return false
}

// A large ring is checked in a number of steps that grows with its length,
// and one crossing in it is found and told where.
func TestLargeRing(t *testing.T) {
	const n = 199_999
	rnd := rand.New(rand.NewPCG(7, 8))
	points := make([]Point, n)
	for i := range points {
		a, r := 2*math.Pi*float64(i)/n, 1+0.001*rnd.Float64()
		points[i] = Point{106 + r*math.Cos(a), 10 + r*math.Sin(a)}
	}
	rings := [][]Point{append(points[:n:n], points[0])}
	if err := checkPolygon(rings); err != nil {
		t.Fatal(err)
	}
	rings[0][50_000], rings[0][50_002] = rings[0][50_002], rings[0][50_000]
	err := checkPolygon(rings)
	if err == nil {
		t.Fatal("the crossing is not found")
	}
	var near Point
	if _, err := fmt.Sscanf(err.Error(), "ring 0 crosses or touches itself near %f,%f", &near.Lon, &near.Lat); err != nil || Distance(near, points[50_001]) > 200 {
		t.Errorf("%q; the crossing is at %v", err, points[50_001])
	}
}

// Many holes in any order are no reason to be slow or to be refused.
func TestManyHoles(t *testing.T) {
	rings := [][]Point{{{0, 0}, {20, 0}, {20, 20}, {0, 20}, {0, 0}}}
	for i := range 100 {
		for j := range 100 {
			x, y := float64(i)*0.2+0.05, float64(j)*0.2+0.05
			rings = append(rings, []Point{{x, y}, {x, y + 0.1}, {x + 0.1, y + 0.1}, {x + 0.1, y}, {x, y}})
		}
	}
	rnd := rand.New(rand.NewPCG(9, 10))
	rnd.Shuffle(len(rings)-1, func(i, j int) { rings[i+1], rings[j+1] = rings[j+1], rings[i+1] })
	if err := checkPolygon(rings); err != nil {
		t.Fatal(err)
	}
	rings[77] = []Point{{rings[78][0].Lon - 0.01, rings[78][0].Lat + 0.05}, {rings[78][0].Lon + 0.05, rings[78][0].Lat + 0.06}, {rings[78][0].Lon + 0.05, rings[78][0].Lat + 0.04}, {rings[78][0].Lon - 0.01, rings[78][0].Lat + 0.05}}
	if err := checkPolygon(rings); err == nil || !strings.Contains(err.Error(), "rings 77 and 78 cross") {
		t.Fatalf("two crossing holes: %v", err)
	}
}

// Orientation is exact where floating point alone is not.
func TestOrientIsExact(t *testing.T) {
	const n = 1.7e11
	a := vertex{-0.8e11, -0.8e11}
	b := vertex{a.x + n, a.y + n - 1}
	for _, c := range []struct {
		v    vertex
		want int
	}{
		{a, 0}, {b, 0},
		// The products of the sides are 2.9e22 and differ by 1, far below their last bit.
		{vertex{a.x + n - 1, a.y + n - 2}, -1},
		{vertex{a.x + n + 1, a.y + n}, 1},
		{vertex{a.x + n - 1, a.y + n - 1}, 1},
	} {
		if got := orient(a, b, c.v); got != c.want {
			t.Errorf("%v: %d; want %d", c.v, got, c.want)
		}
		if got := orient(b, a, c.v); got != -c.want {
			t.Errorf("%v from the other end: %d; want %d", c.v, got, -c.want)
		}
	}
}
