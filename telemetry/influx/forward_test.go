package influx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/tsdb"
)

// rig is a server's part that matters here: the embedded engine in front, its
// intake, and a Forwarder to a real InfluxDB.
type rig struct {
	db      *tsdb.DB
	latest  *telemetry.Latest
	in      *telemetry.Ingest
	store   *Store
	fw      *Forwarder
	metrics *prometheus.Registry

	stop context.CancelFunc
	ran  sync.WaitGroup
}

func start(t testing.TB, dir string, server *influxtest.Server, bucket string) *rig {
	t.Helper()
	db, err := tsdb.Open(dir, tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{db: db, latest: telemetry.NewLatest(), metrics: prometheus.NewRegistry()}
	r.in = telemetry.NewIngest(telemetry.Options{Log: db, Store: db, Latest: r.latest, Logger: quiet()})
	r.store = open(t, server, Options{Bucket: bucket, Metrics: r.metrics, SetAside: func(ctx context.Context, list []telemetry.SetAside) error {
		err := r.in.Write(ctx, telemetry.Batch{SetAside: list})
		if errors.Is(err, telemetry.ErrSetAside) {
			return nil
		}
		return err
	}})
	r.fw, err = NewForwarder(r.store, Forwarding{Feed: db, Head: db.Head, Logger: quiet(), Metrics: r.metrics, Linger: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	r.ran.Go(func() { _ = r.fw.Run(ctx) })
	t.Cleanup(r.close)
	return r
}

func (r *rig) close() {
	_ = r.in.Close()
	r.stop()
	r.ran.Wait()
	_ = r.db.Close()
}

func (r *rig) put(t testing.TB, obs ...telemetry.Observation) {
	t.Helper()
	if err := r.in.Write(t.Context(), telemetry.Batch{Observations: obs}); err != nil {
		t.Fatal(err)
	}
}

// caughtUp waits until InfluxDB has all that is durable now.
func (r *rig) caughtUp(t testing.TB) {
	t.Helper()
	waitFor(t, func() bool { return r.fw.Lag() == 0 }, "%d records behind", r.fw.Lag)
}

func waitFor[T any](t testing.TB, done func() bool, format string, what func() T) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for !done() {
		select {
		case <-every.C:
		case <-deadline.C:
			t.Fatalf(format, what())
		}
	}
}

func pointsOf(t testing.TB, s telemetry.Store, id devices.ID, metric string, from, to int64) []telemetry.Point {
	t.Helper()
	var out []telemetry.Point
	if err := s.Points(t.Context(), id, metric, from, to, func(p telemetry.Point) bool {
		out = append(out, p)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func windowsOf(t testing.TB, s telemetry.Store, id devices.ID, every int64) []telemetry.Window {
	t.Helper()
	var out []telemetry.Window
	if err := telemetry.Windows(t.Context(), s, id, "level", 0, maxTime, telemetry.Every{Millis: every}, func(w telemetry.Window) bool {
		out = append(out, w)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// alike: a mean may be the same sum in another order.
func alike(a, b telemetry.Window) bool {
	mean := a.Mean - b.Mean
	a.Mean, b.Mean = 0, 0
	return a == b && math.Abs(mean) < 1e-9
}

// asidesOf is what the log holds of quarantine, by reason.
func (r *rig) asidesOf(t testing.TB) map[string][]telemetry.SetAside {
	t.Helper()
	out := map[string][]telemetry.SetAside{}
	if err := r.db.SetAside(t.Context(), 1, func(_ uint64, a telemetry.SetAside) bool {
		a.Payload = slices.Clone(a.Payload)
		out[a.Reason] = append(out[a.Reason], a)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func at(metric string, at int64, v float64) telemetry.Observation {
	return telemetry.Observation{Device: "sal-1", Metric: metric, At: at, Seen: at, Value: v, Flag: telemetry.Pass}
}

// TestRefusedPoints: what InfluxDB refuses is set aside, point for point, and
// everything beside it is written.
func TestRefusedPoints(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	const hour = 3600_000
	now := time.Now().UnixMilli()
	server.Do(t, `CREATE DATABASE "p" WITH DURATION 26w SHARD DURATION 1d NAME "half_year"`)
	// Somebody else wrote integers under our name on one day: InfluxDB has types by field and day.
	conflict := now - 20*24*hour
	server.Write(t, "p", fmt.Sprintf("observation,device=else,metric=x value=1i %d", conflict))
	r := start(t, t.TempDir(), server, "p/half_year")

	var list []telemetry.Observation
	bad, old := 0, 0
	var want []telemetry.Point
	for i := range int64(40) {
		for k := range int64(24) {
			o := at("salinity", now-i*24*hour-k*hour, float64(i*24+k)/100)
			list = append(list, o)
			if o.At/(24*hour) == conflict/(24*hour) {
				bad++
			} else {
				want = append(want, telemetry.Point{At: o.At, Value: o.Value, Flag: telemetry.Pass})
			}
		}
	}
	for i := range int64(3) {
		old++
		list = append(list, at("salinity", now-(200+i)*24*hour, 1))
	}
	slices.SortFunc(want, func(a, b telemetry.Point) int { return int(a.At - b.At) })
	r.put(t, list...)
	r.put(t, at("level", now, 7))
	r.caughtUp(t)

	// InfluxDB's Flux reads one type through a range and stops, without a word, at
	// a shard that has another (doc.go says so): each side of that day is whole.
	day := conflict - conflict%(24*hour)
	var got []telemetry.Point
	for _, part := range [][2]int64{{minTime, day}, {day + 24*hour, maxTime}} {
		got = append(got, pointsOf(t, r.store, "sal-1", "salinity", part[0], part[1])...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d points, want %d", len(got), len(want))
	}
	if got := pointsOf(t, r.store, "sal-1", "level", now, maxTime); len(got) != 1 {
		t.Errorf("what came after is not there: %v", got)
	}
	aside := r.asidesOf(t)
	if bad < 20 || len(aside[StoreConflict]) != bad || len(aside[StoreRetention]) != old || len(aside[StoreRefused]) != 0 {
		t.Errorf("set aside: %d conflicts, want %d; %d too old, want %d; %d others", len(aside[StoreConflict]), bad, len(aside[StoreRetention]), old, len(aside[StoreRefused]))
	}
	for _, a := range aside[StoreConflict] {
		if !strings.HasPrefix(string(a.Payload), "observation,device=sal-1,metric=salinity value=") || !strings.Contains(a.Detail, "conflict") || a.Source != "influx observation,device=sal-1,metric=salinity" {
			t.Fatalf("set aside: %+v %s", a, a.Payload)
		}
	}
	if n := testutil.ToFloat64(r.store.count.quarantined.WithLabelValues(StoreConflict)); n != float64(bad) {
		t.Errorf("counted %v conflicts", n)
	}
	if n := testutil.ToFloat64(r.store.count.written); n != float64(len(want)+1) {
		t.Errorf("counted %v written, want %d", n, len(want)+1)
	}
}

// TestKilledServer: InfluxDB is killed again and again while it is fed; at the
// end it has what the embedded engine has, to the bit, once, and nobody waited.
func TestKilledServer(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	bucket := server.Create(t, "k")
	dir := t.TempDir()
	r := start(t, dir, server, bucket)
	base := time.Now().UnixMilli() - 24*3600_000
	const records, perRecord, ids = 300, 40, 10
	write := func(from, to int) {
		for n := from; n < to; n++ {
			var list []telemetry.Observation
			for i := range perRecord {
				k := n*perRecord + i
				when := base + int64(k/ids)*100
				if k%7 == 3 {
					when -= 30_000 // late: replaces, or new
				}
				list = append(list, telemetry.Observation{Device: devices.ID(fmt.Sprintf("s%d", k%ids)), Metric: "level", At: when, Value: float64(k) / 7, Flag: telemetry.Flag(1 + k%4), Test: []string{"", "", "spike", "gap"}[k%4]})
			}
			r.put(t, list...)
		}
	}
	for round := range 3 {
		write(round*100, round*100+30)
		server.Kill()
		write(round*100+30, round*100+60) // intake does not wait for it
		if r.fw.Lag() == 0 {
			t.Fatal("nothing lags behind a database that is dead")
		}
		if round == 1 { // and our own process ends meanwhile, its place noted or not
			r.close()
			r = start(t, dir, server, bucket)
		}
		server.Start(t)
		write(round*100+60, round*100+100)
		r.caughtUp(t)
	}
	for i := range ids {
		id := devices.ID(fmt.Sprintf("s%d", i))
		got, want := pointsOf(t, r.store, id, "level", 0, maxTime), pointsOf(t, r.db, id, "level", 0, maxTime)
		if len(want) < records*perRecord/ids/2 || !slices.Equal(got, want) {
			t.Errorf("%s: %d points, want %d", id, len(got), len(want))
		}
		for _, every := range []int64{1000, 7000, 24 * 3600_000} {
			if got, want := windowsOf(t, r.store, id, every), windowsOf(t, r.db, id, every); !slices.EqualFunc(got, want, alike) {
				t.Errorf("%s: windows of %d ms differ: %d, want %d", id, every, len(got), len(want))
			}
		}
	}
	newest := func(s telemetry.Store) map[devices.ID]telemetry.Observation {
		out := map[devices.ID]telemetry.Observation{}
		if err := s.Newest(t.Context(), func(o telemetry.Observation) bool { out[o.Device] = o; return true }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got, want := newest(r.store), newest(r.db); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("newest\n got %v\nwant %v", got, want)
	}
	if n := len(r.asidesOf(t)); n != 0 {
		t.Errorf("%d reasons in quarantine", n)
	}
}

// TestAway: a query while the database is away says so, in those words that the face knows.
func TestAway(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	s := open(t, server, Options{})
	server.Kill()
	for name, err := range map[string]error{
		"Points":  s.Points(t.Context(), "a", "level", 0, 1, func(telemetry.Point) bool { return true }),
		"Newest":  s.Newest(t.Context(), func(telemetry.Observation) bool { return true }),
		"Windows": telemetry.Windows(t.Context(), s, "a", "level", 0, 1, telemetry.Every{Millis: 1000}, func(telemetry.Window) bool { return true }),
	} {
		if !errors.Is(err, telemetry.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), influxtest.Token) {
			t.Errorf("%s tells the token: %v", name, err)
		}
	}
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: []telemetry.Observation{at("level", 1e12, 1)}}); err == nil {
		t.Error("Apply succeeds without a database")
	}
	server.Start(t)
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: []telemetry.Observation{at("level", 1e12, 1)}}); err != nil {
		t.Errorf("Apply after it came back: %v", err)
	}
	if got := pointsOf(t, s, "sal-1", "level", 0, maxTime); len(got) != 1 {
		t.Errorf("points %v", got)
	}
}

// TestFollow: what one process stores, the other's newest values have soon, and
// neither brings back what it has from the other.
func TestFollow(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	bucket := server.Create(t, "f")
	a, b := start(t, t.TempDir(), server, bucket), start(t, t.TempDir(), server, bucket)
	ctx, stop := context.WithCancel(t.Context())
	var ran sync.WaitGroup
	defer ran.Wait()
	defer stop()
	for _, r := range []*rig{a, b} {
		ran.Go(func() {
			_ = r.store.Follow(ctx, Following{Latest: r.latest, Known: func(id devices.ID) bool { return id != "stranger" }, Logger: quiet(), Metrics: r.metrics, Every: 10 * time.Millisecond, Take: func(ctx context.Context, list []telemetry.Observation) error {
				return r.in.Write(ctx, telemetry.Batch{Observations: list})
			}})
		})
	}
	now := time.Now().UnixMilli()
	soon := func(r *rig, want telemetry.Observation) {
		t.Helper()
		waitFor(t, func() bool { got, _ := r.latest.Get(want.Device, want.Metric); return got == want }, "latest is %+v", func() telemetry.Observation {
			got, _ := r.latest.Get(want.Device, want.Metric)
			return got
		})
	}
	bad := at("ph", now-2000, 20)
	bad.Flag, bad.Test = telemetry.Fail, telemetry.TestGrossRange
	stranger := at("level", now-3000, 1)
	stranger.Device = "stranger"
	a.put(t, stranger)
	a.put(t, at("level", now-3000, 1), bad)
	b.put(t, at("salinity", now-3000, 2))
	soon(b, at("level", now-3000, 1))
	soon(b, bad)
	soon(a, at("salinity", now-3000, 2))
	a.put(t, at("level", now-1000, 3))
	soon(b, at("level", now-1000, 3))
	b.put(t, at("level", now-500, 4)) // the device's next message came by the other way
	soon(a, at("level", now-500, 4))

	// Both logs hold more than they were sent; InfluxDB was sent each once.
	a.caughtUp(t)
	b.caughtUp(t)
	written := func(r *rig) float64 { return testutil.ToFloat64(r.store.count.written) }
	if written(a) != 4 || written(b) != 2 {
		t.Errorf("written %v and %v, want 4 and 2", written(a), written(b))
	}
	if o, ok := b.latest.Get("stranger", "level"); ok {
		t.Errorf("nobody wanted %+v", o)
	}
	if got := pointsOf(t, a.store, "sal-1", "level", 0, maxTime); len(got) != 3 {
		t.Errorf("points %v", got)
	}
}
