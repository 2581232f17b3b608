package ui

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cuulong/telemetry"
)

// answer is a body written by ourselves: JSON, or CSV as it is made.
type answer[T any] struct {
	Body func(huma.Context)
}

func jsonAnswer[T any](s *Server, v T) *answer[T] {
	return &answer[T]{func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		// The client may have gone, which is nobody's fault.
		_ = s.api.Marshal(ctx.BodyWriter(), "application/json", v)
	}}
}

// csvPatience is how long a reader of a stream may stand still: it may hold a
// store's iterator open.
const csvPatience = 30 * time.Second

// csvAnswer streams rows: not paged, in constant memory. An error in the midst
// cuts the connection, so that half an answer is not taken for a whole one. A
// store that does not answer is told while nothing was written yet.
func csvAnswer[T any](write func(*csvWriter) error) *answer[T] {
	return &answer[T]{func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		ctx.SetHeader("Content-Type", "text/csv; charset=utf-8")
		cw := &csvWriter{control: http.NewResponseController(w)}
		out := &deadlineWriter{w: w, c: cw.control}
		cw.out, cw.w = out, csv.NewWriter(out)
		if err := write(cw); err != nil {
			if errors.Is(err, telemetry.ErrUnavailable) && !out.began {
				writeProblem(w, unavailable())
				return
			}
			panic(http.ErrAbortHandler)
		}
		cw.w.Flush()
		if cw.w.Error() != nil {
			panic(http.ErrAbortHandler)
		}
	}}
}

// deadlineWriter gives each write of a buffer its own deadline.
type deadlineWriter struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	began bool
}

func (d *deadlineWriter) Write(b []byte) (int, error) {
	d.began = true
	// Without a deadline (no connection behind w) nothing is lost but the bound.
	_ = d.c.SetWriteDeadline(time.Now().Add(csvPatience))
	return d.w.Write(b)
}

// csvWriter writes RFC 4180 rows.
type csvWriter struct {
	out     *deadlineWriter
	w       *csv.Writer
	control *http.ResponseController
}

// row writes one row; false when the reader has gone.
func (c *csvWriter) row(fields ...string) bool {
	for i, f := range fields {
		fields[i] = harmless(f)
	}
	return c.w.Write(fields) == nil
}

// raw writes rows that are made already.
func (c *csvWriter) raw(rows []byte) error {
	if c.w.Flush(); c.w.Error() != nil {
		return c.w.Error()
	}
	_, err := c.out.Write(rows)
	return err
}

// paged answers a list: a page of it, or all of it as CSV with the columns that
// its objects have in JSON.
func paged[T any](ctx context.Context, s *Server, items []T, key func(T) string, p Paging) (*answer[list[T]], error) {
	if wantsCSV(ctx) {
		return csvAnswer[list[T]](func(w *csvWriter) error { return csvRows(w, items) }), nil
	}
	l, err := pageOf(items, key, p.Limit, p.Cursor)
	if err != nil {
		return nil, err
	}
	return jsonAnswer(s, l), nil
}

// csvRows writes objects: texts, numbers and times plainly, what has parts as JSON.
func csvRows[T any](w *csvWriter, items []T) error {
	var names []string
	var fields [][]int
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names, fields = append(names, name), append(fields, f.Index)
		}
	}
	w.row(names...)
	for _, it := range items {
		row := make([]string, len(fields))
		for i, at := range fields {
			v := reflect.ValueOf(it).FieldByIndex(at)
			text, err := json.Marshal(v.Interface())
			if err != nil {
				return err
			}
			if row[i] = string(text); row[i] == "null" {
				row[i] = ""
			}
			var plain string
			if json.Unmarshal(text, &plain) == nil {
				row[i] = plain
			}
		}
		if !w.row(row...) {
			return w.w.Error()
		}
	}
	return nil
}

// views makes what is shown of what is kept.
func views[T, V any](items []T, view func(T) V) []V {
	out := make([]V, len(items))
	for i, it := range items {
		out[i] = view(it)
	}
	return out
}

// harmless keeps a spreadsheet from taking a name for a formula. Numbers stay as they are.
func harmless(f string) string {
	if f == "" {
		return f
	}
	switch f[0] {
	case '=', '+', '@', '\t', '\r':
		return "'" + f
	case '-':
		if _, err := strconv.ParseFloat(f, 64); err != nil {
			return "'" + f
		}
	}
	return f
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
func integer(v int64) string  { return strconv.FormatInt(v, 10) }
func boolean(v bool) string   { return strconv.FormatBool(v) }

// csvToo documents an answer that is JSON of T, or CSV.
func csvToo[T any](s *Server) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemaOf[T](s.api.OpenAPI().Components.Schemas)},
			"text/csv":         {Schema: &huma.Schema{Type: "string"}},
		}}}
	}
}

func schemaOf[T any](reg huma.Registry) *huma.Schema {
	t := reflect.TypeFor[T]()
	return reg.Schema(t, true, t.Name())
}
