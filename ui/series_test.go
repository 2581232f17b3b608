package ui

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/ui/access"
)

func TestLatest(t *testing.T) {
	w := newWorld(t)
	p := w.tokenOf(access.Viewer)
	now := time.Now().UnixMilli()
	for i := range 5 {
		id := fmt.Sprintf("s%d", i)
		w.station(id, 106+float64(i)/10, 10)
		for _, m := range []string{"level", "salinity"} {
			w.observe(telemetry.Observation{Device: devices.ID(id), Metric: m, At: now - 60_000, Value: float64(i), Flag: telemetry.Pass})
		}
	}
	type item struct {
		Device, Metric, Unit, T string
		Value, AgeS             float64
		Flag                    int
	}
	get := func(query string) (items []item, next string) {
		var l struct {
			Items []item
			Next  string
		}
		p.do("GET", "/api/v1/latest"+query, "").want(200).into(&l)
		return l.Items, l.Next
	}
	items, next := get("")
	if len(items) != 10 || next != "" {
		t.Fatal(items)
	}
	first := items[1]
	if first.Device != "s0" || first.Metric != "salinity" || first.Unit != "g/l" || first.Flag != 1 {
		t.Fatalf("%+v", first)
	}
	if at, err := time.Parse(time.RFC3339Nano, first.T); err != nil || at.UnixMilli() != now-60_000 {
		t.Fatal(first.T, err)
	}
	var raw struct{ Items []map[string]any }
	p.do("GET", "/api/v1/latest?device=s0&metric=level", "").want(200).into(&raw)
	if age := raw.Items[0]["age_s"].(float64); age < 60 || age > 600 {
		t.Fatal(age)
	}
	if items, _ := get("?metric=salinity&bbox=106.05,9,106.25,11"); len(items) != 2 {
		t.Fatal(items)
	}
	if items, _ := get("?device=s1&device=s3"); len(items) != 4 {
		t.Fatal(items)
	}
	w.observe(telemetry.Observation{Device: "s4", Metric: "level", At: now, Value: 999, Flag: telemetry.Fail, Test: telemetry.TestGrossRange})
	p.do("GET", "/api/v1/latest?device=s4&metric=level", "").want(200).into(&raw)
	if raw.Items[0]["test"] != telemetry.TestGrossRange {
		t.Fatal(raw)
	}
	for _, bad := range []string{"106.4,9,106.1,8", "106,91,107,92", "NaN,9,107,11", "1,2,3", "a,b,c,d"} {
		p.do("GET", "/api/v1/latest?bbox="+bad, "").problem(422)
	}
	if items, _ := get("?kind=gateway"); items == nil || len(items) != 0 {
		t.Fatal(items)
	}
	var all []item
	for next := ""; ; {
		items, n := get("?limit=3&cursor=" + next)
		all = append(all, items...)
		if next = n; next == "" {
			break
		}
	}
	if len(all) != 10 {
		t.Fatal(all)
	}
	w.tokenOf(access.Admin).do("POST", "/api/v1/zones", square("z", 106.05, 9.5, 106.35, 10.5)).want(200)
	if items, _ := get("?zone=z&metric=level"); len(items) != 3 {
		t.Fatal(items)
	}
	// Several conditions hold together: s1, s2, s3 lie in the zone, s2 and s3 in the
	// box, and of these s3 alone is an access point.
	w.tokenOf(access.Admin).do("PATCH", "/api/v1/devices/s3", `{"kind":"access_point"}`, "Content-Type", "application/merge-patch+json").want(200)
	for query, want := range map[string][]string{
		"zone=z&bbox=106.15,9,107,11":                                  {"s2", "s3"},
		"zone=z&bbox=106.15,9,107,11&kind=access_point":                {"s3"},
		"zone=z&bbox=106.15,9,107,11&kind=station":                     {"s2"},
		"zone=z&kind=station":                                          {"s1", "s2"},
		"bbox=106.15,9,107,11&kind=station":                            {"s2", "s4"},
		"zone=z&bbox=106.15,9,107,11&kind=access_point&device=s2":      nil,
		"zone=z&bbox=106.35,9,107,11":                                  nil,
		"zone=z&bbox=106.15,9,107,11&device=s2&device=s0&kind=station": {"s2"},
	} {
		items, _ := get("?metric=level&" + query)
		var got []string
		for _, i := range items {
			got = append(got, i.Device)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	p.do("GET", "/api/v1/latest?zone=nowhere", "").problem(422)
	rows := csvOf(t, p.do("GET", "/api/v1/latest", "", "Accept", "text/csv"))
	if len(rows) != 11 || rows[0][2] != "t" || rows[1][2] != fmt.Sprint(now-60_000) {
		t.Fatal(rows)
	}
	if err := w.registry.Delete(t.Context(), "s0"); err != nil {
		t.Fatal(err)
	}
	if items, _ := get("?device=s0"); len(items) != 0 {
		t.Fatal(items)
	}
	var cat struct{ Items []telemetry.Metric }
	p.do("GET", "/api/v1/metrics", "").want(200).into(&cat)
	if len(cat.Items) != len(telemetry.Catalogue()) || cat.Items[0].TitleVI == "" {
		t.Fatal(cat)
	}
}

// rest sums the values of all windows but the first: a day may end within two hours.
func rest(points [][3]float64) (sum float64) {
	for _, p := range points[1:] {
		sum += p[1]
	}
	return sum
}

func TestObservations(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	w.station("b", 106, 10)
	p := w.tokenOf(access.Viewer)
	start := time.Now().Add(-2 * time.Hour).UnixMilli()
	const n = 250
	var batch []telemetry.Observation
	for i := range n {
		for _, d := range []string{"a", "b"} {
			batch = append(batch, telemetry.Observation{Device: devices.ID(d), Metric: "salinity", At: start + int64(i)*10_000, Value: float64(i), Flag: telemetry.Pass})
		}
	}
	w.observe(batch...)
	type answer struct {
		Series []struct {
			Device, Metric, Unit, Agg string
			Points                    [][3]float64
		}
		Next string
	}
	get := func(query string) (a answer) {
		t.Helper()
		p.do("GET", "/api/v1/observations?"+query, "").want(200).into(&a)
		return a
	}
	a := get("device=a&metric=salinity")
	if len(a.Series) != 1 || len(a.Series[0].Points) != n || a.Series[0].Unit != "g/l" || a.Next != "" {
		t.Fatalf("%d series, next %q", len(a.Series), a.Next)
	}
	for i, pt := range a.Series[0].Points {
		if pt != [3]float64{float64(start + int64(i)*10_000), float64(i), 1} {
			t.Fatal(i, pt)
		}
	}
	// From inclusive, to exclusive, in either notation.
	from, to := start+50_000, start+100_000
	a = get(fmt.Sprintf("device=a&metric=salinity&from=%d&to=%s", from, url.QueryEscape(time.UnixMilli(to).UTC().Format(time.RFC3339Nano))))
	if pts := a.Series[0].Points; len(pts) != 5 || pts[0][1] != 5 || pts[4][1] != 9 {
		t.Fatal(pts)
	}
	// Paged across both devices: nothing lost, nothing twice, though the clock goes on.
	seen := map[string][]float64{}
	for next, pages := "", 0; ; pages++ {
		a = get("device=a&device=b&metric=salinity&limit=77&cursor=" + next)
		total := 0
		for _, s := range a.Series {
			for _, pt := range s.Points {
				seen[s.Device] = append(seen[s.Device], pt[1])
				total++
			}
		}
		if total > 77 || pages > 20 {
			t.Fatal(total, pages)
		}
		if next = a.Next; next == "" {
			break
		}
	}
	for d, values := range seen {
		if len(values) != n || !slices.IsSorted(values) {
			t.Fatal(d, len(values))
		}
	}
	a = get("device=a&metric=salinity&every=10m&agg=min,max,count&agg=mean")
	if len(a.Series) != 4 || a.Series[0].Agg != "min" || a.Series[3].Agg != "mean" {
		t.Fatal(a)
	}
	sum := 0.0
	for i, c := range a.Series[2].Points {
		sum += c[1]
		if int64(c[0])%600_000 != 0 || a.Series[0].Points[i][1] > a.Series[3].Points[i][1] {
			t.Fatal(c)
		}
	}
	if sum != n {
		t.Fatal(sum)
	}
	paged := 0.0
	for next := ""; ; {
		a = get("device=a&metric=salinity&every=10m&agg=count&limit=2&cursor=" + next)
		for _, c := range a.Series[0].Points {
			paged += c[1]
		}
		if next = a.Next; next == "" {
			break
		}
	}
	if paged != n {
		t.Fatal(paged)
	}
	a = get("device=a&metric=salinity&every=10m&agg=count&limit=2")
	p.do("GET", "/api/v1/observations?device=a&metric=salinity&every=1h&agg=count&limit=2&cursor="+a.Next, "").problem(422)
	p.do("GET", "/api/v1/observations?device=a&metric=salinity&every=10m&agg=max&limit=2&cursor="+a.Next, "").problem(422)
	for _, other := range []string{"device=b&metric=salinity", "device=a&metric=ph", "device=a&device=b&metric=salinity", "device=a&metric=salinity&from=5", "device=a&metric=salinity&to=" + fmt.Sprint(start)} {
		p.do("GET", "/api/v1/observations?"+other+"&every=10m&agg=count&limit=2&cursor="+a.Next, "").problem(422)
	}
	if a = get("metric=salinity&every=auto"); len(a.Series) != 6 || a.Series[0].Agg != "mean" || a.Series[1].Agg != "min" || a.Series[2].Agg != "max" {
		t.Fatal(a)
	}
	// Thinned to few windows, the extremes of all points are there.
	a = get(fmt.Sprintf("device=a&metric=salinity&every=auto&from=%d&to=%d", start-300*86400_000, start+86400_000))
	low, high := a.Series[1].Points, a.Series[2].Points
	if len(low) > 2 || low[0][1] != 0 || high[len(high)-1][1] != n-1 {
		t.Fatal(low, high)
	}
	if a = get("device=a&metric=salinity&every=auto&agg=last"); len(a.Series) != 1 || a.Series[0].Agg != "last" {
		t.Fatal(a)
	}
	if a = get("device=nobody&metric=salinity"); len(a.Series) != 1 || len(a.Series[0].Points) != 0 {
		t.Fatal(a)
	}
	for _, bad := range []string{"device=../x&metric=ph", "device=a&metric=PH", "device=a&metric=ph&from=yesterday", "device=a&metric=ph&from=2&to=1",
		"device=a&metric=ph&every=soon", "device=a&metric=ph&agg=mean", "device=a&metric=ph&every=1h&agg=median", "limit=10001", "cursor=e30", "device=a&metric=ph&from=99999999999999999",
		"device=&metric=ph", "device=a&metric=", "device=a&device=&metric=ph"} {
		p.do("GET", "/api/v1/observations?"+bad, "").problem(422)
	}
	// By quality, raw and in windows.
	w.observe(telemetry.Observation{Device: "a", Metric: "salinity", At: start + 3, Value: 99, Flag: telemetry.Fail},
		telemetry.Observation{Device: "a", Metric: "salinity", At: start + 4, Value: 44, Flag: telemetry.Suspect})
	if a = get("device=a&metric=salinity&flag=4&flag=3"); len(a.Series[0].Points) != 2 || a.Series[0].Points[0] != [3]float64{float64(start + 3), 99, 4} {
		t.Fatal(a)
	}
	if a = get("device=a&metric=salinity&flag=1&every=1d&agg=count&agg=max"); a.Series[0].Points[0][1]+rest(a.Series[0].Points) != n || a.Series[1].Points[0][1] > n {
		t.Fatal(a)
	}
	if a = get("device=a&metric=salinity&flag=3&limit=1&cursor="); len(a.Series[0].Points) != 1 || a.Next != "" {
		t.Fatal(a)
	}
	passed, next := 0, ""
	for {
		a = get("device=a&metric=salinity&flag=1&limit=60&cursor=" + next)
		for _, pt := range a.Series[0].Points {
			if pt[2] != 1 {
				t.Fatal(pt)
			}
			passed++
		}
		if a.Next == "" {
			break
		}
		next = a.Next
		p.do("GET", "/api/v1/observations?device=a&metric=salinity&limit=60&cursor="+next, "").problem(422) // another query
	}
	if passed != n {
		t.Fatal(passed)
	}
	p.do("GET", "/api/v1/observations?device=a&metric=salinity&flag=7", "").problem(422)
	w.observe(telemetry.Observation{Device: "a", Metric: "salinity", At: start + 3, Value: 98, Flag: telemetry.Pass},
		telemetry.Observation{Device: "a", Metric: "salinity", At: start + 4, Value: 98, Flag: telemetry.Pass})
	rows := csvOf(t, p.do("GET", "/api/v1/observations?metric=salinity", "", "Accept", "text/csv"))
	if len(rows) != 2*n+3 || strings.Join(rows[0], ",") != "device,metric,t,value,unit,flag" {
		t.Fatal(len(rows), rows[0])
	}
	if strings.Join(rows[1], ",") != fmt.Sprintf("a,salinity,%d,0,g/l,1", start) {
		t.Fatal(rows[1])
	}
	// History outlives the device.
	if err := w.registry.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if a = get("device=a&metric=salinity"); len(a.Series[0].Points) != n+2 {
		t.Fatal(len(a.Series[0].Points))
	}
}
