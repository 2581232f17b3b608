package geo

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
)

// provinceOf makes n adjoining communes, each a quadrilateral with wavy sides
// that it shares with its neighbours exactly, every third with a hole.
func provinceOf(n, perSide int) [][][]Point {
	corner := func(i, j int) Point {
		rnd := rand.New(rand.NewPCG(uint64(i), uint64(j)))
		return Point{105 + 0.1*(float64(i)+0.3*rnd.Float64()), 9.5 + 0.1*(float64(j)+0.3*rnd.Float64())}
	}
	side := func(a, b Point) []Point { // from a, short of b; the same points either way round
		turned := a.Lon > b.Lon || a.Lon == b.Lon && a.Lat > b.Lat
		if turned {
			a, b = b, a
		}
		var out []Point
		for k := range perSide + 1 {
			t := float64(k) / float64(perSide)
			w := 0.004 * math.Sin(9*t*math.Pi) * sq(math.Sin(t*math.Pi)) // calm at the corners
			if k == 0 || k == perSide {
				w = 0
			}
			out = append(out, Point{a.Lon + t*(b.Lon-a.Lon) - w*(b.Lat-a.Lat)*10, a.Lat + t*(b.Lat-a.Lat) + w*(b.Lon-a.Lon)*10})
		}
		if turned {
			slices.Reverse(out)
		}
		return out[:perSide]
	}
	wide := int(math.Ceil(math.Sqrt(float64(n))))
	var zones [][][]Point
	for k := range n {
		i, j := k%wide, k/wide
		c := [4]Point{corner(i, j), corner(i+1, j), corner(i+1, j+1), corner(i, j+1)}
		var shell []Point
		for s := range 4 {
			shell = append(shell, side(c[s], c[(s+1)%4])...)
		}
		rings := [][]Point{append(shell, shell[0])}
		if k%3 == 0 {
			m := Point{(c[0].Lon + c[2].Lon) / 2, (c[0].Lat + c[2].Lat) / 2}
			rings = append(rings, []Point{{m.Lon, m.Lat}, {m.Lon, m.Lat + 0.01}, {m.Lon + 0.01, m.Lat + 0.005}, {m.Lon, m.Lat}})
		}
		zones = append(zones, rings)
	}
	return zones
}

func putProvince(t testing.TB, zones [][][]Point) *Atlas {
	t.Helper()
	var features []string
	for i, rings := range zones {
		features = append(features, polygon(fmt.Sprintf("c%04d", i), string(appendPolygon(nil, rings))))
	}
	a := openAtlas(t)
	if n, refused, err := a.PutZones(t.Context(), strings.NewReader(collection(features...))); n != len(zones) || err != nil {
		t.Fatalf("accepted %d of %d, refused %v, %v", n, len(zones), refused[:min(3, len(refused))], err)
	}
	return a
}

func orbPolygon(rings [][]Point) orb.Polygon {
	var p orb.Polygon
	for _, r := range rings {
		var o orb.Ring
		for _, v := range r {
			o = append(o, orb.Point{v.Lon, v.Lat})
		}
		p = append(p, o)
	}
	return p
}

// Away from borders the index says what orb says after looking at everything.
func TestZonesAtAgainstNaiveScan(t *testing.T) {
	zones := provinceOf(64, 20)
	a := putProvince(t, zones)
	var naive []orb.Polygon
	for _, z := range zones {
		naive = append(naive, orbPolygon(z))
	}
	rnd := rand.New(rand.NewPCG(11, 12))
	found := 0
	for range 2000 {
		p := Point{104.9 + rnd.Float64(), 9.4 + rnd.Float64()}
		var want []string
		for i, z := range naive {
			if planar.PolygonContains(z, orb.Point{p.Lon, p.Lat}) {
				want = append(want, fmt.Sprintf("c%04d", i))
			}
		}
		var got []string
		for _, z := range a.ZonesAt(p) {
			got = append(got, z.ID)
			if !a.InZone(z.ID, p) {
				t.Fatalf("%v: ZonesAt has %s, InZone has not", p, z.ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v: %v; naive %v", p, got, want)
		}
		found += len(got)
	}
	if found < 500 {
		t.Fatalf("only %d points lay in a zone", found)
	}
}

// Every vertex and every place on a side lies in the zone, and in its neighbour's too.
func TestBorderPointsAreInside(t *testing.T) {
	zones := provinceOf(25, 12)
	a := putProvince(t, zones)
	shared := 0
	for i, rings := range zones {
		id := fmt.Sprintf("c%04d", i)
		for _, r := range rings {
			for k := range len(r) - 1 {
				for _, f := range []float64{0, 0.5, 1.0 / 3} {
					p := Point{r[k].Lon + f*(r[k+1].Lon-r[k].Lon), r[k].Lat + f*(r[k+1].Lat-r[k].Lat)}
					if !a.InZone(id, p) {
						t.Fatalf("%v lies on the border of %s, but not in it", p, id)
					}
					at := a.ZonesAt(p)
					if !slices.ContainsFunc(at, func(z Zone) bool { return z.ID == id }) {
						t.Fatalf("%v lies on the border of %s; ZonesAt gives %v", p, id, at)
					}
					if len(at) > 1 {
						shared++
					}
				}
			}
		}
	}
	if shared < 100 {
		t.Errorf("only %d border points lie in two zones", shared)
	}
}

// Shapes that trouble band lists: tall teeth, flat rings, holes, islands.
func TestContainsOnOddShapes(t *testing.T) {
	var comb []Point
	for i := range 500 {
		x := 100 + float64(i)*0.02
		comb = append(comb, Point{x, 0}, Point{x, 50}, Point{x + 0.01, 50}, Point{x + 0.01, 0})
	}
	comb = append(comb, Point{110, -1}, Point{100, -1}, comb[0])
	b := newBands([][]Point{comb})
	if n := len(b.edges); n > 4*len(b.points)+4096 {
		t.Errorf("the comb's lists hold %d edges for %d points", n, len(b.points))
	}
	for _, c := range []struct {
		p    Point
		want bool
	}{
		{Point{100.005, 25}, true}, {Point{100.015, 25}, false}, {Point{100.015, -0.5}, true}, {Point{100.02, 25}, true},
		{Point{104.005, 49.99}, true}, {Point{104.005, 50.01}, false}, {Point{99.99, 25}, false}, {Point{105, -1}, true}, {Point{105, -1.1}, false},
		{Point{math.NaN(), 25}, false}, {Point{104, math.NaN()}, false}, {Point{math.Inf(1), 25}, false},
	} {
		if b.contains(c.p) != c.want {
			t.Errorf("comb, %v: %v", c.p, !c.want)
		}
	}
	two := newArea([][][]Point{
		{{{106, 10}, {107, 10}, {107, 11}, {106, 11}, {106, 10}}, {{106.4, 10.4}, {106.4, 10.6}, {106.6, 10.6}, {106.6, 10.4}, {106.4, 10.4}}},
		{{{108, 10}, {109, 10}, {108.5, 11}, {108, 10}}},
	})
	for _, c := range []struct {
		p    Point
		want bool
	}{
		{Point{106.2, 10.2}, true}, {Point{106.5, 10.5}, false}, {Point{106.4, 10.5}, true}, {Point{107.5, 10.5}, false},
		{Point{108.5, 10.5}, true}, {Point{108.5, 11}, true}, {Point{108.1, 10.9}, false}, {Point{107, 11}, true},
	} {
		if two.contains(c.p) != c.want {
			t.Errorf("two parts, %v: %v", c.p, !c.want)
		}
	}
}

func TestSnapAgainstNaiveScan(t *testing.T) {
	a := openAtlas(t)
	rivers := a.rivers.Load()
	rnd := rand.New(rand.NewPCG(13, 14))
	on := 0
	for range 300 {
		p := Point{105 + 2*rnd.Float64(), 9 + 2*rnd.Float64()}
		maxM := 20_000 * rnd.Float64()
		best := Chainage{OffsetM: math.Inf(1)}
		for _, v := range rivers.byID {
			for i := range len(v.line.points) - 1 {
				if m, km := v.line.nearest(i, p); m < best.OffsetM || m == best.OffsetM && v.ID < best.River {
					best = Chainage{v.ID, km, m}
				}
			}
		}
		got, ok := a.Snap(p, maxM)
		if want := best.OffsetM <= maxM; ok != want {
			t.Fatalf("%v within %.0f m: %+v, %v; naive %+v", p, maxM, got, ok, best)
		}
		if !ok {
			continue
		}
		on++
		if got.River != best.River || math.Abs(got.KM-best.KM) > 0.002 || math.Abs(got.OffsetM-best.OffsetM) > 0.1 {
			t.Fatalf("%v: %+v; naive %+v", p, got, best)
		}
	}
	if on < 60 {
		t.Fatalf("only %d points lay near a river", on)
	}
}

func TestSnap(t *testing.T) {
	a := openAtlas(t)
	for _, v := range a.Rivers() {
		if _, err := a.DeleteRiver(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
	}
	if c, ok := a.Snap(Point{106, 10}, 1e9); ok {
		t.Fatalf("snapped to %+v where there is no river", c)
	}
	put := `{"type":"Feature","properties":{"id":"r","name":"R","mouth":"M"},"geometry":{"type":"LineString","coordinates":[[106,10],[106,10.1],[106,10.1],[106,10.2]]}}`
	if n, refused, err := a.PutRivers(t.Context(), strings.NewReader(collection(put, lineString("z", `[[106,10.2],[106.1,10.2]]`)))); n != 2 || err != nil {
		t.Fatal(n, refused, err)
	}
	for _, c := range []struct {
		name string
		p    Point
		maxM float64
		want Chainage
		ok   bool
	}{
		{"at the mouth", Point{106, 10}, 1, Chainage{"r", 0, 0}, true},
		{"out at sea", Point{106, 9.99}, 2000, Chainage{"r", 0, 1105.9}, true},
		{"half way up, one side", Point{106.001, 10.1}, 200, Chainage{"r", 11.06, 109.6}, true},
		{"half way up, the other side", Point{105.999, 10.1}, 200, Chainage{"r", 11.06, 109.6}, true},
		{"too far", Point{106.001, 10.1}, 109, Chainage{}, false},
		{"where two part: the lesser id", Point{106, 10.2}, 10, Chainage{"r", 22.12, 0}, true},
		{"on the second", Point{106.05, 10.2}, 10, Chainage{"z", 5.479, 0}, true},
		{"nowhere", Point{math.NaN(), 10}, 1e9, Chainage{}, false},
		{"out of range", Point{106, 91}, 1e9, Chainage{}, false},
		{"within no distance", Point{106, 10}, math.NaN(), Chainage{}, false},
		{"within less than none", Point{106, 10}, -1, Chainage{}, false},
		{"however far", Point{-70, -30}, math.Inf(1), Chainage{"r", 0, 0}, true},
	} {
		got, ok := a.Snap(c.p, c.maxM)
		if c.name == "however far" {
			got.OffsetM, c.want.River, c.want.KM = 0, got.River, got.KM
		}
		if ok != c.ok || got.River != c.want.River || math.Abs(got.KM-c.want.KM) > 0.002 || math.Abs(got.OffsetM-c.want.OffsetM) > 0.3 {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestIndexAgainstNaiveScan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 16))
	x := NewIndex[int]()
	at := map[int]Point{}
	for step := range 4000 {
		switch k := rnd.IntN(800); {
		case rnd.IntN(4) == 0:
			x.Delete(k)
			delete(at, k)
		default: // on a coarse grid, so that many share a place
			at[k] = Point{math.Round(rnd.Float64()*72-36) * 5, math.Round(rnd.Float64()*36-18) * 5}
			x.Set(k, at[k])
		}
		if step%20 != 0 {
			continue
		}
		if x.Len() != len(at) {
			t.Fatalf("%d items; want %d", x.Len(), len(at))
		}
		p, n := randomPoint(rnd), 1+rnd.IntN(20)
		var want []Hit[int]
		for k, q := range at {
			want = append(want, Hit[int]{k, Distance(p, q)})
		}
		slices.SortFunc(want, func(a, b Hit[int]) int {
			return cmp.Or(cmp.Compare(a.DistanceM, b.DistanceM), cmp.Compare(a.Key, b.Key))
		})
		if got := x.Near(p, n); !slices.Equal(got, want[:min(n, len(want))]) {
			t.Fatalf("near %v: %v; naive %v", p, got, want[:min(n, len(want))])
		}
		box := boxOf([]Point{randomPoint(rnd), randomPoint(rnd)})
		var in []int
		for k, q := range at {
			if box.Contains(q) {
				in = append(in, k)
			}
		}
		slices.Sort(in)
		if got := x.In(box); !slices.Equal(got, in) {
			t.Fatalf("in %v: %v; naive %v", box, got, in)
		}
	}
}

func TestIndexEdges(t *testing.T) {
	x := NewIndex[string]()
	if x.Near(Point{}, 3) != nil || x.In(Box{-180, -90, 180, 90}) != nil {
		t.Error("an empty index finds something")
	}
	x.Set("fiji", Point{179.9, -17})
	x.Set("samoa", Point{-172, -14})
	x.Set("my-tho", Point{106.36, 10.36})
	if got := x.Near(Point{-179.9, -17}, 1); len(got) != 1 || got[0].Key != "fiji" || got[0].DistanceM > 22_000 {
		t.Errorf("across the antimeridian: %v", got)
	}
	if x.Near(Point{0, 0}, 0) != nil || x.Near(Point{math.NaN(), 0}, 1) != nil {
		t.Error("none asked for, or nowhere: something found")
	}
	if got := x.Near(Point{0, 0}, 99); len(got) != 3 {
		t.Errorf("all: %v", got)
	}
	x.Set("fiji", Point{math.NaN(), 0})
	x.Delete("samoa")
	x.Delete("samoa")
	if got := x.Near(Point{0, 0}, 99); len(got) != 1 || got[0].Key != "my-tho" || x.Len() != 1 {
		t.Errorf("after taking two out: %v", got)
	}
}

// BenchmarkZoneOfPoint prints how many times faster the index finds the zone
// of a point than orb does by trying all zones, in the same run.
func BenchmarkZoneOfPoint(b *testing.B) {
	zones := provinceOf(205, 400) // as many communes as a province has, 1,600 vertices each
	a := putProvince(b, zones)
	var naive []orb.Polygon
	for _, z := range zones {
		naive = append(naive, orbPolygon(z))
	}
	rnd := rand.New(rand.NewPCG(17, 18))
	points := make([]Point, 64)
	for i := range points {
		points[i] = Point{105 + 1.4*rnd.Float64(), 9.5 + 1.4*rnd.Float64()}
	}
	perPoint := func(f func(p Point) bool) float64 {
		start := b.Elapsed()
		for i := range 64 {
			sink = f(points[i%len(points)])
		}
		return float64(b.Elapsed() - start)
	}
	var index, scan float64
	for b.Loop() {
		index += perPoint(func(p Point) bool { return len(a.ZonesAt(p)) > 0 })
		scan += perPoint(func(p Point) (in bool) {
			for _, z := range naive {
				in = planar.PolygonContains(z, orb.Point{p.Lon, p.Lat}) || in
			}
			return in
		})
	}
	b.ReportMetric(scan/index, "x-naive")
	b.ReportMetric(index/64/float64(b.N), "ns/point")
	b.ReportMetric(0, "ns/op")
}

var sink bool
