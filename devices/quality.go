package devices

import "fmt"

// Limits are the QARTOD tests of one datastream of a station; what is not set is
// not tested. Units are the metric's.
type Limits struct {
	Fail        *[2]float64 `json:"fail,omitempty" doc:"gross range: outside it flag 4"`
	Suspect     *[2]float64 `json:"suspect,omitempty" doc:"outside it flag 3"`
	Spike       *[2]float64 `json:"spike,omitempty" doc:"how far a value may be from the mean of the two before: beyond the first flag 3, beyond the second flag 4"`
	RatePerHour float64     `json:"rate_per_hour,omitempty" doc:"the most that a value may change within an hour: more is flag 3"`
	Flat        *Flat       `json:"flat,omitempty"`
	GapS        int         `json:"gap_s,omitempty" doc:"after this many seconds without a value the next has nothing to be compared with: flag 2"`
}

// Flat is the flat line test: as many values in a row within eps of each other.
type Flat struct {
	Eps     float64 `json:"eps"`
	Suspect int     `json:"suspect,omitempty" doc:"this many: flag 3"`
	Fail    int     `json:"fail,omitempty" doc:"this many: flag 4"`
}

// The quantities that can be derived, and how: practical salinity by PSS-78 from
// conductivity at 25 °C, or from raw conductivity and water temperature.
const (
	FromEC25 = "ec25"
	FromEC   = "ec"
)

// derivable are the metrics that a derived series may have.
var derivable = map[string]bool{"salinity": true, "salinity_pss78": true}

const maxRun = 100_000 // of a flat line

func checkLimits(all map[string]Limits) (faults FieldErrors) {
	if len(all) > maxMetrics {
		faults.Add("quality", "at most %d metrics", maxMetrics)
		return faults
	}
	for metric, l := range all {
		at := fmt.Sprintf("quality.%.64s", metric)
		if !validMetric(metric) {
			faults.Add("quality", "a metric is 1 to 64 of a-z 0-9 _ and begins with a letter")
			continue
		}
		for name, pair := range map[string]*[2]float64{"fail": l.Fail, "suspect": l.Suspect, "spike": l.Spike} {
			if pair != nil && (!within(pair[0], 1e300) || !within(pair[1], 1e300) || pair[0] > pair[1] || name == "spike" && pair[0] < 0) {
				faults.Add(at+"."+name, "must be two rising numbers")
			}
		}
		if l.RatePerHour < 0 || !within(l.RatePerHour, 1e300) {
			faults.Add(at+".rate_per_hour", "must be above 0")
		}
		if f := l.Flat; f != nil && (f.Eps < 0 || !within(f.Eps, 1e300) || f.Suspect < 0 || f.Fail < 0 || max(f.Suspect, f.Fail) < 2 || max(f.Suspect, f.Fail) > maxRun) {
			faults.Add(at+".flat", "must have eps from 0 and suspect or fail from 2 to %d values", maxRun)
		}
		if l.GapS < 0 || l.GapS > maxEveryS {
			faults.Add(at+".gap_s", "must be 1 to %d seconds", maxEveryS)
		}
	}
	return faults
}

func checkDerive(all map[string]string) (faults FieldErrors) {
	for metric, from := range all {
		if !derivable[metric] {
			faults.Add("derive", "only salinity or salinity_pss78 can be derived")
		}
		if from != FromEC25 && from != FromEC {
			faults.Add("derive", "must be from ec25, or from ec with water_temperature")
		}
	}
	return faults
}
