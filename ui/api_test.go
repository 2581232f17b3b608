package ui

import (
	"strings"
	"testing"
)

func TestThin(t *testing.T) {
	w := newWorld(t)
	w.nobody().do("GET", "/api/v1/me", "").problem(401)
	a := w.admin()
	r := a.do("GET", "/api/v1/me", "").want(200)
	if !strings.Contains(string(r.body), `"username":"admin"`) {
		t.Fatal(string(r.body))
	}
	r = a.do("POST", "/api/v1/devices", `{"id":"s1","name":"Một","kind":"station","position":{"lon":106.7,"lat":10.2},"metrics":[{"metric":"salinity","every_s":60}]}`).want(201)
	t.Log(string(r.body), r.header)
	t.Log(string(a.do("GET", "/api/v1/devices", "").want(200).body))
	p := a.do("POST", "/api/v1/devices", `{"id":"s1!","name":"Một","kind":"station","secret":"geheim"}`).problem(422)
	t.Log(p)
	t.Log(a.do("POST", "/api/v1/devices", `{"id":`).problem(400))
	t.Log(string(a.do("PATCH", "/api/v1/devices/s1", `{"name":"Hai","position":null}`).want(200).body))
	t.Log(a.do("GET", "/api/v1/nope", "").problem(404))
	t.Log(a.do("DELETE", "/api/v1/latest", "").problem(405))
	t.Log(len(a.do("GET", "/api/openapi.json", "").want(200).body))
	t.Log(string(a.do("GET", "/", "").want(200).body))
}
