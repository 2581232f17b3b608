package geo

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// The WGS 84 ellipsoid.
const (
	equatorM   = 6378137.0         // equatorial radius, metres
	flattening = 1 / 298.257223563 // (equatorial - polar radius) / equatorial radius
	// shortestRadiusM is the smallest radius of curvature anywhere (along the
	// meridian at the equator). An arc of x radians is never shorter than
	// x times this: ds² = M²dφ² + N²cos²φdλ², and N ≥ M ≥ this.
	shortestRadiusM = equatorM * (1 - flattening) * (1 - flattening)
)

// Point is a place in WGS 84 degrees.
type Point struct {
	Lon float64 `json:"lon"`
	Lat float64 `json:"lat"`
}

// Valid says that p is finite, with longitude in -180..180 and latitude in -90..90.
func (p Point) Valid() bool {
	// NaN fails every comparison.
	return p.Lon >= -180 && p.Lon <= 180 && p.Lat >= -90 && p.Lat <= 90
}

// ParsePoint reads "lon,lat" in degrees. The error says what is wrong, and is fit to be shown.
func ParsePoint(s string) (Point, error) {
	lon, lat, ok := strings.Cut(s, ",")
	x, errX := strconv.ParseFloat(strings.TrimSpace(lon), 64)
	y, errY := strconv.ParseFloat(strings.TrimSpace(lat), 64)
	if !ok || errX != nil || errY != nil {
		return Point{}, errors.New("a point is longitude,latitude: 2 numbers with a comma between")
	}
	p := Point{x, y}
	if !p.Valid() {
		return Point{}, errors.New("a point is longitude,latitude in degrees: longitude in -180..180, latitude in -90..90")
	}
	return p, nil
}

// Distance is the length in metres of the shortest way from a to b along the
// earth. Lambert's formula for long lines: within 0.002 % of the geodesic
// up to 15,000 km, within 0.5 % beyond, towards the opposite side of the earth.
func Distance(a, b Point) float64 {
	b1, b2 := reduced(a.Lat), reduced(b.Lat)
	q, l := (b2-b1)/2, radians(b.Lon-a.Lon)/2
	h := sq(math.Sin(q)) + math.Cos(b1)*math.Cos(b2)*sq(math.Sin(l))
	if h == 0 {
		return 0
	}
	arc := 2 * math.Asin(math.Sqrt(min(h, 1)))
	if h > 0.999 { // nearly antipodal: the correction below diverges
		return equatorM * arc * (1 - flattening/2)
	}
	p := (b1 + b2) / 2
	x := (arc - math.Sin(arc)) * sq(math.Sin(p)*math.Cos(q)) / (1 - h)
	y := (arc + math.Sin(arc)) * sq(math.Cos(p)*math.Sin(q)) / h
	return equatorM * (arc - flattening/2*(x+y))
}

// Bearing is the direction in which one sets out from a to b, in degrees
// clockwise from north, 0 <= bearing < 360. It is 0 where a and b are one place.
func Bearing(a, b Point) float64 {
	b1, b2, l := reduced(a.Lat), reduced(b.Lat), radians(b.Lon-a.Lon)
	y := math.Sin(l) * math.Cos(b2)
	x := math.Cos(b1)*math.Sin(b2) - math.Sin(b1)*math.Cos(b2)*math.Cos(l)
	deg := math.Atan2(y, x) * 180 / math.Pi
	if deg < 0 {
		deg += 360
	}
	if deg >= 360 { // a tiny negative angle plus 360
		return 0
	}
	return deg
}

// boxArc is a lower bound, in radians, of the arc from p to any point of the box.
func boxArc(p Point, b Box) float64 {
	north := max(b.S-p.Lat, p.Lat-b.N, 0)
	if p.Lon >= b.W && p.Lon <= b.E {
		return radians(north)
	}
	// Every way in meets the west or the east meridian, of which the nearer counts.
	east := min(turn(b.W-p.Lon), turn(p.Lon-b.E))
	across := math.Pi/2 - radians(math.Abs(p.Lat)) // over the pole
	if east < 90 {
		across = math.Asin(math.Cos(radians(p.Lat)) * math.Sin(radians(east)))
	}
	return max(radians(north), across)
}

// turn brings an angle in degrees into 0 <= a < 360.
func turn(deg float64) float64 {
	deg = math.Mod(deg, 360)
	if deg < 0 {
		deg += 360
	}
	return deg
}

// reduced is the latitude on the sphere that the ellipsoid is squeezed from, in radians.
func reduced(latDeg float64) float64 {
	return math.Atan((1 - flattening) * math.Tan(radians(latDeg)))
}

func radians(deg float64) float64 { return deg * math.Pi / 180 }

func sq(x float64) float64 { return x * x }
