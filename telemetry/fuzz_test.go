package telemetry_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"cuulong/devices"
	. "cuulong/telemetry"
)

// sound holds a batch to what every decoder promises, whatever came in.
func sound(t *testing.T, b Batch, payload []byte) {
	t.Helper()
	if len(b.Observations) > MaxObservations {
		t.Errorf("%d observations", len(b.Observations))
	}
	for _, o := range b.Observations {
		if math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
			t.Errorf("%+v is not finite", o)
		}
		if o.Seen != now || o.At != 0 && (o.At < 946_684_800_000 || o.At > now+300_000) {
			t.Errorf("%+v has a time nobody believes", o)
		}
		if !GoodMetric(o.Metric) && len(o.Metric) <= 64 { // "_sum" may make a name of 64 longer: Ingest refuses it
			t.Errorf("%q is no metric", o.Metric)
		}
	}
	for _, a := range b.SetAside {
		if a.Reason == "" || a.Count < 1 || a.Seen != now {
			t.Errorf("set aside %+v", a)
		}
		if !bytes.Contains(payload, a.Payload) {
			t.Errorf("set aside %q, which was not sent", a.Payload)
		}
	}
}

// nesting counts the deepest level of brackets outside of strings, roughly: too many is what matters.
func nesting(b []byte) (deepest int) {
	depth := 0
	for _, c := range b {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	return deepest
}

func FuzzTelemetry(f *testing.F) {
	for _, s := range []string{
		`{"ts":1772323199000,"values":{"salinity":3.2}}`,
		`[{"ts":"2026-02-28T23:59:59Z","values":{"ph":7,"fw":"1.2","x":null}},{"values":{"do":1e999}}]`,
		`{"values":{"ph":NaN,"p\u0068":-Infinity}}`,
		"\"\x88\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		b := DecodeTelemetry("dev", "fuzz", payload, now)
		sound(t, b, payload)
		if len(payload) == 0 || payload[0] >= 0x80 || len(payload) > MaxPayload || nesting(payload) > 16 {
			return
		}
		// encoding/json is the judge of what JSON is, but for numbers that are none and bytes that are no UTF-8.
		refused := len(b.SetAside) == 1 && b.SetAside[0].Reason == BadJSON
		switch valid := json.Valid(payload) && utf8.Valid(payload); {
		case valid && refused:
			t.Errorf("%q is JSON and was refused: %s", payload, b.SetAside[0].Detail)
		case !valid && len(b.SetAside) == 0 && !bytes.Contains(payload, []byte("NaN")) && !bytes.Contains(payload, []byte("Infinity")):
			t.Errorf("%q is not JSON and was taken", payload)
		}
	})
}

func FuzzSenML(f *testing.F) {
	for _, c := range senmlCases {
		f.Add([]byte(c.pack))
	}
	f.Add([]byte("\x81\xa2\x00\x62ph\x02\xf9\x47\x00"))
	f.Add([]byte("\x9f\xbf\x00\x62ph\x02\x07\xff\xff"))
	f.Add([]byte("\x82\xa3\x22\xf9\x7e\x00\x00\x62ph\x02\x07\xa1\x20\x0a"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		sound(t, DecodeTelemetry("dev", "fuzz", payload, now), payload)
	})
}

func FuzzGateway(f *testing.F) {
	f.Add([]byte(`{"a":{"ts":1772323199000,"values":{"ph":7}},"b":[{"n":"ph","v":7}]}`))
	f.Add([]byte(`{"a":3,"a":{"values":{}},"x":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		b := DecodeGateway(func(id devices.ID) bool { return id == "a" }, "fuzz", payload, now)
		if len(b.Observations) > MaxObservations {
			b.Observations = b.Observations[:MaxObservations] // the bound is each child's
		}
		sound(t, b, payload)
		for _, o := range b.Observations {
			if o.Device != "a" {
				t.Errorf("%+v is not the gateway's", o)
			}
		}
	})
}

func FuzzNetJSON(f *testing.F) {
	f.Add([]byte(`{"type":"DeviceMonitoring","general":{"uptime":1},"resources":{"load":[0.1]},"interfaces":[{"statistics":{"rx_bytes":1},"wireless":{"clients":[{}],"noise":-90}}]}`))
	f.Add([]byte(`{"type":"DeviceMonitoring","general":[],"resources":{"load":3},"interfaces":{"a":1}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		sound(t, DecodeNetJSON("dev", "fuzz", payload, now), payload)
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte(`{"firmware":"1.2","position":{"lon":106.3,"lat":10.3}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := DecodeAttributes(payload)
		if err != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Errorf("%q gives what cannot be written again: %v", payload, err)
		}
	})
}

func FuzzEvery(f *testing.F) {
	f.Add("10m", int64(now-86_400_000), int64(now), int64(now-5))
	f.Add("auto", int64(0), int64(now), int64(-1))
	f.Add("1d", int64(0), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, s string, from, to, at int64) {
		e, err := ParseEvery(s, from, to)
		if err != nil {
			return
		}
		if e.Millis < 1000 || e.Millis > 366*86_400_000 {
			t.Errorf("%q is %d ms", s, e.Millis)
		}
		if at < -now || at > 10*now {
			return
		}
		if start := e.Floor(at); start > at || at-start >= e.Millis || e.Floor(start) != start {
			t.Errorf("%q: the window of %d begins at %d", s, at, start)
		}
	})
}
