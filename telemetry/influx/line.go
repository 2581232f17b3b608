package influx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"cuulong/telemetry"
)

// The data model. One measurement; the datastream is the tags, and with the
// phenomenon time it is the whole key of a point: written twice it is there once,
// and a later value replaces the earlier, since each write has all fields.
// test is the exception: it is written, and read, only where the flag is not
// pass, which spares nearly every point a string. Times are in milliseconds.
const (
	measurement = "observation"
	tagDevice   = "device"
	tagMetric   = "metric"
	fieldValue  = "value" // float
	fieldFlag   = "flag"  // integer
	fieldSeen   = "seen"  // integer, Unix ms
	fieldTest   = "test"  // string
)

// lines are points in line protocol, in the order in which they were added:
// the later of two with the same key is the one that stays.
type lines struct {
	buf  []byte
	ends []int
}

func (l *lines) len() int { return len(l.ends) }

func (l *lines) reset() { l.buf, l.ends = l.buf[:0], l.ends[:0] }

// text is the points i to j, without j.
func (l *lines) text(i, j int) string {
	start := 0
	if i > 0 {
		start = l.ends[i-1]
	}
	return string(l.buf[start:l.ends[j-1]])
}

// bytes is the size of the points i to j.
func (l *lines) bytes(i, j int) int {
	if i > 0 {
		return l.ends[j-1] - l.ends[i-1]
	}
	return l.ends[j-1]
}

// add appends an observation; the error says why line protocol cannot carry it.
func (l *lines) add(o *telemetry.Observation) error {
	if math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
		return fmt.Errorf("value is not finite")
	}
	for _, s := range [...]string{string(o.Device), o.Metric} {
		if s == "" {
			return fmt.Errorf("a name is empty")
		}
		if err := plain(s); err != nil {
			return err
		}
		if s[len(s)-1] == '\\' {
			return fmt.Errorf("the name %.64q ends in a backslash", s) // it would escape what follows
		}
	}
	if err := plain(o.Test); err != nil {
		return err
	}
	b := append(l.buf, measurement+","+tagDevice+"="...)
	b = appendTag(b, string(o.Device))
	b = append(b, ","+tagMetric+"="...)
	b = appendTag(b, o.Metric)
	b = append(b, " "+fieldValue+"="...)
	b = strconv.AppendFloat(b, o.Value, 'g', -1, 64)
	b = append(b, ","+fieldFlag+"="...)
	b = strconv.AppendUint(b, uint64(o.Flag), 10)
	b = append(b, "i,"+fieldSeen+"="...)
	b = strconv.AppendInt(b, o.Seen, 10)
	b = append(b, 'i')
	if o.Flag != telemetry.Pass {
		b = append(b, ","+fieldTest+`="`...)
		for i := range len(o.Test) {
			if c := o.Test[i]; c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, o.Test[i])
		}
		b = append(b, '"')
	}
	b = append(b, ' ')
	b = strconv.AppendInt(b, o.At, 10)
	l.buf = append(b, '\n')
	l.ends = append(l.ends, len(l.buf))
	return nil
}

// plain refuses control characters: a newline would begin another point.
func plain(s string) error {
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("control character in %.64q", s)
	}
	return nil
}

func appendTag(b []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case ' ', ',', '=':
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}
