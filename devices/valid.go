package devices

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a device's record may hold.
const (
	maxID         = 64
	maxText       = 200 // runes of a name or an agency
	maxTags       = 32
	maxTag        = 64 // runes
	maxMetrics    = 64
	maxEveryS     = 7 * 86400
	maxAttributes = 64
	maxAttrBytes  = 16 << 10 // of all attributes together, as JSON
)

// ParseID checks that s is an identifier of the contract:
// [A-Za-z0-9][A-Za-z0-9._-]{0,63}. The error is a *FieldError for "id".
func ParseID(s string) (ID, error) {
	if !validID(s) {
		return "", &FieldError{Field: "id", Why: "must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"}
	}
	return ID(s), nil
}

func validID(s string) bool {
	if len(s) == 0 || len(s) > maxID || !alnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !alnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// validMetric tells a metric's name: [a-z][a-z0-9_]{0,63}.
func validMetric(s string) bool {
	if len(s) == 0 || len(s) > maxID || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// plain tells a text without control characters, of at most n runes.
func plain(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && strings.IndexFunc(s, unicode.IsControl) < 0
}

// check finds all faults of d that can be seen without the other devices.
func check(d *Device) FieldErrors {
	var faults FieldErrors
	if _, err := ParseID(string(d.ID)); err != nil {
		faults = append(faults, err.(*FieldError))
	}
	if strings.TrimSpace(d.Name) == "" || !plain(d.Name, maxText) {
		faults.Add("name", "must be 1 to %d characters without control characters", maxText)
	}
	switch d.Kind {
	case Station, Gateway, AccessPoint, Bridge:
	default:
		faults.Add("kind", "must be station, gateway, access_point or bridge")
	}
	if p := d.Position; p != nil {
		if !within(p.Lon, 180) {
			faults.Add("position.lon", "must be a longitude from -180 to 180 degrees")
		}
		if !within(p.Lat, 90) {
			faults.Add("position.lat", "must be a latitude from -90 to 90 degrees")
		}
	}
	if !plain(d.Agency, maxText) {
		faults.Add("agency", "must be at most %d characters without control characters", maxText)
	}
	if len(d.Tags) > maxTags {
		faults.Add("tags", "at most %d", maxTags)
	} else {
		for i, tag := range d.Tags {
			if strings.TrimSpace(tag) == "" || !plain(tag, maxTag) {
				faults.Add(fmt.Sprintf("tags[%d]", i), "must be 1 to %d characters without control characters", maxTag)
			}
		}
	}
	return append(append(append(faults, checkMetrics(d.Metrics)...), checkLimits(d.Quality)...), checkDerive(d.Derive)...)
}

func checkMetrics(metrics []Expected) (faults FieldErrors) {
	if len(metrics) > maxMetrics {
		faults.Add("metrics", "at most %d", maxMetrics)
		return faults
	}
	seen := make(map[string]bool, len(metrics))
	for i, m := range metrics {
		switch {
		case !validMetric(m.Metric):
			faults.Add(fmt.Sprintf("metrics[%d].metric", i), "must be 1 to 64 of a-z 0-9 _ and begin with a letter")
		case seen[m.Metric]:
			faults.Add(fmt.Sprintf("metrics[%d].metric", i), "is named twice")
		}
		seen[m.Metric] = true
		if m.EveryS < 1 || m.EveryS > maxEveryS {
			faults.Add(fmt.Sprintf("metrics[%d].every_s", i), "must be 1 to %d seconds", maxEveryS)
		}
	}
	return faults
}

// within tells a finite number in [-bound, bound].
func within(x, bound float64) bool { return !math.IsNaN(x) && math.Abs(x) <= bound }

// mergeAttributes returns a new map of old with told laid over it; a null
// removes. The result is bounded, and text is its JSON.
func mergeAttributes(old, told map[string]any) (merged map[string]any, text string, err error) {
	merged = make(map[string]any, len(old)+len(told))
	for k, v := range old {
		merged[k] = v
	}
	for k, v := range told {
		if k == "" || !plain(k, maxTag) {
			return nil, "", &FieldError{Field: "attributes", Why: fmt.Sprintf("a name must be 1 to %d characters without control characters", maxTag)}
		}
		if v == nil {
			delete(merged, k)
		} else {
			merged[k] = v
		}
	}
	if len(merged) > maxAttributes {
		return nil, "", &FieldError{Field: "attributes", Why: fmt.Sprintf("at most %d", maxAttributes)}
	}
	raw, err := json.Marshal(merged)
	if err != nil {
		return nil, "", &FieldError{Field: "attributes", Why: "cannot be written as JSON"}
	}
	if len(raw) > maxAttrBytes {
		return nil, "", &FieldError{Field: "attributes", Why: fmt.Sprintf("at most %d bytes together", maxAttrBytes)}
	}
	// Read back, so that the map is ours alone and as it will be after a restart.
	merged = nil
	if err := json.Unmarshal(raw, &merged); err != nil {
		return nil, "", &FieldError{Field: "attributes", Why: "cannot be read as JSON"}
	}
	return merged, string(raw), nil
}
