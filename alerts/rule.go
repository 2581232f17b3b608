package alerts

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Priority of a rule and its alarms.
type Priority string

// The priorities, lowest first.
const (
	Low    Priority = "low"
	Medium Priority = "medium"
	High   Priority = "high"
	Urgent Priority = "urgent"
)

var priorities = []Priority{Low, Medium, High, Urgent}

// Valid says whether p is one of the priorities.
func (p Priority) Valid() bool { return slices.Contains(priorities, p) }

// rank orders priorities, lowest first.
func (p Priority) rank() int { return slices.Index(priorities, p) }

// Scope says which datastreams a rule judges: fields AND, values OR, absent = all.
// Devices and zones need not exist yet.
type Scope struct {
	Devices []devices.ID   `json:"devices,omitempty"`
	Kinds   []devices.Kind `json:"kinds,omitempty"`
	Zones   []string       `json:"zones,omitempty"`
	Tags    []string       `json:"tags,omitempty"`
}

// Limit is one side of a threshold; exactly one of Above and Below is set; both are strict.
type Limit struct {
	Above *float64 `json:"above,omitempty"`
	Below *float64 `json:"below,omitempty"`
	ForS  int      `json:"for_s,omitempty"` // how long it must hold, in seconds
}

// holds says whether v lies beyond the limit.
func (l Limit) holds(v float64) bool {
	return l.Above != nil && v > *l.Above || l.Below != nil && v < *l.Below
}

// threshold is the limit's number.
func (l Limit) threshold() float64 {
	if l.Above != nil {
		return *l.Above
	}
	return *l.Below
}

// Rule raises an alarm per subject when On has held for On.ForS, and returns it when Off has held for Off.ForS.
type Rule struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Metric   string    `json:"metric"`
	Scope    Scope     `json:"scope"`
	On       Limit     `json:"on"`
	Off      Limit     `json:"off"`
	Priority Priority  `json:"priority"`
	Flags    Flags     `json:"flags,omitempty"` // that are judged; default pass and not evaluated
	Public   bool      `json:"public,omitempty"`
	Created  time.Time `json:"created"`
}

// Flags are quality flags, in JSON an array of numbers; the package's own way
// with a slice of bytes would be base64.
type Flags []telemetry.Flag

// MarshalJSON writes [1,2].
func (f Flags) MarshalJSON() ([]byte, error) {
	ns := make([]int, len(f))
	for i, v := range f {
		ns[i] = int(v)
	}
	return json.Marshal(ns)
}

// UnmarshalJSON reads [1,2].
func (f *Flags) UnmarshalJSON(b []byte) error {
	var ns []int
	if err := json.Unmarshal(b, &ns); err != nil {
		return err
	}
	*f = nil
	for _, n := range ns {
		if n < 0 || n > math.MaxUint8 {
			return fmt.Errorf("%d is no quality flag", n)
		}
		*f = append(*f, telemetry.Flag(n))
	}
	return nil
}

const (
	maxForS  = 7 * 86400
	maxTitle = 200  // runes
	maxScope = 1000 // values of one field
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	metricPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

const idWhy = "must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"

// Validate says all that is wrong with r (FieldErrors), or nil.
func (r Rule) Validate() error {
	var faults FieldErrors
	if !idPattern.MatchString(r.ID) {
		faults.Add("id", idWhy)
	}
	if strings.TrimSpace(r.Title) == "" || !plain(r.Title, maxTitle) {
		faults.Add("title", "must be 1 to %d characters without control characters", maxTitle)
	}
	if !metricPattern.MatchString(r.Metric) {
		faults.Add("metric", "must be 1 to 64 of a-z 0-9 _ and begin with a letter")
	}
	if !r.Priority.Valid() {
		faults.Add("priority", "must be low, medium, high or urgent")
	}
	for i, f := range r.Flags {
		if f < telemetry.Pass || f > telemetry.Fail {
			faults.Add(fmt.Sprintf("flags[%d]", i), "must be 1, 2, 3 or 4")
		}
	}
	r.Scope.check(&faults)
	on := r.On.check("on", &faults)
	off := r.Off.check("off", &faults)
	if on && off {
		checkBand(r.On, r.Off, &faults)
	}
	return faults.Err()
}

// check says whether the limit can be compared with another.
func (l Limit) check(field string, faults *FieldErrors) bool {
	if l.ForS < 0 || l.ForS > maxForS {
		faults.Add(field+".for_s", "must be 0 to %d seconds", maxForS)
	}
	if (l.Above == nil) == (l.Below == nil) {
		faults.Add(field, "must have one of above and below")
		return false
	}
	if v := l.threshold(); math.IsNaN(v) || math.IsInf(v, 0) {
		faults.Add(field, "must be a finite number")
		return false
	}
	return true
}

// checkBand refuses an off that overlaps on: such an alarm would flap on one value.
func checkBand(on, off Limit, faults *FieldErrors) {
	switch {
	case on.Above != nil && off.Below == nil:
		faults.Add("off", "must be below, since on is above")
	case on.Below != nil && off.Above == nil:
		faults.Add("off", "must be above, since on is below")
	case on.Above != nil && *off.Below > *on.Above:
		faults.Add("off.below", "must not lie over on.above")
	case on.Below != nil && *off.Above < *on.Below:
		faults.Add("off.above", "must not lie under on.below")
	}
}

func (s Scope) check(faults *FieldErrors) {
	for _, f := range []struct {
		name string
		n    int
	}{{"devices", len(s.Devices)}, {"kinds", len(s.Kinds)}, {"zones", len(s.Zones)}, {"tags", len(s.Tags)}} {
		if f.n > maxScope {
			faults.Add("scope."+f.name, "at most %d", maxScope)
			return
		}
	}
	for i, id := range s.Devices {
		if !idPattern.MatchString(string(id)) {
			faults.Add(fmt.Sprintf("scope.devices[%d]", i), idWhy)
		}
	}
	for i, k := range s.Kinds {
		switch k {
		case devices.Station, devices.Gateway, devices.AccessPoint, devices.Bridge:
		default:
			faults.Add(fmt.Sprintf("scope.kinds[%d]", i), "must be station, gateway, access_point or bridge")
		}
	}
	for i, id := range s.Zones {
		if !idPattern.MatchString(id) {
			faults.Add(fmt.Sprintf("scope.zones[%d]", i), idWhy)
		}
	}
	for i, tag := range s.Tags {
		if strings.TrimSpace(tag) == "" || !plain(tag, 64) {
			faults.Add(fmt.Sprintf("scope.tags[%d]", i), "must be 1 to 64 characters without control characters")
		}
	}
}

// plain tells a text without control characters, of at most n runes.
func plain(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && strings.IndexFunc(s, unicode.IsControl) < 0
}
