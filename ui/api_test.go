package ui

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cuulong/telemetry"
	"cuulong/ui/access"
)

const stationA = `{"id":"a","name":"Vàm Kênh","kind":"station","position":{"lon":106.74,"lat":10.27},"agency":"Chi cục Thủy lợi",
	"tags":["mặn"],"metrics":[{"metric":"salinity","every_s":900}]}`

func TestDevices(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	var made struct {
		Device      map[string]any
		Credentials struct{ Username, Password string }
	}
	a.do("POST", "/api/v1/devices", stationA).want(201).into(&made)
	if made.Credentials.Username != "a" || made.Device["state"] != "never" || made.Device["name"] != "Vàm Kênh" {
		t.Fatal(made)
	}
	a.do("POST", "/api/v1/devices", stationA).problem(409)
	if r := a.do("GET", "/api/v1/devices/a", "").want(200); strings.Contains(string(r.body), made.Credentials.Password) {
		t.Fatal("the password is shown again")
	}
	var again struct{ Username, Password string }
	a.do("POST", "/api/v1/devices/a/credentials", "").want(201).into(&again)
	if _, ok := w.registry.Authenticate("a", made.Credentials.Password); ok || again.Username != "a" {
		t.Fatal("the old password stands")
	}
	// What GET gave can be put.
	whole := a.do("GET", "/api/v1/devices/a", "").want(200)
	a.do("PUT", "/api/v1/devices/a", string(whole.body)).want(200)
	a.do("PUT", "/api/v1/devices/a", strings.Replace(string(whole.body), `"id":"a"`, `"id":"b"`, 1)).problem(422)
	var d map[string]any
	a.do("PATCH", "/api/v1/devices/a", `{"agency":null,"tags":["ngọt"],"maintenance":true}`, "Content-Type", "application/merge-patch+json").want(200).into(&d)
	if d["agency"] != nil || d["maintenance"] != true || d["state"] != "maintenance" || d["name"] != "Vàm Kênh" {
		t.Fatal(d)
	}
	p := a.do("PATCH", "/api/v1/devices/a", `{"kind":"balloon","colour":"red"}`).problem(422)
	if len(p.Errors) != 2 {
		t.Fatal(p)
	}
	a.do("PATCH", "/api/v1/devices/a", `{"id":"z"}`).problem(422)
	a.do("PATCH", "/api/v1/devices/a", `[1]`).problem(422)
	a.do("PATCH", "/api/v1/devices/a", `{`).problem(400)
	for _, m := range []string{"GET", "DELETE"} {
		a.do(m, "/api/v1/devices/nobody", "").problem(404)
	}
	a.do("PUT", "/api/v1/devices/nobody", strings.Replace(stationA, `"id":"a"`, `"id":"nobody"`, 1)).problem(404)
	a.do("PATCH", "/api/v1/devices/nobody", `{}`).problem(404)
	a.do("POST", "/api/v1/devices/nobody/credentials", "").problem(404)

	for i := range 7 {
		w.station(fmt.Sprintf("s%d", i), 106+float64(i), 10)
	}
	var ids []string
	for next := ""; ; {
		var l struct {
			Items []struct{ ID string }
			Next  string
		}
		a.do("GET", "/api/v1/devices?limit=3&cursor="+url.QueryEscape(next), "").want(200).into(&l)
		for _, it := range l.Items {
			ids = append(ids, it.ID)
		}
		if next = l.Next; next == "" {
			break
		}
	}
	if !slices.Equal(ids, []string{"a", "s0", "s1", "s2", "s3", "s4", "s5", "s6"}) {
		t.Fatal(ids)
	}
	a.do("GET", "/api/v1/devices?limit=1001", "").problem(422)
	a.do("GET", "/api/v1/devices?limit=0", "").problem(422)
	a.do("GET", "/api/v1/devices?limit=ten", "").problem(422)
	a.do("GET", "/api/v1/devices?cursor=%21%21", "").problem(422)
	a.do("GET", "/api/v1/devices?bbox=1,2,3", "").problem(422)
	a.do("GET", "/api/v1/devices?sort=name", "").problem(422)
	rows := csvOf(t, a.do("GET", "/api/v1/devices?bbox=105.5,9,108.5,11", "", "Accept", "text/csv"))
	for accept, csv := range map[string]bool{
		"": false, "*/*": false, "text/csv, application/json": true, "application/json, text/csv": false, "text/*": true,
		"text/csv;q=0.5, application/json": false, "text/csv;q=0.9, application/json;q=0.8": true, "TEXT/CSV ; q=1": true,
		"text/csv;q=0": false, "text/csv;q=0, */*": false, "text/html, text/csv;q=0.7, */*;q=0.1": true, "text/csv;q=much": false, "image/png, ;;": false,
	} {
		got := a.do("GET", "/api/v1/devices", "", "Accept", accept).want(200).header.Get("Content-Type")
		if strings.HasPrefix(got, "text/csv") != csv {
			t.Errorf("Accept %q is answered with %s", accept, got)
		}
	}
	if len(rows) != 5 || rows[1][0] != "a" || rows[0][0] != "id" {
		t.Fatal(rows)
	}
	a.do("DELETE", "/api/v1/devices/a", "").want(204)
	a.do("GET", "/api/v1/devices/a", "").problem(404)
}

func csvOf(t *testing.T, r reply) [][]string {
	t.Helper()
	r.want(200)
	if !strings.HasPrefix(r.header.Get("Content-Type"), "text/csv") {
		t.Fatal(r.header)
	}
	rows, err := csv.NewReader(strings.NewReader(string(r.body))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestHostileBodies(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	secret := "rtsp://user:geheim@10.0.0.1/"
	for _, c := range []struct {
		name, body string
		status     int
		location   string
	}{
		{"nothing", "", 400, ""},
		{"not JSON", `{"id":`, 400, "body"},
		{"not UTF-8", "{\"id\":\"\xff\"}", 400, "body"},
		{"two values", `{} {}`, 400, "body"},
		{"not an object", `[]`, 422, "body"},
		{"null", `null`, 422, "body"},
		{"a string for a number", `{"id":"x","name":"X","kind":"station","position":{"lon":"106","lat":10}}`, 422, "body.position.lon"},
		{"beyond the earth", `{"id":"x","name":"X","kind":"station","position":{"lon":1e308,"lat":10}}`, 422, "body.position.lon"},
		{"an unknown property", `{"id":"x","name":"X","kind":"station","position":{"lon":1,"lat":1,"height":3}}`, 422, "body.position.height"},
		{"a bad id", `{"id":"../x","name":"X","kind":"station"}`, 422, "body.id"},
		{"a bad parent", `{"id":"x","name":"X","kind":"station","parent":"y"}`, 422, "body.parent"},
		{"a metric twice", `{"id":"x","name":"X","kind":"station","metrics":[{"metric":"ph","every_s":1},{"metric":"ph","every_s":1}]}`, 422, "body.metrics[1].metric"},
		{"a secret in the wrong place", `{"id":"` + secret + `","name":5,"kind":"` + secret + `"}`, 422, "body.id"},
		{"deep", `{"id":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, 400, "body"},
		{"too large", `{"id":"` + strings.Repeat("x", maxBody) + `"}`, 413, ""},
	} {
		r := a.do("POST", "/api/v1/devices", c.body)
		p := r.problem(c.status)
		if strings.Contains(string(r.body), "geheim") {
			t.Errorf("%s: the value is repeated: %s", c.name, r.body)
		}
		found := c.location == ""
		for _, e := range p.Errors {
			found = found || e.Location == c.location
		}
		if !found {
			t.Errorf("%s: %s", c.name, r.body)
		}
	}
	a.do("POST", "/api/v1/devices", "x=1", "Content-Type", "text/plain").problem(415)
	if r := a.do("POST", "/api/v1/cameras", "x=1", "Content-Type", "text/"+geheim); r.status != 415 || strings.Contains(string(r.body), geheim) {
		t.Errorf("%d, %s", r.status, r.body)
	}
	if len(w.registry.All()) != 0 {
		t.Fatal(w.registry.All())
	}
	w.nobody().do("GET", "/api/v1/exports", "").problem(404) // of a later issue
	if r := w.nobody().do("DELETE", "/api/v1/latest", ""); r.problem(405).Status != 405 || r.header.Get("Allow") != "GET, HEAD" {
		t.Fatal(r.header)
	}
	if r := w.nobody().do("POST", "/healthz", "{}"); r.problem(405).Status != 405 || r.header.Get("Allow") != "GET, HEAD" {
		t.Fatal(r.header)
	}
	w.nobody().do("POST", "/", "{}").problem(405)
}

func square(id string, west, south, east, north float64) string {
	ring := [][2]float64{{west, south}, {east, south}, {east, north}, {west, north}, {west, south}}
	text, _ := json.Marshal(map[string]any{"type": "FeatureCollection", "features": []any{map[string]any{"type": "Feature", "id": id,
		"properties": map[string]any{"name": "Vùng " + id, "kind": "commune"}, "geometry": map[string]any{"type": "Polygon", "coordinates": [][][2]float64{ring}}}}})
	return string(text)
}

func TestZonesAndRivers(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	var out struct {
		Accepted int
		Refused  []struct {
			Index int
			ID    string
			Why   string
		}
	}
	a.do("POST", "/api/v1/zones", square("z1", 106, 10, 107, 11), "Content-Type", "application/geo+json").want(200).into(&out)
	if out.Accepted != 1 || out.Refused == nil {
		t.Fatal(out)
	}
	a.do("POST", "/api/v1/zones", `{"type":"FeatureCollection","features":[{"type":"Feature","id":"bad","properties":{},"geometry":{"type":"Polygon","coordinates":[]}}]}`).want(200).into(&out)
	if out.Accepted != 0 || len(out.Refused) != 1 || out.Refused[0].ID != "bad" || out.Refused[0].Why == "" {
		t.Fatal(out)
	}
	a.do("POST", "/api/v1/zones", `{"type":"Feature"}`).problem(422)
	a.do("POST", "/api/v1/zones", `{"type":`).problem(400)
	a.do("POST", "/api/v1/zones", strings.Repeat(" ", maxImport+1)).problem(413)
	a.do("POST", "/api/v1/zones", square("z2", 108, 10, 109, 11)).want(200)

	ids := func(path string) string {
		var l struct{ Items []struct{ ID string } }
		a.do("GET", path, "").want(200).into(&l)
		got := make([]string, len(l.Items))
		for i, it := range l.Items {
			got[i] = it.ID
		}
		return strings.Join(got, " ")
	}
	if got := ids("/api/v1/zones"); got != "z1 z2" {
		t.Fatal(got)
	}
	if got := ids("/api/v1/zones?at=106.5,10.5"); got != "z1" {
		t.Fatal(got)
	}
	if got := ids("/api/v1/zones?at=100,10.5"); got != "" {
		t.Fatal(got)
	}
	a.do("GET", "/api/v1/zones?at=10", "").problem(422)
	var l struct {
		Items []struct {
			Name, Kind string
			BBox       [4]float64
		}
	}
	a.do("GET", "/api/v1/zones?limit=1", "").want(200).into(&l)
	if l.Items[0].Name != "Vùng z1" || l.Items[0].Kind != "commune" || l.Items[0].BBox != [4]float64{106, 10, 107, 11} {
		t.Fatal(l)
	}
	r := a.do("GET", "/api/v1/zones/z1", "").want(200)
	var f struct{ Type, ID string }
	if r.into(&f); f.Type != "Feature" || f.ID != "z1" || r.header.Get("Content-Type") != "application/geo+json" {
		t.Fatalf("%s", r.body)
	}
	// One feature is replaced by PUT.
	moved := strings.Replace(string(r.body), "107", "107.5", -1)
	a.do("PUT", "/api/v1/zones/z1", moved).want(200)
	if got := ids("/api/v1/zones?at=107.4,10.5"); got != "z1" {
		t.Fatal(got)
	}
	a.do("PUT", "/api/v1/zones/z2", moved).problem(422)
	a.do("PUT", "/api/v1/zones/z3", moved).problem(404)
	a.do("PUT", "/api/v1/zones/z1", `{"type":"Feature","id":"z1","properties":{},"geometry":null}`).problem(422)
	a.do("DELETE", "/api/v1/zones/z2", "").want(204)
	a.do("DELETE", "/api/v1/zones/z2", "").problem(404)
	a.do("GET", "/api/v1/zones/z2", "").problem(404)

	seeded := ids("/api/v1/rivers")
	if seeded == "" {
		t.Fatal("no built-in rivers")
	}
	a.do("POST", "/api/v1/rivers", `{"type":"FeatureCollection","features":[{"type":"Feature","id":"kenh","properties":{"name":"Kênh Chợ Gạo"},
		"geometry":{"type":"LineString","coordinates":[[106.5,10.3],[106.6,10.4]]}}]}`).want(200).into(&out)
	if out.Accepted != 1 {
		t.Fatal(out)
	}
	var rivers struct{ Items []map[string]any }
	a.do("GET", "/api/v1/rivers", "").want(200).into(&rivers)
	found := false
	for _, it := range rivers.Items {
		found = found || it["id"] == "kenh" && it["length_km"].(float64) > 10
	}
	if !found {
		t.Fatal(rivers)
	}
	a.do("DELETE", "/api/v1/rivers/kenh", "").want(204)
	a.do("GET", "/api/v1/rivers/kenh", "").problem(404)
}

const ruleMan = `{"id":"man-4","title":"Mặn vượt 4 g/l","metric":"salinity","scope":{"kinds":["station"]},"on":{"above":4},"off":{"below":3,"for_s":60},"priority":"high","flags":[1,2]}`

func TestRulesAndAlarms(t *testing.T) {
	w := newWorld(t)
	a, o, v := w.tokenOf(access.Admin), w.tokenOf(access.Operator), w.tokenOf(access.Viewer)
	w.station("a", 106, 10)
	w.observe(telemetry.Observation{Device: "a", Metric: "salinity", At: time.Now().UnixMilli() - 1000, Value: 6, Flag: telemetry.Pass})
	l := v.listen()
	l.say(`{"op":"sub","id":"x","topic":"alarms"}`)
	l.want("snap")

	var rule map[string]any
	a.do("POST", "/api/v1/rules", ruleMan).want(201).into(&rule)
	if fmt.Sprint(rule["flags"]) != "[1 2]" || rule["created"] == nil {
		t.Fatal(rule)
	}
	a.do("POST", "/api/v1/rules", ruleMan).problem(409)
	p := a.do("POST", "/api/v1/rules", `{"id":"x","title":"X","metric":"salinity","on":{"above":4,"below":3},"off":{},"priority":"high"}`).problem(422)
	if len(p.Errors) != 2 {
		t.Fatal(p)
	}
	a.do("POST", "/api/v1/rules", `{"id":"x","title":"X","metric":"salinity","on":{"above":4},"off":{"below":5},"priority":"dire"}`).problem(422)
	// The new rule judged the newest value at once.
	e := l.want("ev").E
	if e.Type != "raised" || e.Alarm.Subject != "a" || e.Alarm.Rule != "man-4" {
		t.Fatalf("%+v", e)
	}
	id := e.Alarm.ID

	whole := a.do("GET", "/api/v1/rules/man-4", "").want(200)
	a.do("PUT", "/api/v1/rules/man-4", string(whole.body)).want(200)
	a.do("PATCH", "/api/v1/rules/man-4", `{"title":"Mặn","scope":{"kinds":null,"devices":["a"]}}`).want(200).into(&rule)
	if rule["title"] != "Mặn" || fmt.Sprint(rule["scope"]) != "map[devices:[a]]" {
		t.Fatal(rule)
	}
	a.do("PATCH", "/api/v1/rules/man-4", `{"on":{"above":"x"}}`).problem(422)
	a.do("GET", "/api/v1/rules/none", "").problem(404)
	a.do("PATCH", "/api/v1/rules/none", `{}`).problem(404)
	a.do("DELETE", "/api/v1/rules/none", "").problem(404)

	var list struct{ Items []map[string]any }
	v.do("GET", "/api/v1/alarms?state=active&priority=high", "").want(200).into(&list)
	if len(list.Items) != 1 || list.Items[0]["id"] != id || list.Items[0]["title"] == nil {
		t.Fatal(list)
	}
	v.do("GET", "/api/v1/alarms?state=closed", "").want(200).into(&list)
	if list.Items == nil || len(list.Items) != 0 {
		t.Fatal(list)
	}
	v.do("GET", "/api/v1/alarms?state=asleep", "").problem(422)
	v.do("GET", "/api/v1/alarms?cursor=asleep", "").problem(422)
	v.do("POST", "/api/v1/alarms/"+id+"/ack", "").problem(403)
	var alarm map[string]any
	o.do("POST", "/api/v1/alarms/"+id+"/ack", `{"comment":"đã báo trạm"}`).want(200).into(&alarm)
	if alarm["state"] != "acknowledged" {
		t.Fatal(alarm)
	}
	if e := l.want("ev").E; e.Type != "acknowledged" || e.Actor != "admin" || e.Comment != "đã báo trạm" {
		t.Fatalf("%+v", e)
	}
	o.do("POST", "/api/v1/alarms/"+id+"/ack", "").want(200) // a second one changes nothing
	o.do("POST", "/api/v1/alarms/"+id+"/comment", `{"text":"cửa cống đóng"}`).want(200)
	o.do("POST", "/api/v1/alarms/"+id+"/comment", `{"text":" "}`).problem(422)
	o.do("POST", "/api/v1/alarms/none/ack", "").problem(404)
	if e := l.want("ev").E; e.Type != "commented" {
		t.Fatalf("%+v", e)
	}
	var journal struct {
		Items []struct{ Type, Actor string }
	}
	v.do("GET", "/api/v1/alarms/"+id+"/journal", "").want(200).into(&journal)
	if len(journal.Items) != 3 || journal.Items[0].Type != "raised" {
		t.Fatal(journal)
	}
	v.do("GET", "/api/v1/alarms/none/journal", "").problem(404)
	v.do("GET", "/api/v1/alarms/none", "").problem(404)
	v.do("GET", "/api/v1/alarms/"+id, "").want(200)
	rows := csvOf(t, v.do("GET", "/api/v1/alarms", "", "Accept", "text/csv"))
	if len(rows) != 2 || rows[1][0] != id {
		t.Fatal(rows)
	}
	a.do("DELETE", "/api/v1/rules/man-4", "").want(204)
	if e := l.want("ev").E; e.Type != "closed" {
		t.Fatalf("%+v", e)
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	n := w.nobody()
	for _, path := range []string{"/", "/wall/main/1", "/login"} {
		r := n.do("GET", path, "").want(200)
		if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || r.header.Get("Cache-Control") != "no-cache" {
			t.Fatal(path, r.header)
		}
		if csp := r.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'self'") {
			t.Fatal(csp)
		}
	}
	n.do("GET", "/assets/none.js", "").problem(404)
	n.do("GET", "/favicon.ico", "").problem(404)
	for _, f := range baseFiles {
		r := n.do("GET", "/base/"+f, "", "Accept-Encoding", "gzip").want(200)
		if r.header.Get("Content-Type") != "application/geo+json" || r.header.Get("ETag") == "" {
			t.Fatal(f, r.header)
		}
		if r.header.Get("Content-Encoding") != "gzip" || len(r.body) > 1<<20 {
			t.Fatal(f, len(r.body))
		}
		n.do("GET", "/base/"+f, "", "If-None-Match", r.header.Get("ETag")).want(304)
		if plain := n.do("GET", "/base/"+f, "", "Accept-Encoding", "identity").want(200); !json.Valid(plain.body) {
			t.Fatal(f)
		}
	}
	n.do("GET", "/base/stations.geojson", "").problem(404)
	n.do("GET", "/healthz", "").want(200)
	n.do("GET", "/readyz", "").want(200)
	n.do("GET", "/metrics", "").problem(401)
	if r := w.tokenOf(access.Viewer).do("GET", "/metrics", "").want(200); !strings.Contains(string(r.body), "ioc_live_clients 0") ||
		!strings.Contains(string(r.body), `ioc_refused_total{reason="unauthenticated",where="http"}`) {
		t.Fatalf("%s", r.body)
	}
	w.s.o.Ready = func() error { return io.ErrUnexpectedEOF }
	if r := n.do("GET", "/readyz", "").want(503); strings.Contains(string(r.body), "EOF") {
		t.Fatalf("%s", r.body)
	}
}

func TestAssetsThatNeverChange(t *testing.T) {
	text := []byte(strings.Repeat("xin chào ", 1000))
	a := newAsset("assets/index-abc.js", text)
	if !a.forever || len(a.gzipped()) == 0 || a.kind != "text/javascript; charset=utf-8" {
		t.Fatal(a.kind, a.forever)
	}
	if b := newAsset("index.html", text); b.forever {
		t.Fatal("index.html would be kept for ever")
	}
	if b := newAsset("assets/font.woff2", text); b.gzipped() != nil {
		t.Fatal("compressed twice")
	}
}
