package field

import (
	"cuulong/alerts"
	"cuulong/devices"
)

// Rules are the demo's alarm rules: a handful, each with room between on and
// off, so that few alarms stand and each is true. Thresholds are examples; a
// province sets its own, per crop and gate, with somebody's signature.
func Rules() []alerts.Rule {
	above := func(x float64, forS int) alerts.Limit { return alerts.Limit{Above: &x, ForS: forS} }
	below := func(x float64, forS int) alerts.Limit { return alerts.Limit{Below: &x, ForS: forS} }
	tagged := func(tag string) alerts.Scope { return alerts.Scope{Tags: []string{tag}} }
	return []alerts.Rule{
		{ID: "man-lay-nuoc", Title: "Nước tại điểm lấy nước sinh hoạt mặn trên 1 g/l", Metric: "salinity",
			Scope: tagged(tagDrinking), On: above(1, 0), Off: below(0.8, 30), Priority: alerts.Urgent, Public: true},
		{ID: "man-cong", Title: "Độ mặn tại cống vượt 4 g/l", Metric: "salinity",
			Scope: tagged(tagSluice), On: above(4, 0), Off: below(3.5, 60), Priority: alerts.High, Public: true},
		{ID: "man-vuon", Title: "Nước tưới vườn cây mặn trên 1 g/l", Metric: "salinity",
			Scope: tagged(tagOrchard), On: above(1, 0), Off: below(0.8, 60), Priority: alerts.Medium, Public: true},
		{ID: "bui-min", Title: "Bụi mịn PM2,5 vượt 50 µg/m³", Metric: "pm2_5",
			Scope: alerts.Scope{Kinds: []devices.Kind{devices.Station}},
			On:    above(50, 120), Off: below(40, 300), Priority: alerts.Medium},
		{ID: "gio-manh", Title: "Gió mạnh từ cấp 6 (trên 10,8 m/s)", Metric: "wind_speed",
			On: above(10.8, 0), Off: below(8, 300), Priority: alerts.Medium},
		{ID: "pin-yeu", Title: "Pin trạm yếu, dưới 11,8 V", Metric: "battery",
			On: below(11.8, 0), Off: above(12.2, 0), Priority: alerts.Low},
		{ID: "wifi-dong", Title: "Điểm phát Wifi quá đông người dùng", Metric: "ap_clients",
			Scope: alerts.Scope{Kinds: []devices.Kind{devices.AccessPoint}},
			On:    above(60, 120), Off: below(50, 300), Priority: alerts.Low},
		{ID: "wifi-nhieu", Title: "Nhiễu sóng cao tại điểm phát Wifi", Metric: "ap_noise",
			Scope: alerts.Scope{Kinds: []devices.Kind{devices.AccessPoint}},
			On:    above(-80, 0), Off: below(-85, 60), Priority: alerts.Low},
	}
}
