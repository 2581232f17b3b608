package ui

import (
	"context"
	"net/http"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/telemetry"
)

// ruleBody is a rule as posted; created is taken and ignored, so that what GET gave can be put.
type ruleBody struct {
	ID       string    `json:"id" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"identifier"`
	Title    string    `json:"title" minLength:"1" maxLength:"200"`
	Metric   string    `json:"metric" pattern:"^[a-z][a-z0-9_]{0,63}$" patternDescription:"name of a metric"`
	Scope    scopeBody `json:"scope,omitempty" doc:"fields AND, values OR, absent = all"`
	On       limitBody `json:"on"`
	Off      limitBody `json:"off"`
	Priority string    `json:"priority" enum:"low,medium,high,urgent"`
	Flags    []int     `json:"flags,omitempty" maxItems:"9" minimum:"1" maximum:"9" doc:"QARTOD flags that are judged; default 1 and 2"`
	Public   bool      `json:"public,omitempty"`
	Created  any       `json:"created,omitempty" readOnly:"true"`
}

type scopeBody struct {
	Devices []string `json:"devices,omitempty" maxItems:"10000"`
	Kinds   []string `json:"kinds,omitempty" maxItems:"16" enum:"station,gateway,access_point,bridge"`
	Zones   []string `json:"zones,omitempty" maxItems:"10000"`
	Tags    []string `json:"tags,omitempty" maxItems:"1000"`
}

// limitBody has exactly one of above and below; both are strict.
type limitBody struct {
	Above *float64 `json:"above,omitempty"`
	Below *float64 `json:"below,omitempty"`
	ForS  int      `json:"for_s,omitempty" minimum:"0" maximum:"604800"`
}

// rule is what the engine judges, and checks: identifiers, flags, the band.
func (b ruleBody) rule() alerts.Rule {
	r := alerts.Rule{ID: b.ID, Title: b.Title, Metric: b.Metric, Priority: alerts.Priority(b.Priority), Public: b.Public,
		On: alerts.Limit(b.On), Off: alerts.Limit(b.Off), Scope: alerts.Scope{Zones: b.Scope.Zones, Tags: b.Scope.Tags}}
	for _, d := range b.Scope.Devices {
		r.Scope.Devices = append(r.Scope.Devices, devices.ID(d))
	}
	for _, k := range b.Scope.Kinds {
		r.Scope.Kinds = append(r.Scope.Kinds, devices.Kind(k))
	}
	for _, f := range b.Flags {
		r.Flags = append(r.Flags, telemetry.Flag(f))
	}
	return r
}

func ruleBodyOf(r alerts.Rule) ruleBody {
	b := ruleBody{ID: r.ID, Title: r.Title, Metric: r.Metric, Priority: string(r.Priority), Public: r.Public, Created: r.Created,
		On: limitBody(r.On), Off: limitBody(r.Off), Scope: scopeBody{Zones: r.Scope.Zones, Tags: r.Scope.Tags}}
	for _, d := range r.Scope.Devices {
		b.Scope.Devices = append(b.Scope.Devices, string(d))
	}
	for _, k := range r.Scope.Kinds {
		b.Scope.Kinds = append(b.Scope.Kinds, string(k))
	}
	for _, f := range r.Flags {
		b.Flags = append(b.Flags, int(f))
	}
	return b
}

func (s *Server) ruleRoutes() {
	e := s.o.Alerts
	route(s, "GET /api/v1/rules", "List rules", http.StatusOK, func(ctx context.Context, in *Paging) (*answer[list[ruleBody]], error) {
		return paged(ctx, s, views(e.Rules(), ruleBodyOf), func(r ruleBody) string { return r.ID }, *in)
	}, csvToo[list[ruleBody]](s))
	route(s, "GET /api/v1/rules/{id}", "One rule", http.StatusOK, func(_ context.Context, in *ByID) (*body[ruleBody], error) {
		r, ok := e.Rule(in.ID)
		if !ok {
			return nil, notFound("rule")
		}
		return &body[ruleBody]{ruleBodyOf(r)}, nil
	})
	route(s, "POST /api/v1/rules", "Make a rule; it judges the newest values at once, unless stale", http.StatusCreated, func(ctx context.Context, in *body[ruleBody]) (*created[ruleBody], error) {
		r, err := e.CreateRule(ctx, in.Body.rule())
		return &created[ruleBody]{"/api/v1/rules/" + r.ID, ruleBodyOf(r)}, err
	})
	put := func(ctx context.Context, id string, b ruleBody) (*body[ruleBody], error) {
		if err := sameID(id, b.ID); err != nil {
			return nil, err
		}
		r, err := e.UpdateRule(ctx, b.rule())
		return &body[ruleBody]{ruleBodyOf(r)}, err
	}
	route(s, "PUT /api/v1/rules/{id}", "Replace a rule", http.StatusOK, func(ctx context.Context, in *struct {
		ByID
		Body ruleBody
	}) (*body[ruleBody], error) {
		return put(ctx, in.ID, in.Body)
	})
	route(s, "PATCH /api/v1/rules/{id}", "Change a rule (RFC 7396)", http.StatusOK, func(ctx context.Context, in *patchIn) (*body[ruleBody], error) {
		r, ok := e.Rule(in.ID)
		if !ok {
			return nil, notFound("rule")
		}
		b, err := mergePatch(s, ruleBodyOf(r), in.RawBody)
		if err != nil {
			return nil, err
		}
		return put(ctx, in.ID, b)
	}, patches[ruleBody](s))
	route(s, "DELETE /api/v1/rules/{id}", "Delete a rule; its open alarms close", http.StatusNoContent, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return nil, e.DeleteRule(ctx, in.ID, principal(ctx).Username)
	})
}
