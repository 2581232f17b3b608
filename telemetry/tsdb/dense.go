package tsdb

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

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
	// generations are what a flush or a rewriting uses: a day's chunks of one must differ in theirs.
	generations = dayMillis/maxPiece + maxParts + 1
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
	left   []span   // parts
	chunks *pebble.Iterator
	piece  []sample // reused
}

// share is how many of its samples lie within two times, if they are spread evenly.
func (p *piece) share(from, to int64) int {
	whole := p.last - p.first + 1
	part := min(p.last+1, to) - max(p.first, from)
	return int(int64(p.count)*max(part, 0)/whole) + 1
}

// span is a stretch of time, from inclusive, to exclusive.
type span struct{ from, to int64 }

// cut divides a day until each part holds about so many samples at most, or is as
// short as the narrowest window of roll-ups, which is never cut. Parts without any are left out.
func cut(pieces []piece, head []sample, midnight, from, to int64, most int) (parts []span) {
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
			parts = append(parts, span{a, b})
		default:
			middle := a + (b-a)/shortest/2*shortest
			split(a, middle)
			split(middle, b)
		}
	}
	split(midnight, midnight+dayMillis)
	return parts
}

// divide begins a day that is dense.
func (r *reading) divide(day int32, head []sample) (err error) {
	p := &r.rest
	p.day, p.head = day, head
	p.left = cut(p.pieces, head, midnightOf(day), r.from, r.to, r.s.dense)
	if len(p.left) > 0 && p.chunks == nil {
		p.chunks, err = r.chunks.CloneWithContext(r.ctx, pebble.CloneOptions{})
	}
	return err
}

// nextPart reads the next part of the day that was divided.
func (r *reading) nextPart() ([]sample, error) {
	p := &r.rest
	midnight := midnightOf(p.day)
	from, to := max(p.left[0].from, r.from), min(p.left[0].to, r.to)
	p.left = p.left[1:]
	list, most := r.day[:0], 2*r.s.dense
	for i := range p.pieces {
		if !p.pieces[i].within(from, to) {
			continue
		}
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		key := chunkKey(nil, r.n, p.day, p.pieces[i].generation)
		if !p.chunks.SeekGE(key) || !bytes.Equal(p.chunks.Key(), key) { // the iterator is of one moment: it is damage
			return nil, errors.Join(errKey, p.chunks.Error())
		}
		v, err := p.chunks.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if p.piece, err = decodeChunk(v, midnight, p.piece[:0], r.tests); err != nil {
			return nil, err
		}
		list = append(list, between(p.piece, from, to)...)
		if len(list) > most { // the same times written again and again
			list = merged(list)
			most = max(most, 2*len(list))
		}
	}
	r.day = merged(append(list, between(p.head, from, to)...))
	return r.day, nil
}

// rewriting is what compaction does with the chunks of a dense day.
type rewriting struct {
	begun bool
	next  uint64  // generation
	old   []piece // to be deleted when all is written
}

// rewrite writes a part of a dense day anew, unless none of its chunks overlap:
// who looks for a time would have to look into all that do. What is written goes
// before the old chunks, which say the same, wherever this ends. Its caller holds write.
func (s *series) rewrite(r *rewriting, m day, list []sample, all []piece, tests []string) error {
	w := batchWriter{db: s.db}
	defer w.close()
	if !r.begun {
		r.begun = true
		if !overlap(all) {
			return nil
		}
		if err := s.beginChunks(&w); err != nil {
			return err
		}
		r.next, r.old = s.generation-generations, slices.Clone(all)
	}
	if r.old == nil {
		return nil
	}
	for piece := range slices.Chunk(list, maxPiece) {
		r.next++
		if r.next > s.generation {
			return fmt.Errorf("a day of more than %d chunks", generations)
		}
		s.encoder.buf = s.encoder.chunk(s.encoder.buf[:0], midnightOf(m.day), piece, tests)
		if err := w.set(chunkKey(nil, m.n, m.day, r.next), s.encoder.buf); err != nil {
			return err
		}
	}
	err := w.commit()
	s.rewritten.Add(1)
	return err
}

// overlap tells whether any two chunks do.
func overlap(pieces []piece) bool {
	byTime := slices.SortedFunc(slices.Values(pieces), func(a, b piece) int { return cmp.Compare(a.first, b.first) })
	for i := 1; i < len(byTime); i++ {
		if byTime[i].first <= byTime[i-1].last {
			return true
		}
	}
	return false
}
