package tsdb

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cuulong/telemetry"
)

// reading walks a series between two times, a local day at a time, or a part of
// one: the chunks of the day, and what the head holds of it.
type reading struct {
	ctx      context.Context
	s        *series
	n        uint32
	from, to int64
	tests    names            // see decodeChunk
	head     []sample         // what is left of the head's samples
	chunks   *pebble.Iterator // at the next chunk, where valid
	valid    bool
	day      []sample // reused
	rest     denseDay
}

// read begins a reading. The head is copied first: what is written as a chunk
// meanwhile is seen twice, and never not at all.
func (s *series) read(ctx context.Context, n uint32, from, to int64) (*reading, error) {
	return s.readBeside(ctx, s.samples(n, from, to), n, from, to, nil)
}

// readBeside begins a reading of the chunks, and of a copy of the head.
func (s *series) readBeside(ctx context.Context, head []sample, n uint32, from, to int64, tests names) (*reading, error) {
	r := &reading{ctx: ctx, s: s, n: n, from: from, to: to, tests: tests, head: head}
	var err error
	r.chunks, err = s.db.NewIterWithContext(ctx, &pebble.IterOptions{
		LowerBound: dayKey(nil, keyChunk, n, dayOf(from)),
		UpperBound: dayKey(nil, keyChunk, n, dayOf(to-1)+1),
	})
	if err != nil {
		return nil, err
	}
	r.valid = r.chunks.First()
	return r, nil
}

func (r *reading) close() error {
	err := r.chunks.Close()
	if r.rest.chunks != nil {
		err = errors.Join(err, r.rest.chunks.Close())
	}
	return err
}

// next is the next day that holds anything, or the same one where a part of it is left; ok is false at the end.
func (r *reading) next() (day int32, ok bool, err error) {
	if len(r.rest.left) > 0 {
		return r.rest.day, true, nil
	}
	if !r.valid {
		if err := r.chunks.Error(); err != nil {
			return 0, false, err
		}
	} else {
		if len(r.chunks.Key()) != chunkKeySize {
			return 0, false, errKey
		}
		day, ok = keyDay(r.chunks.Key()), true
	}
	if len(r.head) > 0 {
		if d := dayOf(r.head[0].at); !ok || d < day {
			day, ok = d, true
		}
	}
	return day, ok, nil
}

// inHead tells whether the head holds anything of a day, the next one.
func (r *reading) inHead(day int32) bool { return len(r.head) > 0 && dayOf(r.head[0].at) == day }

// samples are those of the next day, or part of it, within the reading's times;
// they are the caller's until the next call.
func (r *reading) samples(day int32) ([]sample, error) {
	if len(r.rest.left) > 0 {
		return r.nextPart()
	}
	list, pieces, count := r.day[:0], r.rest.pieces[:0], 0
	for ; r.valid && keyDay(r.chunks.Key()) == day; r.valid = r.chunks.Next() {
		v, err := r.chunks.ValueAndErr()
		if err != nil {
			return nil, err
		}
		p, err := pieceOf(r.chunks.Key(), v)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
		if count += p.count; count > r.s.dense {
			continue
		}
		if list, err = decodeChunk(v, midnightOf(day), list, r.tests); err != nil {
			return nil, err
		}
	}
	r.rest.pieces = pieces
	var head []sample
	if r.inHead(day) {
		head = between(r.head, r.head[0].at, midnightOf(day)+dayMillis)
		r.head = r.head[len(head):]
	}
	if count > r.s.dense {
		if err := r.divide(day, head); err != nil || len(r.rest.left) == 0 {
			return nil, err
		}
		return r.nextPart()
	}
	r.day = merged(append(list, head...))
	return between(r.day, r.from, r.to), nil
}

// each visits all that is left, a day or part of one at a time, until an error.
func (r *reading) each(visit func([]sample) error) error {
	for {
		day, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		list, err := r.samples(day)
		if err == nil {
			err = visit(list)
		}
		if err != nil {
			return err
		}
	}
}

// pass leaves out the chunks of a day.
func (r *reading) pass(day int32) {
	for r.valid && keyDay(r.chunks.Key()) == day {
		r.valid = r.chunks.Next()
	}
}

// points yields a series between two times.
func (s *series) points(ctx context.Context, n uint32, from, to int64, yield func(telemetry.Point) bool) (err error) {
	if from >= to {
		return nil
	}
	r, err := s.read(ctx, n, from, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	err = r.each(func(list []sample) error {
		for i := range list {
			if i%256 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if !yield(telemetry.Point{At: list[i].at, Value: list[i].value, Flag: list[i].flag}) {
				return errStop
			}
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

// at yields the samples of a series that are at exactly these times, which rise. A
// damaged day keeps none from the others.
func (s *series) at(ctx context.Context, n uint32, at []int64, yield func(*sample)) error {
	var left []int64 // to be looked for in chunks
	var damage damages
	for _, t := range at {
		if v, ok := s.head.at(n, t); ok {
			yield(&v)
		} else {
			left = append(left, t)
		}
	}
	for len(left) > 0 {
		day := day{n, dayOf(left[0])}
		of, _ := slices.BinarySearch(left, midnightOf(day.day)+dayMillis)
		if err := damage.keep(s.inChunks(ctx, day, left[:of], yield)); err != nil {
			return err
		}
		left = left[of:]
	}
	return damage.err()
}

// inChunks looks into a day's chunks, the youngest first, into each once. at is
// changed: what is found is taken out.
func (s *series) inChunks(ctx context.Context, day day, at []int64, yield func(*sample)) error {
	for range 3 { // a chunk may be rewritten between the look at the spans and at itself
		spans, err := s.decoded.spansOf(ctx, s, day)
		if err != nil {
			return err
		}
		gone := false
		for i := len(spans) - 1; i >= 0 && len(at) > 0 && !gone; i-- {
			from, _ := slices.BinarySearch(at, spans[i].first)
			to, _ := slices.BinarySearch(at, spans[i].last+1)
			if from == to {
				continue
			}
			list, err := s.decoded.chunk(s, chunkRef{day, spans[i].generation})
			if gone = errors.Is(err, pebble.ErrNotFound); gone {
				continue
			}
			if err != nil {
				return err
			}
			left := at[:from]
			for _, t := range at[from:to] {
				if v := find(list, t); v != nil {
					yield(v)
				} else {
					left = append(left, t)
				}
			}
			at = append(left, at[to:]...)
		}
		if !gone {
			return nil
		}
	}
	return errors.New("series: chunks are rewritten faster than they are read")
}

// chunkCache keeps what was last looked into: late values come in bursts, many to
// a chunk. It holds at most maxCached samples and a chunk more, and the spans of
// maxSpans days.
type chunkCache struct {
	mu        sync.Mutex
	changed   uint64                // guarded by mu; the series' flushed and rewritten, when spans were read
	spans     map[day][]piece       // guarded by mu
	rewritten uint64                // guarded by mu; the series', when chunks were read
	chunks    map[chunkRef][]sample // guarded by mu
	held      int                   // guarded by mu; samples
}

type day struct {
	n   uint32
	day int32
}

type chunkRef struct {
	day
	generation uint64
}

const (
	maxCached = 1 << 20
	maxSpans  = 1 << 16
)

// spansOf are those of a day's chunks, by rising generation.
func (c *chunkCache) spansOf(ctx context.Context, s *series, of day) ([]piece, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Read before the chunks: a change that comes after it makes them be read again.
	if changed := s.flushed.Load() + s.rewritten.Load(); c.spans == nil || changed != c.changed || len(c.spans) > maxSpans {
		c.spans, c.changed = map[day][]piece{}, changed
	}
	if spans, ok := c.spans[of]; ok {
		return spans, nil
	}
	var spans []piece
	err := eachKey(s.db, dayKey(nil, keyChunk, of.n, of.day), dayKey(nil, keyChunk, of.n, of.day+1), func(k, v []byte) error {
		p, err := pieceOf(k, v)
		if err != nil {
			return err
		}
		spans = append(spans, p)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	c.spans[of] = spans
	return spans, nil
}

// chunk decodes a chunk, unless it has it. Chunks change only when they are rewritten.
func (c *chunkCache) chunk(s *series, of chunkRef) ([]sample, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rewritten := s.rewritten.Load(); c.chunks == nil || rewritten != c.rewritten {
		c.chunks, c.held, c.rewritten = map[chunkRef][]sample{}, 0, rewritten
	}
	if list, ok := c.chunks[of]; ok {
		return list, nil
	}
	b, closer, err := s.db.Get(chunkKey(nil, of.n, of.day.day, of.generation))
	if err != nil {
		return nil, err
	}
	list, err := decodeChunk(b, midnightOf(of.day.day), nil, nil)
	if err = errors.Join(err, closer.Close()); err != nil {
		return nil, err
	}
	for old, gone := range c.chunks { // any will do: what is needed again comes again
		if c.held+len(list) <= maxCached {
			break
		}
		c.held -= len(gone)
		delete(c.chunks, old)
	}
	c.chunks[of] = list
	c.held += len(list)
	return list, nil
}
