package geo

import "math"

const (
	// beyondKM outside the outermost station its value is still taken.
	beyondKM = 3.0
	// Salinity is floored before its logarithm is taken: fresh water reads 0
	// or, with a drifting sensor, a little less.
	floorGL = 0.01
)

// RiverValue is the salinity that one live station tells.
type RiverValue struct {
	River string  `json:"river"`
	KM    float64 `json:"km"`    // chainage from the mouth
	Value float64 `json:"value"` // g/l
}

// ReachSalinity estimates the salinity in g/l at a chainage of a river from
// its live stations: log-linear in chainage between two of them, the nearest
// one's value up to 3 km outside the outermost. Elsewhere nobody can tell,
// and ok is false. Values below 0.01 g/l count as 0.01; what is not finite
// counts as no station; of stations at one place the geometric mean is taken.
//
// ui/web has the same in TypeScript; testdata/interpolation.json holds both to it.
func ReachSalinity(stations []RiverValue, river string, km float64) (gl float64, ok bool) {
	below, above := side{km: math.Inf(-1)}, side{km: math.Inf(1)}
	for _, s := range stations {
		if s.River != river || !finite(s.KM) || !finite(s.Value) {
			continue
		}
		l := math.Log(max(s.Value, floorGL))
		if s.KM <= km && s.KM >= below.km {
			below.add(s.KM, l)
		}
		if s.KM >= km && s.KM <= above.km {
			above.add(s.KM, l)
		}
	}
	switch {
	case below.n > 0 && above.n > 0:
		if below.km == above.km {
			return math.Exp(below.mean()), true
		}
		t := (km - below.km) / (above.km - below.km)
		return math.Exp(below.mean() + t*(above.mean()-below.mean())), true
	case below.n > 0 && km-below.km <= beyondKM:
		return math.Exp(below.mean()), true
	case above.n > 0 && above.km-km <= beyondKM:
		return math.Exp(above.mean()), true
	}
	return 0, false
}

// side is the nearest station on one side: all those at the same chainage.
type side struct {
	km, sum float64
	n       int
}

func (s *side) add(km, log float64) {
	if km != s.km {
		*s = side{km: km}
	}
	s.sum += log
	s.n++
}

func (s *side) mean() float64 { return s.sum / float64(s.n) }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
