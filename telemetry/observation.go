package telemetry

import (
	"math"

	"cuulong/devices"
)

// Flag is a QARTOD quality flag.
type Flag uint8

// The flags of QARTOD.
const (
	Pass         Flag = 1
	NotEvaluated Flag = 2
	Suspect      Flag = 3
	Fail         Flag = 4
	Missing      Flag = 9
)

// TestGrossRange names QARTOD's gross range test: the value is outside what the quantity can plausibly be.
const TestGrossRange = "gross_range"

// TestUnit names our own test of SenML: the unit sent is none that the metric can be converted from.
const TestUnit = "unit"

// Worse is the worse of two flags, as aggregates have it: pass, not evaluated,
// missing, suspect, fail; what is no flag is better than all.
func Worse(a, b Flag) Flag {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func rank(f Flag) int {
	switch f {
	case Pass:
		return 1
	case NotEvaluated:
		return 2
	case Missing:
		return 3
	case Suspect:
		return 4
	case Fail:
		return 5
	}
	return 0
}

// Observation is one value of one datastream (device, metric).
// At is phenomenon time and Seen receive time, both Unix milliseconds, UTC.
type Observation struct {
	Device devices.ID
	Metric string
	At     int64
	Seen   int64
	Value  float64
	Flag   Flag
	Test   string // which test gave the flag: "gross_range"; empty for pass
}

// SetAside is what could not be kept as an observation.
type SetAside struct {
	Source  string // topic or route, with the sender's identity
	Reason  string // short, of a fixed set: "bad_json", "bad_time", "not_finite", ...
	Detail  string
	Payload []byte
	Seen    int64
	Count   int // how many values this stands for; 0 is read as 1
}

// The reasons for setting aside: a fixed set, since they become labels.
const (
	BadJSON      = "bad_json"       // not JSON at all, or nested too deep
	BadCBOR      = "bad_cbor"       // not CBOR, or beyond its bounds
	BadShape     = "bad_shape"      // JSON, but not the contract's
	BadSenML     = "bad_senml"      // breaks RFC 8428
	BadNetJSON   = "bad_netjson"    // JSON, but not DeviceMonitoring
	BadMetric    = "bad_metric"     // a name outside [a-z][a-z0-9_]{0,63}
	BadValue     = "bad_value"      // no number where one belongs
	BadTime      = "bad_time"       // more than 5 minutes ahead, before 2000, or unreadable
	NotFinite    = "not_finite"     // NaN, Inf, 1e999
	TooMany      = "too_many"       // more than 10,000 observations, or a payload over 1 MiB
	TooManyNames = "too_many_names" // a device with more datastreams than MaxMetrics
	NotChild     = "not_child"      // a gateway spoke for a device that is not its own
	Ambiguous    = "ambiguous"      // two names of one SenML pack are the same metric

	BadAttributes = "bad_attributes" // no attributes, or more than a device may have
)

// Bounds on what is taken in.
const (
	MaxPayload      = 1 << 20 // bytes of one message
	MaxObservations = 10_000  // observations of one array
	MaxMetrics      = 1_000   // datastreams of one device

	maxDepth = 16              // nesting of a payload
	ahead    = 5 * 60 * 1000   // ms that a device's clock may run ahead of ours
	year2000 = 946_684_800_000 // Unix ms; a clock before it was never set
)

// Batch is what one message brought.
type Batch struct {
	Observations []Observation // At 0 means: no ts, take Seen
	SetAside     []SetAside
	Words        []Word

	Source  string // as in SetAside; with Payload for what only Ingest finds it cannot keep
	Payload []byte

	elements []int // where those of an array's elements that tell no time begin
}

// GoodMetric tells whether a name is [a-z][a-z0-9_]{0,63}.
func GoodMetric(s string) bool { return goodMetric([]byte(s)) }

func goodMetric(s []byte) bool {
	if len(s) == 0 || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range s[1:] {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// goodTime tells whether a phenomenon time can be believed at receive time now; both Unix ms.
func goodTime(at, now int64) bool { return at >= year2000 && at <= now+ahead }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// judge gives an observation its flag unless it has one: pass inside the
// catalogue's plausible range, fail outside, not evaluated where the metric is unknown.
func judge(o *Observation) {
	if rank(o.Flag) > 0 {
		return
	}
	m, ok := byName[o.Metric]
	switch {
	case !ok:
		o.Flag = NotEvaluated
	case o.Value < m.Min || o.Value > m.Max:
		o.Flag, o.Test = Fail, TestGrossRange
	default:
		o.Flag = Pass
	}
}

// refusal says why an observation cannot be kept; "" when it can.
func refusal(o *Observation) string {
	switch {
	case o.Device == "" || len(o.Device) > 64:
		return BadShape
	case !finite(o.Value):
		return NotFinite
	case o.At != 0 && !goodTime(o.At, o.Seen):
		return BadTime
	case !GoodMetric(o.Metric):
		return BadMetric
	}
	return ""
}
