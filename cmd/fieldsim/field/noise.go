package field

import "math"

// mix is the finaliser of SplitMix64: a bijection whose output bits are as good as random.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// key names a stream of random numbers: one device, one use.
func key(seed uint64, parts ...string) uint64 {
	h := mix(seed)
	for _, p := range parts {
		for i := 0; i < len(p); i++ {
			h = (h ^ uint64(p[i])) * 0x100000001b3 // FNV-1a, then mixed
		}
		h = mix(h)
	}
	return h
}

// uniform is the n-th number of a stream, in [0, 1).
func uniform(k uint64, n int64) float64 {
	return float64(mix(k^mix(uint64(n)))>>11) / (1 << 53)
}

// normal is the n-th number of a stream, mean 0 and deviation 1: four uniforms
// added up, so it is bounded by ±3.5, which keeps simulated sensors in range.
func normal(k uint64, n int64) float64 {
	b := mix(k ^ mix(uint64(n)))
	sum := float64(b&0xffff) + float64(b>>16&0xffff) + float64(b>>32&0xffff) + float64(b>>48)
	return (sum/0xffff - 2) * math.Sqrt(3)
}

// redMemory is how many steps an AR(1) process remembers here: at phi 0.75 the
// first one cut off would weigh 1 %.
const redMemory = 16

// redWeights are phi^j, scaled to unit variance.
var redWeights = func() (w [redMemory]float64) {
	const phi = 0.75
	sum := 0.0
	for j := range w {
		w[j] = math.Pow(phi, float64(j))
		sum += w[j] * w[j]
	}
	for j := range w {
		w[j] /= math.Sqrt(sum)
	}
	return w
}()

// red is AR(1) noise of unit variance on a lattice of stepMS, linear in
// between. The process is written as a moving average of hashed shocks, so any
// instant can be asked for without the ones before it.
func red(k uint64, atMS, stepMS int64) float64 {
	n := floorDiv(atMS, stepMS)
	f := float64(atMS-n*stepMS) / float64(stepMS)
	a, b := 0.0, redWeights[0]*normal(k, n+1)
	for j := range redMemory {
		e := normal(k, n-int64(j))
		a += redWeights[j] * e
		if j+1 < redMemory {
			b += redWeights[j+1] * e
		}
	}
	return a + f*(b-a)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// smooth rises from 0 to 1 between a and b without a corner.
func smooth(a, b, x float64) float64 {
	t := min(1, max(0, (x-a)/(b-a)))
	return t * t * (3 - 2*t)
}

func round(x, unit float64) float64 {
	// Dividing by the reciprocal keeps decimals short: 0.07, not 0.07000000000000001.
	return math.Round(x/unit) / math.Round(1/unit)
}
