package telemetry

import (
	"context"
	"slices"

	"cuulong/devices"
)

// OnlyFlags is a Store that yields only the points of these flags; its windows
// are made of such points alone, and so of no roll-ups.
func OnlyFlags(s Store, flags []Flag) Store { return &flagged{s, flags} }

type flagged struct {
	Store
	flags []Flag
}

// Points yields those of the flags.
func (f *flagged) Points(ctx context.Context, id devices.ID, metric string, from, to int64, yield func(Point) bool) error {
	return f.Store.Points(ctx, id, metric, from, to, func(p Point) bool {
		return !slices.Contains(f.flags, p.Flag) || yield(p)
	})
}
