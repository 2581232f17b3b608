package field

import (
	"math"
	"time"
)

// A constituent is one line of the tide's spectrum.
//
// Its equilibrium argument is V = sun·15°·(UT hours) + s·s + h·h + p·p + shift,
// with s, h, p the mean longitudes of moon, sun and lunar perigee
// (Schureman 1940, table 2; Doodson's numbers with the hour angle counted from
// midnight at Greenwich).
type constituent struct {
	name       string
	metres     float64 // amplitude
	greenwich  float64 // phase lag g, degrees
	sun        float64 // 1 diurnal, 2 semi-diurnal, 0 long period
	s, h, p    float64
	shift      float64
	nodal      nodalKind
	isSeasonal bool // of the year, not of the moon
}

// vungTau: amplitudes and Greenwich phases of TICON-4 (CC BY 4.0) for Vũng Tàu,
// the gauge nearest to the mouths. The phase of SA is taken against h.
var vungTau = []constituent{
	{name: "M2", metres: .773, greenwich: 193.8, sun: 2, s: -2, h: 2, nodal: likeM2},
	{name: "K1", metres: .595, greenwich: 206.6, sun: 1, h: 1, shift: 90, nodal: likeK1},
	{name: "O1", metres: .447, greenwich: 164.9, sun: 1, s: -2, h: 1, shift: -90, nodal: likeO1},
	{name: "S2", metres: .302, greenwich: 228.6, sun: 2},
	{name: "SA", metres: .212, greenwich: 278.1, h: 1, isSeasonal: true},
	{name: "P1", metres: .189, greenwich: 203.1, sun: 1, h: -1, shift: -90},
	{name: "N2", metres: .163, greenwich: 174.1, sun: 2, s: -3, h: 2, p: 1, nodal: likeM2},
	{name: "K2", metres: .094, greenwich: 239.9, sun: 2, h: 2, nodal: likeK2},
	{name: "Q1", metres: .085, greenwich: 147.8, sun: 1, s: -3, h: 1, p: 1, shift: -90, nodal: likeO1},
	{name: "SSA", metres: .057, greenwich: 95.4, h: 2, isSeasonal: true},
	{name: "NU2", metres: .028, greenwich: 178.7, sun: 2, s: -3, h: 4, p: -1, nodal: likeM2},
	{name: "MU2", metres: .025, greenwich: 129.3, sun: 2, s: -4, h: 4, nodal: likeM2},
}

// nodalKind says how the 18.6-year turn of the moon's node changes a line.
type nodalKind uint8

const (
	fixed nodalKind = iota
	likeM2
	likeK1
	likeO1
	likeK2
)

// nodal returns amplitude factor f and phase u (degrees) for the longitude N of
// the node: the leading terms of Schureman's series, right within about 1 % and 1°.
func nodal(kind nodalKind, n float64) (f, u float64) {
	sin, cos := math.Sincos(n * rad)
	switch kind {
	case likeM2:
		return 1 - .037*cos, -2.1 * sin
	case likeK1:
		return 1.006 + .115*cos, -8.9 * sin
	case likeO1:
		return 1.009 + .187*cos, 10.8 * sin
	case likeK2:
		return 1.024 + .286*cos, -17.7 * sin
	}
	return 1, 0
}

const rad = math.Pi / 180

// sky is what the arguments are made of at one instant, degrees.
type sky struct{ ut15, s, h, p, n float64 }

var j2000 = time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC).UnixMilli()

const dayMS = 24 * 60 * 60 * 1000

// skyAt gives mean longitudes linear in time from J2000 (Meeus, Astronomical
// Algorithms, ch. 25 and 47, first order): within 0.01° for decades.
func skyAt(ms int64) sky {
	d := float64(ms-j2000) / dayMS
	midnight := floorDiv(ms, dayMS) * dayMS
	return sky{
		ut15: float64(ms-midnight) / dayMS * 360,
		s:    218.3164477 + 13.17639648*d,
		h:    280.4664567 + 0.98564736*d,
		p:    83.3532465 + 0.11140353*d,
		n:    125.0445479 - 0.05295377*d,
	}
}

// argument is V, degrees, not reduced.
func (c constituent) argument(a sky) float64 {
	return c.sun*a.ut15 + c.s*a.s + c.h*a.h + c.p*a.p + c.shift
}

// height is the constituent's part of the level, metres.
func (c constituent) height(a sky) float64 {
	f, u := nodal(c.nodal, a.n)
	return f * c.metres * math.Cos(math.Mod(c.argument(a)+u-c.greenwich, 360)*rad)
}

// seaLevel is the tide at Vũng Tàu, metres above mean sea level; lunar is the
// part without the year's own (SA, SSA).
func seaLevel(ms int64) (level, lunar float64) {
	a := skyAt(ms)
	for _, c := range vungTau {
		h := c.height(a)
		level += h
		if !c.isSeasonal {
			lunar += h
		}
	}
	return level, lunar
}

// springNeap is +1 at springs and -1 at neaps: how far S2 is in step with M2.
func springNeap(ms int64) float64 {
	a := skyAt(ms)
	m2, s2 := vungTau[0], vungTau[3]
	return math.Cos(((s2.argument(a) - s2.greenwich) - (m2.argument(a) - m2.greenwich)) * rad)
}
