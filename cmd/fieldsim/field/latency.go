package field

import (
	"math/bits"
	"time"
)

// latencies is a histogram of durations, a bucket for every 3 % of length, in
// constant memory however long a load runs.
type latencies struct {
	counts [64 * 32]int64
	n      int64
	most   time.Duration
}

// bucket of a duration in µs: power of two, then five bits.
func bucket(us uint64) int {
	if us < 32 {
		return int(us)
	}
	e := bits.Len64(us) - 6 // so that us>>e has six bits
	return (e+1)*32 + int(us>>e)&31
}

// bucketTop is the greatest length of a bucket, µs.
func bucketTop(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	e := i/32 - 1
	return (uint64(32+i%32)+1)<<e - 1
}

func (l *latencies) add(d time.Duration) {
	l.counts[bucket(uint64(max(0, d.Microseconds())))]++
	l.n++
	l.most = max(l.most, d)
}

func (l *latencies) merge(o *latencies) {
	for i, c := range o.counts {
		l.counts[i] += c
	}
	l.n += o.n
	l.most = max(l.most, o.most)
}

// quantile is the length that the part q of all does not exceed, 0 of none.
func (l *latencies) quantile(q float64) time.Duration {
	if l.n == 0 {
		return 0
	}
	rank := int64(q*float64(l.n-1)) + 1
	for i, c := range l.counts {
		if rank -= c; rank <= 0 {
			return min(l.most, time.Duration(bucketTop(i))*time.Microsecond)
		}
	}
	return l.most
}
