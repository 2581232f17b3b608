package alerts

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/telemetry"
)

// refuse makes the journal's table refuse entries, until the answer is called.
func (w *world) refuse() (relent func()) {
	w.t.Helper()
	w.exec(`CREATE TRIGGER full BEFORE INSERT ON alerts_journal BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	return func() { w.exec(`DROP TRIGGER full`) }
}

func (w *world) exec(query string) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(query string) (n int) {
	w.t.Helper()
	if err := w.db.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) only() Alarm {
	w.t.Helper()
	_, open := w.Snapshot()
	if len(open) != 1 {
		w.t.Fatalf("%d alarms open", len(open))
	}
	return open[0]
}

// Alarm and journal entry are committed together or not at all, and nothing is told before.
func TestTransitionIsOneTransaction(t *testing.T) {
	w := newWorld(t, "s1")
	w.create(fourGrams())
	relent := w.refuse()
	w.salinity("s1", 5)
	if err := w.commit(t.Context()); err == nil {
		t.Fatal("the journal refused, the commit did not fail")
	}
	if n := w.count(`SELECT COUNT(*) FROM alerts_alarms`); n != 0 {
		t.Errorf("%d alarms without a journal entry", n)
	}
	if seq, open := w.Snapshot(); seq != 0 || len(open) != 0 || len(w.takeEvents()) != 0 {
		t.Errorf("shown or told before it was committed: seq %d, %v", seq, open)
	}
	w.to(1)
	w.salinity("s1", 3) // returns while the raising is still pending
	relent()
	w.settle()
	if got := words(w.takeEvents()); got != "raised:active returned:returned" {
		t.Errorf("after the failure: %q", got)
	}

	a := w.only()
	relent = w.refuse()
	if _, err := w.Ack(t.Context(), a.ID, "lan", ""); err == nil {
		t.Error("the journal refused, the ack did not fail")
	}
	if err := w.DeleteRule(t.Context(), "man-4", "lan"); err == nil {
		t.Error("the journal refused, the deletion did not fail")
	}
	if b := w.only(); b.State != Returned || w.count(`SELECT COUNT(*) FROM alerts_rules`) != 1 {
		t.Errorf("half done: %+v", b)
	}
	relent()
	w.checkJournal()
}

func TestRestartKeepsEveryState(t *testing.T) {
	w := newWorld(t, "s1", "s2", "s3", "s4", "s5")
	w.create(fourGrams())
	ackOf := func(id string) {
		t.Helper()
		_, open := w.Snapshot()
		for _, a := range open {
			if string(a.Subject) == id {
				if _, err := w.Ack(t.Context(), a.ID, "lan", ""); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, id := range []string{"s1", "s2", "s3", "s4"} {
		w.salinity(id, 5)
	}
	w.settle()
	ackOf("s2")
	w.to(1)
	w.salinity("s3", 3)
	w.salinity("s4", 3)
	w.settle()
	ackOf("s4")
	seq, before := w.Snapshot()
	events := len(w.takeEvents())

	w.to(2)
	w.restart()
	w.settle()
	seq2, after := w.Snapshot()
	if seq2 != seq || int(seq) != events || !reflect.DeepEqual(before, after) {
		t.Errorf("seq %d → %d, %d events\nbefore %+v\nafter  %+v", seq, seq2, events, before, after)
	}
	if got := words(w.takeEvents()); got != "" {
		t.Errorf("raised twice: %q", got)
	}
	// Each goes on from its state.
	w.to(3)
	for _, st := range []struct {
		id   string
		v    float64
		want string
	}{{"s1", 3, "returned:returned"}, {"s2", 3, "closed:closed"}, {"s3", 5, "raised:active"}, {"s4", 5, "raised:active"}, {"s5", 5, "raised:active"}} {
		w.salinity(st.id, st.v)
		w.settle()
		if got := words(w.takeEvents()); got != st.want {
			t.Errorf("%s: %q, want %q", st.id, got, st.want)
		}
	}
	for _, a := range before {
		if b, err := w.Alarm(t.Context(), a.ID); err != nil || b.Raised != a.Raised {
			t.Errorf("%s: %+v, %v", a.Subject, b, err)
		}
	}
	w.checkJournal()
}

// A process that ended between the log's commit and ours judges Latest again.
func TestRestartMakesUpForWhatWasPending(t *testing.T) {
	w := newWorld(t, "s1", "s2")
	w.create(fourGrams())
	w.salinity("s1", 5)
	w.settle()
	w.to(1)
	w.salinity("s1", 3)
	w.salinity("s2", 5)
	w.restart() // neither was committed
	w.settle()
	got := map[devices.ID]State{}
	_, open := w.Snapshot()
	for _, a := range open {
		got[a.Subject] = a.State
	}
	if len(got) != 2 || got["s1"] != Returned || got["s2"] != Active {
		t.Errorf("%v", got)
	}
	w.restart()
	w.settle()
	if seq, _ := w.Snapshot(); seq != 3 {
		t.Errorf("seq %d: something was told twice", seq)
	}
	w.checkJournal()
}

func TestRestartFindsScopesChanged(t *testing.T) {
	w := newWorld(t, "s1")
	w.create(fourGrams())
	w.salinity("s1", 5)
	w.settle()
	if err := w.reg.Delete(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.settle()
	if a := w.only(); a.State != Returned {
		t.Errorf("the alarm of a device that is gone is %s", a.State)
	}
	w.checkJournal()
}

func TestAlarmIsWhatTheContractSays(t *testing.T) {
	w := newWorld(t)
	w.add(devices.Device{ID: "s1", Position: pos(106.4, 10.3), Agency: "Trạm Vàm Kênh"})
	r := fourGrams()
	r.On.ForS = 60
	w.create(r)
	w.salinity("s1", 4.5)
	w.to(60)
	w.salinity("s1", 6.25)
	w.settle()
	a := w.only()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"id":%q,"rule":"man-4","title":"Mặn trên 4 g/l","metric":"salinity","unit":"g/l","subject":"s1","state":"active","priority":"high",`+
		`"raised":"2026-03-01T08:01:00Z","changed":"2026-03-01T08:01:00Z","value":6.25,"threshold":4,"position":{"lon":106.4,"lat":10.3},"agency":"Trạm Vàm Kênh"}`, alarmID("man-4", "s1", t0.UnixMilli()))
	if string(b) != want {
		t.Errorf("%s\nwant\n%s", b, want)
	}
	// A page of the device's own time: the device moves, the alarm with it.
	d, _ := w.reg.Get("s1")
	d.Position = pos(106, 10)
	if _, err := w.reg.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if a := w.only(); a.Position.Lon != 106 {
		t.Errorf("position %+v", a.Position)
	}
}

func TestAckAndComment(t *testing.T) {
	w := newWorld(t, "s1")
	w.create(fourGrams())
	w.salinity("s1", 5)
	w.settle()
	id := w.only().ID
	long := strings.Repeat("ư", maxComment+1)
	var field *FieldError
	for name, err := range map[string]error{
		"long comment": second(w.Ack(t.Context(), id, "lan", long)),
		"empty text":   second(w.Comment(t.Context(), id, "lan", " \n")),
		"long text":    second(w.Comment(t.Context(), id, "lan", long)),
		"control":      second(w.Comment(t.Context(), id, "lan", "a\x00")),
		"not UTF-8":    second(w.Comment(t.Context(), id, "lan", "a\xff")),
	} {
		if !errors.As(err, &field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"ack":     second(w.Ack(t.Context(), "nothing", "lan", "")),
		"comment": second(w.Comment(t.Context(), "nothing", "lan", "x")),
		"alarm":   second(w.Alarm(t.Context(), "nothing")),
		"journal": second(w.Journal(t.Context(), "nothing")),
	} {
		if err != ErrNotFound {
			t.Errorf("%s of an unknown alarm: %v", name, err)
		}
	}
	w.to(10)
	if _, err := w.Comment(t.Context(), id, "lan", "gọi trạm\nkhông ai nghe"); err != nil {
		t.Fatal(err)
	}
	w.to(20)
	if a, err := w.Ack(t.Context(), id, "lan", "đã thấy"); err != nil || a.State != Acknowledged || !a.Changed.Equal(w.now()) {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := w.Ack(t.Context(), id, "ba", "tôi nữa"); err != nil || a.State != Acknowledged {
		t.Errorf("a second ack: %+v, %v", a, err)
	}
	w.to(30)
	w.salinity("s1", 3)
	w.settle()
	if _, err := w.Comment(t.Context(), id, "ba", "đã xong"); err != nil {
		t.Errorf("comment on a closed alarm: %v", err)
	}
	es, err := w.Journal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, fmt.Sprintf("%d %s %s %q %v", e.Seq, e.Type, e.Actor, e.Comment, e.At.Sub(t0)))
	}
	want := []string{`1 raised system "" 0s`, `2 commented lan "gọi trạm\nkhông ai nghe" 10s`, `3 acknowledged lan "đã thấy" 20s`,
		`4 closed system "" 30s`, `5 commented ba "đã xong" 30s`}
	if !slices.Equal(got, want) {
		t.Errorf("journal:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	kept, _ := json.Marshal(es)
	told, _ := json.Marshal(w.takeEvents())
	if string(kept) != string(told) {
		t.Errorf("told\n%s\nkept\n%s", told, kept)
	}
	if since, err := w.Since(t.Context(), 3, 1); err != nil || len(since) != 1 || since[0].Seq != 4 {
		t.Errorf("since 3: %+v, %v", since, err)
	}
	w.checkJournal()
}

func second[T any](_ T, err error) error { return err }

func TestDeletingARuleClosesItsAlarms(t *testing.T) {
	w := newWorld(t, "s1", "s2", "s3", "s4")
	w.create(fourGrams())
	other := fourGrams()
	other.ID = "other"
	w.create(other)
	w.salinity("s1", 5)
	w.salinity("s2", 5)
	w.settle()
	w.salinity("s2", 3)
	w.settle()
	w.takeEvents()
	w.salinity("s3", 5) // still pending when the rule goes
	if err := w.DeleteRule(t.Context(), "man-4", "lan"); err != nil {
		t.Fatal(err)
	}
	es := w.takeEvents()
	for _, e := range es {
		if e.Actor != "lan" || e.Type != EventClosed || e.Alarm.Rule != "man-4" {
			t.Errorf("%+v", e)
		}
	}
	if len(es) != 2 {
		t.Errorf("%d events", len(es))
	}
	w.settle()
	w.salinity("s4", 5)
	w.settle()
	for _, e := range w.takeEvents() {
		if e.Alarm.Rule != "other" {
			t.Errorf("a deleted rule still judges: %+v", e)
		}
	}
	if err := w.DeleteRule(t.Context(), "man-4", "lan"); err != ErrNotFound {
		t.Errorf("once more: %v", err)
	}
	// The same rule anew judges the same values: other episodes.
	w.create(fourGrams())
	w.settle()
	if got := words(w.takeEvents()); got != "raised:active raised:active raised:active" {
		t.Errorf("the rule anew: %q", got)
	}
	w.checkJournal()
	if err := w.DeleteRule(t.Context(), "other", "lan"); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteRule(t.Context(), "man-4", "lan"); err != nil {
		t.Fatal(err)
	}
	if n := len(w.judges.streams) + len(w.judges.byDevice) + len(w.judges.byMetric) + len(w.judges.waiting); n != 0 {
		t.Errorf("%d things left in memory without a rule", n)
	}
}

func TestRules(t *testing.T) {
	w := newWorld(t)
	r := w.create(fourGrams())
	if !r.Created.Equal(t0) {
		t.Errorf("created %v", r.Created)
	}
	if _, err := w.CreateRule(t.Context(), fourGrams()); err != ErrExists {
		t.Errorf("id taken: %v", err)
	}
	bad := fourGrams()
	bad.Off = above(3, 0)
	if _, err := w.CreateRule(t.Context(), bad); err == nil {
		t.Error("an invalid rule was made")
	}
	if _, err := w.UpdateRule(t.Context(), bad); err == nil {
		t.Error("a rule was made invalid")
	}
	unknown := fourGrams()
	unknown.ID = "unknown"
	if _, err := w.UpdateRule(t.Context(), unknown); err != ErrNotFound {
		t.Errorf("update of an unknown: %v", err)
	}
	w.to(60)
	changed := fourGrams()
	changed.Title, changed.Flags, changed.Scope = "Khác", Flags{1, 3}, Scope{Zones: []string{"z"}, Tags: []string{"cống"}}
	u, err := w.UpdateRule(t.Context(), changed)
	if err != nil || !u.Created.Equal(t0) {
		t.Fatalf("%+v, %v", u, err)
	}
	w.create(Rule{ID: "a-first", Title: "x", Metric: "level", On: below(0, 0), Off: above(0, 0), Priority: Low, Public: true})
	before := w.Rules()
	w.restart()
	after := w.Rules()
	if len(after) != 2 || after[0].ID != "a-first" || !reflect.DeepEqual(before, after) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if got, ok := w.Rule("man-4"); !ok || !reflect.DeepEqual(got, u) {
		t.Errorf("%+v", got)
	}
}

// What a database that fails for long would let grow is bounded; the newest state wins.
func TestPendingIsBounded(t *testing.T) {
	w := newWorld(t, "s1", "s2")
	w.create(fourGrams())
	reg := prometheus.NewRegistry()
	w.judges.coalesced = prometheus.NewCounter(prometheus.CounterOpts{Name: "c"})
	reg.MustRegister(w.judges.coalesced)
	r := w.judges.rules["man-4"]
	// As after a long failure: the queue is full of what happened to others.
	w.judges.pending = slices.Repeat([]transition{{rule: r, subject: "gone"}}, maxPending)
	for i := range 9 {
		w.to(float64(i))
		w.salinity("s1", []float64{5, 3}[i%2])
		w.salinity("s2", []float64{3, 5}[i%2])
	}
	if n := len(w.judges.pending) + len(w.judges.late); n != maxPending+2 {
		t.Errorf("%d pending", n)
	}
	w.settle()
	if a := w.only(); a.Subject != "s1" || a.State != Active {
		t.Errorf("%+v", a)
	}
	mfs, err := reg.Gather()
	if err != nil || mfs[0].Metric[0].Counter.GetValue() != 15 {
		t.Errorf("coalesced: %v, %v", mfs, err)
	}
	w.checkJournal()
}

func TestGauge(t *testing.T) {
	w := newWorld(t, "s1", "s2", "s3")
	w.create(fourGrams())
	for _, id := range []string{"s1", "s2", "s3"} {
		w.salinity(id, 5)
	}
	w.settle()
	if _, err := w.Ack(t.Context(), alarmID("man-4", "s1", t0.UnixMilli()), "lan", ""); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	e, err := Open(t.Context(), w.db, Options{Registry: w.reg, Latest: telemetry.NewLatest(), Metrics: reg, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	_ = e
	mfs, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, mf := range mfs {
		if mf.GetName() == "ioc_alarms" {
			for _, m := range mf.Metric {
				got[m.Label[1].GetValue()+" "+m.Label[0].GetValue()] = m.Gauge.GetValue()
			}
		}
	}
	if len(got) != 12 || got["active high"] != 2 || got["acknowledged high"] != 1 || got["active low"] != 0 {
		t.Errorf("%v", got)
	}
}
