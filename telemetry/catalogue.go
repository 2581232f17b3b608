package telemetry

import "slices"

// Metric is one entry of the catalogue.
type Metric struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	TitleVI  string  `json:"title_vi"`
	TitleEN  string  `json:"title_en"`
	Min      float64 `json:"min"` // plausible range; outside: flag 4, gross_range
	Max      float64 `json:"max"`
	Decimals int     `json:"decimals"`
	Counter  bool    `json:"counter,omitempty"`
}

// catalogue holds the contract's metrics. The ranges are what the quantity can
// plausibly be in the delta's water and air and what its sensors can tell, not
// what is healthy: they find broken sensors, alarms find bad water.
var catalogue = []Metric{
	{Name: "salinity", Unit: "g/l", TitleVI: "Độ mặn", TitleEN: "Salinity", Min: 0, Max: 45, Decimals: 2},
	{Name: "ec25", Unit: "mS/cm", TitleVI: "Độ dẫn điện ở 25 °C", TitleEN: "Conductivity at 25 °C", Min: 0, Max: 75, Decimals: 2},
	{Name: "ec", Unit: "mS/cm", TitleVI: "Độ dẫn điện", TitleEN: "Conductivity", Min: 0, Max: 85, Decimals: 2},
	{Name: "water_temperature", Unit: "°C", TitleVI: "Nhiệt độ nước", TitleEN: "Water temperature", Min: 5, Max: 45, Decimals: 1},
	{Name: "air_temperature", Unit: "°C", TitleVI: "Nhiệt độ không khí", TitleEN: "Air temperature", Min: 0, Max: 50, Decimals: 1},
	{Name: "level", Unit: "m", TitleVI: "Mực nước", TitleEN: "Water level", Min: -10, Max: 20, Decimals: 2},
	{Name: "discharge", Unit: "m3/s", TitleVI: "Lưu lượng", TitleEN: "Discharge", Min: -60_000, Max: 60_000, Decimals: 0}, // the tide turns the flow
	{Name: "ph", Unit: "", TitleVI: "Độ pH", TitleEN: "pH", Min: 0, Max: 14, Decimals: 2},
	{Name: "do", Unit: "mg/l", TitleVI: "Oxy hòa tan", TitleEN: "Dissolved oxygen", Min: 0, Max: 25, Decimals: 2},
	{Name: "turbidity", Unit: "NTU", TitleVI: "Độ đục", TitleEN: "Turbidity", Min: 0, Max: 4_000, Decimals: 1},
	{Name: "rain", Unit: "mm", TitleVI: "Lượng mưa", TitleEN: "Rainfall", Min: 0, Max: 1_000, Decimals: 1},
	{Name: "wind_speed", Unit: "m/s", TitleVI: "Tốc độ gió", TitleEN: "Wind speed", Min: 0, Max: 75, Decimals: 1},
	{Name: "wind_direction", Unit: "deg", TitleVI: "Hướng gió", TitleEN: "Wind direction", Min: 0, Max: 360, Decimals: 0},
	{Name: "humidity", Unit: "%", TitleVI: "Độ ẩm không khí", TitleEN: "Relative humidity", Min: 0, Max: 100, Decimals: 0},
	{Name: "soil_moisture", Unit: "%", TitleVI: "Độ ẩm đất", TitleEN: "Soil moisture", Min: 0, Max: 100, Decimals: 1},
	{Name: "pressure", Unit: "hPa", TitleVI: "Khí áp", TitleEN: "Air pressure", Min: 870, Max: 1_085, Decimals: 1},
	{Name: "pm2_5", Unit: "µg/m³", TitleVI: "Bụi mịn PM2,5", TitleEN: "PM2.5", Min: 0, Max: 2_000, Decimals: 1},
	{Name: "pm10", Unit: "µg/m³", TitleVI: "Bụi PM10", TitleEN: "PM10", Min: 0, Max: 5_000, Decimals: 1},
	{Name: "no2", Unit: "µg/m³", TitleVI: "Nitơ điôxít (NO₂)", TitleEN: "Nitrogen dioxide (NO₂)", Min: 0, Max: 4_000, Decimals: 1},
	{Name: "so2", Unit: "µg/m³", TitleVI: "Lưu huỳnh điôxít (SO₂)", TitleEN: "Sulphur dioxide (SO₂)", Min: 0, Max: 10_000, Decimals: 1},
	{Name: "co", Unit: "µg/m³", TitleVI: "Cacbon mônôxít (CO)", TitleEN: "Carbon monoxide (CO)", Min: 0, Max: 200_000, Decimals: 0},
	{Name: "o3", Unit: "µg/m³", TitleVI: "Ôzôn (O₃)", TitleEN: "Ozone (O₃)", Min: 0, Max: 2_000, Decimals: 1},
	{Name: "battery", Unit: "V", TitleVI: "Điện áp pin", TitleEN: "Battery voltage", Min: 0, Max: 60, Decimals: 2},
	{Name: "rssi", Unit: "dBm", TitleVI: "Cường độ tín hiệu", TitleEN: "Signal strength", Min: -150, Max: 20, Decimals: 0},
	{Name: "uptime", Unit: "s", TitleVI: "Thời gian hoạt động", TitleEN: "Uptime", Min: 0, Max: 3e9, Decimals: 0},
	{Name: "ap_clients", Unit: "", TitleVI: "Số thiết bị kết nối", TitleEN: "Connected clients", Min: 0, Max: 10_000, Decimals: 0},
	{Name: "ap_rx_bytes", Unit: "B", TitleVI: "Lưu lượng nhận", TitleEN: "Bytes received", Min: 0, Max: 1e18, Decimals: 0, Counter: true},
	{Name: "ap_tx_bytes", Unit: "B", TitleVI: "Lưu lượng gửi", TitleEN: "Bytes sent", Min: 0, Max: 1e18, Decimals: 0, Counter: true},
	{Name: "ap_channel_utilisation", Unit: "%", TitleVI: "Mức sử dụng kênh", TitleEN: "Channel utilisation", Min: 0, Max: 100, Decimals: 0},
	{Name: "ap_noise", Unit: "dBm", TitleVI: "Mức nhiễu", TitleEN: "Noise floor", Min: -150, Max: 0, Decimals: 0},
	{Name: "ap_load", Unit: "", TitleVI: "Tải hệ thống", TitleEN: "System load", Min: 0, Max: 1_000, Decimals: 2},
}

// byName finds a metric; its keys are also what decoders intern names with.
var byName = func() map[string]*Metric {
	m := make(map[string]*Metric, len(catalogue))
	for i := range catalogue {
		m[catalogue[i].Name] = &catalogue[i]
	}
	return m
}()

// Catalogue lists all known metrics, in the order a person would: water, air, power, network.
func Catalogue() []Metric { return slices.Clone(catalogue) }

// Lookup finds a metric; ok is false for one the catalogue does not know.
func Lookup(name string) (m Metric, ok bool) {
	p, ok := byName[name]
	if !ok {
		return Metric{}, false
	}
	return *p, true
}

// intern returns a metric's name as a string: the catalogue's own where it has
// it, so that known names cost no allocation.
func intern(name []byte) string {
	if m, ok := byName[string(name)]; ok {
		return m.Name
	}
	return string(name)
}
