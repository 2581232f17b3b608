package ui

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

type latestQuery struct {
	BBox   boxParam `query:"bbox"`
	Zone   string   `query:"zone"`
	Kind   string   `query:"kind" enum:"station,gateway,access_point,bridge"`
	Metric []string `query:"metric,explode"`
	Device []string `query:"device,explode"`
	Limit  int      `query:"limit" minimum:"1" maximum:"10000" default:"10000"`
	Cursor string   `query:"cursor" maxLength:"512"`
}

type latestItem struct {
	Device devices.ID     `json:"device"`
	Metric string         `json:"metric"`
	Unit   string         `json:"unit"`
	T      time.Time      `json:"t" doc:"phenomenon time"`
	Value  float64        `json:"value"`
	Flag   telemetry.Flag `json:"flag" doc:"QARTOD: 1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing"`
	Test   string         `json:"test,omitempty" doc:"which test gave the flag: gross_range, spike, rate_of_change, flat_line, gap, clock_skew, unit"`
	AgeS   float64        `json:"age_s" doc:"since t, by the server's clock"`
}

func unitOf(metric string) string {
	m, _ := telemetry.Lookup(metric)
	return m.Unit
}

func (s *Server) latestRoutes() {
	route(s, "GET /api/v1/metrics", "The catalogue of metrics", http.StatusOK, func(context.Context, *none) (*body[list[telemetry.Metric]], error) {
		return &body[list[telemetry.Metric]]{list[telemetry.Metric]{Items: telemetry.Catalogue()}}, nil
	})
	route(s, "GET /api/v1/latest", "The newest value of every datastream", http.StatusOK, func(ctx context.Context, in *latestQuery) (*answer[list[latestItem]], error) {
		if err := given(ctx, "device", "metric"); err != nil {
			return nil, err
		}
		after, err := decodeCursor(in.Cursor)
		if err != nil {
			return nil, err
		}
		chosen, err := s.chooseDevices(in.BBox.Box, in.Zone, in.Kind)
		if err != nil {
			return nil, err
		}
		if len(in.Device) > 0 {
			chosen = slices.DeleteFunc(slices.Clone(chosen), func(d devices.Device) bool {
				return !slices.Contains(in.Device, string(d.ID))
			})
		}
		now := s.o.Now()
		if wantsCSV(ctx) {
			return csvAnswer[list[latestItem]](func(w *csvWriter) error {
				w.row("device", "metric", "t", "value", "unit", "flag", "age_s")
				s.eachLatest(chosen, in.Metric, "", func(o telemetry.Observation) bool {
					return w.row(string(o.Device), o.Metric, integer(o.At), number(o.Value), unitOf(o.Metric),
						integer(int64(o.Flag)), number(age(now, o.At)))
				})
				return nil
			}), nil
		}
		out := list[latestItem]{Items: []latestItem{}}
		s.eachLatest(chosen, in.Metric, after, func(o telemetry.Observation) bool {
			if len(out.Items) == in.Limit {
				last := out.Items[in.Limit-1]
				out.Next = encodeCursor(string(last.Device) + "/" + last.Metric)
				return false
			}
			out.Items = append(out.Items, latestItem{o.Device, o.Metric, unitOf(o.Metric),
				time.UnixMilli(o.At).UTC(), o.Value, o.Flag, o.Test, age(now, o.At)})
			return true
		})
		return jsonAnswer(s, out), nil
	}, csvToo[list[latestItem]](s))
}

func age(now time.Time, at int64) float64 { return float64(now.UnixMilli()-at) / 1000 }

// eachLatest yields what the devices (ordered by id) said last, by (device,
// metric), behind the key "device/metric".
func (s *Server) eachLatest(ds []devices.Device, metrics []string, after string, yield func(telemetry.Observation) bool) {
	afterDevice, afterMetric, _ := strings.Cut(after, "/")
	for _, d := range ds {
		if string(d.ID) < afterDevice {
			continue
		}
		for _, o := range s.o.Latest.Of(d.ID) {
			if string(d.ID) == afterDevice && o.Metric <= afterMetric {
				continue
			}
			if len(metrics) > 0 && !slices.Contains(metrics, o.Metric) {
				continue
			}
			if !yield(o) {
				return
			}
		}
	}
}
