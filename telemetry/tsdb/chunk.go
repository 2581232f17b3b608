package tsdb

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

	"cuulong/telemetry"
)

// A chunk is a piece of one series within one local day, see FORMAT.md: its
// columns are told as differences, and these as Rice codes, since neighbours in
// water and air are close and told in few decimals.

// sample is an observation of a series as the engine keeps it.
type sample struct {
	at    int64 // Unix ms
	value float64
	delay int32 // Seen less At in whole seconds, rounded down
	flag  telemetry.Flag
	test  uint8 // index of the test that gave the flag; 0: none
}

const (
	maxChunk = 1 << 22 // samples; more than the head ever holds

	valuesDelta   = 0 // decimals, differences of neighbours
	valuesDelta2  = 1 // decimals, differences of these
	valuesXOR     = 2 // IEEE 754, bits that differ from the neighbour's
	maxDecimals   = 6
	maxMantissa   = 1 << 53
	delaysDiffer  = 1 << 2 // of the first byte; else one delay for all
	timesDiffer   = 1 << 3 // else one step for all
	chunkModeMask = valuesDelta | valuesDelta2 | valuesXOR | delaysDiffer | timesDiffer
)

var errChunk = errors.New("malformed chunk")

var powers = [maxDecimals + 1]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// chunkEncoder builds chunks; its tables are kept to spare allocations.
type chunkEncoder struct {
	times, values, second, delays []uint64
	mantissas                     []int64
	buf                           []byte
}

// chunk appends samples, which rise in time and lie in one day that begins at
// midnight; tests are the names that they point to.
func (e *chunkEncoder) chunk(b []byte, midnight int64, list []sample, tests []string) []byte {
	step := e.steps(list)
	delay := e.lags(list)
	decimals, mode := e.amounts(list)
	first := mode
	timesK, cost := bestRice(e.times)
	if cost > len(e.times) || timesK > 0 { // not all zero
		first |= timesDiffer
	}
	delaysK, cost := bestRice(e.delays)
	if cost > len(e.delays) || delaysK > 0 {
		first |= delaysDiffer
	}
	b = append(b, byte(first))
	b = binary.AppendUvarint(b, uint64(len(list)))
	b = binary.AppendUvarint(b, uint64(list[0].at-midnight))
	if len(list) > 1 {
		b = binary.AppendUvarint(b, uint64(list[len(list)-1].at-list[0].at))
		b = binary.AppendUvarint(b, uint64(step))
	}
	if first&timesDiffer != 0 {
		b = append(b, byte(timesK))
	}
	b = binary.AppendVarint(b, delay)
	if first&delaysDiffer != 0 {
		b = append(b, byte(delaysK))
	}
	valuesK, values := uint(0), e.values
	switch mode {
	case valuesXOR:
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(list[0].value))
	default:
		b = append(b, byte(decimals))
		b = binary.AppendVarint(b, e.mantissas[0])
		if mode == valuesDelta2 {
			values = e.second
		}
		valuesK, _ = bestRice(values)
		b = append(b, byte(valuesK))
	}
	b = appendRuns(b, list, tests)

	w := newBitWriter(b)
	if first&timesDiffer != 0 {
		for _, v := range e.times {
			w.rice(v, timesK)
		}
	}
	if mode == valuesXOR {
		for i := 1; i < len(list); i++ {
			w.xor(math.Float64bits(list[i].value) ^ math.Float64bits(list[i-1].value))
		}
	} else {
		for _, v := range values {
			w.rice(v, valuesK)
		}
	}
	if first&delaysDiffer != 0 {
		for _, v := range e.delays {
			w.rice(v, delaysK)
		}
	}
	return w.bytes()
}

// steps fills e.times with how far each step is from the usual one, which it returns.
func (e *chunkEncoder) steps(list []sample) (step int64) {
	e.times = e.times[:0]
	if len(list) == 1 {
		return 0
	}
	e.mantissas = e.mantissas[:0]
	for i := 1; i < len(list); i++ {
		e.mantissas = append(e.mantissas, list[i].at-list[i-1].at)
	}
	step = median(e.mantissas)
	for i := 1; i < len(list); i++ {
		e.times = append(e.times, zigzag(list[i].at-list[i-1].at-step))
	}
	return step
}

// lags fills e.delays with how far each delay is from the usual one, which it returns.
func (e *chunkEncoder) lags(list []sample) (delay int64) {
	e.mantissas, e.delays = e.mantissas[:0], e.delays[:0]
	for i := range list {
		e.mantissas = append(e.mantissas, int64(list[i].delay))
	}
	delay = median(e.mantissas)
	for i := range list {
		e.delays = append(e.delays, zigzag(int64(list[i].delay)-delay))
	}
	return delay
}

// median sorts v.
func median(v []int64) int64 {
	if !slices.IsSorted(v) {
		slices.Sort(v)
	}
	return v[len(v)/2]
}

// amounts fills e.mantissas, e.values and e.second where the values are decimals, and says how they are best told.
func (e *chunkEncoder) amounts(list []sample) (decimals, mode int) {
	decimals = 0
	for i := range list {
		for !isDecimal(list[i].value, decimals) {
			if decimals++; decimals > maxDecimals {
				return 0, valuesXOR
			}
		}
	}
	e.mantissas, e.values, e.second = e.mantissas[:0], e.values[:0], e.second[:0]
	var last, step int64
	for i := range list {
		m := int64(math.Round(list[i].value * powers[decimals]))
		if !isDecimal(list[i].value, decimals) { // of fewer decimals, and not to the bit with more
			return 0, valuesXOR
		}
		if i > 0 {
			e.values = append(e.values, zigzag(m-last))
			e.second = append(e.second, zigzag(m-last-step))
			step = m - last
		}
		last = m
		e.mantissas = append(e.mantissas, m)
	}
	_, one := bestRice(e.values)
	_, two := bestRice(e.second)
	if two < one {
		return decimals, valuesDelta2
	}
	return decimals, valuesDelta
}

// isDecimal tells whether a value is, to the bit, a whole number over a power of ten.
func isDecimal(v float64, decimals int) bool {
	m := math.Round(v * powers[decimals])
	return math.Abs(m) < maxMantissa && math.Float64bits(m/powers[decimals]) == math.Float64bits(v) && (m != 0 || !math.Signbit(v))
}

// appendRuns tells the flags: most days have one for all.
func appendRuns(b []byte, list []sample, tests []string) []byte {
	runs := 1
	for i := 1; i < len(list); i++ {
		if list[i].flag != list[i-1].flag || list[i].test != list[i-1].test {
			runs++
		}
	}
	b = binary.AppendUvarint(b, uint64(runs))
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n].flag == list[i].flag && list[i+n].test == list[i].test {
			n++
		}
		b = append(b, byte(list[i].flag))
		b = appendString(b, tests[list[i].test])
		if i+n < len(list) { // the last run goes to the end
			b = binary.AppendUvarint(b, uint64(n))
		}
		i += n
	}
	return b
}

// xor tells the bits of a float that differ from its neighbour's: 0 for none, else
// 1, how many zeros lead (6 bits), how many bits follow less one (6), these.
func (w *bitWriter) xor(x uint64) {
	if x == 0 {
		w.write(0, 1)
		return
	}
	lead, trail := uint(bits.LeadingZeros64(x)), uint(bits.TrailingZeros64(x))
	n := 64 - lead - trail
	w.write(1, 1)
	w.write(uint64(lead), 6)
	w.write(uint64(n-1), 6)
	w.write(x>>trail, n)
}

func (r *bitReader) xor() uint64 {
	if r.read(1) == 0 {
		return 0
	}
	lead := uint(r.read(6))
	n := uint(r.read(6)) + 1
	if lead+n > 64 {
		r.bad = true
		return 0
	}
	return r.read(n) << (64 - lead - n)
}

// names are the tests that samples point to; number adds one that is new.
type names interface{ number(test []byte) uint8 }

// decodeChunk appends a chunk's samples to list. Without tests it spares what
// only a rewriting needs: delays and names.
func decodeChunk(b []byte, midnight int64, list []sample, tests names) ([]sample, error) {
	d := decoder{b: b}
	head := d.take(1)
	count := d.uvarint()
	if d.bad || count == 0 || count > uint64(len(b))*8 || count > maxChunk || head[0]&^chunkModeMask != 0 || head[0]&3 == 3 {
		return list, errChunk
	}
	mode := int(head[0] & 3)
	at := midnight + int64(d.uvarint())
	end := at
	var step, delay int64
	if count > 1 {
		end += int64(d.uvarint())
		step = int64(d.uvarint())
	}
	timesK := d.riceK(head[0]&timesDiffer != 0)
	delay = d.varint()
	delaysK := d.riceK(head[0]&delaysDiffer != 0)
	var decimals, valuesK uint
	var mantissa int64
	var float uint64
	if mode == valuesXOR {
		if v := d.take(8); !d.bad {
			float = binary.LittleEndian.Uint64(v)
		}
	} else {
		if v := d.take(1); !d.bad {
			decimals = uint(v[0])
		}
		mantissa = d.varint()
		valuesK = d.riceK(true)
	}
	if d.bad || decimals > maxDecimals {
		return list, errChunk
	}
	start := len(list)
	list = slices.Grow(list, int(count))[:start+int(count)]
	out := list[start:]
	if !d.runs(out, tests) {
		return list[:start], errChunk
	}
	r := bitReader{b: d.b}
	out[0].at = at
	for i := 1; i < len(out); i++ {
		if head[0]&timesDiffer != 0 {
			at += step + unzigzag(r.rice(timesK))
		} else {
			at += step
		}
		out[i].at = at
	}
	if mode == valuesXOR {
		r.floats(out, float)
	} else {
		r.decimals(out, mantissa, powers[decimals], valuesK, mode == valuesDelta2)
	}
	for i := range out {
		out[i].delay = int32(delay)
		if tests != nil && head[0]&delaysDiffer != 0 {
			out[i].delay = int32(delay + unzigzag(r.rice(delaysK)))
		}
	}
	if r.bad || at != end || !rising(out, midnight) {
		return list[:start], errChunk
	}
	return list, nil
}

// pieceOf reads a chunk's key and head.
func pieceOf(k, b []byte) (p piece, err error) {
	if len(k) != chunkKeySize {
		return p, errKey
	}
	d := decoder{b: b}
	d.take(1)
	count := d.uvarint()
	midnight := midnightOf(keyDay(k))
	p.first = midnight + int64(d.uvarint())
	p.last = p.first
	if count > 1 {
		p.last += int64(d.uvarint())
	}
	if d.bad || count == 0 || count > maxChunk || p.first < midnight || p.last < p.first || p.last >= midnight+dayMillis {
		return p, errChunk
	}
	p.count, p.generation = int(count), keyGeneration(k)
	return p, nil
}

func (d *decoder) riceK(is bool) uint {
	if !is {
		return 0
	}
	v := d.take(1)
	if d.bad || v[0] > maxRice {
		d.bad = true
		return 0
	}
	return uint(v[0])
}

// runs reads the flags into out.
func (d *decoder) runs(out []sample, tests names) bool {
	n := d.count(2)
	if d.bad || n == 0 || n > len(out) {
		return false
	}
	at := 0
	for i := range n {
		flag := d.take(1)
		test := d.bytes()
		length := len(out) - at
		if i < n-1 {
			length = int(min(d.uvarint(), uint64(len(out)-at-1)))
		}
		if d.bad || length < 1 {
			return false
		}
		var number uint8
		if tests != nil && len(test) > 0 {
			number = tests.number(test)
		}
		for k := range out[at : at+length] {
			out[at+k].flag, out[at+k].test = telemetry.Flag(flag[0]), number
		}
		at += length
	}
	return true
}

func (r *bitReader) floats(out []sample, v uint64) {
	out[0].value = math.Float64frombits(v)
	for i := 1; i < len(out); i++ {
		v ^= r.xor()
		out[i].value = math.Float64frombits(v)
	}
}

func (r *bitReader) decimals(out []sample, m int64, power float64, k uint, second bool) {
	out[0].value = float64(m) / power
	var step int64
	for i := 1; i < len(out); i++ {
		d := unzigzag(r.rice(k))
		if second {
			d += step
		}
		step = d
		m += d
		out[i].value = float64(m) / power
	}
}

// rising tells whether samples rise in time and stay in their day.
func rising(list []sample, midnight int64) bool {
	last := midnight - 1
	for i := range list {
		if list[i].at <= last {
			return false
		}
		last = list[i].at
	}
	return last < midnight+dayMillis
}
