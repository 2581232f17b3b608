package alerts

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuulong/devices"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    func(r *Rule)
		want []string // the fields at fault
	}{
		{"good", func(r *Rule) {}, nil},
		{"limits may touch", func(r *Rule) { r.Off = below(4, 0) }, nil},
		{"below", func(r *Rule) { r.On, r.Off = below(-1, 0), above(-1, maxForS) }, nil},
		{"all of it", func(r *Rule) {
			r.Flags, r.Public = Flags{1, 2, 3, 4}, true
			r.Scope = Scope{Devices: []devices.ID{"unknown.yet"}, Kinds: []devices.Kind{devices.Bridge}, Zones: []string{"z-1"}, Tags: []string{"cống đập"}}
		}, nil},
		{"nothing", func(r *Rule) { *r = Rule{} }, []string{"id", "title", "metric", "priority", "on", "off"}},
		{"id", func(r *Rule) { r.ID = "-a" }, []string{"id"}},
		{"long id", func(r *Rule) { r.ID = strings.Repeat("a", 65) }, []string{"id"}},
		{"id with a line end", func(r *Rule) { r.ID = "a\n" }, []string{"id"}},
		{"title", func(r *Rule) { r.Title = " " }, []string{"title"}},
		{"title with a line end", func(r *Rule) { r.Title = "a\nb" }, []string{"title"}},
		{"metric", func(r *Rule) { r.Metric = "Salinity" }, []string{"metric"}},
		{"priority", func(r *Rule) { r.Priority = "top" }, []string{"priority"}},
		{"flags", func(r *Rule) { r.Flags = Flags{1, 0, 9} }, []string{"flags[1]", "flags[2]"}},
		{"both sides", func(r *Rule) { r.On.Below = r.On.Above }, []string{"on"}},
		{"no side", func(r *Rule) { r.Off = Limit{ForS: 3} }, []string{"off"}},
		{"not a number", func(r *Rule) { r.On = above(math.NaN(), 0) }, []string{"on"}},
		{"infinite", func(r *Rule) { r.Off = below(math.Inf(-1), 0) }, []string{"off"}},
		{"negative delay", func(r *Rule) { r.On.ForS = -1 }, []string{"on.for_s"}},
		{"long delay", func(r *Rule) { r.Off.ForS = maxForS + 1 }, []string{"off.for_s"}},
		{"same side", func(r *Rule) { r.Off = above(3, 0) }, []string{"off"}},
		{"same side below", func(r *Rule) { r.On, r.Off = below(3, 0), below(4, 0) }, []string{"off"}},
		{"overlap", func(r *Rule) { r.Off = below(4.1, 0) }, []string{"off.below"}},
		{"overlap below", func(r *Rule) { r.On, r.Off = below(4, 0), above(3.9, 0) }, []string{"off.above"}},
		{"scope", func(r *Rule) {
			r.Scope = Scope{Devices: []devices.ID{"ok", "a/b"}, Kinds: []devices.Kind{"camera"}, Zones: []string{""}, Tags: []string{"\x00"}}
		}, []string{"scope.devices[1]", "scope.kinds[0]", "scope.zones[0]", "scope.tags[0]"}},
		{"many zones", func(r *Rule) { r.Scope.Zones = make([]string, maxScope+1) }, []string{"scope.zones"}},
	} {
		r := fourGrams()
		tc.f(&r)
		err := r.Validate()
		var faults FieldErrors
		var fields []string
		if errors.As(err, &faults) {
			for _, f := range faults {
				fields = append(fields, f.Field)
			}
		}
		if !slices.Equal(fields, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, want faults in %v", tc.name, err, tc.want)
		}
	}
}

// A rule that passes can be kept, read back and judged by; and no value is beyond both its limits.
func FuzzRule(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, value float64) {
		var r Rule
		if json.Unmarshal(text, &r) != nil || r.Validate() != nil {
			return
		}
		c := compile(r)
		if c.On.holds(value) && c.Off.holds(value) {
			t.Errorf("%v is beyond on and off of %s", value, text)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var again Rule
		if err := json.Unmarshal(b, &again); err != nil || again.Validate() != nil {
			t.Fatalf("%s, written as %s: %v", text, b, err)
		}
		b2, _ := json.Marshal(again)
		if !reflect.DeepEqual(b, b2) {
			t.Errorf("%s, then %s", b, b2)
		}
	})
}
