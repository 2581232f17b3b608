package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cuulong/devices"
)

// A centre answers as CONTRACT.md says, as far as the field asks.
type centre struct {
	mu        sync.Mutex     // guards all: handlers run with it, tests take it with with
	passwords map[string]int // device → how often credentials were made
	zones     int
	rules     map[string]bool
	rows      string // of the next CSV
}

func (c *centre) handler() http.Handler {
	m := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	login := func(id string) Login {
		c.passwords[id]++
		return Login{Username: id, Password: fmt.Sprintf("%s-%d", id, c.passwords[id])}
	}
	m.HandleFunc("POST /api/v1/devices", func(w http.ResponseWriter, r *http.Request) {
		var d struct {
			ID, Name, Kind string
			Position       *struct{ Lon, Lat float64 }
			Metrics        []devices.Expected
		}
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil || d.Name == "" || d.Kind == "" {
			say(w, 422, map[string]any{"title": "bad"})
		} else if c.passwords[d.ID] > 0 {
			say(w, 409, map[string]any{"title": "Conflict", "detail": "id is taken"})
		} else {
			say(w, 201, map[string]any{"device": d, "credentials": login(d.ID)})
		}
	})
	m.HandleFunc("GET /api/v1/devices/{id}", func(w http.ResponseWriter, r *http.Request) {
		if c.passwords[r.PathValue("id")] == 0 {
			say(w, 404, map[string]any{"title": "Not Found"})
			return
		}
		say(w, 200, map[string]any{"id": r.PathValue("id")})
	})
	m.HandleFunc("POST /api/v1/devices/{id}/credentials", func(w http.ResponseWriter, r *http.Request) {
		say(w, 201, login(r.PathValue("id")))
	})
	m.HandleFunc("POST /api/v1/zones", func(w http.ResponseWriter, r *http.Request) {
		var z struct{ Features []any }
		_ = json.NewDecoder(r.Body).Decode(&z)
		c.zones = len(z.Features)
		say(w, 200, map[string]any{"accepted": c.zones, "refused": []any{}})
	})
	m.HandleFunc("POST /api/v1/rules", func(w http.ResponseWriter, r *http.Request) {
		var rule map[string]any
		_ = json.NewDecoder(r.Body).Decode(&rule)
		id, _ := rule["id"].(string)
		if rule["created"] != nil || id == "" {
			say(w, 422, map[string]any{"title": "unexpected property"})
		} else if c.rules[id] {
			say(w, 409, map[string]any{"title": "taken"})
		} else {
			c.rules[id] = true
			say(w, 201, rule)
		}
	})
	m.HandleFunc("GET /api/v1/observations", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/csv" || r.FormValue("device") == "" || r.FormValue("metric") == "" {
			say(w, 422, map[string]any{"title": "bad"})
			return
		}
		rows := c.rows
		w.Header().Set("Content-Type", "text/csv")
		fmt.Fprint(w, "device,metric,t,value,unit,flag\n"+rows)
		if strings.HasSuffix(rows, "cut") {
			panic(http.ErrAbortHandler) // the connection breaks within the answer
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			say(w, 401, map[string]any{"title": "Unauthorized"})
			return
		}
		c.with(func() { m.ServeHTTP(w, r) })
	})
}

func (c *centre) with(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// made is how often a device got credentials.
func (c *centre) made(id string) (n int) {
	c.with(func() { n = c.passwords[id] })
	return n
}

func newCentre(t *testing.T) (*centre, *API) {
	t.Helper()
	c := &centre{passwords: map[string]int{}, rules: map[string]bool{}}
	s := httptest.NewServer(c.handler())
	t.Cleanup(s.Close)
	return c, &API{URL: s.URL, Token: "secret", Client: s.Client()}
}

func TestRegister(t *testing.T) {
	c, api := newCentre(t)
	file := filepath.Join(t.TempDir(), "new", "credentials.json")
	logins, err := api.Register(t.Context(), Province(), file, false)
	if err != nil || len(logins) != len(Province()) {
		t.Fatalf("%d logins, %v", len(logins), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// A later run goes on with the file and makes nothing new.
	again, err := api.Register(t.Context(), Province(), file, false)
	if err != nil || again["air-1"] != logins["air-1"] || c.made("air-1") != 1 {
		t.Errorf("%v, %v", again["air-1"], err)
	}
	// A device that was deleted meanwhile is made anew.
	c.with(func() { delete(c.passwords, "air-2") })
	if _, err = api.Register(t.Context(), Province(), file, false); err != nil || c.made("air-2") != 1 {
		t.Error(err)
	}
	// Somebody else's device is left alone until told otherwise.
	other := filepath.Join(t.TempDir(), "credentials.json")
	if _, err = api.Register(t.Context(), Province(), other, false); err == nil {
		t.Error("took over devices without being told")
	}
	taken, err := api.Register(t.Context(), Province(), other, true)
	if err != nil || taken["air-1"].Password != "air-1-2" {
		t.Errorf("%v, %v", taken["air-1"], err)
	}
}

func TestProposeTwice(t *testing.T) {
	c, api := newCentre(t)
	for range 2 {
		if err := api.Propose(t.Context(), Zones(), Rules()); err != nil {
			t.Fatal(err)
		}
	}
	c.with(func() {
		if c.zones != len(zoneShapes) || len(c.rules) != len(Rules()) {
			t.Errorf("%d zones, %d rules", c.zones, len(c.rules))
		}
	})
}

func TestAPIErrorsNameTheRouteNotTheToken(t *testing.T) {
	_, api := newCentre(t)
	api.Token = "hidden"
	_, err := api.Register(t.Context(), Province(), filepath.Join(t.TempDir(), "c.json"), false)
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 401 || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
	bad := filepath.Join(t.TempDir(), "c.json")
	if err := os.WriteFile(bad, []byte(`{"a":{"password":"hidden"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLogins(bad); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
}

func TestStoredOverHTTP(t *testing.T) {
	c, api := newCentre(t)
	read := func(ctx context.Context) (n int, err error) {
		err = api.Stored(ctx, "a", "salinity", 10, 20, func(at int64, v float64) bool { n++; return true })
		return n, err
	}
	c.with(func() { c.rows = "a,salinity,10,1,g/l,1\na,salinity,19,2.5,g/l,1\n" })
	if n, err := read(t.Context()); n != 2 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	for name, rows := range map[string]string{
		"another device": "b,salinity,10,1,g/l,1\n", "another metric": "a,level,10,1,m,1\n",
		"too early": "a,salinity,9,1,g/l,1\n", "too late": "a,salinity,20,1,g/l,1\n", "broken off": "a,salinity,10,1,g/l,1\na,salinity,cut",
	} {
		c.with(func() { c.rows = rows })
		if _, err := read(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
