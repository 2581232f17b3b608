package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// scanner walks JSON (RFC 8259) without reflection: at a message per device
// and minute encoding/json would do, at 400,000 values a second it is most of
// the work. It is strict but for one thing: NaN, Infinity and -Infinity are
// read as numbers, since Python and C senders write them; they are not finite
// and are set aside alone, so that the good values beside them are kept.
type scanner struct {
	b     []byte
	i     int
	depth int
}

var (
	errSyntax = errors.New("not JSON")
	errDepth  = errors.New("nested too deep")
)

// kind is the kind of a JSON value, by its first byte.
type kind byte

const (
	kindObject kind = '{'
	kindArray  kind = '['
	kindString kind = '"'
	kindNumber kind = '0'
	kindTrue   kind = 't'
	kindFalse  kind = 'f'
	kindNull   kind = 'n'
	kindNone   kind = 0
)

func (s *scanner) ws() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek skips white space and tells what comes; kindNone for nothing legal.
func (s *scanner) peek() kind {
	s.ws()
	if s.i >= len(s.b) {
		return kindNone
	}
	switch c := s.b[s.i]; c {
	case '{', '[', '"', 't', 'f', 'n':
		return kind(c)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'N', 'I':
		return kindNumber
	}
	return kindNone
}

// open enters an object or array whose first byte peek has told.
func (s *scanner) open() error {
	s.i++
	if s.depth++; s.depth > maxDepth {
		return errDepth
	}
	return nil
}

// more tells whether another member or element follows; it consumes the comma
// before it, or the closing byte.
func (s *scanner) more(closing byte, first bool) (bool, error) {
	s.ws()
	if s.i >= len(s.b) {
		return false, errSyntax
	}
	if s.b[s.i] == closing {
		s.i++
		s.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if s.b[s.i] != ',' {
		return false, errSyntax
	}
	s.i++
	s.ws()
	return true, nil
}

// key reads a member's name and its colon.
func (s *scanner) key() ([]byte, error) {
	s.ws()
	k, err := s.str()
	if err != nil {
		return nil, err
	}
	s.ws()
	if s.i >= len(s.b) || s.b[s.i] != ':' {
		return nil, errSyntax
	}
	s.i++
	return k, nil
}

// str reads a string; the result points into the input unless it had escapes.
func (s *scanner) str() ([]byte, error) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return nil, errSyntax
	}
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:i], nil
		case c == '\\':
			return s.escaped(start, i)
		case c < 0x20:
			return nil, errSyntax
		}
	}
	return nil, errSyntax
}

// escaped finishes a string that holds a backslash at i; encoding/json judges it.
func (s *scanner) escaped(start, i int) ([]byte, error) {
	for i < len(s.b) && s.b[i] != '"' {
		if s.b[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(s.b) {
		return nil, errSyntax
	}
	var out string
	if json.Unmarshal(s.b[start-1:i+1], &out) != nil {
		return nil, errSyntax
	}
	s.i = i + 1
	return []byte(out), nil
}

// number reads a number. Too large for a float64 is +Inf or -Inf, without an error.
func (s *scanner) number() (float64, error) {
	start := s.i
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	if s.word("NaN") || s.word("Infinity") {
		v, err := strconv.ParseFloat(string(s.b[start:s.i]), 64)
		if err != nil {
			return 0, errSyntax // "-NaN"
		}
		return v, nil
	}
	n := s.digits()
	if n == 0 || n > 1 && s.b[s.i-n] == '0' {
		return 0, errSyntax
	}
	whole := true
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		whole = false
		if s.digits() == 0 {
			return 0, errSyntax
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		whole = false
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			return 0, errSyntax
		}
	}
	if text := s.b[start:s.i]; whole && len(text) <= 15 && text[0] != '-' { // exact in a float64: every ts
		var v int64
		for _, c := range text {
			v = v*10 + int64(c-'0')
		}
		return float64(v), nil
	}
	v, err := strconv.ParseFloat(string(s.b[start:s.i]), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errSyntax
	}
	return v, nil
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

// skip passes one value of any kind and returns its bytes.
func (s *scanner) skip() ([]byte, error) {
	k := s.peek()
	start := s.i
	var err error
	switch k {
	case kindObject, kindArray:
		err = s.skipNest(byte(k) + 2) // '{'+2 is '}', '['+2 is ']'
	case kindString:
		_, err = s.str()
	case kindNumber:
		_, err = s.number()
	case kindTrue, kindFalse, kindNull:
		if !s.word("true") && !s.word("false") && !s.word("null") {
			err = errSyntax
		}
	default:
		err = errSyntax
	}
	return s.b[start:s.i], err
}

func (s *scanner) skipNest(closing byte) error {
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more(closing, first)
		if err != nil || !more {
			return err
		}
		if closing == '}' {
			if _, err := s.key(); err != nil {
				return err
			}
		}
		if _, err := s.skip(); err != nil {
			return err
		}
	}
}

// end checks that nothing but white space follows.
func (s *scanner) end() error {
	if s.ws(); s.i < len(s.b) {
		return errSyntax
	}
	return nil
}

var errUTF8 = errors.New("not UTF-8")

// jsonText is b without a byte order mark, which a parser may ignore (RFC 8259
// §8.1); JSON is UTF-8 throughout, also in what is passed over.
func jsonText(b []byte) ([]byte, error) {
	if !utf8.Valid(b) {
		return b, errUTF8
	}
	return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
}

// whole checks that the payload is one JSON value, not deeper than maxDepth,
// before its parts are read; what it is not is refused.
func (r *reading) whole() (text []byte, ok bool) {
	if len(r.payload) > MaxPayload {
		r.refuse(TooMany, strconv.Itoa(len(r.payload))+" bytes")
		return nil, false
	}
	text, err := jsonText(r.payload)
	if err != nil {
		r.refuse(BadJSON, err.Error())
		return nil, false
	}
	s := scanner{b: text}
	if _, err = s.skip(); err == nil {
		err = s.end()
	}
	if err != nil {
		r.refuse(BadJSON, fmt.Sprintf("%v at byte %d", err, s.i))
		return nil, false
	}
	return text, true
}
