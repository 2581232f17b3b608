package tsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Windows yields the windows of a series that hold anything, in rising time,
// from roll-ups where a day has them and they are not older than its samples.
func (db *DB) Windows(ctx context.Context, id devices.ID, metric string, from, to int64, every telemetry.Every, flags []telemetry.Flag, yield func(telemetry.Window) bool) error {
	if every.Millis <= 0 {
		return fmt.Errorf("windows of %d ms", every.Millis)
	}
	if err := db.caughtUp(ctx); err != nil {
		return err
	}
	n, ok := db.series.find(id, metric)
	if !ok || from >= to {
		return nil
	}
	g := telemetry.NewGatherer(every, yield)
	if err := db.series.gather(ctx, n, from, to, levelFor(every), flags, g); err != nil {
		return err
	}
	g.Flush()
	return nil
}

// gather gives g what a series holds between two times, of each day the parts
// of a level, or else its samples. Flags, unless nil, are the only ones wanted.
func (s *series) gather(ctx context.Context, n uint32, from, to int64, level int, flags []telemetry.Flag, g *telemetry.Gatherer) (err error) {
	if flags != nil {
		level = -1 // samples, where there are any, and else the narrowest parts: they are the least mixed
	}
	// In this order: a day that is compacted meanwhile is seen as it was, with its mark.
	r, err := s.read(ctx, n, from, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	ups, err := s.rollups(ctx, n, from, to, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ups.close()) }()
	for {
		day, ok, err := r.next()
		if err != nil {
			return err
		}
		if d, has := ups.next(); has && (!ok || d < day) { // retention has left its roll-ups alone
			if more, err := ups.parts(d, level, from, to, nil, flags, g); err != nil || !more {
				return err
			}
			continue
		} else if has && d == day && ups.final() { // and what came late for it lies beside them
			late := roller{midnight: midnightOf(day), width: levels[0]}
			for next := day; ok && next == day; {
				list, err := r.samples(day)
				if err != nil {
					return err
				}
				late.add(list)
				if next, ok, err = r.next(); err != nil {
					return err
				}
			}
			if more, err := ups.parts(d, level, from, to, late.parts, flags, g); err != nil || !more {
				return err
			}
			continue
		}
		if !ok || ctx.Err() != nil {
			return ctx.Err()
		}
		midnight := midnightOf(day)
		if level >= 0 && from <= midnight && midnight+dayMillis <= to && !r.inHead(day) && ups.holds(day, level) {
			r.pass(day)
			if more, err := ups.parts(day, level, from, to, nil, flags, g); err != nil || !more {
				return err
			}
			continue
		}
		ups.pass(day)
		list, err := r.samples(day)
		if err != nil {
			return err
		}
		for i := range list {
			if flags != nil && !slices.Contains(flags, list[i].flag) {
				continue
			}
			if !g.Point(telemetry.Point{At: list[i].at, Value: list[i].value, Flag: list[i].flag}) {
				return nil
			}
		}
	}
}

// rollups walks a series' roll-ups beside a reading, from the same snapshot.
type rollups struct {
	it    *pebble.Iterator
	valid bool
	open  map[int32]bool // days whose roll-ups are older than their samples
}

func (s *series) rollups(ctx context.Context, n uint32, from, to int64, r *reading) (*rollups, error) {
	first, end := dayOf(from), dayOf(to-1)+1
	u := &rollups{open: map[int32]bool{}}
	clone := func(kind byte) (*pebble.Iterator, error) {
		return r.chunks.CloneWithContext(ctx, pebble.CloneOptions{IterOptions: &pebble.IterOptions{
			LowerBound: dayKey(nil, kind, n, first), UpperBound: dayKey(nil, kind, n, end),
		}})
	}
	marks, err := clone(keyOpen)
	if err != nil {
		return nil, err
	}
	for ok := marks.First(); ok; ok = marks.Next() {
		if len(marks.Key()) == dayKeySize {
			u.open[keyDay(marks.Key())] = true
		}
	}
	if err := marks.Close(); err != nil {
		return nil, err
	}
	if u.it, err = clone(keyRollup); err != nil {
		return nil, err
	}
	u.valid = u.it.First()
	return u, nil
}

func (u *rollups) close() error { return u.it.Close() }

func (u *rollups) next() (day int32, ok bool) {
	if !u.valid || len(u.it.Key()) != dayKeySize {
		return 0, false
	}
	return keyDay(u.it.Key()), true
}

func (u *rollups) pass(day int32) {
	if d, ok := u.next(); ok && d == day {
		u.valid = u.it.Next()
	}
}

// holds tells whether a day's roll-ups have a level and are not older than its samples.
func (u *rollups) holds(day int32, level int) bool {
	if d, ok := u.next(); !ok || d != day || u.open[day] {
		return false
	}
	v, err := u.it.ValueAndErr()
	has := false
	if err == nil {
		_ = parseRollups(v, midnightOf(day), func(l int, _ []telemetry.Part) bool { has = l == level; return !has })
	}
	return has
}

// final tells whether the samples that the next roll-ups were made of have gone.
func (u *rollups) final() bool {
	v, err := u.it.ValueAndErr()
	return err == nil && len(v) > 0 && v[0] == rollupFinal
}

// parts gives g the day's parts of a level, or the widest below it, or the
// narrowest there is, with what came late for it, unless they hold other flags
// than these; more is false when the receiver wants no more.
func (u *rollups) parts(day int32, level int, from, to int64, late []telemetry.Part, flags []telemetry.Flag, g *telemetry.Gatherer) (more bool, err error) {
	v, err := u.it.ValueAndErr()
	if err == nil && len(late) > 0 {
		v, _, err = withLate(v, midnightOf(day), late)
	}
	if err != nil {
		return false, err
	}
	var best []telemetry.Part
	if midnight := midnightOf(day); from > midnight || to < midnight+dayMillis {
		level = 0 // a wide part may reach beyond what is asked for
	}
	err = parseRollups(v, midnightOf(day), func(l int, parts []telemetry.Part) bool {
		if best == nil || l <= level {
			best = parts
		}
		return true
	})
	if err != nil {
		return false, err
	}
	u.valid = u.it.Next()
	for _, p := range best {
		if p.Start < from || p.Start >= to || flags != nil && !p.Only(flags) {
			continue
		}
		if !g.Part(p) {
			return false, nil
		}
	}
	return true, u.it.Error()
}
