package geo

import (
	"math"
	"math/rand/v2"
	"testing"

	orbgeo "github.com/paulmach/orb/geo"
)

func TestDistanceAgainstGeodesics(t *testing.T) {
	// Vincenty's and Karney's figures.
	for _, c := range []struct {
		name string
		a, b Point
		want float64 // metres
		tol  float64 // of it
	}{
		{"Flinders Peak to Buninyong", Point{144.424867889, -37.951033417}, Point{143.926495528, -37.652821139}, 54972.271, 1e-5},
		{"a degree along the equator", Point{0, 0}, Point{1, 0}, 111319.491, 1e-6},
		{"a degree north from the equator", Point{0, 0}, Point{0, 1}, 110574.389, 1e-5},
		{"equator to pole", Point{30, 0}, Point{-50, 90}, 10001965.729, 1e-5},
		{"across the antimeridian", Point{179.5, 0}, Point{-179.5, 0}, 111319.491, 1e-6},
		{"the other side of the earth", Point{0, 0}, Point{180, 0}, 20003931.459, 5e-3},
		{"one metre", Point{106.36, 10.36}, Point{106.36, 10.36 + 1/110581.5}, 1, 1e-3},
		{"nowhere", Point{106.36, 10.36}, Point{106.36, 10.36}, 0, 0},
	} {
		for _, got := range []float64{Distance(c.a, c.b), Distance(c.b, c.a)} {
			if math.Abs(got-c.want) > c.want*c.tol {
				t.Errorf("%s: %.3f m; want %.3f", c.name, got, c.want)
			}
		}
	}
}

// The sphere of another author is 0.7 % off at most, and so are we from it.
func TestDistanceNearTheSphere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		a, b := randomPoint(rnd), randomPoint(rnd)
		got := Distance(a, b)
		sphere := orbgeo.DistanceHaversine([2]float64{a.Lon, a.Lat}, [2]float64{b.Lon, b.Lat})
		if !(math.Abs(got-sphere) <= 0.008*sphere) {
			t.Fatalf("%v to %v: %.1f m; on the sphere %.1f", a, b, got, sphere)
		}
	}
}

func TestBearing(t *testing.T) {
	myTho := Point{106.36, 10.36}
	for _, c := range []struct {
		name string
		a, b Point
		want float64
		tol  float64
	}{
		{"north", myTho, Point{106.36, 11}, 0, 1e-9},
		{"east on the equator", Point{0, 0}, Point{1, 0}, 90, 1e-9},
		{"south", myTho, Point{106.36, 9}, 180, 1e-9},
		{"west on the equator", Point{0, 0}, Point{-1, 0}, 270, 1e-9},
		{"across the antimeridian", Point{179.9, 0}, Point{-179.9, 0}, 90, 1e-9},
		{"Flinders Peak to Buninyong", Point{144.424867889, -37.951033417}, Point{143.926495528, -37.652821139}, 306.8681589, 0.2},
		{"nowhere", myTho, myTho, 0, 0},
	} {
		got := Bearing(c.a, c.b)
		if math.Abs(got-c.want) > c.tol || got < 0 || got >= 360 {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

func TestPointValid(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		p    Point
		want bool
	}{
		{Point{106.36, 10.36}, true}, {Point{180, 90}, true}, {Point{-180, -90}, true}, {Point{}, true},
		{Point{180.0001, 0}, false}, {Point{0, 90.0001}, false}, {Point{0, -90.0001}, false}, {Point{-180.0001, 0}, false},
		{Point{nan, 0}, false}, {Point{0, nan}, false}, {Point{inf, 0}, false}, {Point{0, -inf}, false}, {Point{1e308, 1e308}, false},
	} {
		if got := c.p.Valid(); got != c.want {
			t.Errorf("%v: valid is %v", c.p, got)
		}
	}
}

// Nearest-first search is right only if no box claims to be farther than what it holds.
func TestBoxBoundNeverExceedsTheDistance(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		a, b, p := randomPoint(rnd), randomPoint(rnd), randomPoint(rnd)
		box := boxOf([]Point{a, b})
		inside := Point{box.W + rnd.Float64()*(box.E-box.W), box.S + rnd.Float64()*(box.N-box.S)}
		lo, hi := box.corners()
		if bound, m := boxM(p, lo, hi), Distance(p, inside); bound > m {
			t.Fatalf("from %v into %v: bound %.1f m, but %v is at %.1f m", p, box, bound, inside, m)
		}
		if box.Contains(p) && boxM(p, lo, hi) != 0 {
			t.Fatalf("%v lies in %v, yet its bound is not 0", p, box)
		}
	}
}

func randomPoint(rnd *rand.Rand) Point {
	return Point{rnd.Float64()*360 - 180, rnd.Float64()*180 - 90}
}
