package telemetry_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cuulong/devices"
	. "cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// TestQualityOfIngest: tests run in the order of time, change with the limits,
// and forget what the log did not take.
func TestQualityOfIngest(t *testing.T) {
	limits := &devices.Limits{Spike: &[2]float64{2, 100}}
	var g *gate
	dir := t.TempDir()
	db, err := tsdb.Open(dir, tsdb.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	g = &gate{Log: db, in: make(chan struct{}), out: make(chan struct{})}
	in := NewIngest(Options{Log: g, Store: db, Logger: quiet(), Now: func() time.Time { return time.UnixMilli(now) },
		Limits: func(devices.ID, string) *devices.Limits { return limits }})
	t.Cleanup(func() { _ = in.Close(); _ = db.Close() })
	write := func(fail error, obs ...Observation) {
		t.Helper()
		g.fail = fail
		told := make(chan error, 1)
		in.Submit(Batch{Observations: obs}, func(err error) { told <- err })
		<-g.in
		g.out <- struct{}{}
		if err := <-told; !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	flags := func() (out []Flag) {
		for _, p := range pointsOf(t, db, "sal-1", "salinity") {
			out = append(out, p.Flag)
		}
		return out
	}
	write(nil, ob(now-9000, 1), ob(now-8000, 1))
	write(ErrNoSpace, ob(now-7000, 9), ob(now-6000, 9))
	write(nil, ob(now-7000, 1), ob(now-6000, 9)) // the 9s that were not kept are no past of it
	write(nil, ob(now-8500, 50))                 // late: only the range, here the catalogue's
	if got := flags(); !slices.Equal(got, []Flag{1, 4, 1, 1, 3}) {
		t.Errorf("flags %v", got)
	}
	limits = nil
	in.LimitsChanged()
	write(nil, ob(now-5000, 30))
	if got := flags(); got[len(got)-1] != Pass {
		t.Errorf("flags %v after the limits went", got)
	}
}

// TestShuffledThrice: each message three times, shuffled over ten minutes of event
// time, is the plain series.
func TestShuffledThrice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	type message struct {
		obs   []Observation
		place int64
	}
	var plain []Observation
	var sent []message
	for i := range int64(900) {
		obs := []Observation{ob(now-3600_000+i*2000, float64(rng.IntN(3000))/100), ob(now-3600_000+i*2000+500, float64(i))}
		plain = append(plain, obs...)
		for range 3 {
			sent = append(sent, message{obs, i*2000 + rng.Int64N(600_000)})
		}
	}
	slices.SortFunc(sent, func(a, b message) int { return int(a.place - b.place) })
	r := at(t, t.TempDir(), nil)
	for _, m := range sent {
		r.write(t, slices.Clone(m.obs)...)
	}
	got := r.points(t, "sal-1", "salinity")
	if len(got) != len(plain) {
		t.Fatalf("%d points, want %d", len(got), len(plain))
	}
	for i, p := range got {
		if p.At != plain[i].At || p.Value != plain[i].Value {
			t.Fatalf("point %d: %+v, want %+v", i, p, plain[i])
		}
	}
	if c := r.counts(t); c["stored"] != len(plain) || c["duplicate"] != 2*len(plain) || c["revised"] != 0 {
		t.Errorf("counted %v", c)
	}
	if o, _ := r.latest.Get("sal-1", "salinity"); o.At != plain[len(plain)-1].At {
		t.Errorf("latest %+v", o)
	}
}
