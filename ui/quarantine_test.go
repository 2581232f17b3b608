package ui

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cuulong/telemetry"
	"cuulong/ui/access"
)

// TestQuarantine: what was set aside is read from the newest back, in pages, by
// reason, source and time, by administrators alone.
func TestQuarantine(t *testing.T) {
	w := newWorld(t)
	start := time.Now().Add(-time.Hour).UnixMilli()
	const n = 25
	for i := range n {
		b := telemetry.Batch{SetAside: []telemetry.SetAside{
			{Source: fmt.Sprintf("devices/d%d/telemetry from d%d", i%3, i%3), Reason: telemetry.BadJSON, Detail: fmt.Sprint(i), Payload: []byte("{" + fmt.Sprint(i)), Seen: start + int64(i)*1000},
			{Source: "gateways/g/telemetry from g", Reason: telemetry.BadTime, Detail: "second", Payload: []byte{0xff, byte(i)}, Seen: start + int64(i)*1000, Count: 4},
		}}
		if err := w.ingest.Write(t.Context(), b); err != nil && err != telemetry.ErrSetAside {
			t.Fatal(err)
		}
	}
	p := w.tokenOf(access.Admin)
	type item struct {
		ID, Source, Reason, Detail, Payload string
		Encoding                            string `json:"payload_encoding"`
		Seen                                time.Time
		Count                               int
	}
	get := func(query string) (all []item, pages int) {
		t.Helper()
		for next := ""; ; pages++ {
			var l struct {
				Items []item
				Next  string
			}
			p.do("GET", "/api/v1/quarantine?"+query+"&cursor="+next, "").want(200).into(&l)
			all = append(all, l.Items...)
			if next = l.Next; next == "" {
				return all, pages
			}
		}
	}
	all, pages := get("limit=7")
	if len(all) != 2*n || pages < 6 {
		t.Fatalf("%d entries in %d pages", len(all), pages)
	}
	if all[0].Reason != telemetry.BadTime || all[0].Count != 4 || all[0].Encoding != "base64" || all[0].Payload != "/xg=" ||
		all[1].Detail != "24" || all[1].Payload != "{24" || all[1].Encoding != "" || all[1].Count != 1 || all[1].Seen.UnixMilli() != start+24_000 {
		t.Errorf("newest %+v", all[:2])
	}
	ids := map[string]bool{}
	for _, q := range all {
		ids[q.ID] = true
	}
	if len(ids) != 2*n || !slices.IsSortedFunc(all, func(a, b item) int { return b.Seen.Compare(a.Seen) }) {
		t.Error("an entry is twice, or out of order")
	}
	if list, _ := get("reason=bad_json&source=d1&limit=2"); len(list) != 8 {
		t.Errorf("%d of d1", len(list))
	}
	if list, _ := get(fmt.Sprintf("from=%d&to=%d&reason=bad_time", start+5000, start+8000)); len(list) != 3 {
		t.Errorf("%d within three seconds", len(list))
	}
	// A page that may read one segment comes to the oldest in the end, through empty
	// ones, and what it yields is the same.
	for i := range 12 {
		b := telemetry.Batch{SetAside: []telemetry.SetAside{{Source: "devices/big/telemetry from big", Reason: telemetry.BadTime, Payload: make([]byte, 400_000), Seen: start + int64(n+i)*1000}}}
		if err := w.ingest.Write(t.Context(), b); err != nil && err != telemetry.ErrSetAside {
			t.Fatal(err)
		}
	}
	w.s.quarantineScan = 1
	if list, pages := get("reason=bad_json&limit=50"); len(list) != n || pages < 3 || !slices.Equal(list, slices.DeleteFunc(slices.Clone(all), func(q item) bool { return q.Reason != telemetry.BadJSON })) {
		t.Errorf("%d entries in %d pages more", len(list), pages)
	}
	if list, pages := get("limit=3"); len(list) != 2*n+12 || pages < len(list)/3 || list[12] != all[0] {
		t.Errorf("%d entries in %d pages more", len(list), pages)
	}
	rows := csvOf(t, p.do("GET", "/api/v1/quarantine?reason=bad_json", "", "Accept", "text/csv"))
	if len(rows) != n+1 || rows[1][6] != "{24" {
		t.Error(rows[:2])
	}
	for _, bad := range []string{"cursor=e30", "from=soon", "limit=0"} {
		p.do("GET", "/api/v1/quarantine?"+bad, "").problem(422)
	}
	w.tokenOf(access.Operator).do("GET", "/api/v1/quarantine", "").problem(403)
	w.nobody().do("GET", "/api/v1/quarantine", "").problem(401)
}
