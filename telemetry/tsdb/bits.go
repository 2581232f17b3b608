package tsdb

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends bits, the highest first.
type bitWriter struct {
	b    []byte
	acc  uint64 // the last n bits, not yet in b
	free uint   // 64 - n
}

func newBitWriter(b []byte) bitWriter { return bitWriter{b: b, free: 64} }

// write appends the lowest n bits of v, at most 64.
func (w *bitWriter) write(v uint64, n uint) {
	if n < 64 {
		v &= 1<<n - 1
	}
	if n < w.free {
		w.free -= n
		w.acc |= v << w.free
		return
	}
	n -= w.free
	w.b = binary.BigEndian.AppendUint64(w.b, w.acc|v>>n)
	w.free = 64 - n
	w.acc = 0
	if n > 0 {
		w.acc = v << w.free
	}
}

// bytes ends the stream, filled with zeros to a whole byte.
func (w *bitWriter) bytes() []byte {
	for n := uint(0); n < 64-w.free; n += 8 {
		w.b = append(w.b, byte(w.acc>>(56-n)))
	}
	return w.b
}

// bitReader reads what a bitWriter wrote; bits beyond the end are a fault.
type bitReader struct {
	b   []byte
	at  int // bits read
	bad bool
}

// peek returns the next 57 bits or more, the highest first.
func (r *bitReader) peek() uint64 {
	i := r.at >> 3
	if i+8 <= len(r.b) {
		return binary.BigEndian.Uint64(r.b[i:]) << (r.at & 7)
	}
	var v uint64
	for k := range 8 {
		v <<= 8
		if i+k < len(r.b) {
			v |= uint64(r.b[i+k])
		}
	}
	return v << (r.at & 7)
}

func (r *bitReader) skip(n int) {
	if r.at += n; r.at > len(r.b)*8 {
		r.bad = true
		r.at = len(r.b) * 8
	}
}

func (r *bitReader) read(n uint) uint64 {
	if n == 0 {
		return 0
	}
	if n > 32 {
		high := r.read(n - 32)
		return high<<32 | r.read(32)
	}
	v := r.peek() >> (64 - n)
	r.skip(int(n))
	return v
}

// Rice codes: a number's upper part in ones, a zero, its lower k bits; small
// numbers are short. One whose upper part is escape or more follows as it is, in 64 bits.
const (
	escape  = 24
	maxRice = 32
)

func (w *bitWriter) rice(v uint64, k uint) {
	q := v >> k
	if q >= escape {
		w.write(1<<escape-1, escape)
		w.write(v, 64)
		return
	}
	w.write(1<<(q+1)-2, uint(q)+1)
	w.write(v, k)
}

func (r *bitReader) rice(k uint) uint64 {
	x := r.peek()
	q := uint(bits.LeadingZeros64(^x))
	if q >= escape {
		r.skip(escape)
		return r.read(64)
	}
	if q+1+k <= 57 {
		r.skip(int(q + 1 + k))
		return uint64(q)<<k | x<<(q+1)>>(64-k)&(1<<k-1)
	}
	r.skip(int(q) + 1)
	return uint64(q)<<k | r.read(k)
}

// riceBits is what a number costs.
func riceBits(v uint64, k uint) int {
	if q := v >> k; q < escape {
		return int(q) + 1 + int(k)
	}
	return escape + 64
}

// bestRice is the k that numbers cost least with, and their cost in bits.
func bestRice(v []uint64) (best uint, cost int) {
	var sum float64
	for _, x := range v {
		sum += float64(x)
	}
	mean := uint64(min(sum/float64(max(len(v), 1)), 1<<maxRice))
	about := uint(bits.Len64(mean))
	cost = -1
	for k := max(about, 2) - 2; k <= min(about+1, maxRice); k++ {
		c := 0
		for _, x := range v {
			c += riceBits(x, k)
		}
		if cost < 0 || c < cost {
			best, cost = k, c
		}
	}
	return best, max(cost, 0)
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
