package ui

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"cuulong/ui/access"
)

// expected is the contract's word on who may, told apart from the table under
// test: viewers read; operators also acknowledge and comment; administrators all.
func expected(pattern string, role access.Role) bool {
	method, path, _ := strings.Cut(pattern, " ")
	switch pattern {
	case "/", "/api/", "GET /base/{file}", "GET /healthz", "GET /readyz", "POST /api/v1/session":
		return true
	}
	switch {
	case role == "":
		return false
	case role == access.Admin:
		return true
	case path == "/api/v1/session", path == "/api/v1/me", path == "/api/openapi.json", strings.HasPrefix(path, "/api/v1/tokens"), path == "/api/v1/accounts/me/password":
		return true
	case strings.HasPrefix(path, "/api/v1/accounts"), path == "/api/v1/quarantine":
		return false
	case strings.HasSuffix(path, "/ack"), strings.HasSuffix(path, "/comment"):
		return role == access.Operator
	}
	// GET of cameras: these callers may see them; TestWithoutCameras has those who may not.
	return method == "GET"
}

func TestEveryRouteAsksForItsPermission(t *testing.T) {
	w := newWorld(t)
	callers := map[access.Role]person{"": w.nobody()}
	for _, r := range []access.Role{access.Viewer, access.Operator, access.Admin} {
		callers[r] = w.tokenOf(r)
	}
	paths := strings.NewReplacer("{id}", "x", "{file}", "land.geojson")
	for _, pattern := range slices.Sorted(maps.Keys(permissions)) {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "GET", pattern
		}
		for role, who := range callers {
			body := ""
			if method == "POST" || method == "PUT" || method == "PATCH" {
				body = "{}"
			}
			if method+path == "POST/api/v1/session" {
				body = "" // an attempt without credentials would be a 422, and none is meant to succeed
			}
			r := who.do(method, paths.Replace(path), body)
			may := expected(pattern, role)
			denied := r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
			if may == denied {
				t.Errorf("%s as %q: %d %s", pattern, role, r.status, r.body)
			}
			if denied && (r.status == 401) != (role == "") {
				t.Errorf("%s as %q: %d", pattern, role, r.status)
			}
			if denied {
				r.problem(r.status)
			}
			if r.header.Get("Content-Security-Policy") == "" || r.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: no security headers", pattern)
			}
		}
	}
	// The document and the table know the same operations.
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Permission string                `json:"x-permission"`
			Security   []map[string][]string `json:"security"`
		}
	}
	w.tokenOf(access.Viewer).do("GET", "/api/openapi.json", "").want(200).into(&doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Error(doc.OpenAPI)
	}
	documented := 0
	for path, ops := range doc.Paths {
		for method, op := range ops {
			documented++
			pattern := strings.ToUpper(method) + " " + path
			need, ok := permissions[pattern]
			if !ok || op.Permission != need.String() {
				t.Errorf("%s: %q in the document, %v in the table", pattern, op.Permission, need)
			}
			if public := len(op.Security) == 0; public != (need == access.Public) {
				t.Errorf("%s: security %v", pattern, op.Security)
			}
		}
	}
	inAPI := 0
	for pattern := range permissions {
		if strings.Contains(pattern, " /api/v1/") {
			inAPI++
		}
	}
	if documented != inAPI {
		t.Errorf("%d documented, %d in the table", documented, inAPI)
	}
}

func TestARouteWithoutPermissionBuildsNoServer(t *testing.T) {
	w := newWorld(t)
	for _, pattern := range []string{"GET /api/v1/devices", "GET /live", "GET /metrics"} {
		need := maps.Clone(permissions)
		delete(need, pattern)
		s := *w.s
		if err := s.build(need); err == nil || !strings.Contains(err.Error(), pattern) {
			t.Errorf("without %s: %v", pattern, err)
		}
		need[pattern] = 0
		if err := s.build(need); err == nil {
			t.Errorf("%s with the zero permission builds", pattern)
		}
	}
	need := maps.Clone(permissions)
	need["GET /api/v1/ghost"] = access.Read
	s := *w.s
	if err := s.build(need); err == nil || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("a line without a route: %v", err)
	}
}

func TestWritesOfOtherOriginsAreRefused(t *testing.T) {
	w := newWorld(t)
	a := w.admin()
	body := `{"id":"x","name":"X","kind":"station","position":{"lon":106,"lat":10}}`
	a.do("POST", "/api/v1/devices", body, "Sec-Fetch-Site", "cross-site").problem(403)
	a.do("POST", "/api/v1/devices", body, "Origin", "http://evil.example").problem(403)
	a.do("DELETE", "/api/v1/session", "", "Sec-Fetch-Site", "same-site").problem(403)
	w.nobody().do("POST", "/api/v1/session", `{"username":"admin","password":"`+adminPassword+`"}`, "Origin", "http://evil.example").problem(403)
	if _, ok := w.registry.Get("x"); ok {
		t.Fatal("written all the same")
	}
	a.do("POST", "/api/v1/devices", body, "Sec-Fetch-Site", "same-origin", "Origin", w.http.URL).want(201)
	a.do("GET", "/api/v1/me", "", "Sec-Fetch-Site", "cross-site").want(200)
}

func TestLogIn(t *testing.T) {
	w := newWorld(t)
	r := w.nobody().do("POST", "/api/v1/session", `{"username":"admin","password":"`+adminPassword+`"}`).want(204)
	c, err := http.ParseSetCookie(r.header.Get("Set-Cookie"))
	if err != nil || c.Name != "ioc_session" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure || c.Value == "" {
		t.Fatalf("%v %v", c, err)
	}
	if len(r.body) != 0 {
		t.Fatalf("%s", r.body)
	}
	p := person{w: w, cookie: c.Value}
	var me map[string]any
	p.do("GET", "/api/v1/me", "").want(200).into(&me)
	if me["username"] != "admin" || me["role"] != "admin" || me["locale"] != "vi" || me["mqtt_addr"] != "127.0.0.1:1883" || me["now"].(float64) < 1.7e12 {
		t.Fatal(me)
	}
	// A bad token is not mended by a good cookie.
	person{w: w, cookie: c.Value, token: "a.b"}.do("GET", "/api/v1/me", "").problem(401)
	p.do("DELETE", "/api/v1/session", "").want(204)
	p.do("GET", "/api/v1/me", "").problem(401)

	secret, err := w.access.LoginLink("admin")
	if err != nil {
		t.Fatal(err)
	}
	link, _ := json.Marshal(map[string]string{"link": secret})
	w.nobody().do("POST", "/api/v1/session", string(link)).want(204)
	w.nobody().do("POST", "/api/v1/session", string(link)).problem(401) // once
	w.nobody().do("POST", "/api/v1/session", `{"link":"x","username":"admin","password":"y"}`).problem(422)
	w.nobody().do("POST", "/api/v1/session", `{}`).problem(422)

	// Guessing is slowed down, by the account.
	throttled := false
	for range 12 {
		r := w.nobody().do("POST", "/api/v1/session", `{"username":"vinh","password":"sai"}`)
		if r.status == 429 {
			if r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			throttled = true
			break
		}
		if p := r.problem(401); strings.Contains(string(r.body), "vinh") {
			t.Error(p)
		}
	}
	if !throttled {
		t.Error("never throttled")
	}
	w.login("oanh", operatorPassword) // others are not
}

func TestTokensAndAccounts(t *testing.T) {
	w := newWorld(t)
	a := w.admin()
	var made struct {
		ID, Token, Role string
	}
	o := w.login("oanh", operatorPassword)
	o.do("POST", "/api/v1/tokens", `{"name":"bot"}`).want(201).into(&made)
	if made.Role != "operator" || made.ID == "" || made.Token == "" {
		t.Fatal(made)
	}
	bot := person{w: w, token: made.Token}
	bot.do("GET", "/api/v1/devices", "").want(200)
	bot.do("POST", "/api/v1/devices", `{"id":"x","name":"X","kind":"station"}`).problem(403)
	o.do("POST", "/api/v1/tokens", `{"name":"more","role":"admin"}`).problem(403)
	o.do("POST", "/api/v1/tokens", `{"name":"past","expires":"2001-01-01T00:00:00Z"}`).problem(422)
	// Another's token is not to be seen, and its id tells nothing.
	v := w.login("vinh", operatorPassword)
	v.do("GET", "/api/v1/tokens/"+made.ID, "").problem(404)
	v.do("DELETE", "/api/v1/tokens/"+made.ID, "").problem(404)
	if r := o.do("GET", "/api/v1/tokens", "").want(200); strings.Contains(string(r.body), made.Token) || !strings.Contains(string(r.body), made.ID) {
		t.Fatalf("%s", r.body)
	}
	o.do("DELETE", "/api/v1/tokens/"+made.ID, "").want(204)
	bot.do("GET", "/api/v1/devices", "").problem(401)

	a.do("POST", "/api/v1/accounts", `{"username":"an","password":"một mật khẩu dài","role":"viewer"}`).want(201)
	a.do("POST", "/api/v1/accounts", `{"username":"an","password":"một mật khẩu dài","role":"viewer"}`).problem(409)
	p := a.do("POST", "/api/v1/accounts", `{"username":"binh","password":"ngan","role":"viewer"}`).problem(422)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.password" || strings.Contains(p.Errors[0].Message, "ngan") {
		t.Fatal(p)
	}
	a.do("GET", "/api/v1/accounts/an", "").want(200)
	a.do("GET", "/api/v1/accounts/ai", "").problem(404)
	a.do("PATCH", "/api/v1/accounts/admin", `{"role":"viewer"}`).problem(409) // the last administrator
	a.do("DELETE", "/api/v1/accounts/an", "").want(204)
	a.do("DELETE", "/api/v1/accounts/an", "").problem(404)

	v.do("POST", "/api/v1/accounts/me/password", `{"old":"sai rồi","new":"mật khẩu mới tinh"}`).problem(422)
	v.do("POST", "/api/v1/accounts/me/password", `{"old":"`+operatorPassword+`","new":"mật khẩu mới tinh"}`).want(204)
	w.login("vinh", "mật khẩu mới tinh")
}

func TestUnderTLS(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewTLSServer(w.s)
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	res, err := client.Post(server.URL+"/api/v1/session", "application/json", strings.NewReader(`{"username":"vinh","password":"`+operatorPassword+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	c, err := http.ParseSetCookie(res.Header.Get("Set-Cookie"))
	if err != nil || !c.Secure || !c.HttpOnly || res.Header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("%d %v %v", res.StatusCode, c, res.Header)
	}
	d := websocket.Dialer{Subprotocols: []string{"ioc.v1"}, TLSClientConfig: client.Transport.(*http.Transport).TLSClientConfig.Clone()}
	d.TLSClientConfig.NextProtos = nil
	url := "wss" + strings.TrimPrefix(server.URL, "https") + "/live"
	header := http.Header{"Cookie": {sessionCookie + "=" + c.Value}, "Origin": {server.URL}}
	conn, _, err := d.Dial(url, header)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l := &listener{t, conn}
	l.say(`{"op":"sub","id":"x","topic":"devices"}`)
	l.want("snap")
	header.Set("Origin", "http"+strings.TrimPrefix(server.URL, "https")) // our host, but in clear
	if _, res, err := d.Dial(url, header); err == nil || res == nil || res.StatusCode != 403 {
		t.Fatal(err, res)
	}
	w.s.Close() // before the listener of this test
}
