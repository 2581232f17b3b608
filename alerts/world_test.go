package alerts

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// t0 is when the worlds of tests begin.
var t0 = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// world is an engine on a real database, with registry, atlas and Latest, and a clock that tests move.
type world struct {
	t     testing.TB
	owner testing.TB // closes the database, where t is a part of it
	path  string
	db    *sql.DB
	reg   *devices.Registry
	map_  *geo.Atlas
	last  *telemetry.Latest
	feed  telemetry.Feed  // nil: no log
	store telemetry.Store // nil: none
	*Engine

	mu     sync.Mutex
	clock  time.Time
	events []Event // told, in order
}

// openDB opens a real file, as cmd does but for the fsync: no test here cuts the power.
func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func newWorld(t testing.TB, ids ...string) *world {
	t.Helper()
	w := &world{t: t, owner: t, path: filepath.Join(t.TempDir(), "records.db"), clock: t0, last: telemetry.NewLatest()}
	migrated.Do(func() {
		w.open()
		w.db.Close() // the last connection folds the WAL into the file
		if migratedFile, migratedErr = os.ReadFile(w.path); migratedErr == nil {
			migratedErr = os.Remove(w.path)
		}
	})
	if migratedErr != nil {
		t.Fatal(migratedErr)
	}
	if err := os.WriteFile(w.path, migratedFile, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	for _, id := range ids {
		w.add(devices.Device{ID: devices.ID(id), Metrics: []devices.Expected{{Metric: "salinity", EveryS: 60}}})
	}
	return w
}

// migrated is done once for all worlds: migrations are most of what a world costs.
var (
	migrated     sync.Once
	migratedFile []byte
	migratedErr  error
)

func (w *world) open() {
	w.t.Helper()
	ctx := w.t.Context()
	w.db = openDB(w.owner, w.path)
	var err error
	if w.map_, err = geo.Open(ctx, w.db); err != nil {
		w.t.Fatal(err)
	}
	if w.reg, err = devices.Open(ctx, w.db, nil); err != nil {
		w.t.Fatal(err)
	}
	w.Engine, err = Open(ctx, w.db, Options{Registry: w.reg, Atlas: w.map_, Latest: w.last, Feed: w.feed, Store: w.store, Now: w.now, OnEvent: w.told})
	if err != nil {
		w.t.Fatal(err)
	}
}

// restart is a process ending without a word and another one beginning.
func (w *world) restart() {
	w.t.Helper()
	w.db.Close()
	w.open()
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) told(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// takeEvents gives what was told since it was last called.
func (w *world) takeEvents() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	es := w.events
	w.events = nil
	return es
}

// to moves the clock to so many seconds after t0.
func (w *world) to(s float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = t0.Add(time.Duration(s * float64(time.Second)))
}

func (w *world) add(d devices.Device) {
	w.t.Helper()
	if d.Name == "" {
		d.Name = string(d.ID)
	}
	if d.Kind == "" {
		d.Kind = devices.Station
	}
	if _, _, err := w.reg.Create(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}

// one is a store of one observation, by which Latest is told of it.
type one struct {
	telemetry.Store
	o telemetry.Observation
}

func (s one) Newest(_ context.Context, yield func(telemetry.Observation) bool) error {
	yield(s.o)
	return nil
}

// observe stores and judges an observation, as Ingest does.
func (w *world) observe(o telemetry.Observation) {
	w.t.Helper()
	if o.Seen == 0 {
		o.Seen = w.now().UnixMilli()
	}
	if o.Flag == 0 {
		o.Flag = telemetry.Pass
	}
	if err := w.last.Load(w.t.Context(), one{o: o}); err != nil {
		w.t.Fatal(err)
	}
	w.Observe(&telemetry.Record{Observations: []telemetry.Observation{o}})
}

// salinity observes a value of now.
func (w *world) salinity(id string, v float64) {
	w.t.Helper()
	w.observe(telemetry.Observation{Device: devices.ID(id), Metric: "salinity", At: w.now().UnixMilli(), Value: v})
}

// settle does what Run does when woken.
func (w *world) settle() {
	w.t.Helper()
	w.rescope()
	if err := w.commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(r Rule) Rule {
	w.t.Helper()
	r, err := w.CreateRule(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func above(x float64, forS int) Limit { return Limit{Above: &x, ForS: forS} }
func below(x float64, forS int) Limit { return Limit{Below: &x, ForS: forS} }

// fourGrams is the rule most tests use: over 4 g/l, back under 3.5.
func fourGrams() Rule {
	return Rule{ID: "man-4", Title: "Mặn trên 4 g/l", Metric: "salinity", On: above(4, 0), Off: below(3.5, 0), Priority: High}
}

// words writes events as "raised:active closed:closed".
func words(es []Event) string {
	var out []string
	for _, e := range es {
		out = append(out, e.Type+":"+string(e.Alarm.State))
	}
	return strings.Join(out, " ")
}

// checkJournal proves the journal: dense, lawful step by step, and ending where the alarms stand.
func (w *world) checkJournal() {
	w.t.Helper()
	es, err := w.Since(w.t.Context(), 0, 1<<30)
	if err != nil {
		w.t.Fatal(err)
	}
	lawful := map[string]bool{
		":raised:active": true, "active:acknowledged:acknowledged": true, "active:returned:returned": true,
		"acknowledged:closed:closed": true, "returned:closed:closed": true, "returned:raised:active": true,
		"active:closed:closed": true, // its rule was deleted
	}
	at := map[string]Alarm{}
	open := map[alarmKey]string{}
	for i, e := range es {
		if e.Seq != uint64(i)+1 {
			w.t.Fatalf("event %d has seq %d", i, e.Seq)
		}
		was := at[e.Alarm.ID]
		step := fmt.Sprintf("%s:%s:%s", was.State, e.Type, e.Alarm.State)
		if !lawful[step] && !(e.Type == EventCommented && was.State == e.Alarm.State) {
			w.t.Errorf("seq %d: %s", e.Seq, step)
		}
		k := alarmKey{e.Alarm.Rule, e.Alarm.Subject}
		if o := open[k]; o != "" && o != e.Alarm.ID && e.Type != EventCommented {
			w.t.Errorf("seq %d: %v has alarm %s while %s is open", e.Seq, k, e.Alarm.ID, o)
		}
		if e.Type != EventCommented {
			if open[k] = e.Alarm.ID; e.Alarm.State == Closed {
				delete(open, k)
			}
		}
		at[e.Alarm.ID] = e.Alarm
	}
	all, _, err := w.Alarms(w.t.Context(), Filter{States: states, Limit: maxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(all) != min(len(at), maxLimit) {
		w.t.Errorf("%d alarms, %d in the journal", len(all), len(at))
	}
	for _, a := range all {
		if j := at[a.ID]; j.State != a.State || !j.Changed.Equal(a.Changed) || j.Value != a.Value {
			w.t.Errorf("alarm %s is %s, in the journal %s", a.ID, a.State, j.State)
		}
	}
	seq, snap := w.Snapshot()
	if seq != uint64(len(es)) {
		w.t.Errorf("snapshot at %d of %d", seq, len(es))
	}
	for _, a := range snap {
		if at[a.ID].State != a.State || a.State == Closed {
			w.t.Errorf("snapshot has %s as %s, the journal as %s", a.ID, a.State, at[a.ID].State)
		}
	}
	if len(snap) != len(open) {
		w.t.Errorf("snapshot has %d alarms, the journal %d open", len(snap), len(open))
	}
}
