package influx

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are those of the writer; the Forwarder adds its lag.
type counters struct {
	written, failed prometheus.Counter
	quarantined     *prometheus.CounterVec
	seconds         prometheus.Histogram
}

func newCounters() counters {
	c := counters{
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_forward_written_total", Help: "Observations that InfluxDB has taken.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_forward_failed_total", Help: "Attempts to write to InfluxDB that failed and are repeated.",
		}),
		quarantined: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_forward_quarantined_total", Help: "Observations that InfluxDB refuses for good.",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ioc_forward_write_seconds", Help: "Time of one write to InfluxDB.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
	}
	for _, reason := range []string{StoreConflict, StoreRetention, StoreRefused} {
		c.quarantined.WithLabelValues(reason)
	}
	return c
}

func (c *counters) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(c.written), r.Register(c.failed), r.Register(c.quarantined), r.Register(c.seconds))
}
