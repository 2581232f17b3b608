package alerts

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cuulong/devices"
	"cuulong/telemetry"
)

// model is the naive judge: it keeps all it was told of one datastream and
// looks through all of it each time. Times are seconds after t0.
type model struct {
	r        Rule
	interval float64
	state    State // Closed: no alarm
	newest   float64
	heard    bool
	judged   []judgedValue // since the last change between alarm and none
	out      []string
}

type judgedValue struct{ at, v float64 }

func (m *model) inAlarm() bool { return m.state == Active || m.state == Acknowledged }

func (m *model) limit() Limit {
	if m.inAlarm() {
		return m.r.Off
	}
	return m.r.On
}

// heldSince finds the beginning of the unbroken run of values at the end that lie beyond the awaited limit.
func (m *model) heldSince() (since float64, holds bool) {
	for _, j := range slices.Backward(m.judged) {
		if !m.limit().holds(j.v) {
			break
		}
		since, holds = j.at, true
	}
	return since, holds
}

func (m *model) observe(at, v float64, f telemetry.Flag, now float64) {
	if m.heard && at < m.newest {
		return
	}
	m.newest, m.heard = at, true
	if f != telemetry.Pass && f != telemetry.NotEvaluated {
		return
	}
	if n := len(m.judged); n > 0 && m.judged[n-1].at == at && !m.limit().holds(v) {
		m.judged = nil // the value was taken back
	}
	m.judged = append(m.judged, judgedValue{at, v})
	since, holds := m.heldSince()
	fresh := now-at <= max(60, 3*m.interval)
	if holds && at-since >= float64(m.limit().ForS) && (m.inAlarm() || fresh) {
		m.flip()
	}
}

func (m *model) tick(now float64) {
	since, holds := m.heldSince()
	if holds && now-m.judged[len(m.judged)-1].at <= 3*m.interval && now-since >= float64(m.limit().ForS) {
		m.flip()
	}
}

func (m *model) flip() {
	m.judged = nil
	switch m.state {
	case Closed, Returned:
		m.become(EventRaised, Active)
	case Active:
		m.become(EventReturned, Returned)
	case Acknowledged:
		m.become(EventClosed, Closed)
	}
}

func (m *model) ack() {
	switch m.state {
	case Active:
		m.become(EventAcknowledged, Acknowledged)
	case Returned:
		m.become(EventClosed, Closed)
	}
}

func (m *model) become(event string, s State) {
	m.state = s
	m.out = append(m.out, event+":"+string(s))
}

// Random histories give the same events as the naive judge. The seed is in the test's name.
func TestAgainstNaiveJudge(t *testing.T) {
	const stories, steps = 40, 120
	w := newWorld(t)
	raised, restarts := 0, 0
	for seed := range uint64(stories) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w.t = t
			rnd := rand.New(rand.NewPCG(seed, 1))
			every := []int{1, 20, 60}[rnd.IntN(3)]
			id := devices.ID(fmt.Sprint("s", seed))
			w.to(0)
			w.add(devices.Device{ID: id, Metrics: []devices.Expected{{Metric: "salinity", EveryS: every}}})
			r := fourGrams()
			r.ID = fmt.Sprint("r", seed)
			r.Scope.Devices = []devices.ID{id}
			r.On.ForS, r.Off.ForS = []int{0, 30, 90}[rnd.IntN(3)], []int{0, 30, 90}[rnd.IntN(3)]
			if rnd.IntN(2) == 0 {
				r.On, r.Off = below(3.5, r.On.ForS), above(4, r.Off.ForS)
			}
			w.create(r)
			m := &model{r: r, interval: float64(every), state: Closed}
			w.takeEvents()
			now := 0.0
			var story []string
			for range steps {
				now += float64(rnd.IntN(40))
				w.to(now)
				switch n := rnd.IntN(20); {
				case n < 13:
					at := now
					switch rnd.IntN(6) {
					case 0:
						at -= float64(rnd.IntN(300)) // late, or old when it comes
					case 1:
						at += float64(rnd.IntN(30)) // a clock ahead
					}
					v := []float64{2, 3, 3.5, 3.8, 4, 5, 6}[rnd.IntN(7)]
					f := []telemetry.Flag{1, 1, 1, 1, 2, 3, 4}[rnd.IntN(7)]
					story = append(story, fmt.Sprintf("%g: %g of %g, flag %d", now, v, at, f))
					w.observe(telemetry.Observation{Device: id, Metric: "salinity", At: t0.UnixMilli() + int64(at*1000), Value: v, Flag: f})
					m.observe(at, v, f, now)
				case n < 17:
					story = append(story, fmt.Sprintf("%g: tick", now))
					w.Tick(w.now())
					m.tick(now)
				case n < 19:
					w.settle()
					for _, a := range w.listed(Filter{}) {
						if a.Subject == id {
							story = append(story, fmt.Sprintf("%g: ack", now))
							if _, err := w.Ack(t.Context(), a.ID, "lan", ""); err != nil {
								t.Fatal(err)
							}
						}
					}
					m.ack()
				default:
					w.settle()
					// A delay begins anew with the process; all else goes on as if nothing had been.
					if r.On.ForS == 0 && r.Off.ForS == 0 && rnd.IntN(3) == 0 {
						story = append(story, fmt.Sprintf("%g: restart", now))
						restarts++
						w.restart()
					}
				}
			}
			w.settle()
			var got []string
			for _, e := range w.takeEvents() {
				if e.Alarm.Subject == id { // a tick may end what an earlier story left
					got = append(got, e.Type+":"+string(e.Alarm.State))
				}
			}
			if !slices.Equal(got, m.out) {
				t.Fatalf("%+v\n%s\ngot  %v\nwant %v", r, strings.Join(story, "\n"), got, m.out)
			}
			raised += len(got)
		})
	}
	w.t = t
	w.checkJournal()
	if raised < 5*stories || restarts == 0 {
		t.Errorf("only %d events and %d restarts: the stories hardly try", raised, restarts)
	}
}
