package geo

import (
	"math"
	"math/rand/v2"
	"strings"
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

// Lambert's formula keeps its promise against Vincenty's, which iterates to the millimetre.
func TestDistanceAgainstVincenty(t *testing.T) {
	rnd := rand.New(rand.NewPCG(21, 22))
	worst := 0.0
	for i := range 20_000 {
		a, b := randomPoint(rnd), randomPoint(rnd)
		if i%2 == 0 { // within some kilometres, as nearly all of ours are
			b = Point{a.Lon + 0.1*(rnd.Float64()-0.5), min(max(a.Lat+0.1*(rnd.Float64()-0.5), -90), 90)}
		}
		want := vincenty(a, b)
		if want > 19_000_000 { // nearly antipodal: Vincenty does not converge
			continue
		}
		off := math.Abs(Distance(a, b)-want) / want
		most := 2e-5
		if want > 15_000_000 {
			most = 5e-3
		}
		if worst = max(worst, off/most); off > most {
			t.Fatalf("%v to %v: %.3f m; Vincenty %.3f", a, b, Distance(a, b), want)
		}
	}
	t.Logf("at most %.2g of what is allowed", worst)
}

func vincenty(p, q Point) float64 {
	const f = flattening
	b := equatorM * (1 - f)
	u1, u2, l := reduced(p.Lat), reduced(q.Lat), radians(q.Lon-p.Lon)
	s1, c1 := math.Sincos(u1)
	s2, c2 := math.Sincos(u2)
	lambda := l
	var sinS, cosS, s, cosSqA, cos2M float64
	for range 200 {
		sl, cl := math.Sincos(lambda)
		sinS = math.Hypot(c2*sl, c1*s2-s1*c2*cl)
		cosS = s1*s2 + c1*c2*cl
		s = math.Atan2(sinS, cosS)
		sinA := c1 * c2 * sl / sinS
		cosSqA = 1 - sinA*sinA
		cos2M = 0
		if cosSqA > 1e-12 {
			cos2M = cosS - 2*s1*s2/cosSqA
		}
		c := f / 16 * cosSqA * (4 + f*(4-3*cosSqA))
		was := lambda
		lambda = l + (1-c)*f*sinA*(s+c*sinS*(cos2M+c*cosS*(2*cos2M*cos2M-1)))
		if math.Abs(lambda-was) < 1e-13 {
			break
		}
	}
	uSq := cosSqA * (equatorM*equatorM - b*b) / (b * b)
	a1 := 1 + uSq/16384*(4096+uSq*(-768+uSq*(320-175*uSq)))
	b1 := uSq / 1024 * (256 + uSq*(-128+uSq*(74-47*uSq)))
	ds := b1 * sinS * (cos2M + b1/4*(cosS*(2*cos2M*cos2M-1)-b1/6*cos2M*(4*sinS*sinS-3)*(4*cos2M*cos2M-3)))
	return b * a1 * (s - ds)
}

func TestParsePoint(t *testing.T) {
	for _, c := range []struct {
		text string
		want Point
		why  string
	}{
		{"106.36,10.36", Point{106.36, 10.36}, ""}, {" -180 , 90", Point{-180, 90}, ""},
		{"", Point{}, "2 numbers"}, {"106.36", Point{}, "2 numbers"}, {"1,2,3", Point{}, "2 numbers"}, {"a,b", Point{}, "2 numbers"}, {"1e999,0", Point{}, "2 numbers"},
		{"NaN,0", Point{}, "in degrees"}, {"10.36,106.36", Point{}, "in degrees"}, {"181,0", Point{}, "in degrees"}, {"0,1e308", Point{}, "in degrees"},
	} {
		got, err := ParsePoint(c.text)
		if got != c.want || (err != nil) != (c.why != "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %v, %v", c.text, got, err)
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
