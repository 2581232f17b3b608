package ui

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"cuulong/telemetry"
	"cuulong/ui/access"
)

// deaf is a client who takes everything and keeps nothing but the count.
type deaf struct {
	header http.Header
	status int
	bytes  int
}

func (d *deaf) Header() http.Header                { return d.header }
func (d *deaf) WriteHeader(status int)             { d.status = status }
func (d *deaf) Write(b []byte) (int, error)        { d.bytes += len(b); return len(b), nil }
func (d *deaf) SetWriteDeadline(_ time.Time) error { return nil }

const yearPoints = 52_560

// yearOf stores a year of 10-minute values of one datastream and returns how to
// ask the handler for it.
func yearOf(t testing.TB) (ask func(query string, header ...string) *deaf, series []telemetry.Point) {
	w := newWorld(t)
	w.station("s", 106, 10)
	end := time.Now().Add(-time.Hour).Truncate(10 * time.Minute).UnixMilli()
	var batch []telemetry.Observation
	for i := range int64(yearPoints) {
		o := telemetry.Observation{Device: "s", Metric: "salinity", At: end - (yearPoints-1-i)*600_000, Value: float64(i%3000) / 100, Flag: telemetry.Pass}
		batch = append(batch, o)
		series = append(series, telemetry.Point{At: o.At, Value: o.Value, Flag: o.Flag})
		if len(batch) == 5000 || i == yearPoints-1 {
			w.observe(batch...)
			batch = batch[:0]
		}
	}
	token := w.tokenOf(access.Viewer).token
	return func(query string, header ...string) *deaf {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/observations?device=s&metric=salinity&"+query, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		d := &deaf{header: http.Header{}, status: http.StatusOK}
		w.s.ServeHTTP(d, r)
		if d.status != http.StatusOK || d.bytes == 0 {
			t.Fatalf("%s: %d, %d bytes", query, d.status, d.bytes)
		}
		return d
	}, series
}

// A year costs allocations by the chunk, not by the value: as CSV, which is
// streamed, and as a page of JSON.
func TestObservationsAllocateByTheChunk(t *testing.T) {
	ask, series := yearOf(t)
	from := func(i int) string { return "from=" + strconv.FormatInt(series[i].At, 10) }
	for _, c := range []struct {
		name, few, many string
		header          []string
		more            float64 // values of many beyond those of few
		most            float64 // allocations for each of them
	}{
		{"CSV", from(yearPoints - 1000), from(0), []string{"Accept", "text/csv"}, yearPoints - 1000, 0.05},
		{"JSON", from(0) + "&limit=100", from(0) + "&limit=10000", nil, 9900, 0.05},
	} {
		few := testing.AllocsPerRun(3, func() { ask(c.few, c.header...) })
		bytes := 0
		many := testing.AllocsPerRun(3, func() { bytes = ask(c.many, c.header...).bytes })
		if float64(bytes) < 20*c.more {
			t.Fatalf("%s: %d bytes cannot be all of it", c.name, bytes)
		}
		each := (many - few) / c.more
		t.Logf("%s: %.0f and %.0f allocations, %.4f a value", c.name, few, many, each)
		if each > c.most {
			t.Errorf("%s: %.3f allocations a value, at most %.2f are right", c.name, each, c.most)
		}
	}
}

// BenchmarkYear writes a year of 10-minute values, through the handler from the
// store and, as a reference, the plain way from memory.
func BenchmarkYear(b *testing.B) {
	ask, series := yearOf(b)
	from := "from=" + strconv.FormatInt(series[0].At, 10)
	b.Run("CSV", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ask(from, "Accept", "text/csv")
		}
	})
	b.Run("CSV/naive", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w := csv.NewWriter(io.Discard)
			for _, p := range series {
				_ = w.Write([]string{"s", "salinity", strconv.FormatInt(p.At, 10), strconv.FormatFloat(p.Value, 'g', -1, 64), "g/l", strconv.Itoa(int(p.Flag))})
			}
			w.Flush()
		}
	})
	b.Run("JSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ask(from + "&limit=10000")
		}
	})
	b.Run("JSON/naive", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var rows [][3]any
			for _, p := range series[:10_000] {
				rows = append(rows, [3]any{p.At, p.Value, p.Flag})
			}
			_ = json.NewEncoder(io.Discard).Encode(rows)
		}
	})
}
