package telemetry

import (
	"context"
	"errors"

	"cuulong/devices"
)

// Record is one commit of the log: what it stored and what it set aside.
type Record struct {
	Seq          uint64 // given by Append, rising by one
	Observations []Observation
	SetAside     []SetAside
}

// Log is the durable front: Append returns after fsync. One caller at a time, the committer.
// An error is final: what the log holds of r is unknown, and nothing may be appended after it.
type Log interface {
	Append(r *Record) error
}

// Point is one value of a series.
type Point struct {
	At    int64 // Unix ms
	Value float64
	Flag  Flag
}

// Store keeps series. A later value at the same (device, metric, At) replaces the earlier.
type Store interface {
	// Apply takes what the log has made durable, in the log's order. Applying twice changes nothing.
	// It may run beside reads; a read that begins after Append has returned sees that record.
	Apply(r *Record) error
	// Points yields a raw series in rising time, from inclusive, to exclusive, until yield says false.
	Points(ctx context.Context, id devices.ID, metric string, from, to int64, yield func(Point) bool) error
	// Newest yields the newest observation of every datastream.
	Newest(ctx context.Context, yield func(Observation) bool) error
}

// Finder is a Store that finds single points faster than Points does; Ingest asks
// whether it has what comes late already.
type Finder interface {
	// Find yields the points of a series that are at exactly these times (Unix ms), which rise.
	// With ErrDamaged it has yielded what can be read.
	Find(ctx context.Context, id devices.ID, metric string, at []int64, yield func(Point)) error
}

// find asks a store for single points. What is damaged is not there: a value that
// comes for it stands beside it, and what comes elsewhere has nothing to do with it.
func find(ctx context.Context, s Store, id devices.ID, metric string, at []int64, yield func(Point)) (err error) {
	if f, is := s.(Finder); is {
		err = f.Find(ctx, id, metric, at, yield)
	} else {
		for _, t := range at {
			err = errors.Join(err, s.Points(ctx, id, metric, t, t+1, func(p Point) bool { yield(p); return true }))
		}
	}
	if errors.Is(err, ErrDamaged) {
		return nil // who reads it is told, and so is the log
	}
	return err
}

// ErrNoSpace is what a Log wraps when its disk has no room for a record. It is
// not final: nothing of the record was kept, and appending may work later.
var ErrNoSpace = errors.New("no space for the log")

// ErrUnavailable is what a Store wraps when it cannot be asked just now: a
// database elsewhere that is down or too slow. What is asked may be asked again.
var ErrUnavailable = errors.New("the store of series does not answer")

// ErrDamaged is what a Store wraps when what it holds there cannot be read, and
// the rest can.
var ErrDamaged = errors.New("the store is damaged there")

// Feed is a durable log as its consumers see it: each keeps a place in it, and
// what is behind every place may be deleted. A log has bounds of age and bytes;
// a consumer that falls behind them finds later records than it asked for.
type Feed interface {
	// Records yields the durable records from seq from on, in order, until yield says
	// false or the newest was yielded. A record is yield's only until it returns.
	Records(ctx context.Context, from uint64, yield func(*Record) bool) error
	// Await returns when a record with a seq above after is durable, or ctx ends.
	Await(ctx context.Context, after uint64) error
	// Place is the last seq that the consumer has done with; 0 where it has none.
	Place(consumer string) (seq uint64, err error)
	// SetPlace notes that the consumer has done with the records up to seq. After
	// a crash an older place may come back: records come at least once.
	SetPlace(consumer string, seq uint64) error
}

// Windower is a Store that answers windows itself, faster than by its points.
type Windower interface {
	// Windows does what the function Windows does, of points of these flags alone; nil: of all.
	Windows(ctx context.Context, id devices.ID, metric string, from, to int64, every Every, flags []Flag, yield func(Window) bool) error
}
