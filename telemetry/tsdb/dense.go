package tsdb

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A day of a series mostly holds some hundred samples and is read whole. But a
// device may send a value each millisecond, and such a day does not fit the
// memory of a small machine: it is read part by part.

const (
	// defaultDense is how many samples a day's chunks hold beyond which it is read in parts.
	defaultDense = 1 << 18
	// maxPiece is how many samples a flush puts into one chunk.
	maxPiece = 1 << 16
	// generations are what a flush uses: a day's chunks of one flush must differ in theirs.
	generations = dayMillis/maxPiece + 1
)

// piece is a chunk, without what is in it.
type piece struct {
	first, last int64 // times
	count       int
	generation  uint64
}

func (p *piece) within(from, to int64) bool { return p.first < to && p.last >= from }

// denseDay is what is left to read of a day, in rising time.
type denseDay struct {
	day    int32
	pieces []piece
	head   []sample // what the head holds of the day
	begins []int64  // of the parts that are left, and the end of the last
	chunks *pebble.Iterator
	piece  []sample // reused
}

// share is how many of its samples lie within two times, if they are spread evenly.
func (p *piece) share(from, to int64) int {
	whole := p.last - p.first + 1
	part := min(p.last+1, to) - max(p.first, from)
	return int(int64(p.count)*max(part, 0)/whole) + 1
}

// cut divides a day until each part holds about so many samples at most, or is as
// short as the narrowest window of roll-ups, which is never cut. Parts without any are left out.
func cut(pieces []piece, head []sample, midnight, from, to int64, most int) (begins []int64) {
	shortest := levels[0]
	var split func(a, b int64)
	split = func(a, b int64) {
		count := len(between(head, a, b))
		for i := range pieces {
			if pieces[i].within(a, b) {
				count += pieces[i].share(a, b)
			}
		}
		switch {
		case count == 0 || b <= from || a >= to:
		case count <= most || b-a <= shortest:
			begins = append(begins, a)
		default:
			middle := a + (b-a)/shortest/2*shortest
			split(a, middle)
			split(middle, b)
		}
	}
	split(midnight, midnight+dayMillis)
	return begins
}

// divide begins a day that is dense.
func (r *reading) divide(day int32, head []sample) (err error) {
	p := &r.rest
	p.day, p.head = day, head
	p.begins = cut(p.pieces, head, midnightOf(day), r.from, r.to, r.s.dense)
	if len(p.begins) > 0 && p.chunks == nil {
		p.chunks, err = r.chunks.CloneWithContext(r.ctx, pebble.CloneOptions{})
	}
	return err
}

// nextPart reads the next part of the day that was divided.
func (r *reading) nextPart() ([]sample, error) {
	p := &r.rest
	midnight := midnightOf(p.day)
	from, to := p.begins[0], midnight+dayMillis
	if p.begins = p.begins[1:]; len(p.begins) > 0 {
		to = p.begins[0]
	}
	list := r.day[:0]
	for i := range p.pieces {
		if !p.pieces[i].within(from, to) {
			continue
		}
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		if !p.chunks.SeekGE(chunkKey(nil, r.n, p.day, p.pieces[i].generation)) {
			return nil, fmt.Errorf("a chunk is gone: %w", p.chunks.Error())
		}
		v, err := p.chunks.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if p.piece, err = decodeChunk(v, midnight, p.piece[:0], r.tests); err != nil {
			return nil, err
		}
		list = append(list, between(p.piece, from, to)...)
		if len(list) > 2*r.s.dense { // the same times written again and again
			list = merged(list)
		}
	}
	r.day = merged(append(list, between(p.head, from, to)...))
	return between(r.day, r.from, r.to), nil
}
