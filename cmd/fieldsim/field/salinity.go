package field

import "math"

// An estuary is how far and how sharply the sea reaches into one river.
type estuary struct {
	boundaryKM float64 // mean distance of the 4 g/l boundary from the mouth
	scaleKM    float64 // how sharply salt gives way to fresh water
	sea        float64 // g/l at the mouth's seaward end
	swingKM    float64 // shift of the boundary per metre of tide
}

// estuaries hold a dry-season look: boundaries swing around km 27-41. Figures
// are chosen, within what is reported for these rivers, not fitted to data.
var estuaries = map[string]estuary{
	"cua-tieu":  {boundaryKM: 31, scaleKM: 5.2, sea: 29, swingKM: 2.2},
	"cua-dai":   {boundaryKM: 33, scaleKM: 5.6, sea: 29.5, swingKM: 2.3},
	"ham-luong": {boundaryKM: 36, scaleKM: 5.8, sea: 30, swingKM: 2.3},
	"co-chien":  {boundaryKM: 32, scaleKM: 5.0, sea: 28.5, swingKM: 2.0},
}

const (
	freshWater   = 0.06   // g/l that the river itself carries
	waveKMPerH   = 28.0   // celerity of the tidal wave up the river
	dampingKM    = 110.0  // e-folding length of its height
	slackLagMS   = 5400e3 // salt stands farthest about 1.5 h after high water
	springLagMS  = 1.5 * dayMS
	springKM     = 1.2  // springs push the boundary, neaps let it go
	seasonalPart = 0.04 // of the mean distance; farthest in mid-March
)

// boundary is the 4 g/l boundary's distance from the mouth, km, at water-time ms.
func (e estuary) boundary(ms int64) float64 {
	lag := int64(e.boundaryKM/waveKMPerH*3600e3) + slackLagMS
	_, lunar := seaLevel(ms - lag)
	yearDay := (skyAt(ms).h - 354) * rad // the mean sun's longitude is 354° in mid-March
	return e.boundaryKM*(1+seasonalPart*math.Cos(yearDay)) + e.swingKM*lunar + springKM*springNeap(ms-springLagMS)
}

// profile is the salinity (g/l) at km when the boundary lies at boundaryKM: a
// logistic that is 4 g/l there by construction, the sea's at the mouth, and
// falls off exponentially upstream.
func (e estuary) profile(km, boundaryKM float64) float64 {
	return freshWater + (e.sea-freshWater)/(1+(e.sea-4)/(4-freshWater)*math.Exp((km-boundaryKM)/e.scaleKM))
}

// riverLevel is the water level at km, metres.
func riverLevel(km float64, ms int64) float64 {
	level, _ := seaLevel(ms - int64(km/waveKMPerH*3600e3))
	return level*math.Exp(-km/dampingKM) + 0.004*km
}

// PSS-78 (UNESCO technical papers 36 and 44), with Hill's extension below S = 2.
var (
	pssA = [6]float64{0.0080, -0.1692, 25.3851, 14.0941, -7.0261, 2.7081}
	pssB = [6]float64{0.0005, -0.0056, -0.0066, -0.0375, 0.0636, -0.0144}
)

// ec15 is the conductivity of standard sea water S = 35 at 15 °C, mS/cm.
const ec15 = 42.914

// t68 is EC25's 25 °C, read on IPTS-68 in which PSS-78 is written; on ITS-90
// the result would be 0.012 % higher.
const t68 = 25.0

// rt25 is the conductivity of standard sea water at 25 °C over that at 15 °C.
var rt25 = 0.6766097 + t68*(2.00564e-2+t68*(1.104259e-4+t68*(-6.9698e-7+t68*1.0031e-9)))

// salinity25 is practical salinity of water at 25 °C and surface pressure whose
// conductivity is rt times standard sea water's at the same temperature.
func salinity25(rt float64) float64 {
	const f = (t68 - 15) / (1 + 0.0162*(t68-15))
	r := math.Sqrt(rt)
	s, b := 0.0, 0.0
	for i := 5; i >= 0; i-- {
		s, b = s*r+pssA[i], b*r+pssB[i]
	}
	s += f * b
	// Hill et al. 1986; without the condition on S it is continuous and vanishes at sea.
	x, y := 400*rt, 100*rt
	s -= pssA[0]/(1+1.5*x+x*x) + pssB[0]*f/(1+math.Sqrt(y)+y+y*math.Sqrt(y))
	return s
}

// EC25 is the conductivity at 25 °C, mS/cm, of water of practical salinity s:
// PSS-78 turned round by bisection, to better than 1e-9 of its value.
func EC25(s float64) float64 {
	if s <= 0 {
		return 0
	}
	lo, hi := 0.0, 1.3 // rt 1.3 is S 47, beyond any water here
	for range 48 {
		mid := (lo + hi) / 2
		if salinity25(mid) < s {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2 * rt25 * ec15
}
