package ui

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
	"cuulong/ui/access"
	"cuulong/video"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	adminPassword    = "correct horse battery"
	operatorPassword = "cầu Mỹ Thuận 2026"
)

// world is a whole server: real database, registry, atlas, series, alarms, HTTP.
type world struct {
	t        testing.TB
	db       *sql.DB
	access   *access.Control
	registry *devices.Registry
	atlas    *geo.Atlas
	latest   *telemetry.Latest
	store    *tsdb.DB
	ingest   *telemetry.Ingest
	alerts   *alerts.Engine
	cameras  *video.Cameras
	metrics  *prometheus.Registry
	s        *Server
	http     *httptest.Server
	log      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func openDB(dir string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "records.db")+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// template is a migrated database with its accounts: made once, since hashing
// passwords is slow on purpose, and copied for each world.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "ui-template")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	db, err := openDB(dir)
	if err != nil {
		return nil, err
	}
	c, err := access.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	if _, _, err := c.FirstAdmin(ctx, adminPassword); err != nil {
		return nil, err
	}
	for _, a := range []access.Account{{Username: "oanh", Role: access.Operator}, {Username: "vinh", Role: access.Viewer}} {
		if _, err := c.CreateAccount(ctx, a, operatorPassword); err != nil {
			return nil, err
		}
	}
	if _, err := geo.Open(ctx, db); err != nil {
		return nil, err
	}
	if _, err := devices.Open(ctx, db, nil); err != nil {
		return nil, err
	}
	if _, err := alerts.Open(ctx, db, alerts.Options{Latest: telemetry.NewLatest()}); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // the WAL goes into the file
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "records.db"))
})

// newWorld opens a data folder and serves it on loopback.
func newWorld(t testing.TB) *world { return openWorld(t, t.TempDir()) }

func openWorld(t testing.TB, dir string) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{t: t, metrics: prometheus.NewRegistry(), latest: telemetry.NewLatest(), log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	file := filepath.Join(dir, "records.db")
	if _, err := os.Stat(file); err != nil {
		if err := os.WriteFile(file, must[[]byte](t)(template()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.db = must[*sql.DB](t)(openDB(dir))
	w.access = must[*access.Control](t)(access.Open(ctx, w.db))
	w.atlas = must[*geo.Atlas](t)(geo.Open(ctx, w.db))
	w.registry = must[*devices.Registry](t)(devices.Open(ctx, w.db, nil))
	w.store = must[*tsdb.DB](t)(tsdb.Open(filepath.Join(dir, "series"), tsdb.Options{Logger: log, SegmentBytes: 1 << 20}))
	if err := w.latest.Load(ctx, w.store); err != nil {
		t.Fatal(err)
	}
	w.alerts = must[*alerts.Engine](t)(alerts.Open(ctx, w.db, alerts.Options{Registry: w.registry, Atlas: w.atlas, Latest: w.latest, Logger: log,
		OnEvent: func(e alerts.Event) { w.s.Event(e) }}))
	w.cameras = must[*video.Cameras](t)(video.Open(ctx, w.db, video.Options{Keys: filepath.Join(dir, "keys"),
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Logger: log, Metrics: w.metrics,
		OnChange: func(c video.Change) { w.s.CameraChanged(c) }}))
	w.s = must[*Server](t)(New(Options{Access: w.access, Registry: w.registry, Atlas: w.atlas, Latest: w.latest, Store: w.store, Quarantine: w.store,
		Alerts: w.alerts, Cameras: w.cameras, DB: w.db, Logger: log, Metrics: w.metrics, Version: "test", MQTTAddr: "127.0.0.1:1883"}))
	w.registry.OnChange(w.s.DeviceChanged)
	w.ingest = telemetry.NewIngest(telemetry.Options{Log: w.store, Store: w.store, Latest: w.latest, Logger: log,
		OnStored: func(r *telemetry.Record) {
			w.alerts.Observe(r)
			w.s.Mark(r.Observations)
		}})
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { w.alerts.Run(run) })
	running.Go(func() { w.cameras.Run(run) })
	w.http = httptest.NewServer(w.s)
	t.Cleanup(func() {
		w.s.Close()
		w.http.Close()
		w.ingest.Close()
		stop()
		running.Wait()
		w.store.Close()
		w.db.Close()
	})
	return w
}

// person is a caller with a cookie, a token, or nothing.
type person struct {
	w      *world
	cookie string
	token  string
}

type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (p person) do(method, path, body string, header ...string) reply {
	p.w.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := must[*http.Request](p.w.t)(http.NewRequestWithContext(context.Background(), method, p.w.http.URL+path, r))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.cookie != "" {
		req.AddCookie(&http.Cookie{Name: sessionCookie, Value: p.cookie})
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer res.Body.Close()
	b := must[[]byte](p.w.t)(io.ReadAll(res.Body))
	return reply{p.w.t, res.StatusCode, res.Header, b}
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// problem checks the shape of an error and returns it.
func (r reply) problem(status int) Problem {
	r.t.Helper()
	r.want(status)
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		r.t.Fatalf("content type %q of %s", ct, r.body)
	}
	var p Problem
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields() // no "value" beside location and message
	if err := d.Decode(&p); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
	if p.Status != status || p.Title == "" || p.Type == "" || p.Detail == "" {
		r.t.Fatalf("problem not whole: %s", r.body)
	}
	return p
}

func (r reply) into(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
}

func (w *world) nobody() person { return person{w: w} }

func (w *world) login(username, password string) person {
	w.t.Helper()
	body, _ := json.Marshal(map[string]string{"username": username, "password": password})
	r := w.nobody().do("POST", "/api/v1/session", string(body)).want(204)
	for _, line := range r.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		if err == nil && c.Name == sessionCookie {
			return person{w: w, cookie: c.Value}
		}
	}
	w.t.Fatalf("no cookie in %v", r.header)
	return person{}
}

func (w *world) admin() person { return w.login("admin", adminPassword) }

// token makes a token of a role for the administrator.
func (w *world) tokenOf(role access.Role) person {
	w.t.Helper()
	p, ok := w.access.Account("admin")
	if !ok {
		w.t.Fatal("no administrator")
	}
	_, secret, err := w.access.CreateToken(context.Background(), access.Principal{Username: p.Username, Role: p.Role, Cameras: true},
		access.NewToken{Name: "test", Role: role})
	if err != nil {
		w.t.Fatal(err)
	}
	return person{w: w, token: secret}
}

// observe stores observations as the edge does.
func (w *world) observe(obs ...telemetry.Observation) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	now := time.Now().UnixMilli()
	for i := range obs {
		if obs[i].Seen == 0 {
			obs[i].Seen = now
		}
	}
	if err := w.ingest.Write(ctx, telemetry.Batch{Observations: obs}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) station(id string, lon, lat float64) {
	w.t.Helper()
	_, _, err := w.registry.Create(context.Background(), devices.Device{ID: devices.ID(id), Name: "Trạm " + id, Kind: devices.Station,
		Position: &geo.Point{Lon: lon, Lat: lat}, Metrics: []devices.Expected{{Metric: "salinity", EveryS: 900}}})
	if err != nil {
		w.t.Fatal(err)
	}
}
