package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"cuulong/devices"
	"cuulong/telemetry"
)

const maxStreams = 2000 // of one query, named or found

type observationQuery struct {
	Device []string  `query:"device,explode"`
	Metric []string  `query:"metric,explode"`
	From   timeParam `query:"from" doc:"inclusive; default 24 h before to"`
	To     timeParam `query:"to" doc:"exclusive; default now"`
	Every  string    `query:"every" maxLength:"16" doc:"10m, 1h, 1d (local days), ... or auto; without it raw"`
	Agg    []string  `query:"agg,explode" doc:"mean, min, max, last, count; one series each. Default: mean; with every=auto mean, min and max, so that extremes stay"`
	Flag   []int     `query:"flag,explode" doc:"only points of these QARTOD flags (1, 2, 3, 4, 9), raw and in windows; default all. Where retention has left roll-ups alone: those that hold no other flag"`
	Limit  int       `query:"limit" minimum:"1" maximum:"10000" default:"10000" doc:"points; the aggregates of one window are not divided"`
	Cursor string    `query:"cursor" maxLength:"512"`
}

type observationsOut struct {
	Series []series `json:"series" nullable:"false"`
	Next   string   `json:"next,omitempty"`
}

type series struct {
	Device devices.ID `json:"device"`
	Metric string     `json:"metric"`
	Unit   string     `json:"unit"`
	Agg    string     `json:"agg,omitempty"`
	Points []point    `json:"points" nullable:"false"`
}

// point is [t,value,flag].
type point struct {
	at    int64
	value float64
	flag  telemetry.Flag
}

// appendJSON writes [t,value,flag].
func (p point) appendJSON(b []byte) []byte {
	b = append(b, '[')
	b = strconv.AppendInt(b, p.at, 10)
	b = append(b, ',')
	b = strconv.AppendFloat(b, p.value, 'g', -1, 64)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(p.flag), 10)
	return append(b, ']')
}

// appendJSON writes what encoding/json would: a year of points takes it ten times as long.
func (o observationsOut) appendJSON(b []byte) []byte {
	b = append(b, `{"series":[`...)
	for i, g := range o.Series {
		if i > 0 {
			b = append(b, ',')
		}
		b = g.appendJSON(b)
	}
	b = append(b, ']')
	if o.Next != "" {
		b = appendText(append(b, `,"next":`...), o.Next)
	}
	return append(b, '}')
}

func (g series) appendJSON(b []byte) []byte {
	b = appendText(append(b, `{"device":`...), string(g.Device))
	b = appendText(append(b, `,"metric":`...), g.Metric)
	b = appendText(append(b, `,"unit":`...), g.Unit)
	if g.Agg != "" {
		b = appendText(append(b, `,"agg":`...), g.Agg)
	}
	b = append(b, `,"points":[`...)
	for i, p := range g.Points {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.appendJSON(b)
	}
	return append(b, ']', '}')
}

func appendText(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // cannot fail
	return append(b, text...)
}

// Schema documents it.
func (point) Schema(huma.Registry) *huma.Schema {
	three := 3
	return &huma.Schema{Type: "array", Items: &huma.Schema{Type: "number"}, MinItems: &three, MaxItems: &three,
		Description: "[t (Unix ms), value, flag]"}
}

type stream struct {
	device devices.ID
	metric string
}

// selection is a query, checked.
type selection struct {
	streams  []stream
	from, to int64
	every    telemetry.Every // zero: raw
	aggs     []string
	store    telemetry.Store
	query    string // what its cursors are of
}

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	metricPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	qualityFlags  = []int{1, 2, 3, 4, 9}
	aggregates    = []string{"mean", "min", "max", "last", "count"}
)

func (s *Server) selectStreams(in *observationQuery) (selection, error) {
	sel := selection{to: s.o.Now().UnixMilli(), store: s.o.Store}
	if len(in.Flag) > 0 {
		flags := make([]telemetry.Flag, len(in.Flag))
		for i, f := range in.Flag {
			if !slices.Contains(qualityFlags, f) {
				return sel, invalid("query.flag", "1, 2, 3, 4 or 9")
			}
			flags[i] = telemetry.Flag(f)
		}
		sel.store = telemetry.OnlyFlags(s.o.Store, flags)
	}
	if in.To.Set {
		sel.to = in.To.MS
	}
	sel.from = sel.to - 24*3600*1000
	if in.From.Set {
		sel.from = in.From.MS
	}
	if sel.from > sel.to {
		return sel, invalid("query.from", "lies after to")
	}
	for _, d := range in.Device {
		if !idPattern.MatchString(d) {
			return sel, invalid("query.device", "not an identifier")
		}
	}
	for _, m := range in.Metric {
		if !metricPattern.MatchString(m) {
			return sel, invalid("query.metric", "not the name of a metric")
		}
	}
	if in.Every != "" {
		var err error
		if sel.every, err = telemetry.ParseEvery(in.Every, sel.from, sel.to); err != nil {
			return sel, invalid("query.every", "a number with s, m, h or d, or auto")
		}
		if sel.aggs = []string{"mean"}; in.Every == "auto" {
			sel.aggs = []string{"mean", "min", "max"}
		}
	}
	if len(in.Agg) > 0 {
		if in.Every == "" {
			return sel, invalid("query.agg", "needs every")
		}
		sel.aggs = nil
		for _, a := range strings.Split(strings.Join(in.Agg, ","), ",") {
			if !slices.Contains(aggregates, a) {
				return sel, invalid("query.agg", "mean, min, max, last or count")
			}
			if !slices.Contains(sel.aggs, a) {
				sel.aggs = append(sel.aggs, a)
			}
		}
	}
	// Judged before they are multiplied: both lists fit a request, their product may not fit memory.
	ids, metrics := distinct(in.Device), distinct(in.Metric)
	sum := fnv.New64a()
	fmt.Fprint(sum, ids, metrics, in.From, in.To, in.Every, sel.aggs, in.Flag)
	sel.query = strconv.FormatUint(sum.Sum64(), 36)
	if len(ids)*len(metrics) <= maxStreams {
		sel.streams = s.streams(ids, metrics)
	}
	if len(ids)*len(metrics) > maxStreams || len(sel.streams) > maxStreams {
		return sel, invalid("query.device", fmt.Sprintf("more than %d datastreams; ask for fewer", maxStreams))
	}
	return sel, nil
}

// distinct sorts and drops what is named twice.
func distinct(v []string) []string { return slices.Compact(slices.Sorted(slices.Values(v))) }

// streams are the datastreams that devices and metrics name, by (device,
// metric). Where one of them is not given, those that are known stand for it.
func (s *Server) streams(ids, metrics []string) []stream {
	var out []stream
	add := func(id devices.ID) {
		if len(metrics) > 0 && len(ids) > 0 {
			for _, m := range metrics {
				out = append(out, stream{id, m})
			}
			return
		}
		for _, o := range s.o.Latest.Of(id) {
			if len(metrics) == 0 || slices.Contains(metrics, o.Metric) {
				out = append(out, stream{id, o.Metric})
			}
		}
	}
	for _, id := range ids {
		add(devices.ID(id))
	}
	if len(ids) == 0 {
		for _, d := range s.o.Registry.All() {
			add(d.ID)
		}
	}
	slices.SortFunc(out, func(a, b stream) int {
		if c := strings.Compare(string(a.device), string(b.device)); c != 0 {
			return c
		}
		return strings.Compare(a.metric, b.metric)
	})
	return slices.Compact(out)
}

// each yields a stream's rows from a time on, oldest first: one value raw, or
// one an aggregate.
func each(ctx context.Context, sel selection, st stream, from int64, yield func(at int64, values []float64, flag telemetry.Flag) bool) error {
	if sel.every.Millis == 0 {
		var v [1]float64
		return sel.store.Points(ctx, st.device, st.metric, from, sel.to, func(p telemetry.Point) bool {
			v[0] = p.Value
			return yield(p.At, v[:], p.Flag)
		})
	}
	values := make([]float64, len(sel.aggs))
	return telemetry.Windows(ctx, sel.store, st.device, st.metric, from, sel.to, sel.every, func(w telemetry.Window) bool {
		for i, a := range sel.aggs {
			values[i] = aggregate(w, a)
		}
		return yield(w.Start, values, w.Flag)
	})
}

func aggregate(w telemetry.Window, agg string) float64 {
	switch agg {
	case "min":
		return w.Min
	case "max":
		return w.Max
	case "last":
		return w.Last
	case "count":
		return float64(w.Count)
	}
	return w.Mean
}

func (s *Server) observationRoutes() {
	route(s, "GET /api/v1/observations", "Series: raw, never thinned, or by windows", http.StatusOK, func(ctx context.Context, in *observationQuery) (*answer[observationsOut], error) {
		err := given(ctx, "device", "metric")
		if err != nil {
			return nil, err
		}
		sel, err := s.selectStreams(in)
		if err != nil {
			return nil, err
		}
		if wantsCSV(ctx) {
			return csvAnswer[observationsOut](func(w *csvWriter) error { return s.observationsCSV(ctx, sel, w) }), nil
		}
		out, err := s.observationsPage(ctx, sel, in.Limit, in.Cursor)
		if err != nil {
			return nil, err
		}
		return &answer[observationsOut]{func(ctx huma.Context) {
			ctx.SetHeader("Content-Type", "application/json")
			ctx.SetStatus(http.StatusOK)
			_, _ = ctx.BodyWriter().Write(out.appendJSON(nil)) // the client may have gone
		}}, nil
	}, csvToo[observationsOut](s))
}

// mark is where a page of observations ended.
type mark struct {
	Device devices.ID `json:"d"`
	Metric string     `json:"m"`
	From   int64      `json:"f"` // the next row is at or after this
	To     int64      `json:"t"` // the query's own end and width, since they may be "now" and "auto"
	Start  int64      `json:"s"`
	Every  int64      `json:"e,omitempty"`
	Query  string     `json:"q"` // see selection
}

// valid: a cursor comes back from outside.
func (m mark) valid() bool {
	return idPattern.MatchString(string(m.Device)) && metricPattern.MatchString(m.Metric) && m.Every >= 0 &&
		minTime <= m.Start && m.Start <= m.From && m.From <= m.To && m.To <= maxTime
}

func (s *Server) observationsPage(ctx context.Context, sel selection, limit int, cursor string) (observationsOut, error) {
	out := observationsOut{Series: []series{}}
	at := mark{From: sel.from}
	if cursor != "" {
		text, err := decodeCursor(cursor)
		if err == nil {
			err = json.Unmarshal([]byte(text), &at)
		}
		if err != nil || !at.valid() || (at.Every > 0) != (sel.every.Millis > 0) || at.Query != sel.query {
			return out, invalid("query.cursor", "not a cursor of this query")
		}
		sel.from, sel.to, sel.every.Millis = at.Start, at.To, at.Every
	}
	width := max(1, len(sel.aggs)) // points a row
	rows := max(1, limit/width)
	for _, st := range sel.streams {
		from := sel.from
		if cursor != "" {
			if st.device < at.Device || st.device == at.Device && st.metric < at.Metric {
				continue
			}
			if st == (stream{at.Device, at.Metric}) {
				from = at.From
			}
		}
		group := s.newSeries(sel, st)
		err := each(ctx, sel, st, from, func(t int64, values []float64, flag telemetry.Flag) bool {
			if rows == 0 {
				next, _ := json.Marshal(mark{st.device, st.metric, max(t, from), sel.to, sel.from, sel.every.Millis, sel.query}) // cannot fail
				out.Next = encodeCursor(string(next))
				return false
			}
			rows--
			for i, v := range values {
				group[i].Points = append(group[i].Points, point{t, v, flag})
			}
			return true
		})
		if err != nil {
			return out, fmt.Errorf("read %s/%s: %w", st.device, st.metric, err)
		}
		// A stream that the page had no room for comes with the next one.
		if out.Next == "" || len(group[0].Points) > 0 {
			out.Series = append(out.Series, group...)
		}
		if out.Next != "" {
			break
		}
	}
	return out, nil
}

func (s *Server) newSeries(sel selection, st stream) []series {
	aggs := sel.aggs
	if len(aggs) == 0 {
		aggs = []string{""}
	}
	group := make([]series, len(aggs))
	for i, a := range aggs {
		unit := unitOf(st.metric)
		if a == "count" {
			unit = ""
		}
		group[i] = series{Device: st.device, Metric: st.metric, Unit: unit, Agg: a, Points: []point{}}
	}
	return group
}

func (s *Server) observationsCSV(ctx context.Context, sel selection, w *csvWriter) error {
	windows := sel.every.Millis > 0
	header := []string{"device", "metric", "t", "value", "unit", "flag"}
	if windows {
		header = append(header, "agg")
	}
	w.row(header...)
	rows := rowWriter{w: w}
	for _, st := range sel.streams {
		rows.begin(sel, st)
		err := each(ctx, sel, st, sel.from, rows.row)
		if err == nil {
			err = rows.flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rowWriter writes the rows of one stream: what all have in common is made once.
type rowWriter struct {
	w      *csvWriter
	before []byte   // "device,metric,"
	after  [][]byte // ",unit,", one an aggregate
	aggs   [][]byte // ",agg", or nothing
	b      []byte
	err    error
}

const rowBytes = 32 << 10 // gathered before they are written

func (r *rowWriter) begin(sel selection, st stream) {
	r.before = fmt.Appendf(r.before[:0], "%s,%s,", harmless(string(st.device)), st.metric)
	r.after, r.aggs = r.after[:0], r.aggs[:0]
	aggs := sel.aggs
	if len(aggs) == 0 {
		aggs = []string{""}
	}
	for _, a := range aggs {
		unit := unitOf(st.metric)
		if a == "count" {
			unit = ""
		}
		r.after = append(r.after, []byte(","+unit+","))
		if a != "" {
			a = "," + a
		}
		r.aggs = append(r.aggs, []byte(a))
	}
}

// row adds a time's values; false when the reader has gone.
func (r *rowWriter) row(t int64, values []float64, flag telemetry.Flag) bool {
	b := r.b
	for i, v := range values {
		b = append(b, r.before...)
		b = strconv.AppendInt(b, t, 10)
		b = append(b, ',')
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
		b = append(b, r.after[i]...)
		b = strconv.AppendUint(b, uint64(flag), 10)
		b = append(append(b, r.aggs[i]...), '\n')
	}
	r.b = b
	if len(b) < rowBytes {
		return true
	}
	r.err = r.flush()
	return r.err == nil
}

func (r *rowWriter) flush() error {
	if r.err != nil {
		return r.err
	}
	r.err = r.w.raw(r.b)
	r.b = r.b[:0]
	return r.err
}
