package video

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Why a unit was not shown to somebody.
const (
	viewerSlow = "viewer_slow" // that viewer fell behind
	noKey      = "no_key"      // nothing to begin with yet, or again after a damage
	damaged    = "damaged"     // packets of it are missing, or it cannot be read
	clock      = "clock"       // sound that a jump of the camera's time left no place for
)

// meters are the cameras' counters.
type meters struct {
	viewers prometheus.Gauge
	dropped map[string]prometheus.Counter // by reason
	refused *prometheus.CounterVec        // where, reason
}

func newMeters(r prometheus.Registerer) (*meters, error) {
	viewers := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ioc_video_viewers", Help: "Viewers of all cameras."})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ioc_video_dropped_total", Help: "Access units that a viewer or all viewers did not get, by reason."}, []string{"reason"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ioc_refused_total", Help: "What was refused, by place and reason."}, []string{"where", "reason"})
	m := &meters{dropped: map[string]prometheus.Counter{}}
	var err error
	if m.viewers, err = register(r, viewers); err != nil {
		return nil, err
	}
	if dropped, err = register(r, dropped); err != nil {
		return nil, err
	}
	if m.refused, err = register(r, refused); err != nil {
		return nil, err
	}
	for _, reason := range []string{viewerSlow, noKey, damaged, clock} {
		m.dropped[reason] = dropped.WithLabelValues(reason)
	}
	return m, nil
}

func (m *meters) drop(reason string, n int) { m.dropped[reason].Add(float64(n)) }

func (m *meters) refuse(reason string) { m.refused.WithLabelValues("camera", reason).Inc() }

// register returns the collector that r already has, where another package came first.
func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	if r == nil {
		return c, nil
	}
	err := r.Register(c)
	if are, ok := err.(prometheus.AlreadyRegisteredError); ok {
		if old, ok := are.ExistingCollector.(C); ok {
			return old, nil
		}
	}
	return c, err
}

// states tells every camera's state as a set of 0 and 1, read when it is asked for.
type states struct {
	cameras *Cameras
	desc    *prometheus.Desc
}

func newStates(c *Cameras) *states {
	return &states{c, prometheus.NewDesc("ioc_camera_state", "1 for the state that the camera is in.", []string{"camera", "state"}, nil)}
}

func (s *states) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }

func (s *states) Collect(ch chan<- prometheus.Metric) {
	for _, cam := range s.cameras.All() {
		status, ok := s.cameras.Status(cam.ID)
		if !ok {
			continue // deleted just now
		}
		for _, state := range []State{Connecting, Live, Retrying, Off} {
			value := 0.0
			if state == status.State {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, value, string(cam.ID), string(state))
		}
	}
}
