package telemetry

import "math"

// Practical salinity of 1978 (UNESCO technical paper 37), with Hill's extension
// for salinities below 2 (Hill, Dauphinee & Woods 1986). It assumes the ions of
// sea water; canals differ.

// c3515 is the conductivity of sea water of salinity 35 at 15 °C and 0 dbar, mS/cm.
const c3515 = 42.914

var (
	pssA = [...]float64{0.0080, -0.1692, 25.3851, 14.0941, -7.0261, 2.7081}
	pssB = [...]float64{0.0005, -0.0056, -0.0066, -0.0375, 0.0636, -0.0144}
	pssC = [...]float64{0.6766097, 2.00564e-2, 1.104259e-4, -6.9698e-7, 1.0031e-9}
	pssD = [...]float64{3.426e-2, 4.464e-4, 0.4215, -3.107e-3}
	pssE = [...]float64{2.070e-5, -6.370e-10, 3.989e-15}
)

const pssK = 0.0162

// PracticalSalinity is salinity by PSS-78 from raw conductivity (mS/cm),
// temperature (°C, ITS-90) and pressure (dbar, 0 at the surface). Within 2 to 42
// and -2 to 35 °C it is good to 0.003; NaN where the arguments are none.
func PracticalSalinity(conductivity, temperature, pressure float64) float64 {
	return practicalSalinity(conductivity/c3515, 1.00024*temperature, pressure)
}

// SalinityOfEC25 is salinity by PSS-78 from conductivity that an instrument has
// reduced to 25 °C (mS/cm).
func SalinityOfEC25(ec25 float64) float64 { return PracticalSalinity(ec25, 25, 0) }

// practicalSalinity takes the conductivity ratio and t on IPTS-68.
func practicalSalinity(ratio, t, p float64) float64 {
	if !(ratio >= 0) || math.IsNaN(t) || math.IsNaN(p) {
		return math.NaN()
	}
	rt35 := polynomial(pssC[:], t)
	rp := 1 + p*(pssE[0]+pssE[1]*p+pssE[2]*p*p)/(1+pssD[0]*t+pssD[1]*t*t+(pssD[2]+pssD[3]*t)*ratio)
	rt := ratio / (rp * rt35)
	root := math.Sqrt(rt)
	f := (t - 15) / (1 + pssK*(t-15))
	s := polynomial(pssA[:], root) + f*polynomial(pssB[:], root)
	if s < 2 {
		x, y := 400*rt, 100*rt
		s -= pssA[0]/(1+1.5*x+x*x) + pssB[0]*f/(1+math.Sqrt(y)+y+y*math.Sqrt(y))
	}
	return max(s, 0)
}

// polynomial is Σ c[i]·x^i.
func polynomial(c []float64, x float64) (sum float64) {
	for i := len(c) - 1; i >= 0; i-- {
		sum = sum*x + c[i]
	}
	return sum
}
