package ui

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/ui/access"
	"cuulong/ui/web"
	"cuulong/video"
)

// Options are what the face shows.
type Options struct {
	Access     *access.Control
	Registry   *devices.Registry
	Atlas      *geo.Atlas
	Latest     *telemetry.Latest
	Store      telemetry.Store
	Quarantine Quarantine
	Clocks     *telemetry.Clocks // nil: no device's clock is known
	Alerts     *alerts.Engine
	Cameras    *video.Cameras
	DB         *sql.DB
	Logger     *slog.Logger
	Metrics    *prometheus.Registry
	Ready      func() error // nil: ready
	Version    string
	Demo       bool   // pages say that positions are illustrative
	MQTTAddr   string // shown by the first-run page in its mosquitto_pub line
	Locale     string // "vi" unless set
	Now        func() time.Time
}

// Server is an http.Handler and the live hub behind it.
type Server struct {
	http.Handler

	o        Options
	access   *access.Control
	log      *slog.Logger
	meters   *meters
	hub      *hub
	routes   *router
	api      huma.API
	openapi  []byte
	patched  map[string]*huma.Schema // by path, for the OpenAPI document
	pages    map[string]*asset
	base     map[string]*asset
	patience patience
	unready  *atomic.Bool // as /readyz said last

	quarantineScan int64 // bytes of log; tests shorten it
}

// New builds all routes; a route without a stated permission is an error here.
// It starts the hub; Close ends it.
func New(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Locale == "" {
		o.Locale = "vi"
	}
	s := &Server{o: o, access: o.Access, log: o.Logger, patched: map[string]*huma.Schema{}, patience: defaultPatience, unready: new(atomic.Bool),
		quarantineScan: maxQuarantineScan}
	dist, err := fs.Sub(web.Dist, "dist")
	if err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(dist); err != nil {
		return nil, err
	}
	if s.pages["index.html"] == nil {
		s.pages["index.html"] = newAsset("index.html", []byte(notBuilt))
	}
	if s.base, err = loadBase(); err != nil {
		return nil, err
	}
	ep, err := openEpoch(context.Background(), o.DB, topicAlarms)
	if err != nil {
		return nil, err
	}
	s.meters = newMeters(o.Metrics)
	if err := s.build(permissions); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	s.hub = newHub(o, newJournal(o.Alerts, ep, o.Logger), s.meters)
	o.Access.OnRevoke(s.hub.revoke)
	return s, nil
}

// build registers every route under the permissions given.
func (s *Server) build(need map[string]access.Permission) error {
	s.routes = newRouter(need, s.access, s.log)
	s.api = newAPI(s.routes, s.o.Version)
	s.sessionRoutes()
	s.deviceRoutes()
	s.latestRoutes()
	s.observationRoutes()
	s.quarantineRoutes()
	s.placeRoutes()
	s.ruleRoutes()
	s.alarmRoutes()
	s.cameraRoutes()

	for pattern, h := range map[string]http.HandlerFunc{
		"/":                     s.servePage,
		"GET /base/{file}":      s.serveBase,
		"GET /healthz":          func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") },
		"GET /readyz":           s.serveReady,
		"GET /metrics":          s.serveMetrics(),
		"GET /live":             s.serveLive,
		"GET /api/openapi.json": s.serveOpenAPI,
		routeCameraLive:         s.serveCameraLive,
		"/api/":                 s.serveNoRoute,
	} {
		s.routes.HandleFunc(pattern, h)
	}
	if err := s.routes.err(); err != nil {
		return err
	}
	var err error
	if s.openapi, err = s.document(); err != nil {
		return err
	}
	s.Handler = s.outside(s.routes)
	return nil
}

// document writes the OpenAPI document, with what huma cannot know: what a
// merge patch holds, and that an error repeats no value.
func (s *Server) document() ([]byte, error) {
	doc := s.api.OpenAPI()
	for path, schema := range s.patched {
		content := doc.Paths[path].Patch.RequestBody.Content
		for kind := range content {
			content[kind].Schema = schema
		}
		content["application/json"] = &huma.MediaType{Schema: schema}
	}
	doc.Paths["/api/v1/cameras/import"].Post.RequestBody.Content["text/csv"].Schema = &huma.Schema{Type: "string", Description: "RFC 4180, UTF-8"}
	if d := doc.Components.Schemas.Map()["ErrorDetail"]; d != nil {
		delete(d.Properties, "value")
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	return b, nil
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	if s.o.Ready != nil {
		if err := s.o.Ready(); err != nil {
			// Open without log-in: why goes to the log, once, not to a stranger.
			if !s.unready.Swap(true) {
				s.log.WarnContext(r.Context(), "not ready", "err", err)
			}
			say(w, http.StatusServiceUnavailable, "not ready")
			return
		}
	}
	if s.unready.Swap(false) {
		s.log.InfoContext(r.Context(), "ready again")
	}
	say(w, http.StatusOK, "ready")
}

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(s.openapi)
}

// serveNoRoute answers for a path of the API that is not there: 405 where
// another method is.
func (s *Server) serveNoRoute(w http.ResponseWriter, r *http.Request) {
	s.refuseMethod(w, r, nil)
}

// refuseMethod answers 405 with the methods that the path knows, 404 when it knows none.
func (s *Server) refuseMethod(w http.ResponseWriter, r *http.Request, allow []string) {
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		other := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.routes.mux.Handler(other); pattern != "/api/" && pattern != "/" {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		writeProblem(w, problem(http.StatusNotFound, "no such path"))
		return
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(slices.Compact(allow), ", "))
	writeProblem(w, problem(http.StatusMethodNotAllowed, "this method is not for this path"))
}

// Mark tells the hub what was stored. It never blocks.
func (s *Server) Mark(obs []telemetry.Observation) { s.hub.Mark(obs) }

// Event tells the hub a committed alarm transition. It never blocks.
func (s *Server) Event(e alerts.Event) { s.hub.Event(e) }

// DeviceChanged tells the hub that the registry changed.
func (s *Server) DeviceChanged(c devices.Change) { s.hub.Changed(c) }

// CameraChanged tells the hub what happened to a camera.
func (s *Server) CameraChanged(c video.Change) { s.hub.CameraChanged(c) }

// Close ends live connections with 1001, and waits for them, a few seconds at most.
func (s *Server) Close() error {
	s.hub.Close()
	return nil
}
