package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"cuulong/ui/access"
)

const sessionCookie = "ioc_session"

// router is a ServeMux on which a route without a stated permission cannot be
// registered: the table in routes.go is the only source of permissions.
type router struct {
	mux     *http.ServeMux
	need    map[string]access.Permission // by pattern
	access  *access.Control
	log     *slog.Logger
	faults  []string // found while routes are registered
	present map[string]bool
}

func newRouter(need map[string]access.Permission, c *access.Control, log *slog.Logger) *router {
	return &router{mux: http.NewServeMux(), need: need, access: c, log: log, present: map[string]bool{}}
}

// HandleFunc registers a handler behind the door; humago calls it too.
func (rt *router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	p, ok := rt.need[pattern]
	if !ok || !p.Valid() {
		rt.faults = append(rt.faults, fmt.Sprintf("route %q states no permission", pattern))
		return
	}
	rt.present[pattern] = true
	rt.mux.Handle(pattern, rt.door(p, h))
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) { rt.mux.ServeHTTP(w, r) }

// err says what is wrong with the routes, nil when nothing is.
func (rt *router) err() error {
	faults := rt.faults
	for pattern := range rt.need {
		if !rt.present[pattern] {
			faults = append(faults, fmt.Sprintf("permission for %q, which is no route", pattern))
		}
	}
	slices.Sort(faults)
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// door lets in who may.
func (rt *router) door(need access.Permission, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := call{w: w, r: r}
		if need != access.Public {
			var err error
			if c.who, err = identify(rt.access, r); err == nil && !c.who.May(need) {
				err = access.ErrForbidden
			}
			if err != nil {
				writeProblem(w, explain(r.Context(), rt.log, err))
				return
			}
		}
		h(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	}
}

// identify answers who calls. An Authorization header counts alone: a program
// that sends a bad token is not let in by a cookie that happens to be there.
func identify(c *access.Control, r *http.Request) (access.Principal, error) {
	if auth := r.Header.Get("Authorization"); auth != "" {
		scheme, token, ok := strings.Cut(auth, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return access.Principal{}, access.ErrUnauthenticated
		}
		return c.ByToken(r.Context(), strings.TrimSpace(token))
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return access.Principal{}, access.ErrUnauthenticated
	}
	return c.BySession(r.Context(), cookie.Value)
}

// call is what the door knows of a request. It travels in the context, since
// huma hands a handler nothing else.
type call struct {
	who access.Principal // nobody on public routes
	w   http.ResponseWriter
	r   *http.Request
}

type callKey struct{}

func callOf(ctx context.Context) call {
	c, _ := ctx.Value(callKey{}).(call)
	return c
}

// principal is who the door let in.
func principal(ctx context.Context) access.Principal { return callOf(ctx).who }

// contentSecurityPolicy: everything is our own file; nothing inline, not even
// styles (what MapLibre, uPlot and Svelte set by CSSOM is not inline).
const contentSecurityPolicy = "default-src 'self'; script-src 'self'; style-src 'self'; worker-src 'self'; " +
	"img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; connect-src 'self'; object-src 'none'; " +
	"base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// outside wraps all routes: headers, panics, cross-site writes, counters.
func (s *Server) outside(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "a page of another origin may not write here"))
	}))
	next = csrf.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bound(w, r)
		setSecurityHeaders(w.Header(), r.TLS != nil)
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { // meant to cut the answer off
					panic(v)
				}
				s.log.Error("panic in a request", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				if rec.status != 0 {
					panic(http.ErrAbortHandler)
				}
				writeProblem(rec, problem(http.StatusInternalServerError, "something failed here; the server's log says what"))
			}
			if reason := refusals[rec.status]; reason != "" && !rec.counted {
				s.meters.refused.WithLabelValues("http", reason).Inc()
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// How long a stranger may take. What is known to take longer, an import or a
// stream, sets its own; a socket that is upgraded has none of these.
const (
	bodyPatience   = 15 * time.Second
	answerPatience = 2 * time.Minute
)

// bound keeps whoever sends half a body or reads no answer from holding a
// connection for ever. The server's ReadTimeout would do it for bodies, but it
// also ends answers that take long.
func bound(w http.ResponseWriter, r *http.Request) {
	c, now := http.NewResponseController(w), time.Now()
	// Without a deadline (no connection behind w) nothing is lost but the bound.
	_ = c.SetWriteDeadline(now.Add(answerPatience))
	if r.Body != nil && r.Body != http.NoBody {
		_ = c.SetReadDeadline(now.Add(bodyPatience)) // of a body that nobody reads, too: the server takes it in before the next request
	}
}

// refusals are the statuses that count as refused, and their reasons.
var refusals = map[int]string{
	400: "not_json", 401: "unauthenticated", 403: "forbidden", 413: "too_large", 415: "media_type",
	422: "invalid", 429: "throttled", 500: "internal", 503: "unavailable",
}

func setSecurityHeaders(h http.Header, tls bool) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	// Answers of the API hold what not everybody may see; pages set their own.
	h.Set("Cache-Control", "no-store")
	if tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// recorder remembers the status. Unwrap lets http.ResponseController through.
type recorder struct {
	http.ResponseWriter
	status  int
	counted bool // as refused elsewhere
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Hijack is for gorilla, which does not look through Unwrap.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
