package ui

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/ui/access"
)

func TestStateWithoutGapOrRepeat(t *testing.T) {
	w := newWorld(t)
	const stations, metrics = 40, 50 // several pages of a snapshot
	for i := range stations {
		w.station(fmt.Sprintf("s%02d", i), 106+float64(i)/100, 10)
	}
	h := w.s.hub
	mark := func(round int) {
		var obs []telemetry.Observation
		for i := range stations {
			for m := range metrics {
				if (i+m+round)%3 == 0 || round == 0 {
					obs = append(obs, telemetry.Observation{Device: devices.ID(fmt.Sprintf("s%02d", i)), Metric: fmt.Sprintf("m%02d", m),
						At: int64(1_700_000_000_000 + round), Value: float64(round) / 7, Flag: telemetry.Pass})
				}
			}
		}
		h.Mark(obs)
	}
	mark(0)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		for round := 1; ; round++ {
			select {
			case <-stop:
				return
			default:
				mark(round)
			}
		}
	})
	p := w.tokenOf(access.Viewer)
	var listeners, busy sync.WaitGroup
	busy.Add(4)
	for n := range 4 {
		l := p.listen()
		listeners.Go(func() {
			m := &mirror{t: t}
			l.say(map[string]any{"op": "sub", "id": "a", "topic": "telemetry", "hz": 4})
			l.snapshot(m)
			if len(m.rows) > stations*metrics {
				t.Errorf("%d rows", len(m.rows))
			}
			for range 3 + n {
				m.apply(l.want("d"), false)
			}
			busy.Done()
			<-stop
			l.until(m, func() map[string]string { return truth(h, &h.telemetry, nil) })
		})
	}
	busy.Wait() // all are in the midst of it
	close(stop)
	listeners.Wait()
	writers.Wait()
}

func TestResumeOfStates(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	w.station("b", 107, 10)
	at := int64(1_700_000_000_000)
	mark := func(id string, v float64) {
		at++
		w.s.Mark([]telemetry.Observation{{Device: devices.ID(id), Metric: "salinity", At: at, Value: v, Flag: 1}})
	}
	mark("a", 1)
	mark("b", 1)
	p := w.tokenOf(access.Viewer)
	m := &mirror{t: t}
	l := p.listen()
	l.say(`{"op":"sub","id":"x","topic":"telemetry"}`)
	l.snapshot(m)
	if len(m.rows) != 2 {
		t.Fatal(m.rows)
	}
	l.conn.Close()

	mark("b", 2.5)
	l = p.listen()
	l.say(map[string]any{"op": "sub", "id": "x", "topic": "telemetry", "from": map[string]any{"ep": m.ep, "seq": m.seq}})
	f := l.want("d")
	if len(f.Set) != 1 || string(f.Set[0]) != fmt.Sprintf(`["b/salinity",%d,2.5,1]`, at) {
		t.Fatalf("resumed with %s", f.Set)
	}
	m.apply(f, false)
	l.conn.Close()

	// A device deleted while away is told, one registered again is not lost.
	if err := w.registry.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	l = p.listen()
	l.say(map[string]any{"op": "sub", "id": "x", "topic": "telemetry", "from": map[string]any{"ep": m.ep, "seq": m.seq}})
	f = l.want("d")
	if !slices.Equal(f.Del, []string{"a/salinity"}) {
		t.Fatalf("%+v", f)
	}
	m.apply(f, false)
	w.station("a", 106, 10)
	mark("a", 9)
	m.apply(l.want("d"), false)
	if !maps.Equal(m.rows, truth(w.s.hub, &w.s.hub.telemetry, nil)) {
		t.Fatal(m.rows)
	}

	// Another epoch, and a seq of the future.
	for id, from := range map[string]map[string]any{"e": {"ep": "another", "seq": 1}, "s": {"ep": m.ep, "seq": 1 << 40}} {
		l.say(map[string]any{"op": "sub", "id": id, "topic": "telemetry", "from": from})
		if f := l.want("resync"); f.ID != id || f.Why == "" {
			t.Fatalf("%+v", f)
		}
		if f := l.want("snap"); len(f.D) != 2 || f.EP != m.ep || f.More {
			t.Fatalf("%+v", f)
		}
	}
}

func TestView(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.station(fmt.Sprintf("s%d", i), 106+float64(i)/10, 10)
		w.s.Mark([]telemetry.Observation{{Device: devices.ID(fmt.Sprintf("s%d", i)), Metric: "level", At: 1_700_000_000_000, Value: 1, Flag: 1}})
	}
	h := w.s.hub
	l := w.tokenOf(access.Viewer).listen()
	m := &mirror{t: t}
	l.say(`{"op":"sub","id":"v","topic":"telemetry","bbox":[106.0,9,106.35,11]}`)
	l.snapshot(m)
	box := &geo.Box{W: 106, S: 9, E: 106.35, N: 11}
	if len(m.rows) != 4 || !maps.Equal(m.rows, truth(h, &h.telemetry, box)) {
		t.Fatal(m.rows)
	}
	box = &geo.Box{W: 106.15, S: 9, E: 106.55, N: 11}
	l.say(`{"op":"view","id":"v","bbox":[106.15,9,106.55,11]}`)
	f := l.want("d")
	if len(f.Set) != 2 || len(f.Del) != 2 {
		t.Fatalf("what stays in sight is told again: %+v", f)
	}
	m.apply(f, false)
	if !maps.Equal(m.rows, truth(h, &h.telemetry, box)) {
		t.Fatal(m.rows)
	}
	// Outside the box: silence. A device that moves in: told; out: deleted.
	w.s.Mark([]telemetry.Observation{{Device: "s9", Metric: "level", At: 1_700_000_000_001, Value: 2, Flag: 1}})
	move := func(id string, lon float64) {
		d, _ := w.registry.Get(devices.ID(id))
		d.Position = &geo.Point{Lon: lon, Lat: 10}
		if _, err := w.registry.Update(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	move("s9", 106.5)
	f = l.want("d")
	if len(f.Set) != 1 || len(f.Del) != 0 {
		t.Fatalf("%+v", f)
	}
	m.apply(f, false)
	move("s9", 120)
	f = l.want("d")
	if len(f.Set) != 0 || !slices.Equal(f.Del, []string{"s9/level"}) {
		t.Fatalf("%+v", f)
	}
	m.apply(f, false)
	l.say(`{"op":"unsub","id":"v"}`)
	w.s.Mark([]telemetry.Observation{{Device: "s3", Metric: "level", At: 1_700_000_000_009, Value: 3, Flag: 1}})
	l.quiet()
}

func TestDeviceStates(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	l := w.tokenOf(access.Viewer).listen()
	m := &mirror{t: t}
	l.say(`{"op":"sub","id":"d","topic":"devices"}`)
	l.snapshot(m)
	if m.rows["a"] != `["a",0,"never",1]` {
		t.Fatal(m.rows)
	}
	now := time.Now()
	w.registry.Heard("a", now)
	w.s.Mark([]telemetry.Observation{{Device: "a", Metric: "salinity", At: now.UnixMilli(), Value: 1, Flag: 1}})
	m.apply(l.want("d"), false)
	if want := fmt.Sprintf(`["a",%d,"online",1]`, now.UnixMilli()); m.rows["a"] != want {
		t.Fatal(m.rows, want)
	}
	w.s.hub.sweep(now.Add(3 * time.Hour)) // a promise every 15 minutes, and three of them missed
	m.apply(l.want("d"), false)
	if !strings.Contains(m.rows["a"], `"silent"`) {
		t.Fatal(m.rows)
	}
	if err := w.registry.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for len(m.rows) > 0 { // the sweeper may have found it online again before
		f := l.want("d")
		m.apply(f, false)
	}
}

// rule makes a rule on salinity over 4, off under 3.
func (w *world) rule(id string) {
	w.t.Helper()
	on, off := 4.0, 3.0
	if _, err := w.alerts.CreateRule(context.Background(), alerts.Rule{ID: id, Title: "Mặn vượt 4 g/l", Metric: "salinity", Priority: alerts.High,
		On: alerts.Limit{Above: &on}, Off: alerts.Limit{Below: &off}}); err != nil {
		w.t.Fatal(err)
	}
}

func TestAlarmsResumeFromTheJournal(t *testing.T) {
	dir := t.TempDir()
	var ep string
	var seq uint64
	var types []string
	t.Run("before", func(t *testing.T) {
		w := openWorld(t, dir)
		w.station("a", 106, 10)
		w.rule("man")
		l := w.tokenOf(access.Viewer).listen()
		l.say(`{"op":"sub","id":"x","topic":"alarms","hz":4}`)
		f := l.want("snap")
		if f.EP == "" || len(f.D) != 0 || f.More {
			t.Fatalf("%+v", f)
		}
		ep = f.EP
		w.observe(telemetry.Observation{Device: "a", Metric: "salinity", At: time.Now().UnixMilli() - 1000, Value: 5, Flag: 1})
		f = l.want("ev")
		if f.E.Type != "raised" || f.E.Alarm.Subject != "a" || f.E.Alarm.Threshold != 4 || f.E.Actor == "" {
			t.Fatalf("%+v", f.E)
		}
		seq = f.Seq
		l.conn.Close()
		for i := range 150 { // more than one page of the journal, none of them heard
			if _, err := w.alerts.Comment(t.Context(), f.E.Alarm.ID, "trực ca", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.alerts.Ack(t.Context(), f.E.Alarm.ID, "trực ca", "đã xem"); err != nil {
			t.Fatal(err)
		}
	})
	w := openWorld(t, dir)
	l := w.tokenOf(access.Viewer).listen()
	l.say(map[string]any{"op": "sub", "id": "x", "topic": "alarms", "from": map[string]any{"ep": ep, "seq": seq}})
	for i := range 151 {
		f := l.want("ev")
		if f.Seq <= seq {
			t.Fatalf("seq %d after %d", f.Seq, seq)
		}
		seq = f.Seq
		types = append(types, f.E.Type)
		if i < 150 && f.E.Comment != fmt.Sprint(i) {
			t.Fatalf("event %d: %+v", i, f.E)
		}
	}
	if types[150] != "acknowledged" {
		t.Fatal(types)
	}
	// Followed by what happens now, without repeat.
	w.observe(telemetry.Observation{Device: "a", Metric: "salinity", At: time.Now().UnixMilli(), Value: 1, Flag: 1})
	if f := l.want("ev"); f.Seq != seq+1 || f.E.Type != "closed" {
		t.Fatalf("%+v", f)
	}
	// Another epoch: resync and a fresh snapshot.
	l.say(`{"op":"sub","id":"y","topic":"alarms","from":{"ep":"other","seq":1}}`)
	l.want("resync")
	if f := l.want("snap"); f.Seq != seq+1 || len(f.D) != 0 {
		t.Fatalf("%+v", f)
	}
	// A seq that this journal never reached.
	l.say(map[string]any{"op": "sub", "id": "z", "topic": "alarms", "from": map[string]any{"ep": ep, "seq": seq + 100}})
	l.want("resync")
	l.want("snap")
}

func TestJournalMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	w.rule("man")
	j := w.s.hub.journal
	j.keep = 20
	w.observe(telemetry.Observation{Device: "a", Metric: "salinity", At: time.Now().UnixMilli() - 1000, Value: 5, Flag: 1})
	l := w.tokenOf(access.Viewer).listen()
	l.say(`{"op":"sub","id":"x","topic":"alarms","from":{"ep":"` + j.ep + `","seq":0}}`)
	f := l.want("ev")
	var want []uint64
	const n = 200
	for i := range n {
		if _, err := w.alerts.Comment(t.Context(), f.E.Alarm.ID, "ai", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		want = append(want, f.Seq+uint64(i)+1)
	}
	j.mu.Lock()
	kept := len(j.recent)
	j.mu.Unlock()
	if kept > 2*j.keep {
		t.Fatalf("%d events in memory", kept)
	}
	// Another one who begins at the very start gets all of them, the old from the engine.
	late := w.tokenOf(access.Viewer).listen()
	late.say(map[string]any{"op": "sub", "id": "x", "topic": "alarms", "from": map[string]any{"ep": j.ep, "seq": f.Seq}})
	for _, who := range []*listener{l, late} {
		for _, seq := range want {
			if f := who.want("ev"); f.Seq != seq {
				t.Fatalf("seq %d, want %d", f.Seq, seq)
			}
		}
	}
}

func TestHeartbeatAndRenderLag(t *testing.T) {
	w := newWorld(t)
	w.station("a", 106, 10)
	l := w.tokenOf(access.Viewer).listen()
	l.say(`{"op":"sub","id":"x","topic":"telemetry"}`)
	l.want("snap")
	w.s.Mark([]telemetry.Observation{{Device: "a", Metric: "level", At: 1_700_000_000_000, Value: 1, Flag: 1}})
	seq := l.want("d").Seq
	l.say(map[string]any{"op": "seen", "id": "x", "seq": seq})
	for {
		f, err := l.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Op == "hb" {
			if f.TS == 0 || f.WM["telemetry"] != seq || len(f.WM) != 4 {
				t.Fatalf("%+v", f)
			}
			break
		}
	}
	// The heartbeat came after seen was read.
	if n := testutil.CollectAndCount(w.s.meters.render); n != 1 {
		t.Fatal(n)
	}
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ioc_live_render_seconds" && f.GetMetric()[0].GetHistogram().GetSampleCount() != 1 {
			t.Fatal("render lag not measured")
		}
	}
}
