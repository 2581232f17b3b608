package alerts

import (
	"fmt"
	"strings"
	"testing"

	"cuulong/devices"
	"cuulong/telemetry"
)

// province has 200 rules, 20 for each of 10 metrics, over n devices: each rule
// judges a tenth of them, by tag.
func province(b testing.TB, n int) *world {
	b.Helper()
	w := newWorld(b)
	// The registry makes one device a commit; here they are written at once.
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf(`('d%d','d','station','',0,0,'["t%d"]','[]','{}',0,'%064d')`, i, i%10, 0))
	}
	w.exec(`INSERT INTO devices (id, name, kind, agency, public, maintenance, tags, metrics, attributes, created, secret) VALUES ` + strings.Join(rows, ","))
	w.restart()
	for i := range 200 {
		r := fourGrams()
		r.ID, r.Metric, r.Scope.Tags = fmt.Sprint("r", i), fmt.Sprint("m", i%10), []string{fmt.Sprint("t", i/20)}
		r.On, r.Off = above(100+float64(i), 0), below(90, 0)
		w.create(r)
	}
	return w
}

// BenchmarkObserve judges one observation of one of 20,000 devices under 200
// rules; "every rule" is the reference: the same rules asked one by one.
func BenchmarkObserve(b *testing.B) {
	const n = 20_000
	w := province(b, n)
	obs := make([]telemetry.Observation, 0, n)
	for i := range n {
		obs = append(obs, telemetry.Observation{Device: devices.ID(fmt.Sprint("d", i)), Metric: fmt.Sprint("m", i%10), At: 1, Seen: 1, Value: 50, Flag: telemetry.Pass})
	}
	rec := telemetry.Record{Observations: obs}
	w.Observe(&rec)
	b.Run("indexed", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			rec.Observations = obs[i%n : i%n+1]
			rec.Observations[0].At++
			w.Observe(&rec)
		}
	})
	b.Run("every rule", func(b *testing.B) {
		rules := w.Rules()
		held := 0
		for i := 0; b.Loop(); i++ {
			o := &obs[i%n]
			d, _ := w.reg.Get(o.Device)
			for _, r := range rules {
				if r.Metric == o.Metric && r.Scope.Tags[0] == d.Tags[0] && r.On.holds(o.Value) {
					held++
				}
			}
		}
		if held > 0 {
			b.Error("a rule held")
		}
	})
	b.Run("rescope all", func(b *testing.B) {
		for b.Loop() {
			w.Rescope()
			w.rescope()
		}
	})
}

// BenchmarkCommit is a thousand alarms raised in one transaction, per alarm.
func BenchmarkCommit(b *testing.B) {
	w := newWorld(b, "s1")
	r := compile(w.create(fourGrams()))
	i := 0
	for b.Loop() {
		for range 1000 {
			i++
			w.judges.pending = append(w.judges.pending, transition{rule: r, subject: devices.ID(fmt.Sprint("s", i)), raised: true, started: 1})
		}
		w.settle()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(i), "ns/alarm")
}

// Judging a value that changes nothing costs no memory.
func TestObserveDoesNotAllocate(t *testing.T) {
	w := newWorld(t, "s1")
	w.create(fourGrams())
	rec := telemetry.Record{Observations: []telemetry.Observation{{Device: "s1", Metric: "salinity", Seen: t0.UnixMilli(), Value: 2, Flag: telemetry.Pass}}}
	if n := testing.AllocsPerRun(100, func() { rec.Observations[0].At++; w.Observe(&rec) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
