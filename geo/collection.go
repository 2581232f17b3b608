package geo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of one collection. Callers may bound the text more tightly.
const (
	MaxBytes    = 64 << 20
	MaxFeatures = 20_000
)

// idPattern is CONTRACT.md "Identifiers".
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

var digits = regexp.MustCompile(`^[0-9]+$`)

// InputError says that a text as a whole could not be taken. Why is fit to be shown.
type InputError struct {
	Why     string
	NotJSON bool  // the text is not JSON at all
	Err     error // the reader's own error, if that was it
}

func (e *InputError) Error() string { return e.Why }
func (e *InputError) Unwrap() error { return e.Err }

// Refusal says why one feature of a collection was not taken.
type Refusal struct {
	Index int    `json:"index"` // from 0, in the order of the text
	ID    string `json:"id,omitempty"`
	Why   string `json:"why"` // fit to be shown
}

// readCollection takes a FeatureCollection apart without looking into its features.
func readCollection(r io.Reader) ([]json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, &InputError{Why: "reading the text: " + err.Error(), Err: err}
	}
	if len(text) > MaxBytes {
		return nil, &InputError{Why: fmt.Sprintf("the text is longer than %d MiB; send it in parts", MaxBytes>>20)}
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // RFC 8259 §8.1: may be ignored
	if !utf8.Valid(text) {
		return nil, &InputError{Why: "the text is not UTF-8", NotJSON: true}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // 1e700 is JSON
	features, kind, err := decodeCollection(dec)
	if features == nil && err == nil {
		// Not what was looked for; but whether it is JSON at all is told apart (400 and 422).
		err = json.Unmarshal(text, new(json.RawMessage))
	}
	var input *InputError
	switch {
	case errors.As(err, &input):
		return nil, input
	case err != nil:
		return nil, &InputError{Why: fmt.Sprintf("not JSON: %v (at byte %d)", err, dec.InputOffset()), NotJSON: true}
	case kind != "FeatureCollection" || features == nil:
		if kind == "" {
			kind = "something else"
		}
		return nil, &InputError{Why: `expected a GeoJSON FeatureCollection with "features", found ` + shorten(kind)}
	}
	return features, nil
}

func decodeCollection(dec *json.Decoder) (features []json.RawMessage, kind string, err error) {
	start, err := dec.Token()
	if err != nil {
		return nil, "", unexpected(err)
	}
	if start != json.Delim('{') {
		return nil, "", nil
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, "", err
		}
		if key == "features" {
			if features != nil {
				return nil, "", &InputError{Why: `the collection has "features" twice`}
			}
			if features, err = decodeFeatures(dec); err != nil {
				return nil, "", err
			}
			continue
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, "", err
		}
		if key == "type" {
			kind, _ = text(value)
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, "", unexpected(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, "", errors.New("more text follows the collection")
	}
	return features, kind, nil
}

func decodeFeatures(dec *json.Decoder) ([]json.RawMessage, error) {
	open, err := dec.Token()
	if err != nil {
		return nil, unexpected(err)
	}
	if open != json.Delim('[') {
		return nil, &InputError{Why: `"features" is not a list`}
	}
	features := []json.RawMessage{}
	for dec.More() {
		if len(features) == MaxFeatures {
			return nil, &InputError{Why: fmt.Sprintf("more than %d features; send them in parts", MaxFeatures)}
		}
		var f json.RawMessage
		if err := dec.Decode(&f); err != nil {
			return nil, unexpected(err)
		}
		features = append(features, f)
	}
	_, err = dec.Token()
	return features, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// feature is one Feature, its id settled and its geometry not yet read.
type feature struct {
	id         string
	members    map[string]json.RawMessage
	properties map[string]json.RawMessage
	geometry   string // type
	coords     coords
}

// readFeature checks all but the coordinates. The feature's id is set as far as it is known.
func readFeature(raw json.RawMessage) (f feature, err error) {
	// Into a map, since struct fields would also match keys in another case.
	if json.Unmarshal(raw, &f.members) != nil || f.members == nil {
		return f, errors.New("not a GeoJSON Feature")
	}
	if p, ok := f.members["properties"]; ok && json.Unmarshal(p, &f.properties) != nil {
		return f, errors.New("properties is not an object")
	}
	if f.id, err = f.readID(); err != nil {
		return f, err
	}
	if kind, _ := text(f.members["type"]); kind != "Feature" {
		return f, errors.New(`its "type" is not "Feature"`)
	}
	var geometry map[string]json.RawMessage
	if json.Unmarshal(f.members["geometry"], &geometry) != nil || geometry == nil {
		return f, errors.New("has no geometry")
	}
	f.geometry, _ = text(geometry["type"])
	f.coords = coords{text: geometry["coordinates"]}
	return f, nil
}

// readID takes the feature's id, else properties.id (as QGIS and ogr2ogr write it).
func (f *feature) readID() (string, error) {
	raw := f.members["id"]
	if isNull(raw) {
		raw = f.properties["id"]
	}
	if isNull(raw) {
		return "", errors.New(`has no id: neither "id" nor properties.id`)
	}
	id, ok := text(raw)
	if !ok && digits.Match(raw) {
		id, ok = string(raw), true
	}
	if !ok || !idPattern.MatchString(id) {
		return shorten(id), errors.New("its id is not 1 to 64 letters (A-Z, a-z), digits, '.', '_' or '-', beginning with a letter or digit")
	}
	return id, nil
}

// label reads a property that people see, such as a name. Absent is "".
func (f *feature) label(key string) (string, error) {
	raw := f.properties[key]
	if isNull(raw) {
		return "", nil
	}
	s, ok := text(raw)
	s = strings.TrimSpace(s)
	switch {
	case !ok:
		return "", fmt.Errorf("properties.%s is not a text", key)
	case utf8.RuneCountInString(s) > 200:
		return "", fmt.Errorf("properties.%s is longer than 200 characters", key)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", fmt.Errorf("properties.%s holds control characters", key)
	}
	return s, nil
}

// rewrite is the Feature as it is handed out: our id, our coordinates, everything else as it came.
func (f *feature) rewrite(coordinates []byte) (json.RawMessage, error) {
	f.members["id"] = mustJSON(f.id)
	f.members["geometry"] = mustJSON(map[string]json.RawMessage{
		"type": mustJSON(f.geometry), "coordinates": coordinates,
	})
	if isNull(f.members["properties"]) {
		f.members["properties"] = json.RawMessage("{}")
	}
	delete(f.members, "bbox") // the sender's, not checked
	return json.Marshal(f.members)
}

func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and valid JSON cannot fail
	}
	return b
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// shorten keeps a stranger's text from filling an answer or a log.
func shorten(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}
