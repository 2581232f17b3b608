package devices

import "time"

// Heard notes that a device was heard at t (receive time). In memory; never
// blocks. An earlier time than the known one changes nothing. A gateway is
// heard when it sends, a child when an observation of its own arrives.
func (r *Registry) Heard(id ID, t time.Time) {
	rec, ok := r.find(id)
	if !ok {
		return
	}
	ms := t.UnixMilli()
	for {
		was := rec.heard.Load()
		if ms <= was || rec.heard.CompareAndSwap(was, ms) {
			return
		}
	}
}

// LastHeard is when the device was last heard, UTC, whole milliseconds.
func (r *Registry) LastHeard(id ID) (time.Time, bool) {
	rec, ok := r.find(id)
	if !ok || rec.heard.Load() == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(rec.heard.Load()).UTC(), true
}

// State judges a device's voice at now: silent when nothing came for more than
// three of its expected intervals. An unknown device was never heard.
func (r *Registry) State(id ID, now time.Time) State {
	rec, ok := r.find(id)
	if !ok {
		return Never
	}
	d, heard := rec.device.Load(), rec.heard.Load()
	switch {
	case d.Maintenance:
		return Maintenance
	case heard == 0:
		return Never
	case now.UnixMilli()-heard > 3*d.Interval().Milliseconds():
		return Silent
	default:
		return Online
	}
}
