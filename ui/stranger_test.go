package ui

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// deadlines remembers what was set on a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// Half a body, or an answer that nobody reads, must not hold a connection for
// ever, also where the body is not looked at: it is nobody's who is logged in.
func TestAStrangersTimeIsBounded(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path string
		body         bool
	}{
		{"POST", "/api/v1/session", true}, {"POST", "/api/v1/devices", true}, {"POST", "/", true}, {"POST", "/nowhere", true},
		{"GET", "/live", true}, {"GET", "/base/land.geojson", false}, {"GET", "/api/v1/observations", false},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Body = http.NoBody
		if c.body {
			r = httptest.NewRequest(c.method, c.path, strings.NewReader("{}"))
		}
		d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		w.s.ServeHTTP(d, r)
		if d.write.IsZero() {
			t.Errorf("%s %s: the answer has for ever", c.method, c.path)
		}
		if d.read.IsZero() == c.body {
			t.Errorf("%s %s: time for the body: %v", c.method, c.path, d.read)
		}
	}
}

// A path of programs that does not exist yet is 404, not the application's page.
func TestPathsOfProgramsAreNoPages(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/tiles/zones/0/0/0.mvt", "/feeds/cap.atom", "/feeds/cap/1.xml", "/assets/none", "/api/v1/public/stations"} {
		w.nobody().do("GET", path, "").problem(404)
	}
	for _, path := range []string{"/", "/wall/main/1", "/admin/devices"} {
		w.nobody().do("GET", path, "").want(200)
	}
}

// A balancer asks every second; the log is not its diary.
func TestNotReadyIsLoggedOnce(t *testing.T) {
	w := newWorld(t)
	full := errors.New("disk is full")
	w.s.o.Ready = func() error { return full }
	for range 3 {
		if r := w.nobody().do("GET", "/readyz", "").want(503); strings.Contains(string(r.body), "disk") {
			t.Errorf("a stranger reads %s", r.body)
		}
	}
	if n := strings.Count(w.log.String(), "disk is full"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	full = nil
	w.nobody().do("GET", "/readyz", "").want(200)
	if !strings.Contains(w.log.String(), "ready again") {
		t.Error("the end is not logged")
	}
}

func TestMessageFaultsAreInPlainWords(t *testing.T) {
	for _, text := range []string{`{`, `[]`, `"x"`, `{"op":"sub","id":5}`, `{"op":"seen","id":"a","seq":-1}`, `{"op":"sub","id":"a","from":{"ep":5}}`, `{"op":"sub","id":"a","x":1}`} {
		_, err := decodeMessage([]byte(text))
		if err == nil {
			t.Errorf("%s is taken", text)
		} else if strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "struct") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Two lists that fit a request are not multiplied into memory.
func TestDatastreamsAreCountedBeforeTheyAreMade(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	many := observationQuery{}
	for i := range 1500 {
		many.Device = append(many.Device, "d"+strconv.Itoa(i))
		many.Metric = append(many.Metric, "m"+strconv.Itoa(i))
	}
	same := observationQuery{Device: slices.Repeat([]string{"a"}, 1500), Metric: slices.Repeat([]string{"ph"}, 1500)}
	for _, c := range []struct {
		name string
		q    observationQuery
		want int // -1: refused
	}{{"many", many, -1}, {"the same again and again", same, 1}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sel, err := w.s.selectStreams(&c.q)
		runtime.ReadMemStats(&after)
		if (c.want < 0) != (err != nil) || err == nil && len(sel.streams) != c.want {
			t.Errorf("%s: %d datastreams, %v", c.name, len(sel.streams), err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("%s: %d bytes", c.name, n)
		}
	}
}
