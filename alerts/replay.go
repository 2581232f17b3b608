package alerts

import (
	"context"
	"math"
	"slices"
	"time"

	"cuulong/telemetry"
)

// replayedAtOnce bounds what is pending while the log is read.
const replayedAtOnce = 1000

// catchUp reads the log's records after the checkpoint through the judges,
// with the times of their observations, until it has met what Observe is told;
// from then on that is judged. So each record is judged once, and none is left
// out: what Observe is told meanwhile is durable, and read here.
func (e *Engine) catchUp(ctx context.Context) error {
	j := &e.judges
	begun, from := time.Now(), e.standing()
	if err := e.lookBack(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.log.Warn("what is late among the log's newest records cannot be told", "err", err)
	}
	delay := firstRetry
	for {
		// Before the reading: all that it holds is in the log by now, and read.
		latest := e.o.Latest.All()
		var failed error
		err := e.o.Feed.Records(ctx, e.standing()+1, func(r *telemetry.Record) bool {
			if e.replay(r) >= replayedAtOnce {
				failed = e.checkpoint(ctx)
			}
			return failed == nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failed == nil && err == nil {
			failed = e.checkpoint(ctx)
		}
		if failed != nil {
			if delay == firstRetry {
				e.log.Error("alarms cannot be committed; kept and tried again", "err", failed)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(delay):
			}
			delay = min(2*delay, lastRetry)
			continue
		}
		if err != nil {
			e.log.Error("the log cannot be read: alarms go on from the newest observations", "after", e.standing(), "err", err)
		}
		j.mu.Lock()
		if err != nil {
			j.gap()
			j.at = cursor{max(j.told, j.at.seq), whole}
		}
		live := j.told <= j.at.seq
		if live {
			e.goLive(latest)
		}
		to := j.at.seq
		j.mu.Unlock()
		if live {
			if to > from {
				e.log.Info("alarms have caught up with the log", "records", to-from, "took", time.Since(begun).Round(time.Millisecond))
			}
			return nil
		}
	}
}

// standing is the seq of the newest record judged.
func (e *Engine) standing() uint64 {
	e.judges.mu.Lock()
	defer e.judges.mu.Unlock()
	return e.judges.at.seq
}

// replay judges a record of the log as Observe and Tick would have, and says how much is pending then.
func (e *Engine) replay(r *telemetry.Record) (pending int) {
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Seq > j.at.seq+1 {
		e.log.Warn("the log no longer holds what alarms have not judged: delays begin anew", "from", j.at.seq+1, "to", r.Seq-1)
		j.gap()
	}
	if n := len(r.Observations); n > 0 {
		if seen := r.Observations[0].Seen; seen-j.clock >= tickMS {
			j.pass(seen, true)
			j.clock = seen
		}
	}
	e.judgeRecord(r)
	return len(j.pending) + len(j.late)
}

// gap forgets since when conditions hold: who knows what was between. mu is held.
func (j *judges) gap() {
	clear(j.waiting)
	for _, st := range j.streams {
		for _, t := range st.tracks {
			t.since = 0
			j.touch(t)
		}
	}
}

// goLive ends the catching up: delays that passed since the log's last record
// end, and Latest is judged again, since the scope of a rule may have changed
// unseen. mu is held.
func (e *Engine) goLive(latest []telemetry.Observation) {
	j := &e.judges
	now := e.now().UnixMilli()
	j.pass(now, true)
	j.live, j.marks, j.past = true, nil, nil
	e.judgeAgain(latest, now)
	e.poke()
}

// judgeAgain lets the rules judge the newest observations. mu is held.
func (e *Engine) judgeAgain(latest []telemetry.Observation, now int64) {
	j := &e.judges
	for i := range latest {
		o := &latest[i]
		if len(j.byMetric[o.Metric]) == 0 {
			continue
		}
		st := j.streams[streamKey{o.Device, o.Metric}]
		if st == nil {
			st = e.newStream(o.Device, o.Metric, 0)
		}
		if o.At < st.lastAt {
			continue // the log has overtaken it since it was copied
		}
		st.lastAt = o.At
		for _, r := range st.rules {
			j.judgeOld(st, r, o, now)
		}
	}
}

// lookedAt bounds how many observations lookBack holds times of.
const lookedAt = 1_000_000

// lookBack finds, for the datastreams in the log after the checkpoint, the
// newest phenomenon time that they had at it: what is older was late. Latest
// knows what is newest now; the series hold both what the log has after the
// checkpoint and what came before, and the difference tells. Of a log too long
// to look at, the first value of a datastream counts as in time.
func (e *Engine) lookBack(ctx context.Context) error {
	if e.o.Store == nil {
		return nil
	}
	first, all, err := e.timesInLog(ctx)
	if err != nil || !all {
		return err
	}
	inSeries := map[streamKey][]int64{}
	for k, ats := range first {
		err := e.o.Store.Points(ctx, k.device, k.metric, slices.Min(ats), math.MaxInt64, func(p telemetry.Point) bool {
			inSeries[k] = append(inSeries[k], p.At)
			return true
		})
		if err != nil {
			return err
		}
	}
	// Once more, since by now the series may hold what was not in the log before.
	inLog, all, err := e.timesInLog(ctx)
	if err != nil || !all {
		return err
	}
	past := map[streamKey]int64{}
	for k, ats := range inSeries {
		slices.Sort(inLog[k])
		past[k] = 0
		for _, at := range ats { // rising
			if _, found := slices.BinarySearch(inLog[k], at); !found {
				past[k] = at
			}
		}
	}
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	j.past = past
	return nil
}

// timesInLog gathers the phenomenon times in the log after the checkpoint of
// the datastreams that rules name the metrics of; all is false beyond the bound.
func (e *Engine) timesInLog(ctx context.Context) (times map[streamKey][]int64, all bool, err error) {
	j := &e.judges
	times = map[streamKey][]int64{}
	n := 0
	err = e.o.Feed.Records(ctx, e.standing()+1, func(r *telemetry.Record) bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		for i := range r.Observations {
			if o := &r.Observations[i]; len(j.byMetric[o.Metric]) > 0 {
				k := streamKey{o.Device, o.Metric}
				times[k] = append(times[k], o.At)
				n++
			}
		}
		return n < lookedAt
	})
	return times, n < lookedAt, err
}
