package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"cuulong/devices"
)

// reading is the decoding of one message, or of one child's part of a gateway's.
type reading struct {
	out     Batch // what was decoded before, and this message's
	id      devices.ID
	source  string
	now     int64 // receive time, Unix ms
	payload []byte
	obs     int            // where this message's observations start in out
	asides  int            // where what it sets aside starts
	words   int            // where its words start
	parts   int            // where its elements start
	seen    map[string]int // index by name, for objects of many values; nil until then
}

// errTooMany ends the reading of an array beyond the contract's bound.
var errTooMany = errors.New("more than 10,000 observations")

// DecodeTelemetry reads the contract's JSON, an array of it, SenML JSON or SenML CBOR.
// What cannot be read is in the batch's SetAside, which keeps payload; the good values beside it are kept.
// now is the receive time in Unix ms; source names topic or route. Strings and booleans among the values are
// the batch's Words; null is as if absent.
func DecodeTelemetry(id devices.ID, source string, payload []byte, now int64) Batch {
	return readTelemetry(Batch{Source: source, Payload: payload}, id, source, payload, now)
}

// readTelemetry adds one payload's to out.
func readTelemetry(out Batch, id devices.ID, source string, payload []byte, now int64) Batch {
	r := reading{out: out, id: id, source: source, now: now, payload: payload, obs: len(out.Observations), asides: len(out.SetAside), words: len(out.Words), parts: len(out.elements)}
	if len(payload) > MaxPayload {
		r.refuse(TooMany, strconv.Itoa(len(payload))+" bytes")
		return r.out
	}
	if isCBOR(payload) {
		own := r // lives on the heap; r, of every other message, does not
		own.senmlCBOR(payload)
		return own.out
	}
	payload, err := jsonText(payload)
	if err != nil {
		r.refuse(BadJSON, err.Error())
		return r.out
	}
	s := scanner{b: payload}
	switch s.peek() {
	case kindObject:
		err = r.object(&s)
	case kindArray:
		if looksLikeSenML(payload[s.i:]) {
			own, at := r, s
			err = own.senmlJSON(&at)
			r, s = own, at
		} else {
			err = r.array(&s)
		}
	default:
		if _, err = s.skip(); err == nil {
			r.setAside(BadShape, "neither object nor array", 1)
		}
	}
	if err == nil {
		err = s.end()
	}
	switch {
	case errors.Is(err, errTooMany):
		r.refuse(TooMany, err.Error())
	case errors.Is(err, errPack):
		r.refuse(BadSenML, err.Error())
	case err != nil:
		r.refuse(BadJSON, fmt.Sprintf("%v at byte %d", err, s.i))
	}
	return r.out
}

// refuse takes back what the message has given so far and sets all of it aside.
func (r *reading) refuse(reason, detail string) {
	r.out.Observations = r.out.Observations[:r.obs]
	r.out.SetAside = r.out.SetAside[:r.asides]
	r.out.Words = r.out.Words[:r.words]
	r.out.elements = r.out.elements[:r.parts]
	r.setAside(reason, detail, 1)
}

// setAside notes n values that cannot be kept. One entry stands for all of one
// reason, so that a message's payload is kept once for each and no more.
func (r *reading) setAside(reason, detail string, n int) {
	for i := r.asides; i < len(r.out.SetAside); i++ {
		if a := &r.out.SetAside[i]; a.Reason == reason {
			a.Count += n
			return
		}
	}
	r.out.SetAside = append(r.out.SetAside, SetAside{
		Source: r.source, Reason: reason, Detail: detail, Payload: r.payload, Seen: r.now, Count: n,
	})
}

// add appends an observation; at 0 means that the message told no time.
func (r *reading) add(metric string, at int64, v float64) error {
	if len(r.out.Observations)-r.obs >= MaxObservations {
		return errTooMany
	}
	if r.out.Observations == nil { // as many as there can be values: one allocation for the common message
		r.out.Observations = make([]Observation, 0, min(max(bytes.Count(r.payload, colon)-2, 1), 64))
	}
	r.out.Observations = append(r.out.Observations, Observation{Device: r.id, Metric: metric, At: at, Seen: r.now, Value: v})
	return nil
}

var colon = []byte{':'}

// array reads [{"ts","values"}, ...]; an element of another shape is set aside alone.
func (r *reading) array(s *scanner) error {
	if err := s.open(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := s.more(']', n == 0)
		if err != nil || !more {
			return err
		}
		if n >= MaxObservations {
			return errTooMany
		}
		if s.peek() != kindObject {
			if _, err := s.skip(); err != nil {
				return err
			}
			r.setAside(BadShape, "an element is no object", 1)
			continue
		}
		start := len(r.out.Observations)
		if err := r.object(s); err != nil {
			return err
		}
		if obs := r.out.Observations; len(obs) > start && obs[start].At == 0 {
			r.out.elements = append(r.out.elements, start)
		}
	}
}

// object reads {"ts","values"}. The names may come in any order and, as JSON
// has it, more than once: the last one counts.
func (r *reading) object(s *scanner) error {
	if err := s.open(); err != nil {
		return err
	}
	start := len(r.out.Observations)
	var (
		at      int64
		badTime string // why ts cannot be used
		values  bool
	)
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, err := s.key()
		if err != nil {
			return err
		}
		switch string(name) {
		case "ts":
			at, badTime, err = r.ts(s)
		case "values":
			if s.peek() != kindObject {
				_, err = s.skip()
				break
			}
			r.out.Observations = r.out.Observations[:start]
			values = true
			err = r.values(s, start)
		default: // fields may be added
			_, err = s.skip()
		}
		if err != nil {
			return err
		}
	}
	if !values {
		r.setAside(BadShape, `no object "values"`, 1)
		return nil
	}
	if badTime != "" {
		n := len(r.out.Observations) - start
		r.out.Observations = r.out.Observations[:start]
		r.setAside(BadTime, badTime, max(n, 1))
		return nil
	}
	for i := start; i < len(r.out.Observations); i++ {
		r.out.Observations[i].At = at
	}
	return nil
}

// ts reads a time: Unix milliseconds or an RFC 3339 string; null is as if absent.
// Parts of a millisecond are cut off. bad says why it cannot be believed.
func (r *reading) ts(s *scanner) (at int64, bad string, err error) {
	switch s.peek() {
	case kindNumber:
		v, err := s.number()
		if err != nil {
			return 0, "", err
		}
		if v = math.Floor(v); !(v >= year2000 && v <= float64(r.now+ahead)) { // also NaN
			format := byte('f') // seconds, say: they are easier to know when written out
			if math.Abs(v) >= 1e15 {
				format = 'g'
			}
			return 0, "ts " + strconv.FormatFloat(v, format, -1, 64) + " is before 2000 or ahead of now", nil
		}
		return int64(v), "", nil
	case kindString:
		text, err := s.str()
		if err != nil {
			return 0, "", err
		}
		if len(text) > 64 {
			return 0, "ts is no time", nil
		}
		t, err := ParseTime(string(text))
		if err != nil {
			return 0, fmt.Sprintf("ts %q is not RFC 3339", text), nil
		}
		if at = t.UnixMilli(); !goodTime(at, r.now) {
			return 0, fmt.Sprintf("ts %q is before 2000 or ahead of now", text), nil
		}
		return at, "", nil
	case kindNull:
		_, err = s.skip()
		return 0, "", err
	default:
		_, err = s.skip()
		return 0, "ts is neither number nor string", err
	}
}

// ParseTime reads RFC 3339, which is stricter than time.Parse, but for the case of its letters.
func ParseTime(s string) (time.Time, error) {
	if len(s) < len("2026-03-01T07:00:00Z") || s[10]|0x20 != 't' || s[13] != ':' || strings.Contains(s, ",") {
		return time.Time{}, errors.New("not RFC 3339")
	}
	if offset := s[len(s)-5:]; offset[2] == ':' && (offset[:2] > "23" || offset[3:] > "59") {
		return time.Time{}, errors.New("not RFC 3339: the offset is none")
	}
	return time.Parse(time.RFC3339, strings.ToUpper(s))
}

// values reads {"salinity": 3.2, ...}; start is where this object's observations begin.
func (r *reading) values(s *scanner, start int) error {
	if err := s.open(); err != nil {
		return err
	}
	clear(r.seen)
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return err
		}
		name, err := s.key()
		if err != nil {
			return err
		}
		switch s.peek() {
		case kindNumber:
			v, err := s.number()
			if err != nil {
				return err
			}
			if err := r.value(name, v, start); err != nil {
				return err
			}
		case kindObject, kindArray:
			if _, err := s.skip(); err != nil {
				return err
			}
			r.setAside(BadValue, noNumber(name), 1)
		case kindString:
			v, err := s.str()
			if err != nil {
				return err
			}
			r.word(name, string(v))
		case kindTrue, kindFalse:
			v, err := s.skip()
			if err != nil {
				return err
			}
			r.word(name, v[0] == 't')
		default:
			if _, err := s.skip(); err != nil {
				return err
			}
		}
	}
}

func noNumber[T string | []byte](name T) string { return fmt.Sprintf("%.64q is no number", name) }

// word notes a string or boolean; a message has no more of them than of values.
func (r *reading) word(name []byte, value any) {
	if len(r.out.Words)-r.words < MaxObservations {
		r.out.Words = append(r.out.Words, Word{Device: r.id, Name: string(name), Value: value, Source: r.source, Payload: r.payload, Seen: r.now})
	}
}

func (r *reading) value(name []byte, v float64, start int) error {
	if !goodMetric(name) {
		r.setAside(BadMetric, fmt.Sprintf("%.64q", name), 1)
		return nil
	}
	if !finite(v) {
		r.setAside(NotFinite, string(name), 1)
		return nil
	}
	metric := intern(name)
	if i := r.find(metric, start); i >= 0 {
		r.out.Observations[i].Value = v
		return nil
	}
	return r.add(metric, 0, v)
}

// find looks for a name that this object has told already; -1 for none.
func (r *reading) find(metric string, start int) int {
	const few = 16
	obs := r.out.Observations
	if len(obs)-start < few {
		for i := start; i < len(obs); i++ {
			if obs[i].Metric == metric {
				return i
			}
		}
		return -1
	}
	if r.seen == nil {
		r.seen = make(map[string]int)
	}
	if len(r.seen) == 0 {
		for i := start; i < len(obs); i++ {
			r.seen[obs[i].Metric] = i
		}
	}
	if i, ok := r.seen[metric]; ok {
		return i
	}
	r.seen[metric] = len(obs)
	return -1
}

// maxStrangers is how many of a gateway's devices that are not its own are told
// apart; the others have one entry, so that a message cannot make a hundred thousand.
const maxStrangers = 100

// DecodeGateway reads {"<device id>": <telemetry payload>, ...}; what is for a
// device that isChild denies is set aside, with that part of the payload alone.
func DecodeGateway(isChild func(devices.ID) bool, source string, payload []byte, now int64) Batch {
	r := reading{out: Batch{Source: source, Payload: payload}, source: source, now: now, payload: payload}
	payload, ok := r.whole()
	if !ok {
		return r.out
	}
	s := scanner{b: payload}
	strangers, others := 0, 0 // how many are denied; where the entry is that stands for the many
	if s.peek() != kindObject {
		r.setAside(BadShape, "no object of devices", 1)
		return r.out
	}
	if err := s.open(); err != nil {
		return r.out // whole has been through here
	}
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return r.out
		}
		name, err := s.key()
		if err != nil {
			return r.out
		}
		part, err := s.skip()
		if err != nil {
			return r.out
		}
		if len(name) > 64 || !isChild(devices.ID(name)) {
			entry := SetAside{Source: source, Reason: NotChild, Detail: fmt.Sprintf("%.64q", name), Payload: part, Seen: now, Count: 1}
			switch strangers++; {
			case strangers > maxStrangers+1:
				r.out.SetAside[others].Count++
				continue
			case strangers > maxStrangers:
				others = len(r.out.SetAside)
				entry.Detail += " and others"
				entry.Payload = r.payload
			}
			r.out.SetAside = append(r.out.SetAside, entry)
			continue
		}
		r.out = readTelemetry(r.out, devices.ID(name), source+" "+string(name), part, now)
	}
}

// Bounds of attributes, which are kept whole in memory.
const (
	maxAttributes      = 64 << 10 // bytes
	maxAttributesDepth = 8
)

// DecodeAttributes reads a JSON object of at most 64 KiB and 8 levels. Numbers are float64.
func DecodeAttributes(payload []byte) (map[string]any, error) {
	if len(payload) > maxAttributes {
		return nil, fmt.Errorf("attributes: %d bytes; at most %d", len(payload), maxAttributes)
	}
	payload, err := jsonText(payload)
	if err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	s := scanner{b: payload, depth: maxDepth - maxAttributesDepth}
	if s.peek() != kindObject {
		return nil, errors.New("attributes: no JSON object")
	}
	if _, err := s.skip(); err != nil {
		return nil, fmt.Errorf("attributes: %w at byte %d", err, s.i)
	}
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	return m, nil
}
