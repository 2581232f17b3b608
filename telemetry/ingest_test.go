package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"cuulong/devices"
	. "cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is when these tests happen: 2026-03-01T00:00:00Z, Unix ms.
const now = 1_772_323_200_000

// rig is an Ingest on a real engine.
type rig struct {
	*Ingest
	db      *tsdb.DB
	latest  *Latest
	metrics *prometheus.Registry

	attributes func(devices.ID, map[string]any) (string, error)

	mu     sync.Mutex
	stored []Observation // what OnStored was told
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// at begins a rig on the engine in dir; wrap, where given, stands between Ingest and the log.
func at(t testing.TB, dir string, wrap func(Log) Log) *rig {
	t.Helper()
	db, err := tsdb.Open(dir, tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{db: db, latest: NewLatest(), metrics: prometheus.NewRegistry()}
	log := Log(db)
	if wrap != nil {
		log = wrap(db)
	}
	r.Ingest = NewIngest(Options{
		Log: log, Store: db, Latest: r.latest, Logger: quiet(), Metrics: r.metrics,
		Now: func() time.Time { return time.UnixMilli(now) },
		Attributes: func(id devices.ID, said map[string]any) (string, error) {
			if r.attributes == nil {
				return "", nil
			}
			return r.attributes(id, said)
		},
		OnStored: func(rec *Record) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.stored = append(r.stored, rec.Observations...)
		},
	})
	t.Cleanup(r.shut)
	return r
}

func (r *rig) shut() {
	_ = r.Ingest.Close()
	_ = r.db.Close()
}

func (r *rig) write(t testing.TB, obs ...Observation) {
	t.Helper()
	if err := r.Write(t.Context(), Batch{Observations: obs}); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func (r *rig) points(t testing.TB, id, metric string) []Point {
	t.Helper()
	return pointsOf(t, r.db, id, metric)
}

func pointsOf(t testing.TB, s Store, id, metric string) []Point {
	t.Helper()
	var out []Point
	err := s.Points(t.Context(), devices.ID(id), metric, 0, now*2, func(p Point) bool {
		out = append(out, p)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// counts are ioc_observations_total by result.
func (r *rig) counts(t testing.TB) map[string]int {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range families {
		if f.GetName() != "ioc_observations_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			out[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
		}
	}
	return out
}

func ob(at int64, v float64) Observation {
	return Observation{Device: "sal-1", Metric: "salinity", At: at, Seen: now, Value: v}
}

// TestOnce: duplicates and revisions are told apart wherever the earlier value
// is: in the same message, in the batch, in the store, newest or late.
func TestOnce(t *testing.T) {
	const a, b, c = now - 3000, now - 2000, now - 1000
	for _, tc := range []struct {
		name                       string
		writes                     [][]Observation
		want                       []Point
		stored, duplicate, revised int
	}{
		{"new", [][]Observation{{ob(a, 1), ob(b, 2)}}, []Point{{a, 1, Pass}, {b, 2, Pass}}, 2, 0, 0},
		{"newest again", [][]Observation{{ob(a, 1)}, {ob(a, 1)}}, []Point{{a, 1, Pass}}, 1, 1, 0},
		{"newest revised", [][]Observation{{ob(a, 1)}, {ob(a, 2)}}, []Point{{a, 2, Pass}}, 1, 0, 1},
		{"revised back", [][]Observation{{ob(a, 1)}, {ob(a, 2)}, {ob(a, 1)}}, []Point{{a, 1, Pass}}, 1, 0, 2},
		{"late and new", [][]Observation{{ob(c, 3)}, {ob(a, 1)}}, []Point{{a, 1, Pass}, {c, 3, Pass}}, 2, 0, 0},
		{"late again", [][]Observation{{ob(a, 1)}, {ob(c, 3)}, {ob(a, 1)}}, []Point{{a, 1, Pass}, {c, 3, Pass}}, 2, 1, 0},
		{"late revised", [][]Observation{{ob(a, 1)}, {ob(c, 3)}, {ob(a, 9)}, {ob(a, 9)}}, []Point{{a, 9, Pass}, {c, 3, Pass}}, 2, 1, 1},
		{"one message twice over", [][]Observation{{ob(a, 1), ob(b, 2), ob(a, 1), ob(b, 5), ob(c, 3), ob(b, 5)}},
			[]Point{{a, 1, Pass}, {b, 5, Pass}, {c, 3, Pass}}, 3, 2, 1},
		{"late in its own batch", [][]Observation{{ob(c, 3), ob(a, 1), ob(b, 2), ob(a, 1), ob(a, 4), ob(b, 2)}},
			[]Point{{a, 4, Pass}, {b, 2, Pass}, {c, 3, Pass}}, 3, 2, 1},
		{"zero and minus zero", [][]Observation{{ob(a, 0)}, {ob(a, negativeZero)}}, []Point{{a, 0, Pass}}, 1, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			r := at(t, dir, nil)
			for _, w := range tc.writes {
				r.write(t, w...)
			}
			if got := r.points(t, "sal-1", "salinity"); !slices.Equal(got, tc.want) {
				t.Errorf("points %v, want %v", got, tc.want)
			}
			got := r.counts(t)
			if got["stored"] != tc.stored || got["duplicate"] != tc.duplicate || got["revised"] != tc.revised || got["quarantined"] != 0 {
				t.Errorf("counted %v, want stored %d, duplicate %d, revised %d", got, tc.stored, tc.duplicate, tc.revised)
			}
			if len(r.stored) != tc.stored+tc.revised {
				t.Errorf("OnStored got %d, want %d: no duplicates, but late values and revisions", len(r.stored), tc.stored+tc.revised)
			}
			last := tc.want[len(tc.want)-1]
			if o, ok := r.latest.Get("sal-1", "salinity"); !ok || o.At != last.At || o.Value != last.Value {
				t.Errorf("latest %+v, want %v", o, last)
			}
			// The same after a restart: what is sent again is known.
			r.shut()
			r = at(t, dir, nil)
			for _, p := range tc.want {
				r.write(t, ob(p.At, p.Value))
			}
			if got := r.counts(t); got["duplicate"] != len(tc.want) || got["stored"] != 0 {
				t.Errorf("after a restart counted %v, want %d duplicates", got, len(tc.want))
			}
		})
	}
}

var negativeZero = func() float64 { z := 0.0; return -z }()

// TestNoTime: what has no ts stands at receive time, moved on by 1 ms while the datastream has a value there.
func TestNoTime(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	r.write(t, ob(now+1, 50), ob(now+3, 51), ob(now+9, 52)) // a clock a little ahead of ours
	r.write(t, ob(0, 1), ob(0, 2), ob(0, 3))
	r.write(t, ob(0, 4), ob(0, 4))
	late := ob(0, 6)
	late.Seen = now - 10
	r.write(t, late)
	want := []Point{{now - 10, 6, Pass}, {now, 1, Pass}, {now + 1, 50, Fail}, {now + 2, 2, Pass}, {now + 3, 51, Fail}, {now + 4, 3, Pass},
		{now + 5, 4, Pass}, {now + 6, 4, Pass}, {now + 9, 52, Fail}}
	if got := r.points(t, "sal-1", "salinity"); !slices.Equal(got, want) {
		t.Errorf("points\n got %v\nwant %v", got, want)
	}
	if got := r.counts(t); got["stored"] != 9 || got["duplicate"] != 0 {
		t.Errorf("counted %v: what has no ts is never a duplicate", got)
	}
}

// TestBurstWithoutTime: a burst within one millisecond does not walk what it has filled again and again.
func TestBurstWithoutTime(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	const n = 20_000
	batch := make([]Observation, n)
	for i := range batch {
		batch[i] = ob(0, float64(i%40))
	}
	r.write(t, batch...)
	r.write(t, ob(0, 1))
	got := r.points(t, "sal-1", "salinity")
	if len(got) != n+1 || got[0].At != now || got[n].At != now+n {
		t.Errorf("%d points from %d to %d, want %d from %d to %d", len(got), got[0].At, got[len(got)-1].At, n+1, int64(now), int64(now+n))
	}
}

// TestBurstWithoutTimeEnds: what tells no time runs ahead of ours no further than a clock may; what is beyond is
// set aside with its message, and there is a place again a millisecond later.
func TestBurstWithoutTimeEnds(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	const most, n = 5*60_000 + 1, 10_000
	batch := make([]Observation, n)
	for sent := 0; sent < most+500; sent += n {
		for i := range batch {
			batch[i] = ob(0, 1)
		}
		err := r.Write(t.Context(), Batch{Observations: batch, Source: "burst", Payload: []byte("raw")})
		if want := sent+n > most; errors.Is(err, ErrSetAside) != want {
			t.Fatalf("after %d: %v", sent, err)
		}
	}
	next := ob(0, 2)
	next.Seen = now + 1
	r.write(t, next)
	got := r.points(t, "sal-1", "salinity")
	if len(got) != most+1 || got[most-1].At != now+5*60_000 || got[most] != (Point{now + 1 + 5*60_000, 2, Pass}) {
		t.Errorf("%d points up to %d", len(got), got[len(got)-1].At-now)
	}
	entries := 0
	err := r.db.SetAside(t.Context(), 0, func(_ uint64, a SetAside) bool {
		if entries++; a.Reason != BadTime || a.Source != "burst" || string(a.Payload) != "raw" || a.Count != 31*n-most {
			t.Errorf("set aside %+v", a)
		}
		return true
	})
	if err != nil || entries != 1 {
		t.Errorf("%d entries, %v", entries, err)
	}
}

// TestWordsOfMetrics: a string under the name of a metric is set aside: also when only this message sends numbers under it.
func TestWordsOfMetrics(t *testing.T) {
	said := map[string]any{}
	r := at(t, t.TempDir(), nil)
	r.attributes = func(id devices.ID, more map[string]any) (string, error) {
		if more["refused"] != nil {
			return "too many", nil
		}
		maps.Copy(said, more)
		return "", nil
	}
	for _, c := range []struct{ payload, want string }{
		{`{"values":{"salinity":"3.2"}}`, "bad_value×1"},
		{`{"values":{"fw":"1.2"}}`, ""},
		{`[{"values":{"turbine":1}},{"values":{"turbine":"fast"}},{"values":{"turbine":true}}]`, "bad_value×2"},
		{`{"values":{"turbine":"slow","fw":"1.3"}}`, "bad_value×1"},
		{`[{"n":"label","vs":"pump"},{"n":"open","vb":true},{"n":"tag","vd":"aGkgCg"},{"n":"salinity","vs":"salt"}]`, "bad_value×1"},
		{"\x83\xa2\x00\x62fw\x03\x631.4\xa2\x00\x64seal\x04\xf5\xa2\x00\x63raw\x08\x42hi", ""},
		{`{"values":{"Mã hiệu":"A1","door":false,"door":true}}`, ""},
		{`{"values":{"refused":"x"}}`, "bad_value×1"},
	} {
		b := DecodeTelemetry("dev", "test", []byte(c.payload), now)
		before := r.counts(t)["quarantined"]
		err := r.Write(t.Context(), b)
		got := ""
		if n := r.counts(t)["quarantined"] - before; errors.Is(err, ErrSetAside) {
			got = fmt.Sprintf("bad_value×%d", n)
		}
		if got != c.want {
			t.Errorf("%s: %v, %q, want %q", c.payload, err, got, c.want)
		}
	}
	want := map[string]any{"fw": "1.4", "label": "pump", "open": true, "tag": "aGkgCg", "seal": true, "raw": "aGk", "Mã hiệu": "A1", "door": true}
	if !maps.Equal(said, want) {
		t.Errorf("attributes %v\nwant %v", said, want)
	}
	r.attributes = func(devices.ID, map[string]any) (string, error) { return "", io.ErrClosedPipe }
	if err := r.Write(t.Context(), DecodeTelemetry("dev", "test", []byte(`{"values":{"fw":"1.5","ph":7}}`), now)); err != io.ErrClosedPipe {
		t.Errorf("attributes that could not be recorded: %v", err)
	}
	if got := r.points(t, "dev", "ph"); len(got) != 0 {
		t.Errorf("and the values beside are stored, though the message comes again: %v", got)
	}
}

// asked is a store that notes what it is asked for.
type asked struct {
	*tsdb.DB
	at []string
}

func (s *asked) Find(ctx context.Context, id devices.ID, metric string, at []int64, yield func(Point)) error {
	text := metric
	for _, t := range at {
		text += fmt.Sprint(" ", t-now)
	}
	s.at = append(s.at, text)
	return s.DB.Find(ctx, id, metric, at, yield)
}

// TestLateInOrder: what a message brings late, in whatever order, is asked for once for each datastream, in rising time.
func TestLateInOrder(t *testing.T) {
	db, err := tsdb.Open(t.TempDir(), tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	store := &asked{DB: db}
	in := NewIngest(Options{Log: db, Store: store, Logger: quiet()})
	t.Cleanup(func() { _ = in.Close(); _ = db.Close() })
	level := func(at int64, v float64) Observation {
		return Observation{Device: "sal-1", Metric: "level", At: at, Seen: now, Value: v}
	}
	write := func(obs ...Observation) {
		t.Helper()
		if err := in.Write(t.Context(), Batch{Observations: obs}); err != nil {
			t.Fatal(err)
		}
	}
	write(ob(now-50, 1), level(now-50, 1), ob(now, 2), level(now, 1))
	write(ob(now-50, 9), level(now-90, 2), ob(now-70, 3), level(now-50, 1), ob(now-70, 4), ob(now+1, 1), ob(now, 2))
	if want := []string{"salinity -70 -50", "level -90 -50"}; !slices.Equal(store.at, want) {
		t.Errorf("asked for %v, want %v", store.at, want)
	}
	want := []Point{{now - 70, 4, Pass}, {now - 50, 9, Pass}, {now, 2, Pass}, {now + 1, 1, Pass}}
	if got := pointsOf(t, db, "sal-1", "salinity"); !slices.Equal(got, want) {
		t.Errorf("points %v, want %v", got, want)
	}
}

func TestFlags(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	given := Observation{Device: "d", Metric: "ph", At: now, Seen: now, Value: 7, Flag: Suspect, Test: "spike"}
	r.write(t, ob(now-1, 3.2), ob(now, 324),
		Observation{Device: "d", Metric: "frogs", At: now, Seen: now, Value: 3}, given)
	for _, w := range []struct {
		id     devices.ID
		metric string
		flag   Flag
		test   string
	}{{"sal-1", "salinity", Fail, TestGrossRange}, {"d", "frogs", NotEvaluated, ""}, {"d", "ph", Suspect, "spike"}} {
		if o, ok := r.latest.Get(w.id, w.metric); !ok || o.Flag != w.flag || o.Test != w.test {
			t.Errorf("%s/%s: %+v, want flag %d test %q", w.id, w.metric, o, w.flag, w.test)
		}
	}
	if got := r.points(t, "sal-1", "salinity"); got[0].Flag != Pass || got[1].Flag != Fail || got[1].Value != 324 {
		t.Errorf("%v: an implausible value is stored, with flag 4", got)
	}
}

// TestSetAside: what cannot be kept is in the log by the same commit, counted, and the sender told; the good is stored.
func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	r := at(t, dir, nil)
	const payload = `{"ts":1772323199000,"values":{"salinity":3.2,"ph":1e999,"do":NaN}}`
	b := DecodeTelemetry("sal-1", "mqtt devices/sal-1/telemetry", []byte(payload), now)
	if err := r.Write(t.Context(), b); !errors.Is(err, ErrSetAside) {
		t.Errorf("Write: %v, want ErrSetAside", err)
	}
	err := r.Write(t.Context(), Batch{Observations: []Observation{ob(now+10*60_000, 1), ob(1000, 1), ob(now, nan), {Device: "d", Metric: "No", Seen: now, Value: 1}}})
	if !errors.Is(err, ErrSetAside) {
		t.Errorf("Write of bad observations: %v, want ErrSetAside", err)
	}
	r.write(t, ob(now, 4)) // the next message is told nothing of that
	if got := r.counts(t); got["stored"] != 2 || got["quarantined"] != 6 {
		t.Errorf("counted %v, want 2 stored, 6 quarantined", got)
	}
	r.shut()
	r = at(t, dir, nil)
	reasons := map[string]int{}
	err = r.db.SetAside(t.Context(), 0, func(seq uint64, a SetAside) bool {
		reasons[a.Reason] += a.Count
		if seq == 1 && (a.Source != "mqtt devices/sal-1/telemetry" || string(a.Payload) != payload || a.Seen != now) {
			t.Errorf("set aside %+v", a)
		}
		return true
	})
	if err != nil || reasons[NotFinite] != 3 || reasons[BadTime] != 2 || reasons[BadMetric] != 1 {
		t.Errorf("set aside %v, %v", reasons, err)
	}
}

var nan = func() float64 { z := 0.0; return z / z }()

// gate is a log that waits before each append until it is told to go on.
type gate struct {
	Log
	in, out chan struct{}
	fail    error
}

func (g *gate) Append(r *Record) error {
	g.in <- struct{}{}
	<-g.out
	if g.fail != nil {
		return g.fail
	}
	return g.Log.Append(r)
}

// TestGroup: what comes while a commit syncs is one record after it; done in
// the order of submission and never before the log returned, OnCommit after them.
func TestGroup(t *testing.T) {
	g := &gate{in: make(chan struct{}), out: make(chan struct{})}
	dir := t.TempDir()
	db, err := tsdb.Open(dir, tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	g.Log = db
	events := make(chan string, 100)
	in := NewIngest(Options{
		Log: g, Store: db, Logger: quiet(),
		OnStored: func(r *Record) { events <- fmt.Sprint("stored ", len(r.Observations)) },
		OnCommit: func() { events <- "commit" },
	})
	t.Cleanup(func() { _ = in.Close(); _ = db.Close() })
	submit := func(i int) {
		in.Submit(Batch{Observations: []Observation{ob(now-1000+int64(i), float64(i%10))}}, func(err error) { events <- fmt.Sprint(i, " ", err) })
	}
	submit(0)
	<-g.in
	for i := 1; i <= 5; i++ {
		submit(i)
	}
	in.Submit(Batch{Observations: []Observation{ob(now-1000, 0)}}, func(err error) { events <- fmt.Sprint("duplicate ", err) })
	if len(events) != 0 {
		t.Fatalf("%s before the log has returned", <-events)
	}
	g.out <- struct{}{}
	<-g.in
	g.out <- struct{}{}
	for _, want := range []string{"stored 1", "0 <nil>", "commit", "stored 5", "1 <nil>", "2 <nil>", "3 <nil>", "4 <nil>", "5 <nil>", "duplicate <nil>", "commit"} {
		if got := <-events; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	n := 0
	if err := db.Records(t.Context(), 1, func(*Record) bool { n++; return true }); err != nil || n != 2 {
		t.Errorf("%d records, want 2; %v", n, err)
	}
}

// TestFailStop: when the log fails, nobody is told that a value is durable, and nothing is taken in any more.
func TestFailStop(t *testing.T) {
	broken := errors.New("disk is gone")
	var g *gate
	r := at(t, t.TempDir(), func(l Log) Log {
		g = &gate{Log: l, in: make(chan struct{}), out: make(chan struct{})}
		return g
	})
	told := make(chan error, 10)
	tell := func(err error) { told <- err }
	r.Submit(Batch{Observations: []Observation{ob(now, 1)}}, tell)
	<-g.in
	r.Submit(Batch{Observations: []Observation{ob(now, 2)}}, tell) // waits in the open batch
	g.fail = broken
	g.out <- struct{}{}
	for range 2 {
		if err := <-told; !errors.Is(err, broken) {
			t.Errorf("done(%v), want the log's error", err)
		}
	}
	if err := r.Write(t.Context(), Batch{Observations: []Observation{ob(now, 3)}}); !errors.Is(err, broken) {
		t.Errorf("Write after the failure: %v", err)
	}
	if !errors.Is(r.Err(), broken) {
		t.Errorf("Err: %v", r.Err())
	}
	if _, ok := r.latest.Get("sal-1", "salinity"); ok || len(r.stored) != 0 {
		t.Error("a value that was not kept is shown")
	}
}

// TestNoSpace: while the disk is full nobody is acknowledged and nothing is
// shown; what is sent again afterwards is stored, and is no duplicate of what was not kept.
func TestNoSpace(t *testing.T) {
	var g *gate
	r := at(t, t.TempDir(), func(l Log) Log {
		g = &gate{Log: l, in: make(chan struct{}), out: make(chan struct{})}
		return g
	})
	write := func(want error, obs ...Observation) {
		t.Helper()
		told := make(chan error, 1)
		g.fail = want
		r.Submit(Batch{Observations: obs}, func(err error) { told <- err })
		<-g.in
		g.out <- struct{}{}
		if err := <-told; !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Fatalf("done(%v), want %v", err, want)
		}
	}
	write(nil, ob(now-2000, 1))
	write(ErrNoSpace, ob(now-1000, 2), ob(now, 3))
	write(ErrNoSpace, ob(now-1000, 2), ob(now, 3))
	if o, _ := r.latest.Get("sal-1", "salinity"); o.Value != 1 || r.Err() != nil {
		t.Errorf("a value that was not kept is shown: %+v; Err: %v", o, r.Err())
	}
	write(nil, ob(now-1000, 2), ob(now, 3), ob(now-2000, 1))
	if got := r.points(t, "sal-1", "salinity"); len(got) != 3 || got[1].Value != 2 || got[2].Value != 3 {
		t.Errorf("stored %v", got)
	}
	if c := r.counts(t); c["stored"] != 3 || c["duplicate"] != 1 {
		t.Errorf("counted %v", c)
	}
}

// TestBackPressure: a full open batch holds up Submit until it is taken, so
// that no commit is larger than the bound however much is submitted at once.
func TestBackPressure(t *testing.T) {
	g := &gate{in: make(chan struct{}), out: make(chan struct{})}
	db, err := tsdb.Open(t.TempDir(), tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	g.Log = db
	in := NewIngest(Options{Log: g, Store: db, Logger: quiet(), MaxBatchBytes: 4000})
	t.Cleanup(func() { _ = in.Close(); _ = db.Close() })
	const total, fit = 200, 23 // of 168 bytes each
	submitted := make(chan int, total)
	told := make(chan error, total)
	submit := func(i int) {
		in.Submit(Batch{Observations: []Observation{ob(now-100_000+int64(i), 1)}}, func(err error) { told <- err })
		submitted <- i
	}
	submit(0)
	<-g.in // the committer is held; from here the open batch only fills
	go func() {
		for i := 1; i < total; i++ {
			submit(i)
		}
		close(submitted)
	}()
	for range fit + 1 { // all that fits goes in at once
		<-submitted
	}
	go func() {
		for range g.in {
			g.out <- struct{}{}
		}
	}()
	g.out <- struct{}{}
	for range submitted {
	}
	for range total {
		if err := <-told; err != nil {
			t.Errorf("done(%v)", err)
		}
	}
	close(g.in)
	err = db.Records(t.Context(), 1, func(r *Record) bool {
		if len(r.Observations) > fit {
			t.Errorf("record %d holds %d observations, the bound is %d", r.Seq, len(r.Observations), fit)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	if n := len(pointsOf(t, db, "sal-1", "salinity")); n != total {
		t.Errorf("%d points, want %d", n, total)
	}
}

// TestClose: what was submitted is committed; what comes later is refused.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	r := at(t, dir, nil)
	done := make(chan error, 100)
	for i := range int64(100) {
		r.Submit(Batch{Observations: []Observation{ob(now-1000+i, 1)}}, func(err error) { done <- err })
	}
	if err := r.Ingest.Close(); err != nil {
		t.Fatal(err)
	}
	if len(done) != 100 {
		t.Errorf("%d of 100 were told", len(done))
	}
	if err := r.Write(t.Context(), Batch{Observations: []Observation{ob(now, 1)}}); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if got := len(r.points(t, "sal-1", "salinity")); got != 100 {
		t.Errorf("%d points, want 100", got)
	}
}

// TestReadYourWrites: who was told that a value is durable reads it at once, by every way.
func TestReadYourWrites(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			id := devices.ID(fmt.Sprint("d", g))
			for i := range int64(50) {
				o := Observation{Device: id, Metric: "level", At: now - 10_000 + i, Seen: now, Value: float64(i) / 100}
				if err := r.Write(t.Context(), Batch{Observations: []Observation{o}}); err != nil {
					t.Error(err)
					return
				}
				if l, ok := r.latest.Get(id, "level"); !ok || l.At != o.At {
					t.Errorf("latest is %d, want %d", l.At, o.At)
				}
				if p := r.points(t, string(id), "level"); len(p) != int(i+1) || p[i].Value != o.Value {
					t.Errorf("%d points after %d were acknowledged", len(p), i+1)
				}
			}
		})
	}
	wg.Wait()
	if n := testutil.CollectAndCount(r.metrics, "ioc_commit_seconds"); n != 1 {
		t.Errorf("ioc_commit_seconds: %d series", n)
	}
}
