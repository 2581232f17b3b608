package alerts

import "github.com/prometheus/client_golang/prometheus"

// gauge is ioc_alarms{state,priority}: the alarms not closed, counted when asked.
type gauge struct {
	board *board
	desc  *prometheus.Desc
}

func newGauge(b *board) *gauge {
	return &gauge{b, prometheus.NewDesc("ioc_alarms", "Alarms not closed.", []string{"state", "priority"}, nil)}
}

// Describe implements prometheus.Collector.
func (g *gauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

// Collect implements prometheus.Collector.
func (g *gauge) Collect(ch chan<- prometheus.Metric) {
	type key struct {
		s State
		p Priority
	}
	n := map[key]int{}
	g.board.mu.RLock()
	for _, a := range g.board.open {
		n[key{a.State, a.Priority}]++
	}
	g.board.mu.RUnlock()
	for _, s := range []State{Active, Acknowledged, Returned} {
		for _, p := range priorities {
			ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(n[key{s, p}]), string(s), string(p))
		}
	}
}
