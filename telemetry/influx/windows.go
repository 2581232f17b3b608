package influx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	influxquery "github.com/influxdata/influxdb-client-go/v2/api/query"

	"cuulong/devices"
	"cuulong/telemetry"
)

// chunkWindows is how many windows one query answers: what a reader's memory is
// bounded by, and what the database builds at once.
const chunkWindows = 2000

// Windows yields the windows of a series that hold anything, in rising time.
func (s *Store) Windows(ctx context.Context, id devices.ID, metric string, from, to int64, every telemetry.Every, yield func(telemetry.Window) bool) error {
	if every.Millis <= 0 {
		return fmt.Errorf("influx: windows of %d ms", every.Millis)
	}
	at, end, ok := clamp(from, to)
	if !ok {
		return ctx.Err()
	}
	for at < end {
		stop := min(every.Floor(at)+chunkWindows*every.Millis, end)
		list, err := s.chunk(ctx, id, metric, at, stop, every)
		if err != nil {
			return err
		}
		for _, w := range list {
			if !yield(w) {
				return nil
			}
		}
		at = stop
		if len(list) == 0 && at < end { // over a gap in one step
			if at, err = s.firstAfter(ctx, id, metric, at, end); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstAfter is the time of the first point of a range; to where there is none.
func (s *Store) firstAfter(ctx context.Context, id devices.ID, metric string, from, to int64) (int64, error) {
	at := to
	err := s.Points(ctx, id, metric, from, to, func(p telemetry.Point) bool {
		at = p.At
		return false
	})
	return at, err
}

// chunk asks for the windows of a range: one read of the values, aggregated
// five ways, and one of those flags that are not pass.
func (s *Store) chunk(ctx context.Context, id devices.ID, metric string, from, to int64, every telemetry.Every) ([]telemetry.Window, error) {
	offset := every.Floor(0) // of local midnight, for whole days
	if offset < 0 {
		offset += every.Millis
	}
	window := fmt.Sprintf("\n\t|> window(every: %dms, offset: %dms)", every.Millis, offset)
	var flux strings.Builder
	fmt.Fprintf(&flux, "windows = %s)%s\n", s.fromSeries(id, metric, fieldValue, from, to), window)
	for _, agg := range []string{"mean", "min", "max", "last", "count"} {
		fmt.Fprintf(&flux, "windows |> %s() |> keep(columns: [\"_start\", \"_value\"]) |> group() |> yield(name: %q)\n", agg, agg)
	}
	fmt.Fprintf(&flux, "%s and r._value != 1)%s\n\t|> unique()\n\t|> keep(columns: [\"_start\", \"_value\"])\n\t|> group()\n\t|> yield(name: %q)\n",
		s.fromSeries(id, metric, fieldFlag, from, to), window, fieldFlag)
	r, err := s.ask(ctx, flux.String())
	if err != nil {
		return nil, err
	}
	defer r.close()
	found := map[int64]*telemetry.Window{}
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := merge(found, row, every); err != nil {
			return nil, err
		}
	}
	list := make([]telemetry.Window, 0, len(found))
	for _, w := range found {
		if w.Count > 0 {
			list = append(list, finish(*w))
		}
	}
	slices.SortFunc(list, func(a, b telemetry.Window) int { return cmp.Compare(a.Start, b.Start) })
	return list, nil
}

// merge brings one row into the window it belongs to.
func merge(found map[int64]*telemetry.Window, row *influxquery.FluxRecord, every telemetry.Every) error {
	start, ok := row.ValueByKey("_start").(time.Time)
	if !ok {
		return errShape
	}
	at := every.Floor(start.UnixMilli()) // a window that the range cuts begins with the range there
	w := found[at]
	if w == nil {
		w = &telemetry.Window{Start: at, Flag: telemetry.Pass}
		found[at] = w
	}
	switch v := row.Value().(type) {
	case float64:
		switch row.Result() {
		case "mean":
			w.Mean = v
		case "min":
			w.Min = v
		case "max":
			w.Max = v
		case "last":
			w.Last = v
		}
	case int64:
		switch row.Result() {
		case "count":
			w.Count = int(v)
		case fieldFlag:
			w.Flag = telemetry.Worse(w.Flag, telemetry.Flag(v))
		}
	default:
		return errShape
	}
	return nil
}

// finish keeps the mean within what was measured, also where a sum is beyond a float.
func finish(w telemetry.Window) telemetry.Window {
	if math.IsNaN(w.Mean) || math.IsInf(w.Mean, 0) {
		w.Mean = w.Min/2 + w.Max/2
	}
	w.Mean = min(max(w.Mean, w.Min), w.Max)
	return w
}
