package tsdb

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cuulong/devices"
	"cuulong/telemetry"
)

// model is what the engine ought to hold: the plainest of stores.
type model map[name]map[int64]telemetry.Observation

func (m model) apply(obs []telemetry.Observation) {
	for _, o := range obs {
		of := name{o.Device, o.Metric}
		if m[of] == nil {
			m[of] = map[int64]telemetry.Observation{}
		}
		m[of][o.At] = o
	}
}

func (m model) points(of name, from, to int64) (out []telemetry.Point) {
	for _, at := range slices.Sorted(maps.Keys(m[of])) {
		if at >= from && at < to {
			o := m[of][at]
			out = append(out, telemetry.Point{At: at, Value: o.Value, Flag: o.Flag})
		}
	}
	return out
}

// windows by the scan alone.
func (m model) windows(of name, from, to int64, every telemetry.Every) (out []telemetry.Window) {
	g := telemetry.NewGatherer(every, func(w telemetry.Window) bool { out = append(out, w); return true })
	for _, p := range m.points(of, from, to) {
		g.Point(p)
	}
	g.Flush()
	return out
}

func pointsOf(t *testing.T, db *DB, of name, from, to int64) (out []telemetry.Point) {
	t.Helper()
	if err := db.Points(t.Context(), of.device, of.metric, from, to, func(p telemetry.Point) bool { out = append(out, p); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

func windowsOf(t *testing.T, db *DB, of name, from, to int64, every telemetry.Every) (out []telemetry.Window) {
	t.Helper()
	err := telemetry.Windows(t.Context(), db, of.device, of.metric, from, to, every, func(w telemetry.Window) bool { out = append(out, w); return true })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameWindows allows the mean to differ in the last bits: a roll-up adds in another order.
func sameWindows(a, b []telemetry.Window) bool {
	return slices.EqualFunc(a, b, func(a, b telemetry.Window) bool {
		near := math.Abs(a.Mean-b.Mean) <= 1e-12*max(1, math.Abs(a.Mean))
		a.Mean, b.Mean = 0, 0
		return near && a == b
	})
}

// TestModel drives the engine with what comes in order, late, again and
// corrected, while it flushes, compacts, stops, crashes and loses power; after
// each step it holds what the model holds, raw and in windows.
func TestModel(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { modelRun(t, seed) })
	}
}

func modelRun(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	dir := t.TempDir()
	fs := vfs.NewCrashableMem()
	o := Options{fs: fs, SegmentBytes: 20_000, HeadSamples: 700, dense: []int{0, 0, 150}[rng.IntN(3)]}
	db := openAt(t, dir, o)
	want := model{}
	now := int64(t0)
	devicesOf := []devices.ID{"a", "b"}
	metricsOf := []string{"salinity", "level"}
	for step := range 60 {
		r := &telemetry.Record{}
		for range 1 + rng.IntN(400) {
			now += int64(rng.IntN(40_000))
			at := now
			switch rng.IntN(12) {
			case 0: // late, by up to three days
				at -= int64(rng.IntN(3 * dayMillis))
			case 1: // a correction
				at -= int64(rng.IntN(60_000))
			}
			value := math.Round(rng.Float64()*1000) / 100
			if rng.IntN(200) == 0 {
				value = rng.NormFloat64()
			}
			o := telemetry.Observation{
				Device: devicesOf[rng.IntN(2)], Metric: metricsOf[rng.IntN(2)], At: at, Seen: now + int64(rng.IntN(3000)), Value: value, Flag: telemetry.Pass,
			}
			if rng.IntN(20) == 0 {
				o.Flag, o.Test = telemetry.Suspect, "spike"
			}
			r.Observations = append(r.Observations, o)
		}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Fatal(err)
		}
		want.apply(r.Observations)
		switch rng.IntN(8) {
		case 0:
			if err := db.flush(); err != nil {
				t.Fatal(err)
			}
		case 1, 2:
			if err := db.Compact(t.Context(), time.UnixMilli(now-int64(rng.IntN(2*dayMillis)))); err != nil {
				t.Fatal(err)
			}
		case 3: // an orderly stop
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openAt(t, dir, o)
		case 4: // the power fails
			o.fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			fs = o.fs.(*vfs.MemFS)
			dir = lose(t, dir)
			_ = db.Close()
			db = openAt(t, dir, o)
		}
		modelCheck(t, db, want, rng, now)
		if t.Failed() {
			t.Fatalf("seed %d, step %d", seed, step)
		}
	}
	if err := db.Compact(t.Context(), time.UnixMilli(now+3*dayMillis)); err != nil {
		t.Fatal(err)
	}
	modelCheck(t, db, want, rng, now)
}

func modelCheck(t *testing.T, db *DB, want model, rng *rand.Rand, now int64) {
	t.Helper()
	widths := []int64{60_000, 300_000, 600_000, 3_600_000, 5_400_000, dayMillis, 7 * dayMillis}
	for of := range want {
		from, to := int64(0), now*2
		if rng.IntN(2) == 0 {
			from = now - int64(rng.IntN(4*dayMillis))
			to = from + int64(rng.IntN(3*dayMillis))
		}
		if got, want := pointsOf(t, db, of, from, to), want.points(of, from, to); !slices.Equal(got, want) {
			t.Errorf("%v from %d to %d: %d points, want %d", of, from, to, len(got), len(want))
		}
		every := telemetry.Every{Millis: widths[rng.IntN(len(widths))]}
		if got, want := windowsOf(t, db, of, from, to, every), want.windows(of, from, to, every); !sameWindows(got, want) {
			t.Errorf("%v every %d from %d to %d\n got %v\nwant %v", of, every.Millis, from, to, got, want)
		}
		for at, o := range want[of] {
			var found []telemetry.Point
			if err := db.Find(t.Context(), of.device, of.metric, []int64{at}, func(p telemetry.Point) { found = append(found, p) }); err != nil {
				t.Error(err)
			}
			if len(found) != 1 || found[0] != (telemetry.Point{At: at, Value: o.Value, Flag: o.Flag}) {
				t.Errorf("%v at %d: %v, want %v", of, at, found, o)
			}
			break
		}
		// Many at once, beside times that hold nothing.
		asked := map[int64]bool{}
		for at := range want[of] {
			if rng.IntN(3) == 0 {
				asked[at], asked[at+1], asked[at-dayMillis] = true, true, true
			}
		}
		found := map[int64]float64{}
		err := db.Find(t.Context(), of.device, of.metric, slices.Sorted(maps.Keys(asked)), func(p telemetry.Point) {
			if _, twice := found[p.At]; twice {
				t.Errorf("%v at %d: yielded twice", of, p.At)
			}
			found[p.At] = p.Value
		})
		if err != nil {
			t.Error(err)
		}
		for at := range asked {
			v, ok := found[at]
			if o, has := want[of][at]; ok != has || v != o.Value {
				t.Errorf("%v at %d: found %v %v, want %v %v", of, at, v, ok, o.Value, has)
			}
		}
	}
	newest := map[name]telemetry.Observation{}
	if err := db.Newest(t.Context(), func(o telemetry.Observation) bool { newest[name{o.Device, o.Metric}] = o; return true }); err != nil {
		t.Fatal(err)
	}
	for of, m := range want {
		last := slices.Max(slices.Collect(maps.Keys(m)))
		if newest[of] != m[last] {
			t.Errorf("newest of %v: %+v, want %+v", of, newest[of], m[last])
		}
	}
}

// TestRollupsServe: windows of a compacted day come from its roll-ups, and a late
// value for that day is in them at once.
func TestRollupsServe(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{})
	of := name{"a", "level"}
	want := model{}
	midnight := midnightOf(dayOf(t0) + 1)
	r := &telemetry.Record{}
	for i := range int64(2 * 17280) {
		r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: midnight + i*5000, Seen: midnight + i*5000, Value: float64(i%977) / 100, Flag: 1})
	}
	write := func() {
		t.Helper()
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Fatal(err)
		}
		want.apply(r.Observations)
	}
	write()
	now := time.UnixMilli(midnight + 3*dayMillis)
	compact := func() {
		t.Helper()
		if err := db.Compact(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	compact()
	check := func() {
		t.Helper()
		for _, width := range []int64{300_000, 3_600_000, 2 * 3_600_000, dayMillis} {
			every := telemetry.Every{Millis: width}
			if got, want := windowsOf(t, db, of, midnight, midnight+2*dayMillis, every), want.windows(of, midnight, midnight+2*dayMillis, every); !sameWindows(got, want) {
				t.Errorf("every %d: %v\nwant %v", width, got, want)
			}
		}
	}
	check()
	// The roll-ups are what is read: with the samples of a day damaged, its windows still come.
	keys := 0
	err := eachKey(db.series.db, []byte{keyChunk}, []byte{keyChunk + 1}, func(k, v []byte) error {
		keys++
		if keyDay(k) == dayOf(midnight) {
			return db.series.db.Set(k, []byte("damaged"), pebble.NoSync)
		}
		return nil
	})
	if err != nil || keys != 2 {
		t.Fatalf("%d chunks after compaction, want one a day; %v", keys, err)
	}
	check()
	if err := db.Points(t.Context(), "a", "level", midnight, midnight+1, func(telemetry.Point) bool { return true }); !errors.Is(err, errChunk) {
		t.Errorf("a damaged chunk: %v", err)
	}
	// Late, into the second day.
	r = &telemetry.Record{Observations: []telemetry.Observation{{Device: "a", Metric: "level", At: midnight + dayMillis + 5, Seen: midnight + 3*dayMillis, Value: 99, Flag: 3}}}
	write()
	check()
	if err := db.flush(); err != nil {
		t.Fatal(err)
	}
	check()
	compact()
	check()
}

// TestRetention: samples go after their time, by metric, and leave the roll-ups that outlive them.
func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	db := openAt(t, t.TempDir(), Options{Retention: func(metric string) Keep {
		if metric == "uptime" {
			return Keep{Raw: 2 * day, FiveMinutes: 2 * day, Hour: 2 * day, Day: 2 * day}
		}
		return Keep{Raw: 3 * day, FiveMinutes: 3 * day, Hour: 5 * day}
	}})
	midnight := midnightOf(dayOf(t0))
	r := &telemetry.Record{}
	want := model{}
	for d := range int64(10) {
		for i := range int64(24) {
			for _, m := range []string{"uptime", "level"} {
				at := midnight + d*dayMillis + i*3_600_000 + 5000
				r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: m, At: at, Seen: at, Value: float64(d*100 + i), Flag: 1})
			}
		}
	}
	if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
		t.Fatal(err)
	}
	want.apply(r.Observations)
	now := time.UnixMilli(midnight + 10*dayMillis)
	if err := db.Compact(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	end := midnight + 10*dayMillis
	days := telemetry.Every{Millis: dayMillis}
	level, uptime := name{"a", "level"}, name{"a", "uptime"}
	if got := pointsOf(t, db, level, 0, end); len(got) != 3*24 {
		t.Errorf("%d points, want those of three days", len(got))
	}
	if got := pointsOf(t, db, uptime, 0, end); len(got) != 2*24 {
		t.Errorf("%d points of uptime, want those of two days", len(got))
	}
	if got, want := windowsOf(t, db, level, 0, end, days), want.windows(level, 0, end, days); !sameWindows(got, want) {
		t.Errorf("days %v\nwant %v", got, want)
	}
	if got := windowsOf(t, db, uptime, 0, end, days); len(got) != 2 {
		t.Errorf("days of uptime %v", got)
	}
	hours := telemetry.Every{Millis: 3_600_000}
	if got, want := windowsOf(t, db, level, end-5*dayMillis, end, hours), want.windows(level, end-5*dayMillis, end, hours); !sameWindows(got, want) {
		t.Errorf("hours %v\nwant %v", got, want)
	}
	if got := windowsOf(t, db, level, 0, end, hours); len(got) != 5*24+5 {
		t.Errorf("%d hours, want those of five days and a day each of five", len(got))
	}
	// What comes for a day that has gone leaves its roll-ups as they are.
	late := &telemetry.Record{Observations: []telemetry.Observation{{Device: "a", Metric: "level", At: midnight + 7, Seen: end, Value: -1, Flag: 1}}}
	if err := errors.Join(db.Append(late), db.Apply(late), db.Compact(t.Context(), now)); err != nil {
		t.Fatal(err)
	}
	if got, want := windowsOf(t, db, level, 0, end, days), want.windows(level, 0, end, days); !sameWindows(got, want) {
		t.Errorf("days after a late value %v\nwant %v", got, want)
	}
}

// TestLateAfterRetention: what comes for a day whose samples have gone adds to
// its roll-ups, at once and for good; a repeat changes nothing, and is counted.
func TestLateAfterRetention(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{Retention: func(string) Keep { return Keep{Raw: 24 * time.Hour} }})
	midnight := midnightOf(dayOf(t0))
	now := time.UnixMilli(midnight + 10*dayMillis)
	level, end := name{"a", "level"}, midnight+10*dayMillis
	want := model{}
	send := func(from, to int64) {
		t.Helper()
		r := &telemetry.Record{}
		for i := from; i < to; i++ {
			at := midnight + i*60_000
			r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: at, Seen: end, Value: float64(i%97) / 4, Flag: telemetry.Flag(1 + i/600)})
		}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Fatal(err)
		}
		want.apply(r.Observations)
	}
	check := func(when string) {
		t.Helper()
		for _, width := range levels {
			every := telemetry.Every{Millis: width}
			for _, part := range [][2]int64{{0, end}, {midnight + dayMillis/4, end}, {0, midnight + dayMillis/3}} { // whole, and cut at either end
				if got, want := windowsOf(t, db, level, part[0], part[1], every), want.windows(level, part[0], part[1], every); !sameWindows(got, want) {
					t.Errorf("%s, windows of %d ms in %v: %d of %d are\n%v\nwant\n%v", when, width, part, len(got), len(want), got, want)
				}
			}
		}
	}
	compact := func() {
		t.Helper()
		if err := db.Compact(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	send(0, 720)
	compact()
	check("half a day has gone")
	send(720, 1440)
	check("the other half came late")
	compact()
	check("and has gone, too")
	send(100, 900)
	check("a repeat came")
	compact()
	check("and has gone")
	if got := pointsOf(t, db, level, 0, end); len(got) != 0 {
		t.Errorf("%d values are left", len(got))
	}
	if n := db.series.passed.Load(); n != 800 {
		t.Errorf("%d are counted as passed over, want 800", n)
	}
}

// TestRetentionRaised: the final roll-ups of a day outlive a retention that is
// made longer, whatever comes late for it then.
func TestRetentionRaised(t *testing.T) {
	midnight := midnightOf(dayOf(t0))
	now := time.UnixMilli(midnight + 10*dayMillis)
	level, end := name{"a", "level"}, midnight+10*dayMillis
	const late = 720
	record := func(from, to int64) *telemetry.Record {
		r := &telemetry.Record{}
		for i := from; i < to; i++ {
			r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: midnight + i*60_000, Seen: end, Value: float64(i%97) / 4, Flag: 1})
		}
		return r
	}
	for label, keep := range map[string]func(string) Keep{
		"removed": nil,
		"longer":  func(string) Keep { return Keep{Raw: 800 * 24 * time.Hour} },
	} {
		dir := t.TempDir()
		db := openAt(t, dir, Options{Retention: func(string) Keep { return Keep{Raw: 24 * time.Hour} }})
		r, want := record(0, late), model{}
		if err := errors.Join(db.Append(r), db.Apply(r), db.Compact(t.Context(), now), db.Close()); err != nil {
			t.Fatal(err)
		}
		want.apply(r.Observations)
		db = openAt(t, dir, Options{Retention: keep})
		r = record(late, late+1)
		want.apply(r.Observations)
		if err := errors.Join(db.Append(r), db.Apply(r), db.Compact(t.Context(), now), db.Compact(t.Context(), now)); err != nil {
			t.Fatal(err)
		}
		for _, width := range levels {
			every := telemetry.Every{Millis: width}
			if got, want := windowsOf(t, db, level, 0, end, every), want.windows(level, 0, end, every); !sameWindows(got, want) {
				t.Errorf("%s, windows of %d ms:\n%v\nwant\n%v", label, width, got, want)
			}
		}
	}
}

// TestFlagsAfterRetention: of a day that has only roll-ups left, windows of some
// flags are those that hold no other; while it has its values, they are exact.
func TestFlagsAfterRetention(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{Retention: func(string) Keep { return Keep{Raw: 24 * time.Hour} }})
	midnight := midnightOf(dayOf(t0))
	end := midnight + 10*dayMillis
	r := &telemetry.Record{}
	// A value a minute from 0 h to 3 h: good; then every other one suspect; then none of two flags is good.
	for i := range int64(180) {
		flag := telemetry.Pass
		switch {
		case i >= 120:
			flag = telemetry.Suspect + telemetry.Flag(i%2)
		case i >= 60 && i%2 == 1:
			flag = telemetry.Suspect
		}
		r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: midnight + i*60_000, Seen: end, Value: float64(i), Flag: flag})
	}
	if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
		t.Fatal(err)
	}
	counts := func(flags ...telemetry.Flag) (hours []int) {
		t.Helper()
		err := telemetry.Windows(t.Context(), telemetry.OnlyFlags(db, flags), "a", "level", 0, end, telemetry.Every{Millis: 3_600_000}, func(w telemetry.Window) bool {
			hours = append(hours, w.Count)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return hours
	}
	cases := []struct {
		flags         []telemetry.Flag
		values, parts []int // by hour: while its values are there, and after
	}{
		{[]telemetry.Flag{1}, []int{60, 30}, []int{60}},
		{[]telemetry.Flag{1, 2, 9, 3}, []int{60, 60, 30}, []int{60, 60}},
		{[]telemetry.Flag{3}, []int{30, 30}, nil},
		{[]telemetry.Flag{1, 2, 9, 3, 4}, []int{60, 60, 60}, []int{60, 60, 60}},
		{[]telemetry.Flag{2}, nil, nil},
	}
	for _, c := range cases {
		if got := counts(c.flags...); !slices.Equal(got, c.values) {
			t.Errorf("flags %v of values: %v, want %v", c.flags, got, c.values)
		}
	}
	if err := db.Compact(t.Context(), time.UnixMilli(end)); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got := counts(c.flags...); !slices.Equal(got, c.parts) {
			t.Errorf("flags %v of roll-ups: %v, want %v", c.flags, got, c.parts)
		}
	}
}

// TestDamagedDay: a day that cannot be read keeps no other from being compacted or let go.
func TestDamagedDay(t *testing.T) {
	midnight := midnightOf(dayOf(t0))
	now := time.UnixMilli(midnight + 10*dayMillis)
	for label, keep := range map[string]Keep{"compacted": {}, "let go": {Raw: 24 * time.Hour}} {
		db := openAt(t, t.TempDir(), Options{Retention: func(string) Keep { return keep }})
		r := &telemetry.Record{}
		for d := range int64(3) {
			for i := range int64(1440) {
				at := midnight + d*dayMillis + i*60_000
				r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: at, Seen: at, Value: 1, Flag: 1})
			}
		}
		if err := errors.Join(db.Append(r), db.Apply(r), db.series.flush()); err != nil {
			t.Fatal(err)
		}
		first := dayOf(midnight)
		chunk, closer, err := db.series.db.Get(chunkKey(nil, 0, first, 1))
		if err != nil {
			t.Fatal(err)
		}
		half := slices.Clone(chunk[:len(chunk)/2])
		if err := errors.Join(closer.Close(), db.series.db.Set(chunkKey(nil, 0, first, 1), half, pebble.NoSync)); err != nil {
			t.Fatal(err)
		}
		// What comes late for it is taken in, and so is what comes for the others.
		late := &telemetry.Record{}
		var at []int64
		for d := range int64(3) {
			at = append(at, midnight+d*dayMillis+30_000)
			late.Observations = append(late.Observations, telemetry.Observation{Device: "a", Metric: "level", At: at[d], Seen: at[d], Value: 2, Flag: 1})
		}
		found := 0
		if err := db.Find(t.Context(), "a", "level", []int64{midnight, midnight + dayMillis, midnight + 2*dayMillis}, func(telemetry.Point) { found++ }); !errors.Is(err, telemetry.ErrDamaged) || found != 2 {
			t.Errorf("%s: found %d, %v", label, found, err)
		}
		if err := errors.Join(db.Append(late), db.Apply(late)); err != nil {
			t.Fatal(err)
		}
		if err := db.Compact(t.Context(), now); !errors.Is(err, errChunk) {
			t.Errorf("%s: %v, want that a day is damaged", label, err)
		}
		var open, rolled []int32
		collect := func(into *[]int32) func(k, _ []byte) error {
			return func(k, _ []byte) error { *into = append(*into, keyDay(k)-first); return nil }
		}
		if err := errors.Join(db.series.eachKey(keyOpen, collect(&open)), db.series.eachKey(keyRollup, collect(&rolled))); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(open, []int32{0}) || !slices.Equal(rolled, []int32{1, 2}) {
			t.Errorf("%s: days %v are open, %v have roll-ups", label, open, rolled)
		}
	}
}

// TestDenseDay: a day with a value every few milliseconds is read, rolled up,
// verified and let go part by part, in memory that does not grow with it.
func TestDenseDay(t *testing.T) {
	for label, keep := range map[string]Keep{"kept": {}, "let go": {Raw: 24 * time.Hour}} {
		dir := t.TempDir()
		db := openAt(t, dir, Options{Retention: func(string) Keep { return keep }, HeadSamples: 150_000})
		midnight := midnightOf(dayOf(t0))
		end := midnight + 10*dayMillis
		level := name{"a", "level"}
		const count, step = 360_000, 7
		at := func(i int64) int64 { return midnight + 6*3_600_000 + i*step }
		for i := int64(0); i < count; {
			r := &telemetry.Record{}
			for range 10_000 {
				r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: at(i), Seen: end, Value: float64(i % 1000), Flag: 1})
				i++
			}
			if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
				t.Fatal(err)
			}
		}
		// Corrections across all of it.
		r := &telemetry.Record{}
		for i := int64(0); i < count; i += 6_000 {
			r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: at(i), Seen: end, Value: -1, Flag: 4})
		}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Fatal(err)
		}
		check := func(when string, raw bool) {
			t.Helper()
			i, wrong := int64(0), 0
			err := db.Points(t.Context(), "a", "level", 0, end, func(p telemetry.Point) bool {
				want := telemetry.Point{At: at(i), Value: float64(i % 1000), Flag: 1}
				if i%6_000 == 0 {
					want.Value, want.Flag = -1, 4
				}
				if p != want {
					wrong++
				}
				i++
				return true
			})
			if err != nil || wrong > 0 || raw != (i == count) {
				t.Errorf("%s, %s: %d points, %d of them wrong, %v", label, when, i, wrong, err)
			}
			for _, width := range levels {
				n, last := 0, int64(0)
				for _, w := range windowsOf(t, db, level, 0, end, telemetry.Every{Millis: width}) {
					n += w.Count
					if w.Min != -1 || w.Max != 999 || w.Flag != 4 || w.Start <= last {
						t.Errorf("%s, %s: window of %d ms %+v", label, when, width, w)
					}
					last = w.Start
				}
				if n != count {
					t.Errorf("%s, %s: windows of %d ms count %d", label, when, width, n)
				}
			}
			r, err := db.series.read(t.Context(), 0, at(0), end)
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			if day, ok, err := r.next(); err != nil || raw && !ok {
				t.Error(ok, err)
			} else if list, err := r.samples(day); err != nil || len(list) > defaultDense {
				t.Errorf("%s, %s: %d samples at once, %v", label, when, len(list), err)
			}
			// Of a short time no more than that is gathered.
			short, err := db.series.read(t.Context(), 0, at(1000), at(2000))
			if err != nil {
				t.Fatal(err)
			}
			defer short.close()
			if day, ok, err := short.next(); err != nil || raw && !ok {
				t.Error(ok, err)
			} else if list, err := short.samples(day); err != nil || raw && len(list) != 1000 || len(short.day) > 1000 {
				t.Errorf("%s, %s: %d of %d samples, want 1000, %v", label, when, len(list), len(short.day), err)
			}
		}
		check("written", true)
		if err := db.Compact(t.Context(), time.UnixMilli(end)); err != nil {
			t.Fatal(err)
		}
		check("compacted", keep.Raw == 0)
		var left []piece
		if err := db.series.eachKey(keyChunk, func(k, v []byte) error {
			p, err := pieceOf(k, v)
			left = append(left, p)
			return err
		}); err != nil || overlap(left) || keep.Raw == 0 && len(left) > count/maxPiece+4 {
			t.Errorf("%s: %d chunks, overlapping %v, %v", label, len(left), overlap(left), err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if stats, faults := faultsOf(t, dir); len(faults) != 0 || keep.Raw == 0 && stats.Samples != count {
			t.Errorf("%s: %+v %v", label, stats, faults)
		}
	}
}

// TestDenseByRepeats: a day of many revisions of few values becomes one chunk, and is sound.
func TestDenseByRepeats(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{HeadSamples: 100_000})
	midnight := midnightOf(dayOf(t0))
	const count = 100_000
	for revision := range 3 {
		for i := 0; i < count; {
			r := &telemetry.Record{}
			for range 10_000 {
				r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: midnight + int64(i)*500, Seen: t0, Value: float64(revision), Flag: 1})
				i++
			}
			if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.series.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Compact(t.Context(), time.UnixMilli(midnight+10*dayMillis)); err != nil {
		t.Fatal(err)
	}
	chunks := 0
	if err := db.series.eachKey(keyChunk, func(_, _ []byte) error { chunks++; return nil }); err != nil || chunks != 1 {
		t.Errorf("%d chunks, %v", chunks, err)
	}
	got := windowsOf(t, db, name{"a", "level"}, 0, 2*t0, telemetry.Every{Millis: dayMillis})
	if len(got) != 1 || got[0].Count != count || got[0].Min != 2 || got[0].Max != 2 {
		t.Errorf("%+v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if stats, faults := faultsOf(t, dir); len(faults) != 0 || stats.Samples != count {
		t.Errorf("%+v %v", stats, faults)
	}
}

// TestHeadBound: what waits in memory is written when it is full, and nothing is lost on the way.
func TestHeadBound(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{HeadSamples: 100})
	want := model{}
	for i := range 50 {
		r := &telemetry.Record{}
		for k := range 60 {
			at := int64(t0 + i*60_000 + k*1000)
			r.Observations = append(r.Observations, telemetry.Observation{Device: devices.ID(fmt.Sprint("d", k%7)), Metric: "level", At: at, Seen: at, Value: float64(k), Flag: 1})
		}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Fatal(err)
		}
		want.apply(r.Observations)
		if size := db.series.size(); size > 2*100+60 {
			t.Fatalf("%d samples wait", size)
		}
	}
	for of := range want {
		if got, want := pointsOf(t, db, of, 0, 2*t0), want.points(of, 0, 2*t0); !slices.Equal(got, want) {
			t.Errorf("%v: %d points, want %d", of, len(got), len(want))
		}
	}
}
