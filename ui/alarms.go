package ui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"cuulong/alerts"
)

type alarmQuery struct {
	Paging
	State    []string `query:"state,explode" doc:"active, acknowledged, returned, closed; default: all but closed"`
	Priority []string `query:"priority,explode" doc:"low, medium, high, urgent"`
	Zone     string   `query:"zone"`
}

// named splits a parameter that repeats or holds commas, and checks its values.
func named[T ~string](at string, given []string, known ...T) ([]T, error) {
	var out []T
	for _, g := range given {
		for _, v := range strings.Split(g, ",") {
			if !slices.Contains(known, T(v)) {
				return nil, invalid(at, "not one of those that exist")
			}
			out = append(out, T(v))
		}
	}
	return out, nil
}

func (s *Server) alarmRoutes() {
	e := s.o.Alerts
	route(s, "GET /api/v1/alarms", "List alarms", http.StatusOK, func(ctx context.Context, in *alarmQuery) (*answer[list[alerts.Alarm]], error) {
		states, err := named("query.state", in.State, alerts.Active, alerts.Acknowledged, alerts.Returned, alerts.Closed)
		if err != nil {
			return nil, err
		}
		priorities, err := named("query.priority", in.Priority, alerts.Low, alerts.Medium, alerts.High, alerts.Urgent)
		if err != nil {
			return nil, err
		}
		if in.Zone != "" {
			if _, ok := s.o.Atlas.Zone(in.Zone); !ok {
				return nil, invalid("query.zone", "no such zone")
			}
		}
		f := alerts.Filter{States: states, Priorities: priorities, Zone: in.Zone, Limit: in.Limit, Cursor: in.Cursor}
		if wantsCSV(ctx) {
			return csvAnswer[list[alerts.Alarm]](func(w *csvWriter) error { return s.alarmsCSV(ctx, f, w) }), nil
		}
		items, next, err := e.Alarms(ctx, f)
		var fault *alerts.FieldError
		if errors.As(err, &fault) {
			return nil, invalid("query."+fault.Field, fault.Why)
		}
		if err != nil {
			return nil, err
		}
		if items == nil {
			items = []alerts.Alarm{}
		}
		return jsonAnswer(s, list[alerts.Alarm]{items, next}), nil
	}, csvToo[list[alerts.Alarm]](s))
	route(s, "GET /api/v1/alarms/{id}", "One alarm", http.StatusOK, func(ctx context.Context, in *ByID) (*body[alerts.Alarm], error) {
		a, err := e.Alarm(ctx, in.ID)
		return &body[alerts.Alarm]{a}, err
	})
	route(s, "GET /api/v1/alarms/{id}/journal", "What happened to an alarm, oldest first", http.StatusOK, func(ctx context.Context, in *ByID) (*body[list[alerts.Event]], error) {
		if _, err := e.Alarm(ctx, in.ID); err != nil {
			return nil, err
		}
		events, err := e.Journal(ctx, in.ID)
		if events == nil {
			events = []alerts.Event{}
		}
		return &body[list[alerts.Event]]{list[alerts.Event]{Items: events}}, err
	})
	route(s, "POST /api/v1/alarms/{id}/ack", "Acknowledge; a second time changes nothing", http.StatusOK, func(ctx context.Context, in *struct {
		ByID
		Body *struct {
			Comment string `json:"comment,omitempty" maxLength:"2000"`
		}
	}) (*body[alerts.Alarm], error) {
		comment := ""
		if in.Body != nil {
			comment = in.Body.Comment
		}
		a, err := e.Ack(ctx, in.ID, principal(ctx).Username, comment)
		return &body[alerts.Alarm]{a}, err
	})
	route(s, "POST /api/v1/alarms/{id}/comment", "Comment", http.StatusOK, func(ctx context.Context, in *struct {
		ByID
		Body struct {
			Text string `json:"text" minLength:"1" maxLength:"2000"`
		}
	}) (*body[alerts.Alarm], error) {
		if strings.TrimSpace(in.Body.Text) == "" {
			return nil, invalid("body.text", "empty")
		}
		a, err := e.Comment(ctx, in.ID, principal(ctx).Username, in.Body.Text)
		return &body[alerts.Alarm]{a}, err
	})
}

func (s *Server) alarmsCSV(ctx context.Context, f alerts.Filter, w *csvWriter) error {
	w.row("id", "rule", "subject", "state", "priority", "raised", "changed", "value", "threshold", "metric", "unit", "assignee", "agency")
	f.Limit = listMax
	for {
		items, next, err := s.o.Alerts.Alarms(ctx, f)
		if err != nil {
			return err
		}
		for _, a := range items {
			if !w.row(a.ID, a.Rule, string(a.Subject), string(a.State), string(a.Priority), a.Raised.UTC().Format(rfc3339ms),
				a.Changed.UTC().Format(rfc3339ms), number(a.Value), number(a.Threshold), a.Metric, a.Unit, a.Assignee, a.Agency) {
				return w.w.Error()
			}
		}
		if next == "" {
			return nil
		}
		f.Cursor = next
	}
}

const rfc3339ms = "2006-01-02T15:04:05.000Z07:00"
