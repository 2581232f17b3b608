package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/ui/access"
	"cuulong/video"
)

// Problem is an answer that refuses (RFC 9457). It never repeats a value that
// was sent: that may hold a secret.
type Problem struct {
	Type   string          `json:"type" doc:"about:blank: the status says it all"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Errors []ProblemDetail `json:"errors,omitempty"`

	retryAfterS int // 0: no Retry-After
}

// ProblemDetail is one fault and where it lies: "body.position.lat", "query.limit".
type ProblemDetail struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string             { return p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders gives huma what goes with the answer.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfterS > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfterS))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="ioc"`)
	}
	return h
}

func problem(status int, detail string, at ...ProblemDetail) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: at}
}

// invalid is a 422 about one place of the input.
func invalid(location, message string) *Problem {
	return problem(http.StatusUnprocessableEntity, "validation failed", ProblemDetail{location, message})
}

func notFound(what string) *Problem {
	return problem(http.StatusNotFound, "no such "+what)
}

// busy is what may be tried again at once.
func busy(detail string) *Problem {
	p := problem(http.StatusServiceUnavailable, detail)
	p.retryAfterS = 1
	return p
}

// unavailable is a store of series elsewhere that is down.
func unavailable() *Problem {
	p := problem(http.StatusServiceUnavailable, "the store of series does not answer; what is live, alarms and intake go on")
	p.retryAfterS = 5
	return p
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // the client may have gone, which is nobody's fault
}

// explain turns an error of a domain into the answer; what is not meant for
// the caller goes to the log alone.
func explain(ctx context.Context, log *slog.Logger, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if faults := fieldFaults(err); faults != nil {
		return problem(http.StatusUnprocessableEntity, "validation failed", faults...)
	}
	var tooLarge *http.MaxBytesError
	var input *geo.InputError
	var throttled *access.ThrottledError
	switch {
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &input):
		status := http.StatusUnprocessableEntity
		if input.NotJSON {
			status = http.StatusBadRequest
		}
		return problem(status, "the text could not be taken", ProblemDetail{"body", input.Why})
	case errors.As(err, &throttled):
		p := problem(http.StatusTooManyRequests, "too many failed log-ins")
		p.retryAfterS = max(1, int(math.Ceil(throttled.Wait.Seconds())))
		return p
	case errors.Is(err, access.ErrBusy), errors.Is(err, video.ErrFull), errors.Is(err, video.ErrClosed):
		return busy(err.Error())
	case errors.Is(err, telemetry.ErrUnavailable) && ctx.Err() == nil:
		log.WarnContext(ctx, "series cannot be asked", "err", err)
		return unavailable()
	case errors.Is(err, access.ErrBadLogin), errors.Is(err, access.ErrUnauthenticated):
		return problem(http.StatusUnauthorized, err.Error())
	case errors.Is(err, access.ErrForbidden):
		return problem(http.StatusForbidden, err.Error())
	case errors.Is(err, access.ErrLastAdmin):
		return problem(http.StatusConflict, err.Error())
	case errors.Is(err, devices.ErrNotFound), errors.Is(err, alerts.ErrNotFound), errors.Is(err, access.ErrNotFound), errors.Is(err, video.ErrNotFound):
		return problem(http.StatusNotFound, err.Error())
	case errors.Is(err, devices.ErrExists), errors.Is(err, alerts.ErrExists), errors.Is(err, access.ErrExists), errors.Is(err, video.ErrExists):
		return problem(http.StatusConflict, err.Error())
	case ctx.Err() != nil: // the caller has gone
		return problem(499, "the request was given up")
	}
	log.ErrorContext(ctx, "request failed", "err", err)
	return problem(http.StatusInternalServerError, "something failed here; the server's log says what")
}

func fieldFaults(err error) []ProblemDetail {
	var many devices.FieldErrors // a rule's as well
	if errors.As(err, &many) {
		out := make([]ProblemDetail, len(many))
		for i, f := range many {
			out[i] = ProblemDetail{"body." + f.Field, f.Why}
		}
		return out
	}
	var one *devices.FieldError
	var account *access.FieldError
	switch {
	case errors.As(err, &one):
		return []ProblemDetail{{"body." + one.Field, one.Why}}
	case errors.As(err, &account):
		return []ProblemDetail{{"body." + account.Field, account.Why}}
	}
	return nil
}

var plainLocation = regexp.MustCompile(`^[\w.\[\]-]{0,200}$`)

// located keeps to plain names: the name of a property that is not known was
// sent, and may be anything. The first part ("body", "query") is always ours.
func located(location string) string {
	if plainLocation.MatchString(location) {
		return location
	}
	first, _, _ := strings.Cut(location, ".")
	return first
}

// asProblem is the transformer that takes offending values out of huma's own errors.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem(m.Status, m.Detail)
	if m.Status >= 500 {
		p.Detail = "something failed here"
		return p, nil
	}
	for _, e := range m.Errors {
		p.Errors = append(p.Errors, ProblemDetail{located(e.Location), e.Message})
	}
	if m.Status == http.StatusUnsupportedMediaType {
		// huma's message names the type that was sent.
		p.Detail, p.Errors = huma.ErrUnknownContentType.Error(), nil
	}
	return p, nil
}
