package telemetry

import (
	"context"
	"slices"

	"cuulong/devices"
)

// OnlyFlags is a Store that yields only the points of these flags, and windows
// of such points alone. Of a day that has nothing but roll-ups left these are
// the roll-ups that hold no other, which their worst flag tells.
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

var _ Windower = (*flagged)(nil)

// Windows are those of the flags' points.
func (f *flagged) Windows(ctx context.Context, id devices.ID, metric string, from, to int64, every Every, flags []Flag, yield func(Window) bool) error {
	if flags != nil { // of these, ours
		both := slices.DeleteFunc(slices.Clone(flags), func(q Flag) bool { return !slices.Contains(f.flags, q) })
		f = &flagged{f.Store, both}
	}
	if by, ok := f.Store.(Windower); ok {
		return by.Windows(ctx, id, metric, from, to, every, f.flags, yield)
	}
	return gatherPoints(ctx, f, id, metric, from, to, every, yield)
}

// Only tells whether a part holds points of these flags and of no other.
func (p *Part) Only(flags []Flag) bool {
	if !slices.Contains(flags, p.Flag) {
		return false
	}
	if p.Count == 1 {
		return true
	}
	for _, f := range [...]Flag{Pass, NotEvaluated, Missing, Suspect, Fail} {
		if rank(f) < rank(p.Flag) && !slices.Contains(flags, f) {
			return false
		}
	}
	return true
}
