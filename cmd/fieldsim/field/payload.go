package field

import (
	"encoding/json"
	"strconv"

	"cuulong/devices"
)

// appendSample writes {"ts":ms,"values":{...}}.
func appendSample(b []byte, ms int64, readings []reading) []byte {
	b = append(b, `{"ts":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, `,"values":{`...)
	for i, r := range readings {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, r.metric...)
		b = append(b, `":`...)
		b = strconv.AppendFloat(b, r.value, 'f', -1, 64)
	}
	return append(b, "}}"...)
}

// appendSamples writes one sample as an object, several as an array of them.
func (w world) appendSamples(b []byte, s *site, times []int64) []byte {
	if len(times) != 1 {
		b = append(b, '[')
	}
	for i, ms := range times {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSample(b, ms, w.read(s, ms, nil))
	}
	if len(times) != 1 {
		b = append(b, ']')
	}
	return b
}

func (sp *speaker) telemetry(s *site, times []int64) []byte {
	return sp.world.appendSamples(nil, s, times)
}

// forChildren is a gateway's {"<device id>": <telemetry payload>, ...}.
func (sp *speaker) forChildren(times []int64) []byte {
	b := []byte{'{'}
	for i, c := range sp.children {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, c.device.ID...) // an id needs no escaping
		b = append(b, `":`...)
		b = sp.world.appendSamples(b, c, times)
	}
	return append(b, '}')
}

// attributes is what a device tells of itself once a connection.
func (sp *speaker) attributes() []byte {
	model := map[devices.Kind]string{devices.Station: "Mô phỏng CL-S1", devices.Gateway: "Mô phỏng CL-G1",
		devices.AccessPoint: "Mô phỏng CL-W1"}[sp.own.device.Kind]
	b, err := json.Marshal(map[string]any{"model": model, "firmware": "1.4.2", "illustrative": true})
	if err != nil {
		panic("field: attributes: " + err.Error()) // only strings
	}
	return b
}
