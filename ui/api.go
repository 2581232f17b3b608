package ui

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cuulong/geo"
	"cuulong/telemetry"
)

const (
	maxBody   = 1 << 20
	maxImport = 32 << 20 // GeoJSON collections

	listDefault, listMax = 100, 1000
	rowsMax              = 10_000 // latest and observations; also their default
)

// newAPI makes huma's side. Its own docs, schema and OpenAPI routes bypass the
// door, and its docs page loads from another host: their paths stay empty.
func newAPI(rt *router, version string) huma.API {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalStrict}
	components := &huma.Components{
		Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
		SecuritySchemes: map[string]*huma.SecurityScheme{
			"session": {Type: "apiKey", In: "cookie", Name: sessionCookie},
			"token":   {Type: "http", Scheme: "bearer"},
		},
	}
	return humago.New(rt, huma.Config{
		OpenAPI: &huma.OpenAPI{OpenAPI: "3.1.0", Components: components,
			Info: &huma.Info{Title: "Cuu Long", Version: version,
				Description: "Times are Unix milliseconds in arrays and RFC 3339 in objects; a parameter takes either. " +
					"Lists give `next`, which goes into `cursor`. Errors are RFC 9457."}},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{asProblem},
	})
}

// unmarshalStrict refuses what encoding/json would mend silently.
func unmarshalStrict(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	return json.Unmarshal(data, v)
}

// route registers an operation. Its permission is the table's; what it is goes
// into the OpenAPI document.
func route[I, O any](s *Server, pattern, summary string, status int, handler func(context.Context, *I) (*O, error), more ...func(*huma.Operation)) {
	method, path, _ := strings.Cut(pattern, " ")
	need := s.routes.need[pattern]
	op := huma.Operation{
		OperationID: strings.ToLower(method) + strings.NewReplacer("/api/v1", "", "/", "-", "{", "", "}", "").Replace(path),
		Method:      method, Path: path, Summary: summary, DefaultStatus: status,
		Tags:            []string{strings.Split(strings.TrimPrefix(path, "/api/v1/"), "/")[0]},
		BodyReadTimeout: 10 * time.Second,
		MaxBodyBytes:    maxBody + 1, // huma counts a body of exactly the bound as too large
		Extensions:      map[string]any{"x-permission": need.String()},
	}
	if need == publicPermission {
		op.Security = []map[string][]string{}
	} else {
		op.Security = []map[string][]string{{"session": {}}, {"token": {}}}
	}
	for _, f := range more {
		f(&op)
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, explain(ctx, s.log, err)
		}
		return out, nil
	})
}

// body wraps an answer for huma.
type body[T any] struct{ Body T }

// none is an operation without input.
type none struct{}

// list is the contract's list.
type list[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"goes into cursor; absent at the end"`
}

// Paging are the parameters of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before"`
}

// ByID is the input of an operation on one stored object.
type ByID struct {
	ID string `path:"id" maxLength:"128"`
}

// page cuts a page out of items ordered by key.
func pageOf[T any](items []T, key func(T) string, limit int, cursor string) (list[T], error) {
	after, err := decodeCursor(cursor)
	if err != nil {
		return list[T]{}, err
	}
	out := list[T]{Items: []T{}}
	for _, it := range items {
		if cursor != "" && key(it) <= after {
			continue
		}
		if len(out.Items) == limit {
			out.Next = encodeCursor(key(out.Items[limit-1]))
			break
		}
		out.Items = append(out.Items, it)
	}
	return out, nil
}

func encodeCursor(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func decodeCursor(c string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil || !utf8.Valid(b) {
		return "", invalid("query.cursor", "not a cursor of this list")
	}
	return string(b), nil
}

// timeParam is a parameter that takes Unix milliseconds or RFC 3339.
type timeParam struct {
	Set bool
	MS  int64
}

// Schema documents the parameter.
func (timeParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Description: "Unix milliseconds or RFC 3339"}
}

// UnmarshalText reads a parameter.
func (t *timeParam) UnmarshalText(b []byte) error {
	ms, err := parseTime(string(b))
	if err != nil {
		return err
	}
	t.Set, t.MS = true, ms
	return nil
}

// A time beyond the years 0 to 9999 cannot be written as RFC 3339.
const minTime, maxTime = -62_167_219_200_000, 253_402_300_799_999

func parseTime(s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		if ms < minTime || ms > maxTime {
			return 0, errors.New("beyond the years 0 to 9999")
		}
		return ms, nil
	}
	// A '+' of the offset that was not escaped arrives as a space.
	t, err := telemetry.ParseTime(strings.Replace(s, " ", "+", 1))
	if err != nil {
		return 0, errors.New("want Unix milliseconds or RFC 3339")
	}
	return t.UnixMilli(), nil
}

// boxParam is bbox=w,s,e,n in degrees.
type boxParam struct{ Box *geo.Box }

// Schema documents the parameter.
func (boxParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Description: "west,south,east,north in degrees"}
}

// UnmarshalText reads a parameter.
func (b *boxParam) UnmarshalText(text []byte) error {
	box, err := geo.ParseBox(string(text))
	if err != nil {
		return err
	}
	b.Box = &box
	return nil
}

// wantsCSV says whether Accept prefers text/csv to JSON (RFC 9110 §12.5.1); of
// two that it likes alike the first.
func wantsCSV(ctx context.Context) bool {
	var csv, json float64
	for _, part := range strings.Split(strings.Join(callOf(ctx).r.Header.Values("Accept"), ","), ",") {
		mt, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		switch mt {
		case "text/csv", "text/*":
			if q > json {
				csv = max(csv, q)
			}
		case "application/json", "application/*", "*/*":
			if q > csv {
				json = max(json, q)
			}
		}
	}
	return csv > json
}

// given checks that parameters which choose something name it: empty, they would choose all.
func given(ctx context.Context, names ...string) error {
	query := callOf(ctx).r.URL.Query()
	for _, name := range names {
		if slices.Contains(query[name], "") {
			return invalid("query."+name, "is empty; leave it out for all")
		}
	}
	return nil
}

// mergePatch lays an RFC 7396 patch over the JSON of stored and reads the
// result, checked by the schema of T as a whole body would be.
func mergePatch[T any](s *Server, stored T, patch []byte) (T, error) {
	var p any
	var zero T
	if err := unmarshalStrict(patch, &p); err != nil {
		return zero, problem(http.StatusBadRequest, "not JSON", ProblemDetail{"body", err.Error()})
	}
	if _, ok := p.(map[string]any); !ok {
		return zero, invalid("body", "expected object")
	}
	was, err := json.Marshal(stored)
	if err != nil {
		return zero, err
	}
	var doc any
	if err := json.Unmarshal(was, &doc); err != nil {
		return zero, err
	}
	doc = merge(doc, p)
	return checked[T](s, doc)
}

// checked reads a decoded JSON value as a T, judged by T's schema.
func checked[T any](s *Server, doc any) (T, error) {
	var out T
	reg := s.api.OpenAPI().Components.Schemas
	path := huma.NewPathBuffer([]byte{}, 0)
	path.Push("body")
	res := &huma.ValidateResult{}
	huma.Validate(reg, schemaOf[T](reg), path, huma.ModeWriteToServer, doc, res)
	if len(res.Errors) > 0 {
		p := problem(http.StatusUnprocessableEntity, "validation failed")
		for _, e := range res.Errors {
			var d *huma.ErrorDetail
			if errors.As(e, &d) {
				p.Errors = append(p.Errors, ProblemDetail{located(d.Location), d.Message})
			}
		}
		return out, p
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return out, err
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&out); err != nil {
		return out, invalid("body", "a value of the wrong type")
	}
	return out, nil
}

// merge is RFC 7396 §2.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = merge(t[k], v)
		}
	}
	return t
}
