package tsdb

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"cuulong/telemetry"
)

// Roll-ups of a series' day, see FORMAT.md: mean, min, max, last, count and the
// worst flag of windows of three widths. They are made when a day is compacted
// and hold while it has no newer samples; a day that has is told by its samples.

// levels are the widths of roll-ups, Unix ms, rising.
var levels = [...]int64{5 * 60 * 1000, 3600 * 1000, dayMillis}

const (
	// worthwhile is how many samples a window must hold on average for a level
	// to be kept beside them: fewer are read as fast themselves.
	worthwhile = 60

	maxParts = dayMillis / (5 * 60 * 1000)
)

// roller makes the parts of one level of a day's samples, which come in rising time.
type roller struct {
	midnight, width int64
	parts           []telemetry.Part
	sum             telemetry.Sum // of the last part
}

func (r *roller) add(list []sample) {
	for i := 0; i < len(list); {
		start := r.midnight + floorDiv(list[i].at-r.midnight, r.width)*r.width
		w := between(list[i:], start, start+r.width)
		if n := len(r.parts); n == 0 || r.parts[n-1].Start != start {
			r.parts = append(r.parts, telemetry.Part{Start: start, Min: w[0].value, Max: w[0].value})
			r.sum = telemetry.Sum{}
		}
		p := &r.parts[len(r.parts)-1]
		for k := range w {
			r.sum.Add(w[k].value)
			p.Min, p.Max, p.Last = min(p.Min, w[k].value), max(p.Max, w[k].value), w[k].value
			p.Flag = telemetry.Worse(p.Flag, w[k].flag)
		}
		p.Sum, p.Count = r.sum.Value(), p.Count+len(w)
		i += len(w)
	}
}

// rollers make all levels of a day.
type rollers struct {
	of    [len(levels)]roller
	count int // samples
}

func newRollers(midnight int64) *rollers {
	r := &rollers{}
	for level, width := range levels {
		r.of[level] = roller{midnight: midnight, width: width}
	}
	return r
}

func (r *rollers) add(list []sample) {
	for level := range r.of {
		r.of[level].add(list)
	}
	r.count += len(list)
}

// The first byte of a day's roll-ups.
const (
	rollupBeside = 0 // the samples are there, too
	rollupFinal  = 1 // the samples have gone: withLate alone adds to the roll-ups
)

// append appends the levels of a day that are worth it, or, as final, all of them.
func (r *rollers) append(b []byte, final bool) (out []byte, any bool) {
	if r.count == 0 {
		return b, false
	}
	if final {
		b = append(b, rollupFinal)
	} else {
		b = append(b, rollupBeside)
	}
	for level := range r.of {
		parts := r.of[level].parts
		if !final && (r.count < worthwhile*len(parts) || slices.ContainsFunc(parts, beyond)) {
			continue
		}
		any = true
		b = appendLevel(b, level, r.of[level].midnight, parts)
	}
	return b, any
}

// beyond tells a part whose sum no float64 holds: its mean is its samples' to tell.
func beyond(p telemetry.Part) bool { return math.IsInf(p.Sum, 0) }

func appendLevel(b []byte, level int, midnight int64, parts []telemetry.Part) []byte {
	b = append(b, byte(level))
	b = binary.AppendUvarint(b, uint64(len(parts)))
	at := midnight
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64((p.Start-at)/levels[level]))
		at = p.Start
		b = binary.AppendUvarint(b, uint64(p.Count))
		b = append(b, byte(p.Flag))
		for _, v := range [...]float64{p.Sum, p.Min, p.Max, p.Last} {
			b = appendNumber(b, v)
		}
	}
	return b
}

// appendNumber tells a float: decimals+1 and the mantissa, or 0 and its 8 bytes.
func appendNumber(b []byte, v float64) []byte {
	for d := range maxDecimals + 1 {
		if isDecimal(v, d) && math.Abs(v)*powers[d] < 1<<40 {
			return binary.AppendVarint(append(b, byte(d+1)), int64(math.Round(v*powers[d])))
		}
	}
	return binary.LittleEndian.AppendUint64(append(b, 0), math.Float64bits(v))
}

func (d *decoder) number() float64 {
	head := d.take(1)
	switch {
	case d.bad:
	case head[0] == 0:
		if v := d.take(8); !d.bad {
			return math.Float64frombits(binary.LittleEndian.Uint64(v))
		}
	case head[0] <= maxDecimals+1:
		return float64(d.varint()) / powers[head[0]-1]
	default:
		d.bad = true
	}
	return 0
}

// parseRollups yields the levels that a day has.
func parseRollups(b []byte, midnight int64, yield func(level int, parts []telemetry.Part) bool) error {
	if len(b) == 0 || b[0] > rollupFinal {
		return errValue
	}
	d := decoder{b: b[1:]}
	for len(d.b) > 0 {
		head := d.take(1)
		n := d.count(7)
		if d.bad || int(head[0]) >= len(levels) || n > maxParts {
			return errValue
		}
		width := levels[head[0]]
		parts := make([]telemetry.Part, 0, n)
		at := midnight
		for range n {
			at += int64(min(d.uvarint(), maxParts)) * width
			p := telemetry.Part{Start: at, Count: int(min(d.uvarint(), math.MaxInt32))}
			if flag := d.take(1); !d.bad {
				p.Flag = telemetry.Flag(flag[0])
			}
			p.Sum, p.Min, p.Max, p.Last = d.number(), d.number(), d.number(), d.number()
			parts = append(parts, p)
		}
		if d.bad || at >= midnight+dayMillis {
			return errValue
		}
		if !yield(int(head[0]), parts) {
			return nil
		}
	}
	return nil
}

// withLate adds to the final roll-ups of a day what came for it afterwards, late,
// parts of the narrowest level: those of windows that the narrowest of its levels
// lacks. Of one that it has nobody can tell any more whether a sample is a repeat:
// known is how many those are.
func withLate(v []byte, midnight int64, late []telemetry.Part) (ups []byte, known int, err error) {
	var kept [len(levels)]bool
	narrowest := -1
	var parts []telemetry.Part
	err = parseRollups(v, midnight, func(level int, p []telemetry.Part) bool {
		if kept[level] = true; narrowest < 0 {
			narrowest, parts = level, p
		}
		return true
	})
	if err != nil || narrowest < 0 {
		for _, p := range late {
			known += p.Count
		}
		return v, known, err
	}
	told := map[int64]bool{}
	for _, p := range parts {
		told[p.Start] = true
	}
	for _, p := range widened(late, midnight, levels[narrowest]) {
		if told[p.Start] {
			known += p.Count
		} else {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b telemetry.Part) int { return cmp.Compare(a.Start, b.Start) })
	ups = append(ups, v[0])
	for level, width := range levels {
		if kept[level] {
			ups = appendLevel(ups, level, midnight, widened(parts, midnight, width))
		}
	}
	return ups, known, nil
}

// widened makes the parts of a level from those of a narrower one, or the same.
func widened(parts []telemetry.Part, midnight, width int64) (wide []telemetry.Part) {
	for _, p := range parts {
		start := midnight + floorDiv(p.Start-midnight, width)*width
		if n := len(wide); n > 0 && wide[n-1].Start == start {
			w := &wide[n-1]
			w.Sum, w.Count, w.Last = w.Sum+p.Sum, w.Count+p.Count, p.Last
			w.Min, w.Max, w.Flag = min(w.Min, p.Min), max(w.Max, p.Max), telemetry.Worse(w.Flag, p.Flag)
			continue
		}
		p.Start = start
		wide = append(wide, p)
	}
	return wide
}

// levelFor is the widest level that windows of a width can be made of; -1: none.
func levelFor(every telemetry.Every) int {
	level := -1
	for i, width := range levels {
		if every.Millis%width == 0 {
			level = i
		}
	}
	return level
}
