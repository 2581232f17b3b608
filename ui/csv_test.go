package ui

import (
	"fmt"
	"testing"

	"cuulong/ui/access"
)

// Every list is CSV where that is asked for: whole, whatever limit says.
func TestEveryListIsCSVToo(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	const n = 3
	for i := range n {
		w.station(fmt.Sprint("s", i), 106, 10)
		a.do("POST", "/api/v1/zones", square(fmt.Sprint("z", i), 105, 9, 107, 11)).want(200)
		a.do("POST", "/api/v1/rules", fmt.Sprintf(`{"id":"r%d","title":"=1+1, \"mặn\"","metric":"salinity","scope":{"devices":["s0"]},`+
			`"on":{"above":4},"off":{"below":3},"priority":"low"}`, i)).want(201)
	}
	for path, want := range map[string]struct {
		rows  int // -1: some
		first string
	}{
		"devices": {n, "id"}, "zones": {n, "id"}, "rules": {n, "id"}, "rivers": {-1, "id"}, "alarms": {0, "id"},
		"accounts": {-1, "username"}, "tokens": {-1, "id"}, "latest": {0, "device"}, "observations": {0, "device"},
	} {
		rows := csvOf(t, a.do("GET", "/api/v1/"+path+"?limit=1", "", "Accept", "text/csv"))
		if rows[0][0] != want.first {
			t.Errorf("%s: header %v", path, rows[0])
		}
		if got := len(rows) - 1; got != want.rows && (want.rows >= 0 || got < 2 && path != "tokens") {
			t.Errorf("%s: %d rows: %v", path, got, rows)
		}
	}
	rules := csvOf(t, a.do("GET", "/api/v1/rules", "", "Accept", "text/csv"))
	if r := rules[1]; r[0] != "r0" || r[1] != `'=1+1, "mặn"` || r[2] != "salinity" || r[3] != `{"devices":["s0"]}` || r[4] != `{"above":4}` {
		t.Errorf("%q", rules)
	}
	zones := csvOf(t, a.do("GET", "/api/v1/zones", "", "Accept", "text/csv"))
	if r := zones[1]; r[0] != "z0" || r[1] != "Vùng z0" || r[3] != "[105,9,107,11]" {
		t.Errorf("%q", zones)
	}
}
