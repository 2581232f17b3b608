package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/fxamacker/cbor/v2"
)

// selfDescribed is CBOR's magic tag 55799 (RFC 8949 §3.4.6).
var selfDescribed = []byte{0xd9, 0xd9, 0xf7}

// isCBOR tells a CBOR array, of definite or indefinite length, from JSON, which
// never begins with a byte above 0x7f but for the byte order mark.
func isCBOR(b []byte) bool {
	b = bytes.TrimPrefix(b, selfDescribed)
	return len(b) > 0 && b[0] >= 0x80 && b[0] <= 0x9f
}

// cborMode bounds what a hostile message can make us build.
var cborMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxNestedLevels:  maxDepth,
		MaxArrayElements: MaxObservations + 1,
		MaxMapPairs:      1024,
		DupMapKey:        cbor.DupMapKeyQuiet,
		UTF8:             cbor.UTF8DecodeInvalid, // names are judged by their own pattern
	}.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}()

// senmlCBOR reads a pack (RFC 8428 §6).
func (r *reading) senmlCBOR(b []byte) {
	var records []any
	rest, err := cborMode.UnmarshalFirst(bytes.TrimPrefix(b, selfDescribed), &records)
	if err != nil || len(rest) > 0 {
		detail := "bytes after the pack"
		if err != nil {
			detail = err.Error()
		}
		r.refuse(BadCBOR, detail)
		return
	}
	p := pack{r: r, sources: map[string]string{}}
	for _, rec := range records {
		fields, ok := rec.(map[any]any)
		if !ok {
			r.setAside(BadSenML, "a record is no map", 1)
			continue
		}
		if err := p.recordCBOR(fields); err != nil {
			reason := BadSenML
			if err == errTooMany {
				reason = TooMany
			}
			r.refuse(reason, err.Error())
			return
		}
	}
}

func (p *pack) recordCBOR(fields map[any]any) error {
	if err := p.begin(); err != nil {
		return err
	}
	for k, v := range fields {
		l := labelOther
		switch k := k.(type) {
		case int64:
			l = labelByNumber(k)
		case uint64:
			if k <= uint64(labelVD) {
				l = labelByNumber(int64(k))
			}
		case string:
			var err error
			if l, err = labelOf([]byte(k)); err != nil {
				return err
			}
		}
		if err := p.fieldCBOR(l, v); err != nil {
			return err
		}
	}
	return p.end()
}

func labelByNumber(n int64) label {
	if n < int64(labelBS) || n > int64(labelVD) {
		return labelOther
	}
	return label(n)
}

func (p *pack) fieldCBOR(l label, v any) error {
	switch {
	case l.numeric():
		switch v := v.(type) {
		case float64:
			return p.number(l, v)
		case uint64:
			return p.number(l, float64(v))
		case int64:
			return p.number(l, float64(v))
		case cbor.Tag:
			if f, ok := decimalFraction(v); ok {
				return p.number(l, f)
			}
		}
		return p.wrong(l)
	case l.textual():
		if s, ok := v.(string); ok {
			p.text(l, []byte(s))
			return nil
		}
		return p.wrong(l)
	case l == labelVS || l == labelVB || l == labelVD:
		p.attribute = true
	}
	return nil
}

// decimalFraction reads tag 4, [exponent, mantissa] (RFC 8949 §3.4.4), which RFC
// 8428 §6 allows for every number; to the nearest float64, as from decimal text.
func decimalFraction(t cbor.Tag) (float64, bool) {
	parts, _ := t.Content.([]any)
	if t.Number != 4 || len(parts) != 2 {
		return 0, false
	}
	for _, p := range parts {
		switch p.(type) {
		case int64, uint64:
		default: // a bignum's digits are beyond a float64's
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(fmt.Sprintf("%de%d", parts[1], parts[0]), 64)
	return v, err == nil || errors.Is(err, strconv.ErrRange) // infinite: not finite, where it matters
}
