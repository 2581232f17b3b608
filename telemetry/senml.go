package telemetry

import (
	"errors"
	"fmt"
	"math"
)

// SenML, RFC 8428. How its names become ours:
//
//   - The device is the one whose topic the pack came on; base names are not
//     compared with its id, since sensors are named by URN or address there.
//   - The metric is the last segment (after '/' or ':') of the resolved name, in
//     lower case with '-' and '.' as '_': "urn:dev:ow:10e2073a01080063:pm2.5" is
//     "pm2_5". Where that is no metric's name (a bare device name, an address),
//     the unit names the quantity: "Cel" is "temperature".
//   - Two resolved names of one pack that end in one metric would overwrite each
//     other: the second is set aside as ambiguous.
//   - A known metric sent in another unit is converted (Pa to hPa); where the unit
//     cannot be converted the value is kept with flag suspect.
//   - s, the integral over time, is the metric with "_sum" behind it.
//   - vs, vb and vd are the batch's Words; ut is passed over.

// errPack ends a pack that must not be read further.
var errPack = errors.New("SenML pack")

func badPack(why string) error { return fmt.Errorf("%w: %s", errPack, why) }

const (
	relativeBelow = 1 << 28 // s; earlier times are relative to now (RFC 8428 §4.5.3)
	senmlVersion  = 10      // of RFC 8428; a pack of a later one is refused (§4.4)
)

// label is a SenML field, numbered as in CBOR (RFC 8428 §6, table 4).
type label int

const (
	labelBVer label = -1
	labelBN   label = -2
	labelBT   label = -3
	labelBU   label = -4
	labelBV   label = -5
	labelBS   label = -6
	labelN    label = 0
	labelU    label = 1
	labelV    label = 2
	labelVS   label = 3
	labelVB   label = 4
	labelS    label = 5
	labelT    label = 6
	labelUT   label = 7
	labelVD   label = 8

	labelOther label = 100 // an extension that may be passed over
)

var labels = map[string]label{
	"bver": labelBVer, "bn": labelBN, "bt": labelBT, "bu": labelBU, "bv": labelBV, "bs": labelBS,
	"n": labelN, "u": labelU, "v": labelV, "vs": labelVS, "vb": labelVB, "s": labelS, "t": labelT, "ut": labelUT, "vd": labelVD,
}

// labelOf reads a field's name. One that ends in '_' must be understood, and we
// know none of those: the pack is refused (RFC 8428 §4.4).
func labelOf(name []byte) (label, error) {
	if l, ok := labels[string(name)]; ok {
		return l, nil
	}
	if len(name) > 0 && name[len(name)-1] == '_' {
		return labelOther, badPack(fmt.Sprintf("%.32q must be understood", name))
	}
	return labelOther, nil
}

// numeric tells the labels whose values are numbers, textual those whose are strings.
func (l label) numeric() bool {
	switch l {
	case labelBVer, labelBT, labelBV, labelBS, labelV, labelS, labelT, labelUT:
		return true
	}
	return false
}

// attribute tells those whose are neither: a string, a boolean, or data in base64.
func (l label) attribute() bool { return l == labelVS || l == labelVB || l == labelVD }

func (l label) textual() bool { return l == labelBN || l == labelBU || l == labelN || l == labelU }

// baseField tells the labels that carry over to later records: a fault in one spoils the pack.
func (l label) baseField() bool { return l < 0 }

// optional is a number that may be absent.
type optional struct {
	v   float64
	has bool
}

// plus adds two numbers of which an absent one is zero (RFC 8428 §4.3).
func (o optional) plus(p optional) optional {
	return optional{o.v + p.v, o.has || p.has}
}

// pack is the state of reading a SenML pack: base fields hold until changed.
type pack struct {
	r          *reading
	bn, bu     []byte
	bt, bv, bs optional
	sources    map[string]string // which resolved name (and unit) gave a metric
	resolved   []byte            // scratch
	records    int
	n, u       []byte // of the record being read, as all below
	v, s, t    optional
	word       any // vs, vb or vd
	bad        string
}

// begin starts a record.
func (p *pack) begin() error {
	if p.records++; p.records > MaxObservations {
		return errTooMany
	}
	p.n, p.u, p.bad, p.word = nil, nil, "", nil
	p.v, p.s, p.t = optional{}, optional{}, optional{}
	return nil
}

// number takes a numeric field.
func (p *pack) number(l label, v float64) error {
	o := optional{v, true}
	switch l {
	case labelBVer:
		if v != math.Trunc(v) || v < 1 || v > senmlVersion { // also NaN
			return badPack(fmt.Sprintf("version %v", v))
		}
	case labelBT:
		if !finite(v) {
			return badPack("bt is not finite")
		}
		p.bt = o
	case labelBV:
		if !finite(v) {
			return badPack("bv is not finite")
		}
		p.bv = o
	case labelBS:
		if !finite(v) {
			return badPack("bs is not finite")
		}
		p.bs = o
	case labelV:
		p.v = o
	case labelS:
		p.s = o
	case labelT:
		p.t = o
	}
	return nil
}

// text takes a textual field.
func (p *pack) text(l label, s []byte) {
	switch l {
	case labelBN:
		p.bn = s
	case labelBU:
		p.bu = s
	case labelN:
		p.n = s
	case labelU:
		p.u = s
	}
}

// wrong notes a field of the wrong type: a base field spoils the pack, another its record.
func (p *pack) wrong(l label) error {
	if l.baseField() {
		return badPack("a base field of the wrong type")
	}
	p.bad = "a field of the wrong type"
	return nil
}

// end resolves the record that was read and keeps what it measured.
func (p *pack) end() error {
	if p.bad != "" {
		p.r.setAside(BadSenML, p.bad, 1)
		return nil
	}
	v, s := p.v, p.s
	if p.word == nil && (v.has || !s.has) { // RFC 8428 §4.3: of bv and v the absent one is zero
		v = v.plus(p.bv)
	}
	if s.has || p.word == nil && !v.has {
		s = s.plus(p.bs)
	}
	if !v.has && !s.has && p.word == nil {
		return nil // base fields alone
	}
	p.resolved = append(append(p.resolved[:0], p.bn...), p.n...)
	if p.word != nil && !v.has && !s.has {
		if name, _ := senmlMetric(p.resolved, nil); name != "" {
			p.r.word([]byte(name), p.word)
		} else {
			p.r.setAside(BadMetric, fmt.Sprintf("name %.64q", p.resolved), 1)
		}
		return nil
	}
	if !goodSenMLName(p.resolved) {
		p.r.setAside(BadMetric, fmt.Sprintf("name %.64q", p.resolved), 1)
		return nil
	}
	unit := p.u
	if unit == nil {
		unit = p.bu
	}
	at, why := p.time()
	if why != "" {
		p.r.setAside(BadTime, why, 1)
		return nil
	}
	metric, byUnit := senmlMetric(p.resolved, unit)
	if metric == "" {
		p.r.setAside(BadMetric, fmt.Sprintf("name %.64q tells no metric", p.resolved), 1)
		return nil
	}
	if byUnit {
		p.resolved = append(append(p.resolved, ' '), unit...)
	}
	if first, ok := p.sources[metric]; !ok {
		p.sources[metric] = string(p.resolved)
	} else if first != string(p.resolved) {
		p.r.setAside(Ambiguous, fmt.Sprintf("%.64q and %.64q are both %s", first, p.resolved, metric), 1)
		return nil
	}
	if v.has {
		if err := p.keep(metric, unit, at, v.v); err != nil {
			return err
		}
	}
	if s.has {
		return p.keep(metric+"_sum", nil, at, s.v)
	}
	return nil
}

func (p *pack) keep(metric string, unit []byte, at int64, v float64) error {
	v, known := convert(metric, string(unit), v)
	if !finite(v) {
		p.r.setAside(NotFinite, metric, 1)
		return nil
	}
	if err := p.r.add(metric, at, v); err != nil {
		return err
	}
	if !known {
		o := &p.r.out.Observations[len(p.r.out.Observations)-1]
		judge(o)
		mark(o, Suspect, TestUnit)
	}
	return nil
}

// time is base time plus time in whole Unix ms (RFC 8428 §4.5.3): below 2^28 s it
// is relative to now, and zero, "roughly now", is 0: no ts.
func (p *pack) time() (at int64, why string) {
	t := p.bt.v + p.t.v
	if t == 0 {
		return 0, ""
	}
	ms := math.Round(t * 1000)
	if t < relativeBelow { // also the past, which is negative
		ms += float64(p.r.now)
	}
	if !(ms >= year2000 && ms <= float64(p.r.now+ahead)) { // also NaN
		return 0, fmt.Sprintf("time %v is before 2000 or ahead of now", t)
	}
	return int64(ms), ""
}

// goodSenMLName enforces RFC 8428 §4.5.1.
func goodSenMLName(name []byte) bool {
	if len(name) == 0 || len(name) > 512 || !alnum(name[0]) {
		return false
	}
	for _, c := range name {
		if !alnum(c) && c != '-' && c != ':' && c != '.' && c != '/' && c != '_' {
			return false
		}
	}
	return true
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// senmlMetric makes a metric's name of a resolved name; "" where it cannot.
func senmlMetric(resolved, unit []byte) (metric string, byUnit bool) {
	end := len(resolved)
	for end > 0 && (resolved[end-1] == '/' || resolved[end-1] == ':') {
		end--
	}
	start := end
	for start > 0 && resolved[start-1] != '/' && resolved[start-1] != ':' {
		start--
	}
	var buf [64]byte
	if end-start <= len(buf) {
		name := buf[:copy(buf[:], resolved[start:end])]
		for i, c := range name {
			switch {
			case c >= 'A' && c <= 'Z':
				name[i] = c + 'a' - 'A'
			case c == '-' || c == '.':
				name[i] = '_'
			}
		}
		// A device's or an address's own name may look like a word ("db8", "fe80"),
		// but only behind a delimiter is it told apart from a measurement's.
		if goodMetric(name) {
			return intern(name), false
		}
	}
	return unitMetrics[string(unit)], true
}

// unitMetrics names the quantity of a sensor that has only a device's name.
var unitMetrics = map[string]string{
	"Cel": "temperature", "K": "temperature", "%RH": "humidity", "%EL": "battery_level", "lat": "latitude", "lon": "longitude",
	"Pa": "pressure", "hPa": "pressure", "V": "voltage", "A": "current", "W": "power", "lx": "illuminance", "pH": "ph", "dBm": "rssi", "dBW": "rssi",
	"S/m": "ec", "mS/cm": "ec",
}

// scale turns a value of another unit into the catalogue's: v*mul + add.
type scale struct{ mul, add float64 }

// conversions go from a SenML unit (RFC 8428 §12.1, secondary ones RFC 8798) to the catalogue's.
var conversions = map[[2]string]scale{
	{"Cel", "°C"}: {1, 0}, {"K", "°C"}: {1, -273.15},
	{"Pa", "hPa"}: {0.01, 0}, {"kPa", "hPa"}: {10, 0}, {"mbar", "hPa"}: {1, 0}, {"bar", "hPa"}: {1000, 0},
	{"S/m", "mS/cm"}: {10, 0}, {"uS/cm", "mS/cm"}: {0.001, 0}, {"mS/m", "mS/cm"}: {0.01, 0},
	{"%RH", "%"}: {1, 0}, {"/", "%"}: {100, 0}, {"%EL", "%"}: {1, 0},
	{"kg/m3", "g/l"}: {1, 0}, {"ppt", "g/l"}: {1, 0}, {"PSU", "g/l"}: {1, 0}, {"psu", "g/l"}: {1, 0}, {"mg/l", "g/l"}: {0.001, 0},
	{"kg/m3", "mg/l"}: {1000, 0}, {"kg/m3", "µg/m³"}: {1e9, 0}, {"ug/m3", "µg/m³"}: {1, 0}, {"mg/m3", "µg/m³"}: {1000, 0},
	{"mm", "m"}: {0.001, 0}, {"cm", "m"}: {0.01, 0}, {"m", "mm"}: {1000, 0}, {"l/s", "m3/s"}: {0.001, 0},
	{"km/h", "m/s"}: {1 / 3.6, 0}, {"rad", "deg"}: {180 / math.Pi, 0}, {"mV", "V"}: {0.001, 0}, {"dBW", "dBm"}: {1, 30},
	{"ms", "s"}: {0.001, 0}, {"min", "s"}: {60, 0}, {"h", "s"}: {3600, 0}, {"bit", "B"}: {0.125, 0}, {"KiB", "B"}: {1024, 0},
}

// convert brings v into the catalogue's unit; known is false where it cannot be.
// No unit, and a metric that the catalogue does not know, pass as they are.
func convert(metric, unit string, v float64) (out float64, known bool) {
	m, ok := byName[metric]
	if !ok || unit == "" || unit == m.Unit {
		return v, true
	}
	if m.Unit == "" { // a pure number: pH, a count, a load
		return v, unit == "/" || unit == "pH" || unit == "count"
	}
	s, ok := conversions[[2]string{unit, m.Unit}]
	if !ok {
		return v, false
	}
	return v*s.mul + s.add, true
}
