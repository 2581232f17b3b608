package field

import (
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Steps of History: as a data logger keeps them, not as a live wall wants them.
const (
	salinityStep = 15 * time.Minute
	airStep      = 30 * time.Minute
	wifiStep     = time.Hour

	historyChunk = 4096 // observations a yield, about; the slice is the receiver's to keep
)

func historyStep(s *site) time.Duration {
	switch {
	case s.river != "":
		return salinityStep
	case s.device.Kind == devices.Station:
		return airStep
	}
	return wifiStep
}

// History yields physically sensible observations of every device of the
// province, from inclusive, to exclusive, ordered by time, in chunks that
// never part one instant. Two weeks are about 210,000 observations. Seen is At.
//
// Instruments fail now and then: a station is missing for up to 90 minutes,
// never in the last two hours before to, so that a live start meets them all.
func History(from, to time.Time, yield func([]telemetry.Observation) bool) {
	HistoryOf(0, from, to, yield)
}

// HistoryOf is History of another seed; Options.Seed goes on where it ends.
func HistoryOf(seed uint64, from, to time.Time, yield func([]telemetry.Observation) bool) {
	w := world{seed: seed, tide: 1}
	step := salinityStep.Milliseconds()
	ms := -floorDiv(-from.UnixMilli(), step) * step
	end := to.UnixMilli()
	chunk := make([]telemetry.Observation, 0, historyChunk+1024)
	var readings []reading
	for ; ms < end; ms += step {
		all := sites()
		for i := range all {
			s := &all[i]
			if ms%historyStep(s).Milliseconds() != 0 || ms < end-2*3600e3 && w.missing(s, ms) {
				continue
			}
			readings = w.read(s, ms, readings[:0])
			for _, r := range readings {
				chunk = append(chunk, telemetry.Observation{Device: s.device.ID, Metric: r.metric,
					At: ms, Seen: ms, Value: r.value, Flag: telemetry.Pass})
			}
		}
		if len(chunk) >= historyChunk {
			if !yield(chunk) {
				return
			}
			chunk = make([]telemetry.Observation, 0, historyChunk+1024)
		}
	}
	if len(chunk) > 0 {
		yield(chunk)
	}
}

// missing says whether the site was out of order in the past: in one of 25
// quarter days, for 20 to 90 minutes.
func (w world) missing(s *site, ms int64) bool {
	const quarter = dayMS / 4
	k := key(w.seed, string(s.device.ID), "missing")
	n := floorDiv(ms, quarter)
	if uniform(k, 3*n) >= 0.04 {
		return false
	}
	long := (20 + 70*uniform(k, 3*n+1)) * 60e3
	begin := uniform(k, 3*n+2) * (quarter - long)
	x := float64(ms - n*quarter)
	return x >= begin && x < begin+long
}
