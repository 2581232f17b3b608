package influx

import (
	"fmt"
	"time"

	"cuulong/devices"
)

// Times that an InfluxDB can hold are 64-bit nanoseconds; whole years inside them, in Unix ms.
var (
	minTime = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	maxTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
)

// quote writes a string literal of Flux. All but the plainest bytes are written
// by number, so that neither quotes nor ${interpolation} can come through.
func quote(s string) string {
	const hex = "0123456789abcdef"
	b := append(make([]byte, 0, len(s)+2), '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.', c == '/':
			b = append(b, c)
		default:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return string(append(b, '"'))
}

// instant writes a time literal of Flux.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// from begins a query for what a time range (Unix ms, to exclusive) holds of our
// measurement. 1.8 takes the end in, which Flux says is out; a nanosecond before
// it is right for both, since our times are whole milliseconds.
func (s *Store) from(from, to int64) string {
	return fmt.Sprintf("from(bucket: %s)\n\t|> range(start: %s, stop: %s)\n\t|> filter(fn: (r) => r._measurement == %s",
		quote(s.o.Bucket), instant(time.UnixMilli(from)), instant(time.UnixMilli(to).Add(-1)), quote(measurement))
}

// fromSeries begins a query for one field of one datastream; the filter is open for more conditions.
func (s *Store) fromSeries(id devices.ID, metric, field string, from, to int64) string {
	return s.from(from, to) + fmt.Sprintf(" and r.%s == %s and r.%s == %s and r._field == %s",
		tagDevice, quote(string(id)), tagMetric, quote(metric), quote(field))
}

// clamp brings a range into what an InfluxDB can hold; ok is false where nothing is left.
func clamp(from, to int64) (lo, hi int64, ok bool) {
	lo, hi = max(from, minTime), min(to, maxTime)
	return lo, hi, lo < hi
}
