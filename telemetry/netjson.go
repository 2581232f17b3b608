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
// A part of another type than the standard's is passed over, its siblings are
// kept; what is no number where one belongs is set aside.
func DecodeNetJSON(id devices.ID, source string, payload []byte, now int64) Batch {
	r := reading{out: Batch{Source: source, Payload: payload}, id: id, source: source, now: now, payload: payload}
	payload, ok := r.whole()
	if !ok {
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
	if v, ok := r.number(fields(doc["general"]), "uptime"); ok {
		r.keep("uptime", v)
	}
	resources := fields(doc["resources"])
	if load := elements(resources["load"]); len(load) > 0 {
		resources["load"] = load[0]
		if v, ok := r.number(resources, "load"); ok {
			r.keep("ap_load", v)
		}
	}
}

func (r *reading) netjsonInterfaces(doc map[string]json.RawMessage) {
	var rx, tx, clients, noise, busy sum
	for _, raw := range elements(doc["interfaces"]) {
		i := fields(raw)
		traffic := fields(i["statistics"])
		rx.add(r.number(traffic, "rx_bytes"))
		tx.add(r.number(traffic, "tx_bytes"))
		radio := fields(i["wireless"])
		if radio == nil {
			continue
		}
		if list, ok := radio["clients"]; ok {
			clients.add(float64(len(elements(list))), true)
		}
		noise.max(r.number(radio, "noise"))
		for _, name := range [...]string{"channel_utilisation", "channel_utilization"} {
			busy.max(r.number(radio, name))
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

// number reads a member that is a number; one of another kind is set aside,
// null is as if absent.
func (r *reading) number(of map[string]json.RawMessage, name string) (float64, bool) {
	s := scanner{b: of[name]}
	switch s.peek() {
	case kindNone, kindNull:
		return 0, false
	case kindNumber:
		v, err := s.number()
		return v, err == nil
	}
	r.setAside(BadValue, noNumber(name), 1)
	return 0, false
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

// fields, elements and text read one level of JSON that whole has checked; nil
// and "" for another kind.
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
