package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"cuulong/devices"
	. "cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// TestManyNames: a device that makes up names fills no memory; its other values and other devices are kept.
func TestManyNames(t *testing.T) {
	r := at(t, t.TempDir(), nil)
	var batch []Observation
	for i := range MaxMetrics + 50 {
		batch = append(batch, Observation{Device: "liar", Metric: fmt.Sprint("m", i), At: now, Seen: now, Value: 1})
	}
	done := make(chan error, 3)
	tell := func(err error) { done <- err }
	r.Submit(Batch{Observations: []Observation{ob(now-5, 1)}}, tell)
	r.Submit(Batch{Observations: batch, Source: "its topic", Payload: []byte("raw")}, tell)
	r.Submit(Batch{Observations: []Observation{ob(now-4, 1), {Device: "liar", Metric: "m7", At: now + 1, Seen: now, Value: 2}}}, tell)
	for i, want := range []error{nil, ErrSetAside, nil} {
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("message %d: done(%v), want %v", i, err, want)
		}
	}
	if n := len(r.latest.Of("liar")); n != MaxMetrics {
		t.Errorf("%d datastreams, want %d", n, MaxMetrics)
	}
	if got := r.counts(t); got["quarantined"] != 50 || got["stored"] != MaxMetrics+3 {
		t.Errorf("counted %v", got)
	}
	if o, _ := r.latest.Get("liar", "m7"); o.Value != 2 {
		t.Errorf("m7 is %+v", o)
	}
	var entries []SetAside
	if err := r.db.SetAside(t.Context(), 0, func(_ uint64, a SetAside) bool { entries = append(entries, a); return true }); err != nil {
		t.Fatal(err)
	}
	want := SetAside{Source: "its topic", Reason: TooManyNames, Detail: "liar: more than 1000 datastreams", Payload: []byte("raw"), Seen: now, Count: 50}
	if len(entries) != 1 || !reflect.DeepEqual(entries[0], want) {
		t.Errorf("set aside %+v", entries)
	}
}

func TestLatest(t *testing.T) {
	dir := t.TempDir()
	r := at(t, dir, nil)
	r.write(t, Observation{Device: "b", Metric: "ph", At: now, Seen: now, Value: 7}, ob(now, 2), ob(now-1000, 9),
		Observation{Device: "sal-1", Metric: "battery", At: now, Seen: now + 5, Value: 12})
	check := func(when string, l *Latest) {
		var got []string
		for _, o := range l.All() {
			got = append(got, fmt.Sprintf("%s/%s=%g@%d+%d", o.Device, o.Metric, o.Value, o.At-now, o.Seen-o.At))
		}
		if want := []string{"b/ph=7@0+0", "sal-1/battery=12@0+5", "sal-1/salinity=2@0+0"}; !slices.Equal(got, want) {
			t.Errorf("%s: All is %v, want %v", when, got, want)
		}
		if of := l.Of("sal-1"); len(of) != 2 || of[0].Metric != "battery" || of[1].Metric != "salinity" {
			t.Errorf("%s: Of is %v", when, of)
		}
		if _, ok := l.Get("sal-1", "frogs"); ok || l.Of("nobody") != nil {
			t.Errorf("%s: something of nothing", when)
		}
	}
	check("stored", r.latest)
	r.shut()
	db, err := tsdb.Open(dir, tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l := NewLatest()
	if err := l.Load(context.Background(), db); err != nil {
		t.Fatal(err)
	}
	check("loaded", l)
}

// nowhere is a log and a store that keep nothing.
type nowhere struct{ seq uint64 }

func (n *nowhere) Append(r *Record) error { n.seq++; r.Seq = n.seq; return nil }
func (n *nowhere) Apply(*Record) error    { return nil }
func (n *nowhere) Newest(context.Context, func(Observation) bool) error {
	return nil
}
func (n *nowhere) Points(context.Context, devices.ID, string, int64, int64, func(Point) bool) error {
	return nil
}

// TestSubmitAllocates holds the way from Submit to done to a ceiling: nothing
// per message once its datastreams are known, for what is not the engine's.
func TestSubmitAllocates(t *testing.T) {
	n := &nowhere{}
	in := NewIngest(Options{Log: n, Store: n, Logger: quiet()})
	t.Cleanup(func() { _ = in.Close() })
	const messages = 2000
	var wg sync.WaitGroup
	done := func(error) { wg.Done() }
	obs := make([]Observation, 5)
	at := int64(now - 100_000_000)
	round := func() {
		wg.Add(messages)
		for range messages {
			at++
			for j, m := range []string{"salinity", "ec25", "level", "battery", "frogs"} {
				obs[j] = Observation{Device: "sal-1", Metric: m, At: at, Seen: now, Value: float64(j)}
			}
			in.Submit(Batch{Observations: obs}, done)
		}
		wg.Wait()
	}
	for range 5 { // batches grow to their size
		round()
	}
	if per := testing.AllocsPerRun(20, round) / messages; per > 0.05 {
		t.Errorf("%.3f allocations a message, at most 0.05", per)
	}
}
