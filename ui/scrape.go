package ui

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"cuulong/ui/access"
)

// serveMetrics is GET /metrics. What names cameras is left out for who may not
// see them.
func (s *Server) serveMetrics() http.HandlerFunc {
	o := promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError)}
	all := promhttp.HandlerFor(s.o.Metrics, o)
	some := promhttp.HandlerFor(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := s.o.Metrics.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool {
			return strings.HasPrefix(f.GetName(), "ioc_camera_")
		}), err
	}), o)
	return func(w http.ResponseWriter, r *http.Request) {
		if principal(r.Context()).May(access.ViewCameras) {
			all.ServeHTTP(w, r)
		} else {
			some.ServeHTTP(w, r)
		}
	}
}
