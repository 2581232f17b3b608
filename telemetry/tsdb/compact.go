package tsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cuulong/telemetry"
)

// closedAfter is how long after its end a day is compacted: most of what is
// late has come by then, and what comes later opens the day again.
const closedAfter = time.Hour

// Compact makes one chunk of each day that is over and has several, with its
// roll-ups, and deletes what retention lets go. It runs by itself every ten
// minutes; who calls it waits.
func (db *DB) Compact(ctx context.Context, now time.Time) error {
	if err := db.series.flush(); err != nil {
		return err
	}
	closed := dayOf(now.Add(-closedAfter).UnixMilli()) // this day and later ones are open
	var marked []day
	var damage damages
	err := db.series.eachKey(keyOpen, func(k, _ []byte) error {
		if len(k) != dayKeySize {
			return errKey
		}
		if d := keyDay(k); d < closed {
			marked = append(marked, day{keyNumber(k), d})
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for _, m := range marked {
		if err := ctx.Err(); err != nil {
			return err
		}
		keep := db.keepOf(m.n)
		if err := damage.keep(db.series.closeDay(m, m.day < keep.goneBefore(keep.Raw, now))); err != nil {
			return err
		}
	}
	if err := db.expire(ctx, now, &damage); err != nil {
		return err
	}
	return damage.err()
}

// damages are the days of series that could not be read: the others must not wait for them.
type damages struct {
	first error
	count int
}

// keep takes an error that is damage, and gives any other back.
func (d *damages) keep(err error) error {
	if err == nil || !damaged(err) {
		return err
	}
	if d.count++; d.first == nil {
		d.first = err
	}
	return nil
}

// damaged tells whether an error is of what the files hold, and not of the disk.
func damaged(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, errChunk) || errors.Is(err, errValue) || errors.Is(err, errKey)
}

func (d *damages) err() error {
	if d.count == 0 {
		return nil
	}
	return fmt.Errorf("%d days of series are damaged (verify-store names them): %w", d.count, d.first)
}

// closeDay compacts a day that is over, or lets its samples go. Once they have
// gone, what came late for it goes the same way, whatever is kept by now: its
// final roll-ups cannot be made anew.
func (s *series) closeDay(m day, gone bool) error {
	s.write.Lock()
	defer s.write.Unlock()
	final, err := s.finalRollups(m)
	if err != nil {
		return err
	}
	if gone || final != nil {
		return s.expireDay(m, final)
	}
	return s.compact(m)
}

// keepOf is the retention of a series.
func (db *DB) keepOf(n uint32) Keep {
	if db.o.Retention == nil {
		return Keep{}
	}
	db.series.mu.RLock()
	metric := db.series.names[n].metric
	db.series.mu.RUnlock()
	return db.o.Retention(metric)
}

// compact makes one chunk of a day's chunks, or of a dense day's as many as do not
// overlap, and its roll-ups. Its caller holds write.
func (s *series) compact(m day) error {
	b := s.db.NewBatch()
	defer b.Close()
	tests := testTable{[]string{""}}
	midnight := midnightOf(m.day)
	rolled := newRollers(midnight)
	var again rewriting
	err := s.ofDay(m, &tests, func(list []sample, all []piece, dense bool) error {
		rolled.add(list)
		switch {
		case dense:
			return s.rewrite(&again, m, list, all, tests.list)
		case len(all) < 2:
			return nil
		}
		if err := deleteChunks(b, m, all[:len(all)-1]); err != nil {
			return err
		}
		s.encoder.buf = s.encoder.chunk(s.encoder.buf[:0], midnight, list, tests.list)
		return b.Set(chunkKey(nil, m.n, m.day, all[len(all)-1].generation), s.encoder.buf, nil)
	})
	if err == nil {
		err = deleteChunks(b, m, again.old)
	}
	if err != nil {
		return err
	}
	if again.old != nil && rolled.count <= s.dense { // by repeats alone, which have gone
		if err := s.change(b); err != nil {
			return err
		}
		return s.compact(m)
	}
	ups, any := rolled.append(nil, false)
	if any {
		err = b.Set(dayKey(nil, keyRollup, m.n, m.day), ups, nil)
	} else {
		err = b.Delete(dayKey(nil, keyRollup, m.n, m.day), nil)
	}
	if err = errors.Join(err, b.Delete(dayKey(nil, keyOpen, m.n, m.day), nil)); err != nil {
		return err
	}
	return s.change(b)
}

// change commits a batch that changes chunks.
func (s *series) change(b *pebble.Batch) error {
	err := b.Commit(pebble.NoSync)
	s.rewritten.Add(1)
	return err
}

func deleteChunks(b *pebble.Batch, m day, pieces []piece) error {
	for _, p := range pieces {
		if err := b.Delete(chunkKey(nil, m.n, m.day, p.generation), nil); err != nil {
			return err
		}
	}
	return nil
}

// ofDay visits the samples of a day's chunks, all of them, once, or part by part where the day is dense.
func (s *series) ofDay(m day, tests names, visit func(list []sample, all []piece, dense bool) error) (err error) {
	midnight := midnightOf(m.day)
	r, err := s.readBeside(context.Background(), nil, m.n, midnight, midnight+dayMillis, tests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.each(func(list []sample) error { return visit(list, r.rest.pieces, r.rest.chunks != nil) })
}

// Keep is how long a series' samples and its roll-ups are kept; 0: for ever.
type Keep struct {
	Raw, FiveMinutes, Hour, Day time.Duration
}

// goneBefore is the first day that a duration still keeps.
func (Keep) goneBefore(d time.Duration, now time.Time) int32 {
	if d <= 0 {
		return -maxDay
	}
	return dayOf(now.Add(-d).UnixMilli())
}

// ofLevel is how long a level is kept: at least as long as the samples.
func (k Keep) ofLevel(level int) time.Duration {
	d := [len(levels)]time.Duration{k.FiveMinutes, k.Hour, k.Day}[level]
	if d > 0 && d < k.Raw {
		return k.Raw
	}
	return d
}

// expire deletes, once a day, what is older than its series' retention. Before the samples of
// a day go, its roll-ups are made whole, as far as they outlive them.
func (db *DB) expire(ctx context.Context, now time.Time, damage *damages) error {
	today := dayOf(now.UnixMilli())
	if db.o.Retention == nil || db.expired.Load() == today {
		return nil
	}
	db.series.mu.RLock()
	count := len(db.series.names)
	db.series.mu.RUnlock()
	for n := range uint32(count) {
		if err := ctx.Err(); err != nil {
			return err
		}
		keep := db.keepOf(n)
		if keep.Raw > 0 {
			if err := db.series.expireSamples(n, keep, now, damage); err != nil {
				return err
			}
		}
		if err := damage.keep(db.series.expireRollups(n, keep, now)); err != nil {
			return err
		}
	}
	db.expired.Store(today)
	return nil
}

func (s *series) expireSamples(n uint32, keep Keep, now time.Time, damage *damages) error {
	gone := keep.goneBefore(keep.Raw, now)
	last := int32(-maxDay)
	var days []day
	err := eachKey(s.db, dayKey(nil, keyChunk, n, -maxDay), dayKey(nil, keyChunk, n, gone), func(k, _ []byte) error {
		if d := keyDay(k); d != last {
			days, last = append(days, day{n, d}), d
		}
		return nil
	})
	if err := damage.keep(err); err != nil {
		return err
	}
	for _, m := range days {
		if err := damage.keep(s.closeDay(m, true)); err != nil {
			return err
		}
	}
	return nil
}

// expireDay deletes a day's samples and leaves its roll-ups, all levels. To old,
// those that an earlier call has left, it adds what came late, see withLate. Its
// caller holds write.
func (s *series) expireDay(m day, old []byte) error {
	rolled := newRollers(midnightOf(m.day))
	err := s.ofDay(m, nil, func(list []sample, _ []piece, _ bool) error {
		rolled.add(list)
		return nil
	})
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	ups, any, known := []byte(nil), rolled.count > 0, 0
	switch {
	case old == nil:
		ups, any = rolled.append(nil, true)
	case any:
		if ups, known, err = withLate(old, midnightOf(m.day), rolled.of[0].parts); err != nil {
			return err
		}
	}
	if any {
		err = b.Set(dayKey(nil, keyRollup, m.n, m.day), ups, nil)
	}
	err = errors.Join(err,
		b.DeleteRange(dayKey(nil, keyChunk, m.n, m.day), dayKey(nil, keyChunk, m.n, m.day+1), nil),
		b.Delete(dayKey(nil, keyOpen, m.n, m.day), nil))
	if err != nil {
		return err
	}
	if err := s.change(b); err != nil {
		return err
	}
	if known > 0 {
		s.passed.Add(uint64(known))
		s.mu.RLock()
		of := s.names[m.n]
		s.mu.RUnlock()
		s.log.Errorf("%d late values of %s/%s are passed over: their day's values have gone, and its roll-ups know their windows", known, of.device, of.metric)
	}
	return nil
}

// finalRollups are the roll-ups of a day whose samples went before, or nil.
func (s *series) finalRollups(m day) ([]byte, error) {
	v, closer, err := s.db.Get(dayKey(nil, keyRollup, m.n, m.day))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(v) > 0 && v[0] == rollupFinal {
		v = slices.Clone(v)
	} else {
		v = nil
	}
	return v, closer.Close()
}

// expireRollups deletes the levels that are over. A day whose levels are all over goes whole.
func (s *series) expireRollups(n uint32, keep Keep, now time.Time) error {
	var gone [len(levels)]int32
	newest := int32(-maxDay)
	for level := range levels {
		gone[level] = keep.goneBefore(keep.ofLevel(level), now)
		newest = max(newest, gone[level])
	}
	if newest == -maxDay {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	b := s.db.NewBatch()
	defer b.Close()
	err := eachKey(s.db, dayKey(nil, keyRollup, n, -maxDay), dayKey(nil, keyRollup, n, newest), func(k, v []byte) error {
		left, cut, err := withoutLevels(v, keyDay(k), gone)
		switch {
		case err != nil || !cut:
		case len(left) <= 1:
			err = b.Delete(k, nil)
		default:
			err = b.Set(k, left, nil)
		}
		return err
	})
	if err != nil || b.Empty() {
		return err
	}
	return s.change(b)
}

// withoutLevels leaves out the levels that are over on a day; nothing, where all are.
func withoutLevels(v []byte, day int32, gone [len(levels)]int32) (left []byte, cut bool, err error) {
	left = append(left, v[:min(1, len(v))]...)
	err = parseRollups(v, midnightOf(day), func(level int, parts []telemetry.Part) bool {
		if day < gone[level] {
			cut = true
		} else {
			left = appendLevel(left, level, midnightOf(day), parts)
		}
		return true
	})
	return left, cut, err
}
