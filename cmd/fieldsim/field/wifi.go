package field

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// clients is how many are on the access point at real time ms.
func (w world) clients(s *site, ms int64) int {
	hour := localHour(ms)
	day := math.Exp(-(hour-10)*(hour-10)/18) + math.Exp(-(hour-19)*(hour-19)/8)
	n := s.crowd*min(1, 0.06+0.9*day) + (1+s.crowd*0.06)*w.noise(s, "clients", ms, 10*time.Minute)
	return max(0, int(math.Round(n)))
}

// carried is what the radio received and sent since its restart, bytes: the
// integral of a rate that follows the day, so the counters never run back but
// at a restart.
func (w world) carried(s *site, ms int64) (rx, tx float64) {
	up := w.uptime(s, ms)
	const omega = 2 * math.Pi / 86400
	now := localHour(ms) * 3600
	phase := func(t float64) float64 { return 0.8 / omega * math.Sin(omega*(t-15*3600)) }
	seconds := up + phase(now) - phase(now-up) // of full rate
	rate := s.crowd * 900                      // bytes/s up from the clients
	return math.Floor(rate * seconds), math.Floor(rate * 7.5 * seconds)
}

func (w world) readWifi(s *site, ms int64, to []reading) []reading {
	r := w.radio(s, ms)
	return append(to,
		reading{"ap_clients", float64(r.clients)},
		reading{"ap_rx_bytes", r.rx},
		reading{"ap_tx_bytes", r.tx},
		reading{"ap_channel_utilisation", r.busy},
		reading{"ap_noise", r.noise},
		reading{"ap_load", r.load},
		reading{"uptime", r.uptime})
}

// radio is what an access point measures of itself.
type radio struct {
	clients           int
	rx, tx            float64
	busy, noise, load float64
	uptime            float64
}

func (w world) radio(s *site, ms int64) (r radio) {
	r.clients = w.clients(s, ms)
	r.rx, r.tx = w.carried(s, ms)
	r.uptime = w.uptime(s, ms)
	r.busy = round(min(96, max(2, 6+1.05*float64(r.clients)+4*w.noise(s, "busy", ms, 5*time.Minute))), 1)
	floor := -95.0
	if s.weakest {
		floor = -75 // a neighbour's transmitter on the same channel
	}
	r.noise = round(floor+1.2*w.noise(s, "noise", ms, 10*time.Minute), 1)
	r.load = round(max(0.02, 0.08+float64(r.clients)/90+0.05*w.noise(s, "load", ms, 5*time.Minute)), 0.01)
	return r
}

// netJSON is the access point's DeviceMonitoring document (netjson.org) at real
// time ms. Its clients' addresses are random and locally administered, as
// phones make them, and change every hour.
func (w world) netJSON(s *site, ms int64) []byte {
	type client struct {
		MAC    string `json:"mac"`
		Signal int    `json:"signal"`
		Noise  int    `json:"noise"`
		Auth   bool   `json:"auth"`
		TxRate int    `json:"tx_rate"` // kbit/s
		RxRate int    `json:"rx_rate"`
	}
	r := w.radio(s, ms)
	k := key(w.seed, string(s.device.ID), "mac")
	list := make([]client, r.clients)
	for i := range list {
		n := (ms/3600e3)*1000 + int64(i)
		b := mix(k ^ mix(uint64(n)))
		rate := 6500 * (1 + int(b>>40%40))
		list[i] = client{
			MAC: fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", byte(b)&^1|2, byte(b>>8), byte(b>>16), byte(b>>24),
				byte(b>>32), byte(b>>40)),
			Signal: -45 - int(b>>48%40), Noise: int(r.noise), Auth: true, TxRate: rate, RxRate: rate / 2,
		}
	}
	channels := [3]int{1, 6, 11}
	channel := channels[k%3]
	statistics := func(rx, tx float64) map[string]any {
		return map[string]any{"rx_bytes": int64(rx), "tx_bytes": int64(tx),
			"rx_packets": int64(rx / 420), "tx_packets": int64(tx / 980), "rx_errors": 0, "tx_errors": 0}
	}
	total := 256 << 20
	doc := map[string]any{
		"type": "DeviceMonitoring",
		"general": map[string]any{
			"hostname": string(s.device.ID), "local_time": ms / 1000, "uptime": int64(r.uptime)},
		"resources": map[string]any{
			"load": []float64{r.load, round(r.load*0.95, 0.01), round(r.load*0.9, 0.01)},
			"memory": map[string]any{"total": total, "free": total/2 - r.clients<<18, "buffered": 9 << 20,
				"shared": 1 << 20, "available": total/2 - r.clients<<18 + 12<<20},
			"disk": []any{map[string]any{"mount_point": "/overlay", "used_percent": 31}},
		},
		// One interface carries the radio; the sum over interfaces is then what the radio carried.
		"interfaces": []any{map[string]any{
			"name": "wlan0", "type": "wireless", "up": true, "mtu": 1500,
			"mac":        fmt.Sprintf("02:4c:%02x:%02x:%02x:01", byte(k>>8), byte(k>>16), byte(k>>24)),
			"statistics": statistics(r.rx, r.tx),
			"wireless": map[string]any{
				"ssid": "WiFi mien phi", "mode": "access_point", "channel": channel, "frequency": 2407 + 5*channel,
				"tx_power": 20, "country": "VN", "noise": int(r.noise), "channel_utilization": int(r.busy), "clients": list},
		}},
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic("field: netjson: " + err.Error()) // only numbers, strings and maps
	}
	return b
}
