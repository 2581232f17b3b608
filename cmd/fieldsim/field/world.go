package field

import (
	"math"
	"time"

	"cuulong/devices"
)

// A world tells every value of the province at any time. Until start the
// water's clock is the real one; from then on it runs tide times as fast.
// Air, wifi and batteries keep real time.
type world struct {
	seed  uint64
	start int64   // Unix ms
	tide  float64 // speed of the water's clock
	live  bool    // after start the planned pulse passes
}

// water is the water's clock at real time ms.
func (w world) water(ms int64) int64 {
	if !w.live || ms <= w.start {
		return ms
	}
	return w.start + int64(float64(ms-w.start)*w.tide)
}

// The planned pulse: a tongue of salt water that passes pulseStation soon after
// a live start and again every pulsePeriod, whatever the tide does.
const (
	pulsePeriod = 45 * time.Minute
	pulseRise   = 40 * time.Second // begins to rise
	pulseFull   = 65 * time.Second
	pulseFall   = 9 * time.Minute
	pulseOver   = 12 * time.Minute
	pulseLevel  = 1.9 // g/l that it lifts the water to
)

// pulse is how far (0..1) the tongue has taken the station at real time ms.
func (w world) pulse(ms int64) float64 {
	if !w.live || ms <= w.start {
		return 0
	}
	t := float64((ms - w.start) % pulsePeriod.Milliseconds())
	return smooth(float64(pulseRise.Milliseconds()), float64(pulseFull.Milliseconds()), t) *
		(1 - smooth(float64(pulseFall.Milliseconds()), float64(pulseOver.Milliseconds()), t))
}

// A reading is one metric's value.
type reading struct {
	metric string
	value  float64
}

// read appends what the site's instruments show at real time ms.
func (w world) read(s *site, ms int64, to []reading) []reading {
	switch {
	case s.river != "":
		return w.readSalinity(s, ms, to)
	case s.device.Kind == devices.AccessPoint:
		return w.readWifi(s, ms, to)
	case s.device.Kind == devices.Gateway:
		return w.readGateway(s, ms, to)
	}
	return w.readAir(s, ms, to)
}

func (w world) noise(s *site, what string, ms int64, step time.Duration) float64 {
	return red(key(w.seed, string(s.device.ID), what), ms, step.Milliseconds())
}

func (w world) readSalinity(s *site, ms int64, to []reading) []reading {
	wet := w.water(ms)
	salt := w.salinity(s, ms)
	// Water follows the sun by some three hours and varies less than air.
	temp := 28.6 + 0.9*math.Cos((localHour(wet)-17)/12*math.Pi) + 0.15*w.noise(s, "temp", wet, 30*time.Minute)
	level := riverLevel(s.km, wet) + 0.02*w.noise(s, "level", wet, 10*time.Minute)
	return append(to,
		reading{"salinity", salt},
		reading{"ec25", round(EC25(salt), 0.001)},
		reading{"water_temperature", round(temp, 0.01)},
		reading{"level", round(level, 0.01)},
		reading{"battery", w.battery(s, ms)})
}

// salinity is what the sensor shows, g/l, in steps of 0.01.
func (w world) salinity(s *site, ms int64) float64 {
	wet := w.water(ms)
	e := estuaries[s.river]
	salt := e.profile(s.km, e.boundary(wet))
	if s.device.ID == pulseStation {
		salt += w.pulse(ms) * (pulseLevel - salt)
	}
	salt *= 1 + 0.012*w.noise(s, "salt", wet, 5*time.Minute)
	return max(0.02, round(salt, 0.01))
}

// battery is a solar station's, V: full by day, 12.4 before dawn; an old one stands below 11.8.
func (w world) battery(s *site, ms int64) float64 {
	v := 12.75 + 0.35*math.Cos((localHour(ms)-15)/12*math.Pi)
	if s.weakest {
		v = 11.5 + 0.12*math.Cos((localHour(ms)-15)/12*math.Pi)
	}
	return round(v+0.02*w.noise(s, "battery", ms, time.Hour), 0.01)
}

func (w world) readGateway(s *site, ms int64, to []reading) []reading {
	return append(to,
		reading{"battery", w.battery(s, ms)},
		reading{"rssi", round(-77+3*w.noise(s, "rssi", ms, 10*time.Minute), 1)},
		reading{"uptime", w.uptime(s, ms)})
}

// uptime is seconds since the last restart: every 5 to 12 days, each device in its own rhythm.
func (w world) uptime(s *site, ms int64) float64 {
	k := key(w.seed, string(s.device.ID), "boot")
	period := int64((5 + 7*uniform(k, 0)) * dayMS)
	shift := int64(uniform(k, 1) * float64(period))
	return float64((ms - shift - floorDiv(ms-shift, period)*period) / 1000)
}

// localHour is the hour of the day in Asia/Ho_Chi_Minh (UTC+7, no summer time), 0..24.
func localHour(ms int64) float64 {
	ms += 7 * 3600e3
	return float64(ms-floorDiv(ms, dayMS)*dayMS) / 3600e3
}

// localDay numbers the days of Asia/Ho_Chi_Minh.
func localDay(ms int64) int64 { return floorDiv(ms+7*3600e3, dayMS) }
