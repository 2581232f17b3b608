package alerts

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// logged is a world whose observations come by a real log.
type logged struct {
	*world
	log *tsdb.DB
}

func newLogged(t *testing.T, ids ...string) *logged {
	t.Helper()
	log := openLog(t)
	w := newWorld(t, ids...)
	w.feed, w.store = log, log
	w.restart()
	w.caughtUp()
	return &logged{w, log}
}

func openLog(t *testing.T) *tsdb.DB {
	t.Helper()
	log, err := tsdb.Open(t.TempDir(), tsdb.Options{ReserveBytes: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

func (w *world) caughtUp() {
	w.t.Helper()
	if err := w.catchUp(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// crash is the process ending without a word, and another one that has caught up
// with the log and committed.
func (w *world) crash() {
	w.t.Helper()
	w.restart()
	w.caughtUp()
	w.settle()
}

// tickAt judges what waits at so many seconds after t0.
func (w *world) tickAt(s float64) {
	w.t.Helper()
	w.to(s)
	w.Tick(w.now())
	w.settle()
}

// noted commits, and notes the place in the log.
func (w *world) noted() {
	w.t.Helper()
	if err := w.checkpoint(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// tells are the words of what was told since it was last asked.
func (w *world) tells(when, want string) {
	w.t.Helper()
	if got := words(w.takeEvents()); got != want {
		w.t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// keep makes a record durable, as Ingest does before anybody is told.
func (w *logged) keep(obs ...telemetry.Observation) *telemetry.Record {
	w.t.Helper()
	r := &telemetry.Record{Observations: obs}
	if err := w.log.Append(r); err != nil {
		w.t.Fatal(err)
	}
	if err := w.log.Apply(r); err != nil {
		w.t.Fatal(err)
	}
	w.latest(obs...)
	return r
}

func (w *world) latest(obs ...telemetry.Observation) {
	w.t.Helper()
	for _, o := range obs {
		if err := w.last.Load(w.t.Context(), one{o: o}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// at is a salinity at so many seconds after t0, received at once.
func at(id string, s, v float64) telemetry.Observation {
	ms := t0.UnixMilli() + int64(s*1000)
	return telemetry.Observation{Device: devices.ID(id), Metric: "salinity", At: ms, Seen: ms, Value: v, Flag: telemetry.Pass}
}

// What the log took and the engine never heard of is judged after the crash,
// each episode once, and at the times at which it happened.
func TestCrashBetweenLogAndJudging(t *testing.T) {
	w := newLogged(t, "s1", "s2")
	w.create(fourGrams())
	w.keep(at("s1", 1, 5))
	w.keep(at("s1", 2, 3), at("s2", 2, 6))
	w.keep(at("s1", 3, 7))
	w.to(60)
	w.crash()
	es := w.takeEvents()
	var got []string
	for _, e := range es {
		got = append(got, fmt.Sprintf("%s %s at %g", e.Alarm.Subject, e.Type, e.At.Sub(t0).Seconds()))
	}
	if want := []string{"s1 raised at 1", "s1 returned at 2", "s2 raised at 2", "s1 raised at 3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range 3 {
		w.crash()
	}
	w.tells("again", "")
	w.checkJournal()
}

// A delay that ran at the crash goes on from where it began, though the log is read from later.
func TestDelaySurvivesACrash(t *testing.T) {
	w := newLogged(t, "s1")
	r := fourGrams()
	r.On.ForS = 100
	w.create(r)
	w.Observe(w.keep(at("s1", 0, 5)))
	w.to(50)
	w.Observe(w.keep(at("s1", 50, 6)))
	w.noted()
	if n := w.count(`SELECT COUNT(*) FROM alerts_waits WHERE since <> 0`); n != 1 {
		t.Errorf("%d waits recorded", n)
	}
	w.crash()
	w.tickAt(99)
	w.tells("after 99 s", "")
	w.tickAt(100)
	if es := w.takeEvents(); words(es) != "raised:active" || es[0].Alarm.Value != 6 {
		t.Errorf("after 100 s: %+v", es)
	}
}

// Where a log has begun anew, or no longer holds what follows the checkpoint, judging goes on and says so.
func TestLogThatIsNotTheOneBefore(t *testing.T) {
	w := newLogged(t, "s1")
	w.create(fourGrams())
	for i := range 20 {
		w.Observe(w.keep(at("s1", float64(i), float64(2+4*(i%2)))))
	}
	w.noted()
	w.takeEvents()
	w.log = openLog(t)
	w.feed, w.store = w.log, w.log
	for round := range 2 {
		w.restart()
		w.caughtUp()
		s := 100 * float64(round+1)
		w.to(s + 2)
		w.Observe(w.keep(at("s1", s, 3)))
		w.Observe(w.keep(at("s1", s+1, 8)))
		w.noted()
		w.keep(at("s1", s+2, 2)) // not told
		if round == 1 {
			w.crash()
		}
	}
	w.tells("after another log", "returned:returned raised:active returned:returned raised:active returned:returned")
	w.checkJournal()
}

// Another consumer that is far behind, or hangs, does not hold up an alarm.
func TestSlowConsumerDelaysNoAlarm(t *testing.T) {
	w := newLogged(t, "s1")
	w.create(fourGrams())
	w.Observe(w.keep(at("s1", 0, 2)))
	reading, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- w.log.Records(context.Background(), 1, func(*telemetry.Record) bool {
			close(reading)
			<-goOn
			return false
		})
	}()
	<-reading
	w.Observe(w.keep(at("s1", 1, 5)))
	w.noted()
	w.tells("while another consumer hangs", "raised:active")
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// growing is a log that takes one more record before it is read.
type growing struct {
	*tsdb.DB
	grow func()
}

func (g *growing) Records(ctx context.Context, from uint64, yield func(*telemetry.Record) bool) error {
	if grow := g.grow; grow != nil {
		g.grow = nil
		grow()
	}
	return g.DB.Records(ctx, from, yield)
}

// What Latest held when the log was begun to be read is not judged after what the log held since.
func TestLatestThatTheLogHasOvertaken(t *testing.T) {
	w := newLogged(t, "s1")
	w.create(fourGrams())
	w.Observe(w.keep(at("s1", 1, 5)))
	w.noted()
	w.to(2)
	w.feed = &growing{w.log, func() { w.keep(at("s1", 2, 3)) }}
	w.store = nil
	w.crash()
	w.tells("in all", "raised:active returned:returned")
}

// gappy is a log whose bounds have deleted what lies before from.
type gappy struct {
	*tsdb.DB
	from uint64
}

func (g gappy) Records(ctx context.Context, from uint64, yield func(*telemetry.Record) bool) error {
	return g.DB.Records(ctx, max(from, g.from), yield)
}

func TestGapInTheLog(t *testing.T) {
	w := newLogged(t, "s1")
	r := fourGrams()
	r.On.ForS = 60
	w.create(r)
	w.Observe(w.keep(at("s1", 0, 5)))
	w.noted()
	w.keep(at("s1", 30, 2))
	w.keep(at("s1", 61, 5))
	w.keep(at("s1", 62, 5))
	w.feed = gappy{w.log, 3}
	w.to(63)
	w.crash()
	w.tells("a delay was counted over the gap", "")
	w.tickAt(121)
	w.tells("60 s after the gap", "raised:active")
}

// Without a log, as where another process judges, no checkpoint is kept.
func TestNoLogNoPlace(t *testing.T) {
	w := newLogged(t, "s1")
	w.create(fourGrams())
	w.Observe(w.keep(at("s1", 0, 5)))
	w.noted()
	if n := w.count(`SELECT COUNT(*) FROM alerts_place`); n != 1 {
		t.Fatalf("%d checkpoints", n)
	}
	w.feed = nil
	w.restart()
	if n := w.count(`SELECT (SELECT COUNT(*) FROM alerts_place) + (SELECT COUNT(*) FROM alerts_waits)`); n != 0 {
		t.Errorf("%d rows are kept", n)
	}
}

// An engine that is killed at random points, and one that never is, keep the
// same journal, to the millisecond.
func TestKilledEngineKeepsTheSameJournal(t *testing.T) {
	stories := uint64(10)
	first := uint64(time.Now().UnixNano() % 1_000_000)
	if s := os.Getenv("ALERTS_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, stories = n, 1
	}
	kills, raised := 0, 0
	for seed := first; seed < first+stories; seed++ {
		t.Run(fmt.Sprintf("ALERTS_SEED=%d", seed), func(t *testing.T) {
			k, r := killedStory(t, seed)
			kills += k
			raised += r
		})
	}
	if !t.Failed() && stories > 1 && (kills < 30 || raised < 60) {
		t.Errorf("only %d kills and %d events: the stories hardly try", kills, raised)
	}
}

func killedStory(t *testing.T, seed uint64) (kills, events int) {
	const steps = 80
	ids := []string{"s0", "s1", "s2"}
	rnd := rand.New(rand.NewPCG(seed, 2))
	steady, w := newWorld(t, ids...), newLogged(t, ids...)
	for i := range 2 {
		r := fourGrams()
		r.ID = fmt.Sprint("r", i)
		r.On.ForS, r.Off.ForS = []int{0, 30, 90}[rnd.IntN(3)], []int{0, 30, 90}[rnd.IntN(3)]
		if rnd.IntN(2) == 0 {
			r.On, r.Off = below(3.5, r.On.ForS), above(4, r.Off.ForS)
		}
		steady.create(r)
		w.create(r)
	}
	w.atOnce = 1 + rnd.IntN(3)
	up := true // w hears what is stored
	now := 0
	used := map[string]bool{}
	var story []string
	tell := func(format string, args ...any) {
		story = append(story, fmt.Sprintf("%d: ", now)+fmt.Sprintf(format, args...))
	}
	revive := func() {
		w.restart()
		w.atOnce = 1 + rnd.IntN(3)
		w.caughtUp()
		up = true
	}
	for range steps {
		for range 6 + rnd.IntN(40) {
			now++
			steady.to(float64(now))
			w.to(float64(now))
			steady.Tick(steady.now())
			if up {
				w.Tick(w.now())
			}
		}
		switch n := rnd.IntN(20); {
		case n < 12:
			var obs []telemetry.Observation
			for i := range 1 + rnd.IntN(6) {
				id, when := ids[rnd.IntN(len(ids))], now-6+i
				if rnd.IntN(4) == 0 {
					when -= rnd.IntN(150) // late, or old when it comes
				}
				if used[fmt.Sprint(id, when)] {
					continue // a revision of what may have come before the crash
				}
				used[fmt.Sprint(id, when)] = true
				o := at(id, float64(when), []float64{2, 3, 3.5, 3.8, 4, 5, 6}[rnd.IntN(7)])
				o.Seen, o.Flag = w.now().UnixMilli(), []telemetry.Flag{1, 1, 1, 2, 4}[rnd.IntN(5)]
				obs = append(obs, o)
				tell("%s %g at %d flag %d", id, o.Value, when, o.Flag)
			}
			if len(obs) == 0 {
				continue
			}
			steady.latest(obs...)
			steady.Observe(&telemetry.Record{Observations: obs})
			r := w.keep(obs...)
			if up && rnd.IntN(5) > 0 {
				w.Observe(r)
			} else {
				tell("not told")
				up = false
			}
		case n < 14 && up:
			tell("commit")
			w.settle()
		case n < 15 && up:
			tell("commit some")
			if _, err := w.commitSome(t.Context(), rnd.IntN(2) == 0); err != nil {
				t.Fatal(err)
			}
		case n < 16 && up:
			tell("checkpoint")
			w.noted()
		case n < 17:
			if !up {
				revive()
			}
			steady.settle()
			w.settle()
			_, open := steady.Snapshot()
			for _, a := range open {
				tell("ack %s %s", a.Rule, a.Subject)
				for _, e := range []*world{steady, w.world} {
					if _, err := e.Ack(t.Context(), a.ID, "lan", ""); err != nil {
						t.Fatalf("%v\n%s", err, strings.Join(story, "\n"))
					}
				}
			}
		default:
			tell("kill")
			kills++
			revive()
		}
	}
	revive()
	steady.settle()
	w.settle()
	want, got := histories(steady), histories(w.world)
	for k := range want {
		if !slices.Equal(got[k], want[k]) {
			t.Fatalf("%v\n%s\n%+v\ngot  %v\nwant %v", k, strings.Join(story, "\n"), w.Rules(), got[k], want[k])
		}
		events += len(want[k])
	}
	if len(got) != len(want) {
		t.Errorf("alarms of %d kinds, want %d", len(got), len(want))
	}
	w.checkJournal()
	return kills, events
}

// histories is the journal by (rule, subject), as words.
func histories(w *world) map[alarmKey][]string {
	w.t.Helper()
	es, err := w.Since(w.t.Context(), 0, 1<<30)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[alarmKey][]string{}
	for _, e := range es {
		k := alarmKey{e.Alarm.Rule, e.Alarm.Subject}
		out[k] = append(out[k], fmt.Sprintf("%s:%s@%d=%g(%s)", e.Type, e.Alarm.State, e.At.UnixMilli()-t0.UnixMilli(), e.Alarm.Value, e.Alarm.ID))
	}
	return out
}

// While the engine runs and the log grows, it is started anew again and again:
// of every episode there is one raising and one return.
func TestHandoverFromLogToLive(t *testing.T) {
	w := newLogged(t)
	const n, rounds = 4, 300
	for i := range n {
		w.add(devices.Device{ID: devices.ID(fmt.Sprint("s", i)), Metrics: []devices.Expected{{Metric: "salinity", EveryS: 3600}}})
	}
	w.create(fourGrams())
	var mu sync.Mutex
	engine := w.Engine
	next := make(chan struct{}, rounds)
	var writing sync.WaitGroup
	writing.Go(func() { // the committer
		for i := range rounds {
			r := w.keep(at(fmt.Sprint("s", i%n), float64(i), float64(5-3*(i/n%2))))
			mu.Lock()
			engine.Observe(r)
			mu.Unlock()
			next <- struct{}{}
		}
	})
	for i := 0; i < rounds; {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		for range min(30, rounds-i) {
			<-next
			i++
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		mu.Lock() // from here on nobody hears what the log takes
		w.db.Close()
		w.open()
		engine = w.Engine
		mu.Unlock()
	}
	writing.Wait()
	w.caughtUp()
	w.settle()
	for k, h := range histories(w.world) {
		if len(h) != rounds/n {
			t.Errorf("%v: %d transitions, want %d", k, len(h), rounds/n)
		}
	}
	w.checkJournal()
}
