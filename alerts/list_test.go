package alerts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cuulong/devices"
)

func TestAlarmsPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	w.create(fourGrams())
	low := fourGrams()
	low.ID, low.Priority = "thap", Low
	w.create(low)
	for i := range 12 {
		id := fmt.Sprintf("s%02d", i)
		w.add(devices.Device{ID: devices.ID(id), Metrics: []devices.Expected{{Metric: "salinity", EveryS: 60}}})
		w.to(float64(i / 3)) // three raised at a time
		w.salinity(id, 5)
		w.settle()
		want = append([]string{id, id}, want...)
	}
	for _, a := range w.listed(Filter{}) {
		if a.Subject == "s00" || a.Subject == "s01" && a.Priority == Low {
			if _, err := w.Ack(t.Context(), a.ID, "lan", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.to(10)
	w.salinity("s00", 3)
	w.settle()
	for _, tc := range []struct {
		name string
		f    Filter
		n    int
	}{
		{"open", Filter{}, 22},
		{"all", Filter{States: states}, 24},
		{"closed", Filter{States: []State{Closed}}, 2},
		{"acknowledged", Filter{States: []State{Acknowledged}}, 1},
		{"low", Filter{Priorities: []Priority{Low}}, 11},
		{"two filters", Filter{States: []State{Active, Returned}, Priorities: []Priority{Low, Urgent}}, 10},
		{"zone", Filter{Zone: "unknown"}, 0},
	} {
		for _, limit := range []int{0, 1, 5, 24, 5000} {
			tc.f.Limit = limit
			all := w.listed(tc.f)
			if len(all) != tc.n {
				t.Errorf("%s by %d: %d alarms, want %d", tc.name, limit, len(all), tc.n)
			}
			if !slices.IsSortedFunc(all, func(a, b Alarm) int {
				if a.Raised.Equal(b.Raised) {
					return strings.Compare(b.ID, a.ID)
				}
				return b.Raised.Compare(a.Raised)
			}) {
				t.Errorf("%s by %d: order", tc.name, limit)
			}
		}
	}
	_, snap := w.Snapshot()
	if len(snap) != 22 || snap[0].Priority != High || snap[21].Priority != Low || snap[0].Raised.Before(snap[1].Raised) {
		t.Errorf("snapshot: %+v", snap)
	}
	for _, f := range []Filter{{Cursor: "x"}, {Cursor: "1"}, {Cursor: "1."}, {States: []State{"open"}}, {Priorities: []Priority{"top"}}} {
		var field *FieldError
		if _, _, err := w.Alarms(t.Context(), f); !errors.As(err, &field) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// listed reads all pages.
func (w *world) listed(f Filter) (all []Alarm) {
	w.t.Helper()
	for {
		page, next, err := w.Alarms(w.t.Context(), f)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if len(page) == 0 {
			w.t.Fatal("an empty page with another after it")
		}
		f.Cursor = next
	}
}
