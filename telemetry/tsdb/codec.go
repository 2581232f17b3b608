package tsdb

import (
	"encoding/binary"
	"errors"
	"math"

	"cuulong/devices"
	"cuulong/telemetry"
)

// The body of a record, see FORMAT.md. It names everything it speaks of, so
// that a record can be read although all others are lost.

// Bits of an observation's first byte.
const (
	sameDevice = 1 << 0 // the device is the previous observation's
	decimal    = 1 << 1 // the value is a varint of thousandths, else 8 bytes
	hasTest    = 1 << 2 // a test's name follows the value
	flagShift  = 4      // the quality flag is in the upper four bits
)

// encoder builds bodies; its tables are kept between records to spare allocations.
type encoder struct {
	metrics map[string]uint64 // 1-based index by name, of this record
}

// body appends r's body to b.
func (e *encoder) body(b []byte, r *telemetry.Record) []byte {
	if e.metrics == nil {
		e.metrics = map[string]uint64{}
	}
	clear(e.metrics)
	b = binary.AppendUvarint(b, uint64(len(r.Observations)))
	b = binary.AppendUvarint(b, uint64(len(r.SetAside)))
	var prev telemetry.Observation
	for i := range r.Observations {
		o := &r.Observations[i]
		b = e.observation(b, o, &prev)
		prev = *o
	}
	for i := range r.SetAside {
		a := &r.SetAside[i]
		b = appendString(b, a.Source)
		b = appendString(b, a.Reason)
		b = appendString(b, a.Detail)
		b = binary.AppendVarint(b, a.Seen)
		b = binary.AppendUvarint(b, uint64(max(a.Count, 1)))
		b = binary.AppendUvarint(b, uint64(len(a.Payload)))
		b = append(b, a.Payload...)
	}
	return b
}

func (e *encoder) observation(b []byte, o, prev *telemetry.Observation) []byte {
	first := byte(o.Flag) << flagShift
	thousandths := math.Round(o.Value * 1000)
	if math.Abs(thousandths) < 1<<48 && math.Float64bits(thousandths/1000) == math.Float64bits(o.Value) {
		first |= decimal
	}
	if o.Device == prev.Device {
		first |= sameDevice
	}
	if o.Test != "" {
		first |= hasTest
	}
	b = append(b, first)
	if first&sameDevice == 0 {
		b = appendString(b, string(o.Device))
	}
	if n, ok := e.metrics[o.Metric]; ok {
		b = binary.AppendUvarint(b, n)
	} else {
		e.metrics[o.Metric] = uint64(len(e.metrics) + 1)
		b = append(b, 0)
		b = appendString(b, o.Metric)
	}
	b = binary.AppendVarint(b, o.At-prev.At)
	b = binary.AppendVarint(b, o.Seen-o.At)
	if first&decimal != 0 {
		b = binary.AppendVarint(b, int64(thousandths))
	} else {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(o.Value))
	}
	if first&hasTest != 0 {
		b = appendString(b, o.Test)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// errBody says that a body is not what an encoder writes.
var errBody = errors.New("malformed record")

// decoder reads one body; the first fault stays.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

// count reads how many things of at least least bytes follow; more than there is room for is a fault.
func (d *decoder) count(least int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/least) {
		d.bad = true
		return 0
	}
	return int(n)
}

// decodeBody reads a body into r, whose slices it reuses. What it gives does not point into b.
func decodeBody(b []byte, r *telemetry.Record) error {
	d := decoder{b: b}
	nObs := d.count(5)
	nAside := d.uvarint()
	if nAside > uint64(len(d.b)/6) {
		d.bad = true
	}
	r.Observations, r.SetAside = r.Observations[:0], r.SetAside[:0]
	var metrics []string
	var prev telemetry.Observation
	for range nObs {
		if d.bad {
			return errBody
		}
		prev = d.observation(prev, &metrics)
		r.Observations = append(r.Observations, prev)
	}
	for i := uint64(0); i < nAside && !d.bad; i++ {
		var a telemetry.SetAside
		a.Source = string(d.bytes())
		a.Reason = string(d.bytes())
		a.Detail = string(d.bytes())
		a.Seen = d.varint()
		a.Count = int(d.uvarint())
		a.Payload = append([]byte(nil), d.bytes()...)
		r.SetAside = append(r.SetAside, a)
	}
	if d.bad || len(d.b) > 0 {
		return errBody
	}
	return nil
}

func (d *decoder) observation(prev telemetry.Observation, metrics *[]string) telemetry.Observation {
	first := d.take(1)
	if d.bad {
		return prev
	}
	o := telemetry.Observation{Device: prev.Device, Flag: telemetry.Flag(first[0] >> flagShift)}
	if first[0]&sameDevice == 0 {
		o.Device = devices.ID(d.bytes())
	}
	switch n := d.uvarint(); {
	case n == 0:
		o.Metric = string(d.bytes())
		*metrics = append(*metrics, o.Metric)
	case n <= uint64(len(*metrics)):
		o.Metric = (*metrics)[n-1]
	default:
		d.bad = true
	}
	o.At = prev.At + d.varint()
	o.Seen = o.At + d.varint()
	if first[0]&decimal != 0 {
		o.Value = float64(d.varint()) / 1000
	} else if v := d.take(8); !d.bad {
		o.Value = math.Float64frombits(binary.LittleEndian.Uint64(v))
	}
	if first[0]&hasTest != 0 {
		o.Test = string(d.bytes())
	}
	return o
}
