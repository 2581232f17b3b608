package influx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api"
	influxquery "github.com/influxdata/influxdb-client-go/v2/api/query"

	"cuulong/devices"
	"cuulong/telemetry"
)

// rows are a query's answer as it streams in.
type rows struct {
	ctx   context.Context // the caller's
	stop  context.CancelFunc
	table *api.QueryTableResult
}

// ask sends a query. The caller closes the rows, at any point of them.
func (s *Store) ask(ctx context.Context, flux string) (*rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	own, stop := context.WithCancel(ctx)
	table, err := s.query.Query(own, flux)
	if err != nil {
		stop()
		return nil, unavailable(ctx, err)
	}
	return &rows{ctx, stop, table}, nil
}

// unavailable is a query's failure as the callers' callers know it.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("influx: %w: %w", telemetry.ErrUnavailable, err)
}

// next is the next row; io.EOF after the last.
func (r *rows) next() (*influxquery.FluxRecord, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	if r.table.Next() {
		return r.table.Record(), nil
	}
	if err := r.table.Err(); err != nil {
		return nil, unavailable(r.ctx, err)
	}
	return nil, io.EOF
}

func (r *rows) close() {
	_ = r.table.Close()
	r.stop()
}

// errShape is an answer that does not have the form that was asked for.
var errShape = fmt.Errorf("influx: %w: the answer is not what was asked for", telemetry.ErrUnavailable)

// sample is one row of one field.
type sample[T any] struct {
	at    int64
	value T
}

func sampleOf[T any](r *influxquery.FluxRecord) (sample[T], error) {
	at, ok := r.ValueByKey("_time").(time.Time)
	v, good := r.Value().(T)
	if !ok || !good {
		return sample[T]{}, errShape
	}
	return sample[T]{at.UnixMilli(), v}, nil
}

// Points yields a raw series in rising time, from inclusive, to exclusive, until
// yield says false. Two answers stream beside each other, the values and those
// flags that are not pass, so that the memory does not depend on the range.
func (s *Store) Points(ctx context.Context, id devices.ID, metric string, from, to int64, yield func(telemetry.Point) bool) error {
	lo, hi, ok := clamp(from, to)
	if !ok {
		return ctx.Err()
	}
	values, err := s.ask(ctx, s.fromSeries(id, metric, fieldValue, lo, hi)+")\n\t|> keep(columns: [\"_time\", \"_value\"])")
	if err != nil {
		return err
	}
	defer values.close()
	flags, err := s.ask(ctx, s.fromSeries(id, metric, fieldFlag, lo, hi)+" and r._value != 1)\n\t|> keep(columns: [\"_time\", \"_value\"])")
	if err != nil {
		return err
	}
	defer flags.close()

	flag, more, err := nextFlag(flags)
	if err != nil {
		return err
	}
	for {
		row, err := values.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v, err := sampleOf[float64](row)
		if err != nil {
			return err
		}
		for more && flag.at < v.at {
			if flag, more, err = nextFlag(flags); err != nil {
				return err
			}
		}
		p := telemetry.Point{At: v.at, Value: v.value, Flag: telemetry.Pass}
		if more && flag.at == v.at {
			p.Flag = telemetry.Flag(flag.value)
		}
		if !yield(p) {
			return nil
		}
	}
}

func nextFlag(r *rows) (f sample[int64], more bool, err error) {
	row, err := r.next()
	if errors.Is(err, io.EOF) {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	f, err = sampleOf[int64](row)
	return f, err == nil, err
}

// Newest yields the newest observation of every datastream. The database reads
// all it has for that: who wants what is new asks Since.
func (s *Store) Newest(ctx context.Context, yield func(telemetry.Observation) bool) error {
	return s.Since(ctx, minTime, yield)
}

// Since yields the newest observation of every datastream that has one at or after from (Unix ms).
func (s *Store) Since(ctx context.Context, from int64, yield func(telemetry.Observation) bool) error {
	found, err := s.last(ctx, from)
	if err != nil {
		return err
	}
	for _, o := range found {
		if o.Flag == 0 {
			continue // somebody else's: without a flag it is no observation of ours
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(*o) {
			return nil
		}
	}
	return nil
}

// last gathers the last value of each field of each datastream; those of the
// value's own time are the observation.
func (s *Store) last(ctx context.Context, from int64) (map[stream]*telemetry.Observation, error) {
	lo, hi, ok := clamp(from, maxTime)
	if !ok {
		return nil, ctx.Err()
	}
	found := map[stream]*telemetry.Observation{}
	// The values first: the others are told apart by their time.
	for _, field := range []string{fieldValue, fieldFlag, fieldSeen, fieldTest} {
		r, err := s.ask(ctx, s.from(lo, hi)+fmt.Sprintf(" and r._field == %s)\n\t|> last()\n\t|> keep(columns: [\"_time\", \"_value\", %q, %q])",
			quote(field), tagDevice, tagMetric))
		if err != nil {
			return nil, err
		}
		err = r.fill(field, found)
		r.close()
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (r *rows) fill(field string, found map[stream]*telemetry.Observation) error {
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at, ok := row.ValueByKey("_time").(time.Time)
		device, good := row.ValueByKey(tagDevice).(string)
		metric, known := row.ValueByKey(tagMetric).(string)
		if !ok || !good || !known {
			return errShape
		}
		key := stream{devices.ID(device), metric}
		o := found[key]
		if field == fieldValue {
			v, ok := row.Value().(float64)
			if !ok {
				continue // another type, by somebody else
			}
			found[key] = &telemetry.Observation{Device: key.device, Metric: key.metric, At: at.UnixMilli(), Value: v}
			continue
		}
		if o == nil || o.At != at.UnixMilli() {
			continue
		}
		switch v := row.Value().(type) {
		case int64:
			if field == fieldFlag {
				o.Flag = telemetry.Flag(v)
			} else {
				o.Seen = v
			}
		case string:
			if o.Flag != telemetry.Pass { // one that a later value without a test has replaced
				o.Test = v
			}
		}
	}
}
