package ui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"cuulong/geo"
	"cuulong/ui/access"
	"cuulong/video"
)

// geheim is a password that no answer may hold.
const geheim = "geheim-Zx81"

// cameraText is a camera's JSON; fields replace or add, null removes.
func cameraText(id string, fields ...any) string {
	c := map[string]any{"id": id, "name": "Ngã tư " + id, "url": "rtsp://admin:" + geheim + "@192.0.2.7:8554/stream1",
		"position": map[string]any{"lon": 105.78, "lat": 10.03}, "pull": "on_demand"}
	for i := 0; i < len(fields); i += 2 {
		if c[fields[i].(string)] = fields[i+1]; fields[i+1] == nil {
			delete(c, fields[i].(string))
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestCameras(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	r := a.do("POST", "/api/v1/cameras", cameraText("cau", "bearing", 45, "view_deg", 60, "kind", "traffic", "group", "Cầu")).want(201)
	if r.header.Get("Location") != "/api/v1/cameras/cau" {
		t.Error(r.header)
	}
	var made map[string]any
	r.into(&made)
	status, _ := made["status"].(map[string]any)
	if made["url"] != "rtsp://192.0.2.7:8554/stream1" || made["bearing"] != 45.0 || made["view_deg"] != 60.0 || made["kind"] != "traffic" ||
		made["group"] != "Cầu" || made["pull"] != "on_demand" || made["created"] == nil || status["state"] != "off" || status["since"] == nil {
		t.Fatal(made)
	}
	a.do("POST", "/api/v1/cameras", cameraText("cau")).problem(409)
	a.do("POST", "/api/v1/cameras", cameraText("cho", "position", map[string]any{"lon": 106.5, "lat": 10.5})).want(201)

	// What GET gave can be put, and keeps what it does not show.
	whole := a.do("GET", "/api/v1/cameras/cau", "").want(200)
	if put := a.do("PUT", "/api/v1/cameras/cau", string(whole.body)).want(200); string(put.body) != string(whole.body) {
		t.Errorf("%s\nput and got\n%s", whole.body, put.body)
	}
	var now struct {
		Name, URL, Group string
		Bearing          *float64
		Kind             video.Kind
	}
	a.do("PATCH", "/api/v1/cameras/cau", `{"name":"Cầu mới","bearing":null,"group":null}`).want(200).into(&now)
	if now.Name != "Cầu mới" || now.Bearing != nil || now.Group != "" || now.Kind != video.Traffic {
		t.Errorf("%+v", now)
	}
	// The stored credentials do not follow to another host.
	if p := a.do("PATCH", "/api/v1/cameras/cau", `{"url":"rtsp://192.0.2.8:8554/stream1"}`).problem(422); p.Errors[0].Location != "body.url" {
		t.Error(p)
	}
	a.do("PATCH", "/api/v1/cameras/cau", `{"url":"rtsp://u:`+geheim+`2@192.0.2.8:8554/stream2"}`).want(200).into(&now)
	if now.URL != "rtsp://192.0.2.8:8554/stream2" {
		t.Error(now.URL)
	}
	a.do("PATCH", "/api/v1/cameras/cau", `{"id":"other"}`).problem(422)
	a.do("PUT", "/api/v1/cameras/none", cameraText("none")).problem(404)
	a.do("PATCH", "/api/v1/cameras/none", `{}`).problem(404)
	a.do("GET", "/api/v1/cameras/none", "").problem(404)
	a.do("DELETE", "/api/v1/cameras/none", "").problem(404)
	a.do("GET", "/api/v1/cameras/none/live", "", "Connection", "upgrade", "Upgrade", "websocket").problem(404)
	a.do("GET", "/api/v1/cameras/cau/live", "").problem(426)
	if r := a.do("POST", "/api/v1/cameras/cau", "{}"); r.problem(405).Status != 405 || r.header.Get("Allow") != "DELETE, GET, HEAD, PATCH, PUT" {
		t.Error(r.header)
	}
	if r := a.do("DELETE", "/api/v1/cameras/near", ""); r.status != 404 { // an id like another
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := a.do("HEAD", "/api/v1/cameras", "").want(200); len(r.body) != 0 {
		t.Errorf("%s", r.body)
	}

	for query, want := range map[string][]string{
		"": {"cau", "cho"}, "?kind=traffic": {"cau"}, "?kind=security": {}, "?bbox=106,10,107,11": {"cho"}, "?group=x": {}, "?limit=1": {"cau"},
	} {
		var l struct {
			Items []struct{ ID string }
			Next  string
		}
		a.do("GET", "/api/v1/cameras"+query, "").want(200).into(&l)
		got := []string{}
		for _, it := range l.Items {
			got = append(got, it.ID)
		}
		if !slices.Equal(got, want) || l.Items == nil || (l.Next != "") != (query == "?limit=1") {
			t.Errorf("%q: %v %q", query, got, l.Next)
		}
	}
	a.do("GET", "/api/v1/cameras?kind=radar", "").problem(422)
	rows := csvOf(t, a.do("GET", "/api/v1/cameras?limit=1", "", "Accept", "text/csv"))
	if len(rows) != 3 || !slices.Equal(rows[1][:5], []string{"cau", "Cầu mới", "rtsp://192.0.2.8:8554/stream2", "105.78", "10.03"}) {
		t.Error(rows)
	}
	// The list can be edited in a spreadsheet and taken back.
	list := string(a.do("GET", "/api/v1/cameras", "", "Accept", "text/csv").body)
	var back cameraImportOut
	a.do("POST", "/api/v1/cameras/import", strings.Replace(list, "Cầu mới", "Cầu cũ", 1), "Content-Type", "text/csv").want(200).into(&back)
	if c, _ := w.cameras.Get("cau"); back.Accepted != 2 || len(back.Refused) != 0 || c.Name != "Cầu cũ" {
		t.Errorf("%+v %+v", back, c)
	}
	a.do("DELETE", "/api/v1/cameras/cau", "").want(204)
	a.do("GET", "/api/v1/cameras/cau", "").problem(404)
}

func TestCamerasNear(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	// One looks north to the place, one away from it, of one nobody knows; all stand 200 to 400 m south of it.
	a.do("POST", "/api/v1/cameras", cameraText("to", "bearing", 0, "view_deg", 60, "position", map[string]any{"lon": 105.78, "lat": 10.028})).want(201)
	a.do("POST", "/api/v1/cameras", cameraText("away", "bearing", 180, "view_deg", 60, "position", map[string]any{"lon": 105.78, "lat": 10.0275})).want(201)
	a.do("POST", "/api/v1/cameras", cameraText("unknown", "position", map[string]any{"lon": 105.78, "lat": 10.0265})).want(201)
	var l struct {
		Items []struct {
			ID, Name, URL string
			DistanceM     float64 `json:"distance_m"`
			Sees          *bool
			Status        *video.Status
			Position      struct{ Lon, Lat float64 }
		}
		Next *string
	}
	a.do("GET", "/api/v1/cameras/near?lon=105.78&lat=10.03&n=2", "").want(200).into(&l)
	if len(l.Items) != 2 || l.Items[0].ID != "to" || l.Items[1].ID != "away" || l.Next != nil {
		t.Fatalf("%+v", l)
	}
	first, second := l.Items[0], l.Items[1]
	if first.DistanceM < 215 || first.DistanceM > 227 || first.Sees == nil || !*first.Sees || second.Sees == nil || *second.Sees ||
		first.Status == nil || first.URL == "" || first.Position.Lat != 10.028 {
		t.Errorf("%+v", l)
	}
	if rows := csvOf(t, a.do("GET", "/api/v1/cameras/near?lon=105.78&lat=10.03", "", "Accept", "text/csv")); len(rows) != 4 || !slices.Contains(rows[0], "distance_m") {
		t.Error(rows)
	}
	for _, query := range []string{"", "?lon=105", "?lat=10", "?lon=x&lat=10", "?lon=181&lat=10", "?lon=NaN&lat=10", "?lon=105&lat=Inf", "?lon=105&lat=10&n=0", "?lon=105&lat=10&n=101", "?lon=105&lat=10&x=1"} {
		a.do("GET", "/api/v1/cameras/near"+query, "").problem(422)
	}
}

func TestCameraImport(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	var file strings.Builder
	file.WriteString("id,name,url,lon,lat,bearing,view_deg,kind,group\n")
	bad := map[int]string{7: "Bad id!", 30: "", 61: "b61"}
	for line := 2; line <= 62; line++ {
		id, lon := fmt.Sprint("b", line), "105.7"
		switch line {
		case 7:
			id = bad[line]
		case 30:
			file.WriteString("b30,ít cột,rtsp://admin:" + geheim + "@192.0.2.30/1\n")
			continue
		case 61:
			lon = "rtsp://admin:" + geheim + "@192.0.2.61/"
		}
		fmt.Fprintf(&file, "%s,\"Camera, %d\",rtsp://admin:%s@192.0.2.%d/1,%s,10.%02d,%d,70,security,Bến Tre\n", id, line, geheim, line, lon, line, line)
	}
	var out struct {
		Accepted int
		Refused  []struct {
			Line int
			Why  string
		}
	}
	r := a.do("POST", "/api/v1/cameras/import", file.String(), "Content-Type", "text/csv").want(200)
	r.into(&out)
	if out.Accepted != 58 || len(out.Refused) != 3 || strings.Contains(string(r.body), geheim) {
		t.Fatalf("%s", r.body)
	}
	for _, f := range out.Refused {
		if _, ok := bad[f.Line]; !ok || f.Why == "" {
			t.Errorf("%+v", f)
		}
	}
	if cams := w.cameras.All(); len(cams) != 58 || cams[0].ID != "b10" || cams[0].Name != "Camera, 10" || *cams[0].Bearing != 10 || cams[0].Kind != video.Security {
		t.Fatalf("%d %+v", len(cams), cams[0])
	}
	if n := len(truth(w.s.hub, &w.s.hub.cameras, nil)); n != 58 {
		t.Errorf("%d rows", n)
	}
	a.do("POST", "/api/v1/cameras/import", "id,name,url,lon,lat\n", "Content-Type", "text/csv").want(200).into(&out)
	if out.Accepted != 0 || len(out.Refused) != 0 {
		t.Errorf("%+v", out)
	}
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"no header":       {"b1,Một,rtsp://admin:" + geheim + "@192.0.2.1/,105,10\n", 422},
		"an own column":   {"id,name,url,lon,lat," + geheim + "\n", 422},
		"a column twice":  {"id,name,url,lon,lat,id\n", 422},
		"quotes":          {"id,\"name" + geheim + ",url,lon,lat\n", 422},
		"nothing":         {"\n", 422},
		"too many bytes":  {strings.Repeat("x", maxCameraImport+1), 413},
		"no body at all":  {"", 400},
		"JSON by mistake": {`{"id":"x","url":"rtsp://u:` + geheim + `@192.0.2.1/"}`, 422},
	} {
		r := a.do("POST", "/api/v1/cameras/import", c.text, "Content-Type", "text/csv")
		p := r.problem(c.status)
		if strings.Contains(string(r.body), geheim) || c.status == 422 && p.Errors[0].Location != "body" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

// A camera's URL holds a password: no refusal repeats any of it, whatever is wrong.
func TestNoAnswerHoldsAPassword(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	secret := "rtsp://admin:" + geheim + "@192.0.2.7/1"
	a.do("POST", "/api/v1/cameras", cameraText("cau", "url", secret+"?token="+geheim)).want(201)
	for name, c := range map[string]struct {
		method, path, body, location string
		status                       int
	}{
		"URL of a wrong type":        {"POST", "", cameraText("x", "url", []string{secret}), "body.url", 422},
		"URL in an object":           {"POST", "", cameraText("x", "url", map[string]any{secret: secret}), "body.url", 422},
		"URL too long":               {"POST", "", cameraText("x", "url", secret+strings.Repeat("x", 2048)), "body.url", 422},
		"empty URL":                  {"POST", "", cameraText("x", "url", ""), "body.url", 422},
		"no URL":                     {"POST", "", cameraText("x", "url", nil, "group", geheim), "body", 422},
		"another scheme":             {"POST", "", cameraText("x", "url", "http"+secret), "body.url", 422},
		"no host":                    {"POST", "", cameraText("x", "url", "rtsp://admin:"+geheim+"@/1"), "body.url", 422},
		"a bad port":                 {"POST", "", cameraText("x", "url", "rtsp://admin:"+geheim+"@192.0.2.7:99999/1"), "body.url", 422},
		"a bad escape":               {"POST", "", cameraText("x", "url", "rtsp://admin:%zz"+geheim+"@192.0.2.7/1"), "body.url", 422},
		"a refused network":          {"POST", "", cameraText("x", "url", "rtsp://admin:"+geheim+"@169.254.169.254/1"), "body.url", 422},
		"a zone":                     {"POST", "", cameraText("x", "url", "rtsp://admin:"+geheim+"@[fe80::1%25eth0]/1"), "body.url", 422},
		"URL as a property's name":   {"POST", "", cameraText("x", secret, 1), "body", 422},
		"URL as an id":               {"POST", "", cameraText(secret), "body.id", 422},
		"URL as a kind":              {"POST", "", cameraText("x", "kind", secret), "body.kind", 422},
		"URL as a pull":              {"POST", "", cameraText("x", "pull", secret), "body.pull", 422},
		"URL as a position":          {"POST", "", cameraText("x", "position", secret), "body.position", 422},
		"URL as a longitude":         {"POST", "", cameraText("x", "position", map[string]any{"lon": secret, "lat": 1}), "body.position.lon", 422},
		"URL as a bearing":           {"POST", "", cameraText("x", "bearing", secret), "body.bearing", 422},
		"a control character":        {"POST", "", cameraText("x", "name", geheim+"\x00"), "body.name", 422},
		"not JSON":                   {"POST", "", strings.TrimSuffix(cameraText("x"), "}"), "body", 400},
		"URL for a body":             {"POST", "", `"` + secret + `"`, "body", 422},
		"an id that is taken":        {"POST", "", cameraText("cau"), "", 409},
		"put under another id":       {"PUT", "/cau", cameraText("x"), "body.id", 422},
		"put to another host":        {"PUT", "/cau", cameraText("cau", "url", "rtsp://192.0.2.8/1?token=*"), "body.url", 422},
		"put what is not there":      {"PUT", "/none", cameraText("none"), "", 404},
		"put a wrong type":           {"PUT", "/cau", cameraText("cau", "url", 5, "name", []string{geheim}), "body.url", 422},
		"patch a wrong type":         {"PATCH", "/cau", `{"url":["` + secret + `"]}`, "body.url", 422},
		"patch an unknown property":  {"PATCH", "/cau", `{"` + secret + `":1}`, "body", 422},
		"patch with no object":       {"PATCH", "/cau", `"` + secret + `"`, "body", 422},
		"patch that is not JSON":     {"PATCH", "/cau", `{"url":"` + secret, "body", 400},
		"patch another scheme":       {"PATCH", "/cau", `{"url":"https://admin:` + geheim + `@192.0.2.7/1"}`, "body.url", 422},
		"probe a wrong type":         {"POST", "/probe", `{"url":{"x":"` + secret + `"}}`, "body.url", 422},
		"probe another scheme":       {"POST", "/probe", `{"url":"ftp://admin:` + geheim + `@192.0.2.7/1"}`, "body.url", 422},
		"probe an unknown property":  {"POST", "/probe", `{"url":"` + secret + `","` + secret + `":1}`, "body", 422},
		"probe for an unknown one":   {"POST", "/probe", `{"url":"` + secret + `","id":"none"}`, "", 404},
		"probe with a bad id":        {"POST", "/probe", `{"url":"` + secret + `","id":"` + secret + `"}`, "body.id", 422},
		"unknown parameter":          {"GET", "?" + geheim + "=" + geheim + "&url=" + "rtsp%3A%2F%2Fadmin%3A" + geheim + "%40h", "", "query.url", 422},
		"bbox":                       {"GET", "?bbox=rtsp%3A%2F%2Fadmin%3A" + geheim + "%40h", "", "query.bbox", 422},
		"limit":                      {"GET", "?limit=" + geheim, "", "query.limit", 422},
		"kind":                       {"GET", "?kind=" + geheim, "", "query.kind", 422},
		"cursor":                     {"GET", "?cursor=" + geheim + "!", "", "query.cursor", 422},
		"near":                       {"GET", "/near?lon=" + geheim + "&lat=" + geheim, "", "query.lon", 422},
		"an id that cannot be":       {"GET", "/rtsp:%2F%2Fadmin:" + geheim + "@h", "", "", 404},
		"live of one that cannot be": {"GET", "/admin:" + geheim + "@h/live", "", "", 426},
		"a path that is not":         {"GET", "/cau/admin:" + geheim + "@h", "", "", 404},
		"what is there":              {"GET", "", "", "", 200},
		"what is there, as CSV":      {"GET", "/near?lon=1&lat=1", "", "", 200},
	} {
		r := a.do(c.method, "/api/v1/cameras"+c.path, c.body)
		if r.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, r.status, c.status, r.body)
		}
		if name == "unknown parameter" {
			// The name of a parameter is told, as long as it is one: here it was chosen to be a word.
			r.body = []byte(strings.ReplaceAll(string(r.body), "query."+geheim, "query."))
		}
		if strings.Contains(string(r.body), geheim) || strings.Contains(fmt.Sprint(r.header), geheim) {
			t.Errorf("%s: %d %s %v", name, r.status, r.body, r.header)
		}
		if r.status >= 400 {
			p := r.problem(r.status)
			if c.location != "" && !slices.ContainsFunc(p.Errors, func(d ProblemDetail) bool { return d.Location == c.location }) {
				t.Errorf("%s: %s", name, r.body)
			}
		}
	}
	for _, path := range []string{"/metrics", "/api/openapi.json", "/api/v1/cameras/cau"} {
		if r := a.do("GET", path, "").want(200); strings.Contains(string(r.body), geheim) {
			t.Errorf("%s holds it", path)
		}
	}
	if text := w.log.String(); strings.Contains(text, geheim) {
		t.Errorf("the log holds it: %s", text)
	}
}

// Who may see no cameras sees none, by no route.
func TestWithoutCameras(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	a.do("POST", "/api/v1/cameras", cameraText("an-giang")).want(201)
	var made struct{ Token string }
	w.admin().do("POST", "/api/v1/tokens", `{"name":"không hình","cameras":false}`).want(201).into(&made)
	for name, who := range map[string]person{
		"a viewer": w.login("vinh", operatorPassword), "an operator": w.login("oanh", operatorPassword),
		"an administrator's token without": {w: w, token: made.Token},
	} {
		for _, id := range []string{"an-giang", "none"} {
			var bodies []string
			for _, c := range []struct{ method, path, body string }{
				{"GET", "", ""}, {"GET", "/" + id, ""}, {"GET", "/near?lon=105&lat=10", ""}, {"GET", "/" + id + "/live", ""}, {"HEAD", "/" + id, ""},
				{"POST", "", cameraText(id)}, {"PUT", "/" + id, cameraText(id)}, {"PATCH", "/" + id, `{}`}, {"DELETE", "/" + id, ""},
				{"POST", "/import", "id,name,url,lon,lat\n"}, {"POST", "/probe", `{"url":"rtsp://192.0.2.1/","id":"` + id + `"}`},
			} {
				r := who.do(c.method, "/api/v1/cameras"+c.path, c.body).want(403)
				if c.method != "HEAD" {
					r.problem(403)
				}
				bodies = append(bodies, string(r.body))
			}
			if slices.ContainsFunc(bodies, func(b string) bool { return strings.Contains(b, "an-giang") }) {
				t.Errorf("%s: %v", name, bodies)
			}
		}
		if _, res, err := who.dialCamera("an-giang"); err == nil || res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: live %v", name, err)
		}
		if text := string(who.do("GET", "/metrics", "").want(200).body); strings.Contains(text, "ioc_camera_") || !strings.Contains(text, "ioc_live_clients") {
			t.Errorf("%s: /metrics", name)
		}
		l := who.listen()
		l.say(`{"op":"sub","id":"c","topic":"cameras"}`)
		if f := l.want("err"); f.Code != "forbidden" || f.ID != "c" {
			t.Errorf("%s: %+v", name, f)
		}
		for {
			f, err := l.read()
			if err != nil {
				t.Fatal(err)
			}
			if _, told := f.WM["cameras"]; told {
				t.Errorf("%s: %+v", name, f)
			}
			if f.Op == "hb" {
				break
			}
		}
	}
	if text := string(a.do("GET", "/metrics", "").want(200).body); !strings.Contains(text, `ioc_camera_state{camera="an-giang",state="off"} 1`) {
		t.Error(text)
	}
	if _, ok := w.cameras.Get("an-giang"); !ok || len(w.cameras.All()) != 1 {
		t.Error("written all the same")
	}
}

// The topic tells each change once, and narrows by the camera's place.
func TestTopicCameras(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	a.do("POST", "/api/v1/cameras", cameraText("west", "position", map[string]any{"lon": 104, "lat": 10})).want(201)
	a.do("POST", "/api/v1/cameras", cameraText("east", "position", map[string]any{"lon": 107, "lat": 10})).want(201)
	all, box := &mirror{t: t}, &mirror{t: t}
	l, b := a.listen(), a.listen()
	l.say(`{"op":"sub","id":"x","topic":"cameras"}`)
	l.snapshot(all)
	b.say(`{"op":"sub","id":"x","topic":"cameras","bbox":[106,9,108,11]}`)
	b.snapshot(box)
	st, _ := w.cameras.Status("east")
	if want := fmt.Sprintf(`["east",%d,"off",1]`, st.Since.UnixMilli()); len(all.rows) != 2 || len(box.rows) != 1 || box.rows["east"] != want {
		t.Fatalf("%v %v, want %s", all.rows, box.rows, want)
	}
	h := w.s.hub
	follow := func() {
		t.Helper()
		l.until(all, func() map[string]string { return truth(h, &h.cameras, nil) })
		b.until(box, func() map[string]string { return truth(h, &h.cameras, &geo.Box{W: 106, S: 9, E: 108, N: 11}) })
	}
	a.do("PATCH", "/api/v1/cameras/west", `{"position":{"lon":107.5,"lat":10}}`).want(200) // into the box
	all.apply(l.want("d"), true)                                                           // the same row: who has no box is told again
	follow()
	if len(box.rows) != 2 {
		t.Fatal(box.rows)
	}
	a.do("DELETE", "/api/v1/cameras/east", "").want(204)
	follow()
	a.do("POST", "/api/v1/cameras", cameraText("east", "position", map[string]any{"lon": 107, "lat": 10})).want(201)
	follow()
	if len(all.rows) != 2 || len(box.rows) != 2 {
		t.Fatal(all.rows, box.rows)
	}
	viewer, err := w.cameras.Subscribe("east") // who looks wakes it
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	for !strings.Contains(all.rows["east"], `"connecting"`) && !strings.Contains(all.rows["east"], `"retrying"`) {
		all.apply(l.want("d"), false)
	}
}

func TestADeviceThatComesBackIsToldAgain(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	a := w.tokenOf(access.Admin)
	l, m := a.listen(), &mirror{t: t}
	l.say(`{"op":"sub","id":"x","topic":"devices"}`)
	l.snapshot(m)
	a.do("DELETE", "/api/v1/devices/a", "").want(204)
	l.until(m, func() map[string]string { return map[string]string{} })
	w.station("a", 106, 10)
	l.until(m, func() map[string]string { return truth(w.s.hub, &w.s.hub.devices, nil) })
	if len(m.rows) != 1 {
		t.Fatal(m.rows)
	}
}

func TestCameraProbe(t *testing.T) {
	w := newWorld(t)
	a := w.tokenOf(access.Admin)
	cam := newTestCamera(t)
	type answer struct {
		OK                 bool
		Codecs, Code, Why  string
		Width, Height, FPS int
	}
	probe := func(url, id string) (p answer) {
		t.Helper()
		text, _ := json.Marshal(map[string]string{"url": url, "id": id})
		if id == "" {
			text, _ = json.Marshal(map[string]string{"url": url})
		}
		r := a.do("POST", "/api/v1/cameras/probe", string(text)).want(200)
		if strings.Contains(string(r.body), geheim) {
			t.Errorf("%s", r.body)
		}
		r.into(&p)
		return p
	}
	if p := probe(cam.url(), ""); !p.OK || !strings.HasPrefix(p.Codecs, "avc1.") || p.Width != 320 || p.Height != 180 || p.Code != "" {
		t.Errorf("%+v", p)
	}
	plain := strings.Replace(cam.url(), "admin:"+geheim+"@", "", 1)
	if p := probe(plain, ""); p.OK || p.Code != "unauthorized" || p.Why == "" {
		t.Errorf("%+v", p)
	}
	if p := probe(plain+"x", ""); p.OK || cmp.Or(p.Code, p.Why) == "" {
		t.Errorf("%+v", p)
	}
	// The form of a camera that is there shows no credentials: the stored ones stand in.
	a.do("POST", "/api/v1/cameras", cameraText("cau", "url", cam.url())).want(201)
	if p := probe(plain, "cau"); !p.OK {
		t.Errorf("%+v", p)
	}
	cam.stop()
	if p := probe(cam.url(), ""); p.OK || p.Code != "refused" {
		t.Errorf("%+v", p)
	}
}

func TestTheCameraSocketIsDocumented(t *testing.T) {
	w := newWorld(t)
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Description string }
			}
		}
	}
	w.tokenOf(access.Viewer).do("GET", "/api/openapi.json", "").want(200).into(&doc)
	if live := string(doc.Paths["/api/v1/cameras/{id}/live"]["get"]); !strings.Contains(live, "moof") || !strings.Contains(live, "4001") {
		t.Error(live)
	}
	if imp := string(doc.Paths["/api/v1/cameras/import"]["post"]); !strings.Contains(imp, "text/csv") || strings.Contains(imp, "octet-stream") {
		t.Error(imp)
	}
	for schema, says := range map[string]string{"CameraBody": "written with credentials", "CameraView": "without credentials", "NearView": "without credentials"} {
		if d := doc.Components.Schemas[schema].Properties["url"].Description; !strings.Contains(d, says) {
			t.Errorf("%s.url: %q", schema, d)
		}
	}
}

func (p person) dialCamera(id string, header ...string) (*websocket.Conn, *http.Response, error) {
	return p.dialPath("/api/v1/cameras/"+id+"/live", nil, header...)
}
