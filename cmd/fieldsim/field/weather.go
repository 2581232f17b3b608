package field

import (
	"math"
	"time"
)

// shower is the rain's intensity at real time ms, mm/h: on some days one tropical
// shower in the afternoon, 20 to 80 minutes long, steep at first.
func (w world) shower(s *site, ms int64) float64 {
	k := key(w.seed, string(s.device.ID), "shower")
	day := localDay(ms)
	if uniform(k, 4*day) > 0.4 {
		return 0
	}
	begin := 13 + 4.5*uniform(k, 4*day+1)
	hours := (20 + 60*uniform(k, 4*day+2)) / 60
	peak := 6 + 40*uniform(k, 4*day+3)*uniform(k, 4*day+3)
	x := (localHour(ms) - begin) / hours // 0..1 within the shower; none reaches midnight
	if x <= 0 || x >= 1 {
		return 0
	}
	return peak * min(x/0.2, (1-x)/0.8)
}

// rush is how much traffic an hour of the day has, 0..1: two peaks.
func rush(hour float64) float64 {
	bell := func(at, width float64) float64 { return math.Exp(-(hour - at) * (hour - at) / (2 * width * width)) }
	return min(1, bell(7, 1.3)+bell(17.8, 1.7)+0.25*bell(12, 3))
}

func (w world) readAir(s *site, ms int64, to []reading) []reading {
	hour := localHour(ms)
	rain := w.shower(s, ms)
	wet := min(1, rain/8)
	sun := max(0, math.Sin((hour-6)/12*math.Pi)) * (1 - 0.7*wet)
	temp := 27.6 + 3.9*math.Cos((hour-14)/12*math.Pi) - 3*wet + 0.5*w.noise(s, "temp", ms, 20*time.Minute)
	humid := 79 - 4.2*(temp-27.6) + 6*wet + 2*w.noise(s, "humid", ms, 20*time.Minute)
	// The semi-diurnal wave of the tropics: highest at 10 and 22 h.
	press := 1009.3 + 1.6*math.Cos((hour-10)/6*math.Pi) + 1.2*w.noise(s, "press", ms, 6*time.Hour)
	wind := max(0, 1.9+2.3*max(0, math.Cos((hour-15)/12*math.Pi))+4*wet+0.8*w.noise(s, "wind", ms, 5*time.Minute))
	from := math.Mod(115+25*math.Cos((hour-15)/12*math.Pi)+18*w.noise(s, "from", ms, 10*time.Minute)+360, 360)
	busy := rush(hour) * s.urban
	dust := max(3, (14+30*busy+7*w.noise(s, "dust", ms, 3*time.Hour)+2*w.noise(s, "puff", ms, 10*time.Minute))*(1-0.5*wet))
	gas := func(what string, mean float64) float64 {
		return round(max(0.5, mean*(1+0.12*w.noise(s, what, ms, 30*time.Minute))), 0.1)
	}
	return append(to,
		reading{"air_temperature", round(temp, 0.1)},
		reading{"humidity", round(min(100, max(35, humid)), 0.1)},
		reading{"pressure", round(press, 0.1)},
		reading{"wind_speed", round(wind, 0.1)},
		reading{"wind_direction", math.Mod(round(from, 1), 360)},
		reading{"rain", round(rain/6, 0.1)}, // mm of ten minutes, as a tipping bucket is read
		reading{"pm2_5", round(dust, 0.1)},
		reading{"pm10", round(dust*1.55+4, 0.1)},
		reading{"no2", gas("no2", 14+38*busy)},
		reading{"so2", gas("so2", 7+5*busy)},
		reading{"co", round(gas("co", 380+650*busy), 1)},
		reading{"o3", gas("o3", 28+62*sun)})
}
