package telemetry_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	. "cuulong/telemetry"
)

// TestTimeRules is the design's rules of time as a table: what becomes of an
// observation by its phenomenon time, on top of one at now less a minute.
func TestTimeRules(t *testing.T) {
	const minute = 60_000
	first := ob(now-minute, 1)
	for _, c := range []struct {
		name   string
		sent   []Observation
		counts map[string]int // beside the first's
		stored []int64        // times, in order, with the first's
		latest int64
	}{
		{"in order", []Observation{ob(now, 2)}, map[string]int{"stored": 2}, []int64{now - minute, now}, now},
		{"late: stored, not the newest", []Observation{ob(now-5*minute, 2)}, map[string]int{"stored": 2}, []int64{now - 5*minute, now - minute}, now - minute},
		{"shuffled", []Observation{ob(now-2, 3), ob(now-9, 2), ob(now-5, 4)}, map[string]int{"stored": 4}, []int64{now - minute, now - 9, now - 5, now - 2}, now - 2},
		{"the same again", []Observation{first, first}, map[string]int{"stored": 1, "duplicate": 2}, []int64{now - minute}, now - minute},
		{"another value at the same time", []Observation{ob(now-minute, 7)}, map[string]int{"stored": 1, "revised": 1}, []int64{now - minute}, now - minute},
		{"ahead by five minutes", []Observation{ob(now+5*minute, 2)}, map[string]int{"stored": 2}, []int64{now - minute, now + 5*minute}, now + 5*minute},
		{"ahead by more", []Observation{ob(now+5*minute+1, 2)}, map[string]int{"stored": 1, "quarantined": 1}, []int64{now - minute}, now - minute},
		{"a clock of 1970", []Observation{ob(1000, 2), ob(-5, 2)}, map[string]int{"stored": 1, "quarantined": 2}, []int64{now - minute}, now - minute},
		{"the first moment of 2000", []Observation{ob(946_684_800_000, 2), ob(946_684_799_999, 2)}, map[string]int{"stored": 2, "quarantined": 1}, []int64{946_684_800_000, now - minute}, now - minute},
		{"no time: receive time, moved on", []Observation{ob(0, 2), ob(0, 2)}, map[string]int{"stored": 3}, []int64{now - minute, now, now + 1}, now + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := at(t, t.TempDir(), nil)
			r.write(t, first)
			for _, o := range c.sent {
				// Set aside is durable, too, and said.
				if err := r.Write(t.Context(), Batch{Observations: []Observation{o}}); err != nil && err != ErrSetAside {
					t.Fatal(err)
				}
			}
			counts := r.counts(t)
			maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
			if !maps.Equal(counts, c.counts) {
				t.Errorf("counted %v, want %v", counts, c.counts)
			}
			var stored []int64
			for _, p := range r.points(t, "sal-1", "salinity") {
				stored = append(stored, p.At)
			}
			if !slices.Equal(stored, c.stored) {
				t.Errorf("stored %v, want %v", stored, c.stored)
			}
			if o, _ := r.latest.Get("sal-1", "salinity"); o.At != c.latest {
				t.Errorf("latest is of %d, want %d", o.At, c.latest)
			}
		})
	}
}

// TestTypeConflict: a string or boolean is an attribute, unless a metric of that
// name is a number, by the catalogue or by what the device has sent.
func TestTypeConflict(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	send := func(payload string, want error) {
		t.Helper()
		if err := r.Write(t.Context(), DecodeTelemetry("sal-1", "devices/sal-1/telemetry", []byte(payload), now)); !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", payload, err, want)
		}
	}
	send(`{"values":{"sluice":"open","door":true,"salinity":1,"level":null}}`, nil)
	send(`{"values":{"sluice":3}}`, nil)
	send(`[{"values":{"sluice":"open","ph":7}},{"values":{"salinity":"5","door":false,"do":true}}]`, ErrSetAside)
	send(`[{"bn":"x/","n":"sluice","vb":true},{"n":"door","vs":"open"},{"n":"salinity","v":2}]`, ErrSetAside)
	send(`{"values":{"salinity":true}} and more`, ErrSetAside) // one entry, for the whole
	var got []string
	if err := r.db.SetAside(t.Context(), 0, func(_ uint64, a SetAside) bool {
		got = append(got, fmt.Sprintf("%s %s ×%d %s %d", a.Reason, a.Detail, a.Count, a.Source, len(a.Payload)))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`bad_value "sluice" is no number ×3 devices/sal-1/telemetry 88`,
		`bad_value "sluice" is no number ×1 devices/sal-1/telemetry 84`,
		`bad_json not JSON at byte 29 ×1 devices/sal-1/telemetry 37`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("set aside\n got %q\nwant %q", got, want)
	}
	if n := len(r.points(t, "sal-1", "ph")); n != 1 {
		t.Errorf("%d values beside it", n)
	}
	if c := r.counts(t); c["quarantined"] != 5 {
		t.Errorf("counted %v", c)
	}
}
