package telemetry

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

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

// cborLabel is a map's key. It is read from its bytes, as the values are: what
// nobody asked for is never built, and a byte of CBOR can stand for a hundred of Go's.
type cborLabel struct {
	number int64
	text   string // where the key is one
	other  bool   // neither integer nor a text with anything in it
}

// UnmarshalCBOR reads a key.
func (l *cborLabel) UnmarshalCBOR(b []byte) error {
	var err error
	switch cborKind(b) {
	case cborUint, cborInt:
		if cborMode.Unmarshal(b, &l.number) != nil {
			l.other = true // beyond 64 bits: no label is as large
		}
	case cborText:
		err = cborMode.Unmarshal(b, &l.text)
		l.other = l.text == ""
	case cborArray, cborMap:
		return errors.New("a key that is no label")
	default:
		l.other = true
	}
	return err
}

// CBOR's major types.
const (
	cborUint  = 0
	cborInt   = 1
	cborBytes = 2
	cborText  = 3
	cborArray = 4
	cborMap   = 5
)

func cborKind(b []byte) byte { return b[0] >> 5 }

// senmlCBOR reads a pack (RFC 8428 §6).
func (r *reading) senmlCBOR(b []byte) {
	var records []cbor.RawMessage
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
		if cborKind(rec) != cborMap {
			r.setAside(BadSenML, "a record is no map", 1)
			continue
		}
		var fields map[cborLabel]cbor.RawMessage
		if err := cborMode.Unmarshal(rec, &fields); err != nil {
			r.refuse(BadCBOR, err.Error())
			return
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

func (p *pack) recordCBOR(fields map[cborLabel]cbor.RawMessage) error {
	if err := p.begin(); err != nil {
		return err
	}
	for k, v := range fields {
		l, err := k.label()
		if err == nil && !(k.text != "" && l.numbered(fields)) {
			err = p.fieldCBOR(l, v)
		}
		if err != nil {
			return err
		}
	}
	return p.end()
}

func (l cborLabel) label() (label, error) {
	switch {
	case l.other:
		return labelOther, nil
	case l.text != "":
		return labelOf([]byte(l.text))
	}
	return labelByNumber(l.number), nil
}

// numbered tells whether a record has a label by its number, which goes before its name.
func (l label) numbered(fields map[cborLabel]cbor.RawMessage) bool {
	_, has := fields[cborLabel{number: int64(l)}]
	return has
}

func labelByNumber(n int64) label {
	if n < int64(labelBS) || n > int64(labelVD) {
		return labelOther
	}
	return label(n)
}

// maxNumber is the length of the longest number: a decimal fraction of two of 8 bytes.
const maxNumber = 2 + 9 + 9

func (p *pack) fieldCBOR(l label, raw cbor.RawMessage) error {
	switch kind := cborKind(raw); {
	case l.numeric():
		if kind == cborText || len(raw) > maxNumber {
			return p.wrong(l)
		}
		var v any
		if err := cborMode.Unmarshal(raw, &v); err != nil {
			return p.wrong(l)
		}
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
		var s string
		if kind != cborText || cborMode.Unmarshal(raw, &s) != nil {
			return p.wrong(l)
		}
		p.text(l, []byte(s))
	case l.attribute():
		var v any
		if kind != cborText && kind != cborBytes && len(raw) > 1 || cborMode.Unmarshal(raw, &v) != nil {
			return p.wrong(l)
		}
		switch v := v.(type) {
		case string:
			p.word = strings.ToValidUTF8(v, "\ufffd")
		case bool:
			p.word = v
		case []byte:
			p.word = base64.RawURLEncoding.EncodeToString(v) // as it is in JSON (RFC 8428 §5)
		default:
			return p.wrong(l)
		}
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
