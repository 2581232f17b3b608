package alerts

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

// running runs f in a bubble of its own time beside an engine that runs.
func running(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "s1")
		w.Engine.now = time.Now
		w.clock = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		f(t, w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		w.checkJournal()
		w.db.Close()
	})
}

// bubble observes a value at the bubble's time.
func (w *world) bubble(v float64) {
	now := time.Now().UnixMilli()
	w.observe(telemetry.Observation{Device: "s1", Metric: "salinity", At: now, Seen: now, Value: v})
}

func TestRunCommitsAtOnce(t *testing.T) {
	running(t, func(t *testing.T, w *world) {
		w.create(fourGrams())
		before := time.Now()
		w.bubble(5)
		synctest.Wait()
		if got := words(w.takeEvents()); got != "raised:active" {
			t.Errorf("%q", got)
		}
		if d := time.Since(before); d != 0 {
			t.Errorf("a timer had to pass: %v", d)
		}
	})
}

func TestRunTicks(t *testing.T) {
	running(t, func(t *testing.T, w *world) {
		r := fourGrams()
		r.On.ForS = 30
		w.create(r)
		w.bubble(5)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if got := words(w.takeEvents()); got != "" {
			t.Errorf("after 29 s: %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := words(w.takeEvents()); got != "raised:active" {
			t.Errorf("after 31 s: %q", got)
		}
	})
}

func TestRunRetries(t *testing.T) {
	running(t, func(t *testing.T, w *world) {
		w.create(fourGrams())
		relent := w.refuse()
		w.bubble(5)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := words(w.takeEvents()); got != "" {
			t.Errorf("while the database fails: %q", got)
		}
		relent()
		time.Sleep(lastRetry + time.Second)
		synctest.Wait()
		if got := words(w.takeEvents()); got != "raised:active" {
			t.Errorf("afterwards: %q", got)
		}
		time.Sleep(time.Second)
		w.bubble(3)
		synctest.Wait()
		if got := words(w.takeEvents()); got != "returned:returned" {
			t.Errorf("and at once again: %q", got)
		}
	})
}

func TestRunCommitsWhatIsPendingWhenItEnds(t *testing.T) {
	w := newWorld(t, "s1")
	w.create(fourGrams())
	w.salinity("s1", 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := words(w.takeEvents()); got != "raised:active" {
		t.Errorf("%q", got)
	}
	w.refuse()
	w.to(1)
	w.salinity("s1", 3)
	if err := w.Run(ctx); err == nil {
		t.Error("what was lost was not told")
	}
}

func TestRunRescopes(t *testing.T) {
	running(t, func(t *testing.T, w *world) {
		r := fourGrams()
		r.Scope.Tags = []string{"cống"}
		w.create(r)
		w.bubble(5)
		d, _ := w.reg.Get("s1")
		d.Tags = r.Scope.Tags
		if _, err := w.reg.Update(t.Context(), d); err != nil {
			t.Error(err)
		}
		w.DeviceChanged("s1")
		synctest.Wait()
		if got := words(w.takeEvents()); got != "raised:active" {
			t.Errorf("%q", got)
		}
	})
}

// All at once, for the race detector; the journal must still be lawful and told in order.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	const n = 8
	for i := range n {
		w.add(devices.Device{ID: devices.ID(fmt.Sprint("s", i)), Metrics: []devices.Expected{{Metric: "salinity", EveryS: 3600}}})
	}
	w.create(fourGrams())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()

	var wg sync.WaitGroup
	wg.Go(func() { // the committer of Ingest
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			at := t0.UnixMilli() + int64(i)
			w.Observe(&telemetry.Record{Observations: []telemetry.Observation{{Device: devices.ID(fmt.Sprint("s", rnd.IntN(n))), Metric: "salinity",
				At: at, Seen: at, Value: rnd.Float64() * 8, Flag: telemetry.Pass}}})
			if i%100 == 0 {
				w.Tick(t0.Add(time.Duration(i) * time.Millisecond))
			}
		}
	})
	for _, who := range []string{"lan", "ba"} {
		wg.Go(func() {
			for range 100 {
				_, open := w.Snapshot()
				for _, a := range open[:min(3, len(open))] {
					if _, err := w.Ack(t.Context(), a.ID, who, ""); err != nil {
						t.Errorf("ack: %v", err)
					}
				}
				if _, _, err := w.Alarms(t.Context(), Filter{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			r := fourGrams()
			r.ID, r.Priority = "passing", Low
			r.On = above(float64(i%5), 0)
			r.Off = below(float64(i%5), 0)
			if _, err := w.CreateRule(t.Context(), r); err != nil {
				t.Error(err)
			}
			r.On, r.Off = above(6, 0), below(5, 0)
			if _, err := w.UpdateRule(t.Context(), r); err != nil {
				t.Error(err)
			}
			w.DeviceChanged("s1")
			w.Rescope()
			if err := w.DeleteRule(t.Context(), "passing", "lan"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, e := range w.takeEvents() {
		if e.Seq != uint64(i)+1 {
			t.Fatalf("told seq %d as number %d", e.Seq, i+1)
		}
	}
	if seq, _ := w.Snapshot(); seq < 100 {
		t.Errorf("only %d events: this test hardly tried", seq)
	}
	w.checkJournal()
}
