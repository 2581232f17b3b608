package alerts

import (
	"slices"
	"strings"
	"testing"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
)

// step is something that happens at a second, and the events it makes.
type step struct {
	at   float64
	do   func(w *world)
	want string
}

func v(x float64) func(*world) { return func(w *world) { w.salinity("s1", x) } }

// old is a value of an earlier phenomenon time, s seconds after t0.
func old(x, s float64) func(*world) {
	return func(w *world) {
		w.observe(telemetry.Observation{Device: "s1", Metric: "salinity", At: t0.UnixMilli() + int64(s*1000), Value: x})
	}
}

func flagged(x float64, f telemetry.Flag) func(*world) {
	return func(w *world) {
		w.observe(telemetry.Observation{Device: "s1", Metric: "salinity", At: w.now().UnixMilli(), Value: x, Flag: f})
	}
}

func tick(w *world) { w.Tick(w.now()) }

// several are observations of one commit.
func several(fs ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range fs {
			f(w)
		}
	}
}

// ack acknowledges the one open alarm, or the newest closed.
func ack(w *world) {
	w.t.Helper()
	as, _, err := w.Alarms(w.t.Context(), Filter{States: states})
	if err != nil || len(as) == 0 {
		w.t.Fatalf("no alarm to acknowledge: %v", err)
	}
	a, err := w.Ack(w.t.Context(), as[0].ID, "lan", "đã thấy")
	if err != nil {
		w.t.Fatal(err)
	}
	if again, _ := w.Alarm(w.t.Context(), a.ID); again.State != a.State {
		w.t.Errorf("ack answered %s, the alarm is %s", a.State, again.State)
	}
}

func with4(f func(r *Rule)) func(*world) {
	return func(w *world) {
		w.t.Helper()
		r := fourGrams()
		f(&r)
		if _, ok := w.Rule(r.ID); !ok {
			w.create(r)
		} else if _, err := w.UpdateRule(w.t.Context(), r); err != nil {
			w.t.Fatal(err)
		}
	}
}

func same(*Rule) {}

func TestJudging(t *testing.T) {
	with := func(on, off int) func(r *Rule) {
		return func(r *Rule) { r.On.ForS, r.Off.ForS = on, off }
	}
	const raised, returned, closed = "raised:active", "returned:returned", "closed:closed"
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"above is strict", []step{{0, with4(same), ""}, {1, v(4), ""}, {2, v(4.01), raised}}},
		{"off is strict", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, v(3.5), ""}, {3, v(3.49), returned}}},
		{"below", []step{
			{0, with4(func(r *Rule) { r.On, r.Off = below(1, 0), above(2, 0) }), ""},
			{1, v(1), ""}, {2, v(0.9), raised}, {3, v(2), ""}, {4, v(2.1), returned}}},
		{"nothing between the limits", []step{{0, with4(same), ""}, {1, v(3.8), ""}, {2, v(5), raised}, {3, v(3.8), ""}, {4, v(5), ""}}},

		{"acknowledged, then back", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, ack, "acknowledged:acknowledged"}, {3, v(3), closed}}},
		{"back, then acknowledged", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, v(3), returned}, {3, ack, closed}}},
		{"back and again", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, v(3), returned}, {3, v(6), raised},
			{4, v(3), returned}, {5, v(5), raised}, {6, ack, "acknowledged:acknowledged"}, {7, v(3), closed}}},
		{"a second ack", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, ack, "acknowledged:acknowledged"}, {3, ack, ""}, {4, v(3), closed}, {5, ack, ""}}},
		{"another episode", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, v(3), returned}, {3, ack, closed}, {4, v(5), raised}}},

		{"on delay by values", []step{{0, with4(with(60, 0)), ""}, {1, v(5), ""}, {31, v(5), ""}, {60.9, v(5), ""}, {61, v(5), raised}}},
		{"on delay begins anew", []step{{0, with4(with(60, 0)), ""}, {1, v(5), ""}, {31, v(4), ""}, {32, v(5), ""}, {62, v(5), ""}, {92, v(5), raised}}},
		{"on delay by the clock", []step{{0, with4(with(60, 0)), ""}, {1, v(5), ""}, {60, tick, ""}, {61, tick, raised}, {62, tick, ""}}},
		{"no delay by the clock after a contrary value", []step{{0, with4(with(60, 0)), ""}, {1, v(5), ""}, {30, v(4), ""}, {61, tick, ""}, {100, tick, ""}}},
		{"a silent device proves nothing", []step{{0, with4(with(600, 0)), ""}, {1, v(5), ""}, {182, tick, ""}, {601, tick, ""}, {602, v(5), raised}}},
		{"off delay by values", []step{{0, with4(with(0, 60)), ""}, {1, v(5), raised}, {2, v(3), ""}, {61, v(3), ""}, {62, v(3), returned}}},
		{"off delay begins anew", []step{{0, with4(with(0, 60)), ""}, {1, v(5), raised}, {2, v(3), ""}, {30, v(3.7), ""}, {31, v(3), ""}, {62, v(3), ""}, {91, v(3), returned}}},
		{"off delay by the clock", []step{{0, with4(with(0, 60)), ""}, {1, v(5), raised}, {2, v(3), ""}, {61, tick, ""}, {62, tick, returned}}},
		{"silence ends no alarm", []step{{0, with4(with(0, 600)), ""}, {1, v(5), raised}, {2, v(3), ""}, {602, tick, ""}, {603, v(3), returned}}},
		{"a delay in one commit", []step{{0, with4(with(60, 0)), ""}, {100, several(old(5, 30), old(5, 95)), raised}}},
		{"up and down in one commit", []step{{0, with4(same), ""}, {100, several(old(5, 98), old(3, 99)), raised + " " + returned}}},

		{"late values raise nothing", []step{{0, with4(same), ""}, {10, v(3), ""}, {11, old(9, 9.999), ""}, {12, old(9, 10), raised}}},
		{"late values end nothing", []step{{0, with4(same), ""}, {10, v(5), raised}, {11, old(1, 9), ""}}},
		{"late behind a value that is not judged", []step{{0, with4(same), ""}, {10, flagged(3, telemetry.Fail), ""}, {11, old(9, 9), ""}}},
		{"a revision takes back", []step{{0, with4(with(60, 0)), ""}, {1, v(5), ""}, {2, old(3, 1), ""}, {61, tick, ""}}},
		{"too old when it comes", []step{{0, with4(same), ""}, {600, old(5, 419), ""}, {601, tick, ""}, {602, old(5, 423), raised}}},
		{"an old value still ends an alarm", []step{{0, with4(same), ""}, {1, v(5), raised}, {600, old(3, 300), returned}}},
		{"a clock ahead", []step{{0, with4(with(60, 0)), ""}, {0, old(5, 240), ""}, {61, tick, ""}, {62, old(5, 300), raised}}},

		{"flags that are not judged", []step{{0, with4(same), ""}, {1, flagged(9, telemetry.Suspect), ""}, {2, flagged(9, telemetry.Fail), ""},
			{3, flagged(9, telemetry.Missing), ""}, {4, flagged(9, telemetry.NotEvaluated), raised}, {5, flagged(1, telemetry.Fail), ""}}},
		{"flags that a rule names", []step{{0, with4(func(r *Rule) { r.Flags = Flags{telemetry.Suspect} }), ""},
			{1, v(9), ""}, {2, flagged(9, telemetry.Suspect), raised}}},

		{"a new rule judges Latest", []step{{0, v(5), ""}, {1, with4(same), raised}}},
		{"and its delay runs from there", []step{{0, v(5), ""}, {1, with4(with(60, 0)), ""}, {60, tick, raised}}},
		{"unless stale", []step{{0, v(5), ""}, {181, with4(same), ""}, {182, tick, ""}}},
		{"or of a flag not judged", []step{{0, flagged(5, telemetry.Fail), ""}, {1, with4(same), ""}}},

		{"a higher limit", []step{{0, with4(same), ""}, {1, v(5), raised},
			{2, with4(func(r *Rule) { r.On, r.Off = above(8, 0), below(6, 0) }), returned}, {3, v(7), ""}, {4, v(9), raised}}},
		{"a limit between", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, with4(func(r *Rule) { r.On = above(6, 0) }), ""}, {3, v(3), returned}}},
		{"a lower limit", []step{{0, with4(same), ""}, {1, v(3.8), ""}, {2, with4(func(r *Rule) { r.On = above(3.6, 0) }), raised}}},
		{"back to the old limit: the same value, another episode", []step{{0, with4(same), ""}, {1, v(5), raised},
			{2, with4(func(r *Rule) { r.On, r.Off = above(8, 0), below(6, 0) }), returned}, {3, ack, closed}, {4, with4(same), raised}}},
		{"another metric", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, with4(func(r *Rule) { r.Metric = "level" }), returned}, {3, v(9), ""}}},
		{"out of the new scope", []step{{0, with4(same), ""}, {1, v(5), raised}, {2, ack, "acknowledged:acknowledged"},
			{3, with4(func(r *Rule) { r.Scope.Devices = []devices.ID{"s2"} }), closed}, {4, v(9), ""}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "s1", "s2")
			for i, st := range tc.steps {
				w.to(st.at)
				st.do(w)
				w.settle()
				if got := words(w.takeEvents()); got != st.want {
					t.Fatalf("step %d at %v s: %q, want %q", i, st.at, got, st.want)
				}
			}
			w.checkJournal()
		})
	}
}

// A device whose interval is a second may lag behind our clock by more than three.
func TestClockLag(t *testing.T) {
	w := newWorld(t)
	w.add(devices.Device{ID: "s1", Metrics: []devices.Expected{{Metric: "salinity", EveryS: 1}}})
	w.create(fourGrams())
	w.to(100)
	old(5, 30)(w)
	w.settle()
	if got := words(w.takeEvents()); got != "" {
		t.Errorf("70 s behind: %q", got)
	}
	old(5, 50)(w)
	w.settle()
	if got := words(w.takeEvents()); got != "raised:active" {
		t.Errorf("50 s behind: %q", got)
	}
}

func TestScope(t *testing.T) {
	const square = `{"type":"FeatureCollection","features":[{"type":"Feature","id":"zone-a","properties":{"name":"A"},"geometry":{"type":"Polygon","coordinates":[[[106,10],[107,10],[107,11],[106,11],[106,10]]]}}]}`
	w := newWorld(t)
	if n, refused, err := w.map_.PutZones(t.Context(), strings.NewReader(square)); n != 1 || err != nil {
		t.Fatal(n, refused, err)
	}
	inside, outside := pos(106.5, 10.5), pos(105, 10.5)
	every := []devices.Expected{{Metric: "salinity", EveryS: 60}}
	w.add(devices.Device{ID: "in-sluice", Position: inside, Tags: []string{"sluice"}, Metrics: every, Agency: "Chi cục Thủy lợi"})
	w.add(devices.Device{ID: "out-sluice", Position: outside, Tags: []string{"sluice", "old"}, Metrics: every})
	w.add(devices.Device{ID: "in-ap", Kind: devices.AccessPoint, Position: inside, Metrics: every})
	w.add(devices.Device{ID: "nowhere", Tags: []string{"old"}, Metrics: every})
	all := []string{"in-ap", "in-sluice", "nowhere", "out-sluice"}
	cases := map[string]struct {
		scope Scope
		want  []string
	}{
		"all":         {Scope{}, all},
		"devices":     {Scope{Devices: []devices.ID{"nowhere", "in-ap", "unknown"}}, []string{"in-ap", "nowhere"}},
		"kinds":       {Scope{Kinds: []devices.Kind{devices.AccessPoint, devices.Gateway}}, []string{"in-ap"}},
		"zones":       {Scope{Zones: []string{"zone-a", "unknown"}}, []string{"in-ap", "in-sluice"}},
		"tags":        {Scope{Tags: []string{"old", "sluice"}}, []string{"in-sluice", "nowhere", "out-sluice"}},
		"fields AND":  {Scope{Zones: []string{"zone-a"}, Tags: []string{"sluice"}}, []string{"in-sluice"}},
		"nothing":     {Scope{Zones: []string{"unknown"}}, nil},
		"all at once": {Scope{Devices: []devices.ID{"in-ap"}, Kinds: []devices.Kind{devices.Station}}, nil},
	}
	for name, tc := range cases {
		r := fourGrams()
		r.ID, r.Scope = strings.ReplaceAll(name, " ", "-"), tc.scope
		w.create(r)
	}
	w.to(1)
	for _, id := range append(all, "not-registered") {
		w.salinity(id, 5)
	}
	w.settle()
	raisedBy := func() map[string][]string {
		out := map[string][]string{}
		_, open := w.Snapshot()
		for _, a := range open {
			if a.State == Active {
				out[a.Rule] = append(out[a.Rule], string(a.Subject))
			}
		}
		for _, s := range out {
			slices.Sort(s)
		}
		return out
	}
	got := raisedBy()
	for name, tc := range cases {
		if g := got[strings.ReplaceAll(name, " ", "-")]; strings.Join(g, " ") != strings.Join(tc.want, " ") {
			t.Errorf("%s: %v, want %v", name, g, tc.want)
		}
	}
	in, _, err := w.Alarms(t.Context(), Filter{Zone: "zone-a", Priorities: []Priority{High}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range in {
		if a.Position == nil || *a.Position != *inside || a.Subject == "in-sluice" && a.Agency != "Chi cục Thủy lợi" {
			t.Errorf("in the zone: %+v", a)
		}
	}
	if len(in) != 8 { // in-ap of all, devices, kinds, zones; in-sluice of all, zones, tags, fields AND
		t.Errorf("%d alarms in the zone", len(in))
	}

	// The device moves out, another gets the tag, a third is deleted, the zone goes.
	change := func(id string, f func(d *devices.Device)) {
		d, _ := w.reg.Get(devices.ID(id))
		f(&d)
		if _, err := w.reg.Update(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		w.DeviceChanged(d.ID)
	}
	w.to(2)
	change("in-sluice", func(d *devices.Device) { d.Position = outside })
	change("in-ap", func(d *devices.Device) { d.Tags = []string{"sluice"} })
	w.settle()
	got = raisedBy()
	for name, want := range map[string]string{"zones": "in-ap", "fields-AND": "in-ap", "tags": "in-ap in-sluice nowhere out-sluice"} {
		if g := strings.Join(got[name], " "); g != want {
			t.Errorf("after a move: %s: %q, want %q", name, g, want)
		}
	}
	if err := w.reg.Delete(t.Context(), "nowhere"); err != nil {
		t.Fatal(err)
	}
	w.DeviceChanged("nowhere")
	if _, err := w.map_.DeleteZone(t.Context(), "zone-a"); err != nil {
		t.Fatal(err)
	}
	w.Rescope()
	w.settle()
	got = raisedBy()
	for name, want := range map[string]string{"zones": "", "fields-AND": "", "all": "in-ap in-sluice out-sluice", "devices": "in-ap"} {
		if g := strings.Join(got[name], " "); g != want {
			t.Errorf("after deletions: %s: %q, want %q", name, g, want)
		}
	}
	// The deleted device is registered again: its last value is judged, since it is fresh.
	w.takeEvents()
	w.add(devices.Device{ID: "nowhere", Metrics: every})
	w.DeviceChanged("nowhere")
	w.settle()
	if g := strings.Join(raisedBy()["all"], " "); g != "in-ap in-sluice nowhere out-sluice" {
		t.Errorf("after it came back: %q", g)
	}
	w.checkJournal()
}

func pos(lon, lat float64) *geo.Point { return &geo.Point{Lon: lon, Lat: lat} }
