package telemetry

import (
	"encoding/json"
	"fmt"

	"cuulong/devices"
)

// DecodeNetJSON reads NetJSON DeviceMonitoring (netjson.org/docs/what.html):
// general.uptime, resources.load[0], sums over all interfaces of rx_bytes and
// tx_bytes, number of wireless clients, and the worst noise and channel
// utilisation of the radios where given. general.local_time is not used: access
// points without a battery clock start in 1970, so At is our receive time.
// A part of another type than the standard's is passed over, its siblings are kept.
func DecodeNetJSON(id devices.ID, source string, payload []byte, now int64) Batch {
	r := reading{id: id, source: source, now: now, payload: payload}
	if len(payload) > MaxPayload {
		r.refuse(TooMany, fmt.Sprintf("%d bytes", len(payload)))
		return r.out
	}
	if err := whole(payload); err != nil {
		r.refuse(BadJSON, err.Error())
		return r.out
	}
	doc := fields(payload)
	kind := text(doc["type"])
	if doc == nil || kind != "DeviceMonitoring" {
		r.setAside(BadNetJSON, fmt.Sprintf("type is %.32q", kind), 1)
		return r.out
	}
	r.netjsonHost(doc)
	r.netjsonInterfaces(doc)
	return r.out
}

func (r *reading) netjsonHost(doc map[string]json.RawMessage) {
	r.give("uptime", fields(doc["general"])["uptime"])
	if load := elements(fields(doc["resources"])["load"]); len(load) > 0 {
		r.give("ap_load", load[0])
	}
}

func (r *reading) netjsonInterfaces(doc map[string]json.RawMessage) {
	var rx, tx, clients, noise, busy sum
	for _, raw := range elements(doc["interfaces"]) {
		i := fields(raw)
		traffic := fields(i["statistics"])
		rx.add(number(traffic["rx_bytes"]))
		tx.add(number(traffic["tx_bytes"]))
		radio := fields(i["wireless"])
		if radio == nil {
			continue
		}
		if list, ok := radio["clients"]; ok {
			clients.add(float64(len(elements(list))), true)
		}
		noise.max(number(radio["noise"]))
		for _, name := range [...]string{"channel_utilisation", "channel_utilization"} {
			busy.max(number(radio[name]))
		}
	}
	for _, m := range [...]struct {
		name string
		sum  sum
	}{{"ap_rx_bytes", rx}, {"ap_tx_bytes", tx}, {"ap_clients", clients}, {"ap_noise", noise}, {"ap_channel_utilisation", busy}} {
		if m.sum.any {
			r.keep(m.name, m.sum.v)
		}
	}
}

// give keeps a raw number where there is one.
func (r *reading) give(metric string, raw json.RawMessage) {
	if v, ok := number(raw); ok {
		r.keep(metric, v)
	}
}

func (r *reading) keep(metric string, v float64) {
	if !finite(v) {
		r.setAside(NotFinite, metric, 1)
		return
	}
	// A dozen values at most: the bound of add is out of reach.
	_ = r.add(metric, 0, v)
}

// sum adds or takes the largest of what is there, and knows whether anything was.
type sum struct {
	v   float64
	any bool
}

func (s *sum) add(v float64, ok bool) {
	if ok {
		s.v, s.any = s.v+v, true
	}
}

func (s *sum) max(v float64, ok bool) {
	if ok && (!s.any || v > s.v) {
		s.v, s.any = v, true
	}
}

// fields, elements, number and text read one level of JSON that whole has
// checked; nil, false and "" for another kind.
func fields(raw json.RawMessage) map[string]json.RawMessage {
	s := scanner{b: raw}
	if s.peek() != kindObject || s.open() != nil {
		return nil
	}
	m := map[string]json.RawMessage{}
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return m
		}
		name, err := s.key()
		if err != nil {
			return m
		}
		v, err := s.skip()
		if err != nil {
			return m
		}
		m[string(name)] = v
	}
}

func elements(raw json.RawMessage) []json.RawMessage {
	s := scanner{b: raw}
	if s.peek() != kindArray || s.open() != nil {
		return nil
	}
	var list []json.RawMessage
	for first := true; ; first = false {
		more, err := s.more(']', first)
		if err != nil || !more {
			return list
		}
		v, err := s.skip()
		if err != nil {
			return list
		}
		list = append(list, v)
	}
}

func number(raw json.RawMessage) (float64, bool) {
	s := scanner{b: raw}
	if s.peek() != kindNumber {
		return 0, false
	}
	v, err := s.number()
	return v, err == nil
}

func text(raw json.RawMessage) string {
	s := scanner{b: raw}
	if s.peek() != kindString {
		return ""
	}
	v, err := s.str()
	if err != nil {
		return ""
	}
	return string(v)
}
