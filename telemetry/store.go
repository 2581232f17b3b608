package telemetry

import (
	"context"

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

// Finder is a Store that finds one point faster than Points does; Ingest asks
// for each late value whether it has it already.
type Finder interface {
	// Find returns the point of a series at exactly at (Unix ms); ok is false where there is none.
	Find(ctx context.Context, id devices.ID, metric string, at int64) (p Point, ok bool, err error)
}

// find asks a store for one point.
func find(ctx context.Context, s Store, id devices.ID, metric string, at int64) (p Point, ok bool, err error) {
	if f, is := s.(Finder); is {
		return f.Find(ctx, id, metric, at)
	}
	err = s.Points(ctx, id, metric, at, at+1, func(q Point) bool {
		p, ok = q, true
		return false
	})
	return p, ok, err
}
