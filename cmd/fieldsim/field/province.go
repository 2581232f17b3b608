package field

import (
	"encoding/json"
	"fmt"
	"sync"

	"cuulong/devices"
	"cuulong/geo"
)

// Tags that the rules of the province judge by.
const (
	tagDrinking = "lấy nước sinh hoạt" // drinking-water intake
	tagSluice   = "cống"               // at a sluice
	tagOrchard  = "vườn cây"           // irrigates orchards
)

// pulseStation is where the planned tongue of salt water passes (see pulse).
const pulseStation devices.ID = "sal-co-chien-3"

// A site is one point of the demo's file with what the simulation needs of it.
type site struct {
	device  devices.Device
	river   string  // salinity stations
	km      float64 // chainage
	urban   float64 // air stations: how much traffic, 0..1
	crowd   float64 // access points: clients at the busiest hour
	weakest bool    // has a flaw that an operator should see
}

// gateways of the demo and the stations that speak through them. They are not
// in the file: a gateway stands where its pole is, for the demo near the middle.
var gateways = []struct {
	id       devices.ID
	name     string
	at       geo.Point
	children []devices.ID
}{
	{"gw-cua-tieu", "Bộ thu thập Cửa Tiểu", geo.Point{Lon: 106.5806, Lat: 10.3450},
		[]devices.ID{"sal-cua-tieu-2", "sal-cua-tieu-3", "sal-cua-tieu-4"}},
	{"gw-cua-dai", "Bộ thu thập Cửa Đại", geo.Point{Lon: 106.5700, Lat: 10.2200},
		[]devices.ID{"sal-cua-dai-2", "sal-cua-dai-3"}},
	{"gw-ham-luong", "Bộ thu thập Hàm Luông", geo.Point{Lon: 106.4200, Lat: 10.1600},
		[]devices.ID{"sal-ham-luong-2", "sal-ham-luong-3", "sal-ham-luong-4"}},
}

var stationTags = map[devices.ID][]string{
	"sal-cua-tieu-4":  {tagSluice},
	"sal-cua-dai-3":   {tagSluice},
	"sal-ham-luong-3": {tagSluice},
	"sal-ham-luong-4": {tagOrchard},
	pulseStation:      {tagDrinking},
}

// Who answers for what in a province since mid-2025.
const (
	agencyWater = "Sở Nông nghiệp và Môi trường"
	agencyWifi  = "Sở Khoa học và Công nghệ"
)

// What each kind of device promises, in seconds. It sends twice as often
// (Options.Every), so that one lost message makes nobody silent.
var (
	salinityMetrics = []string{"salinity", "ec25", "water_temperature", "level", "battery"}
	airMetrics      = []string{"air_temperature", "humidity", "pressure", "wind_speed", "wind_direction", "rain",
		"pm2_5", "pm10", "no2", "so2", "co", "o3"}
	wifiMetrics    = []string{"ap_clients", "ap_rx_bytes", "ap_tx_bytes", "ap_channel_utilisation", "ap_noise", "ap_load", "uptime"}
	gatewayMetrics = []string{"battery", "rssi", "uptime"}
)

func promise(every int, metrics []string) []devices.Expected {
	p := make([]devices.Expected, len(metrics))
	for i, m := range metrics {
		p[i] = devices.Expected{Metric: m, EveryS: every}
	}
	return p
}

// sites reads the demo's points out of geo's base map, once.
var sites = sync.OnceValue(func() []site {
	text, err := geo.Base.ReadFile("base/stations.geojson")
	if err != nil {
		panic("field: the built-in stations are missing: " + err.Error()) // a broken build, not an input
	}
	s, err := readSites(text)
	if err != nil {
		panic("field: the built-in stations: " + err.Error())
	}
	return s
})

func readSites(text []byte) ([]site, error) {
	var file struct {
		Features []struct {
			Properties struct {
				ID, Name, Kind, River, Place string
				Chainage                     float64 `json:"chainage_km"`
			}
			Geometry struct{ Coordinates [2]float64 }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	parent := map[devices.ID]devices.ID{}
	var all []site
	for _, g := range gateways {
		for _, c := range g.children {
			parent[c] = g.id
		}
		all = append(all, site{device: devices.Device{ID: g.id, Name: g.name, Kind: devices.Gateway, Position: &g.at,
			Agency: agencyWater, Metrics: promise(60, gatewayMetrics)}})
	}
	for i, f := range file.Features {
		p := f.Properties
		id := devices.ID(p.ID)
		at := geo.Point{Lon: f.Geometry.Coordinates[0], Lat: f.Geometry.Coordinates[1]}
		s := site{device: devices.Device{ID: id, Name: p.Name, Kind: devices.Station, Position: &at,
			Parent: parent[id], Agency: agencyWater, Tags: stationTags[id], Public: true}}
		switch p.Kind {
		case "salinity":
			if _, ok := estuaries[p.River]; !ok {
				return nil, fmt.Errorf("station %s: no estuary %q", p.ID, p.River)
			}
			s.river, s.km = p.River, p.Chainage
			s.weakest = id == "sal-cua-dai-2" // an old battery
			s.device.Metrics = promise(10, salinityMetrics)
		case "air_weather":
			s.urban = 0.4 + 0.6*uniform(key(0, p.ID, "urban"), 0)
			if p.Place == "Mỹ Tho" {
				s.urban = 1
			}
			s.device.Metrics = promise(20, airMetrics)
		case "wifi":
			s.device.Kind, s.device.Agency, s.device.Public = devices.AccessPoint, agencyWifi, false
			s.crowd = 12 + 38*uniform(key(0, p.ID, "crowd"), 0)
			s.weakest = id == "wifi-my-tho-10" // a noisy neighbour on its channel
			if id == "wifi-my-tho-03" || id == "wifi-go-cong-01" {
				s.crowd = 68 // markets
			}
			s.device.Metrics = promise(30, wifiMetrics)
		case "camera": // it tells no observations; see Cameras
			continue
		default:
			return nil, fmt.Errorf("feature %d: unknown kind %q", i, p.Kind)
		}
		all = append(all, s)
	}
	return all, nil
}

// Province describes the demo: the devices to register, gateways before their
// children. The caller owns the slice and what it points to.
func Province() []devices.Device {
	all := make([]devices.Device, 0, len(sites()))
	for _, s := range sites() {
		d := s.device
		at := *d.Position
		d.Position = &at
		d.Tags = append([]string(nil), d.Tags...)
		d.Metrics = append([]devices.Expected(nil), d.Metrics...)
		all = append(all, d)
	}
	return all
}
