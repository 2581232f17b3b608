package influx

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/tsdb"
)

// liveRate is what a province sends, in observations a second.
const liveRate = 2000

// BenchmarkCatchUp measures how fast an InfluxDB that was away gets what waits in
// the log, while the live rate goes on: commits of 20 observations, 2,000 devices
// with 5 metrics each. One round is 400,000 observations, 200 s of the live rate.
func BenchmarkCatchUp(b *testing.B) {
	server := influxtest.Start(b, "127.0.0.1", nil)
	const each, devicesN = 400_000, 2000
	metrics := []string{"salinity", "ec25", "water_temperature", "level", "battery"}
	for b.Loop() {
		b.StopTimer()
		db, err := tsdb.Open(b.TempDir(), tsdb.Options{Logger: quiet()})
		if err != nil {
			b.Fatal(err)
		}
		k, base := 0, time.Now().UnixMilli()-3600_000
		one := func() *telemetry.Record {
			list := make([]telemetry.Observation, 20)
			for i := range list {
				series := k % (devicesN * len(metrics))
				list[i] = telemetry.Observation{
					Device: devices.ID(fmt.Sprintf("station-%04d", series/len(metrics))), Metric: metrics[series%len(metrics)],
					At: base + int64(k/liveRate)*1000 + int64(k%1000), Seen: base + int64(k/2), Value: math.Round(1000+500*math.Sin(float64(k)/9000)) / 100, Flag: telemetry.Pass,
				}
				k++
			}
			return &telemetry.Record{Observations: list}
		}
		for k < each {
			if err := db.Append(one()); err != nil {
				b.Fatal(err)
			}
		}
		s := open(b, server, Options{SetAside: func(context.Context, []telemetry.SetAside) error { return fmt.Errorf("refused") }})
		f, err := NewForwarder(s, Forwarding{Feed: db, Head: db.Head, Logger: quiet()})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		behind, ran, live := db.Head(), make(chan struct{}), make(chan struct{})
		var added atomic.Int64
		b.StartTimer()
		begun := time.Now()
		go func() { defer close(ran); _ = f.Run(ctx) }()
		go func() { // the live rate goes on
			defer close(live)
			tick := time.NewTicker(time.Second * 20 / liveRate)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if db.Append(one()) == nil {
						added.Add(20)
					}
				}
			}
		}()
		waitFor(b, func() bool { return f.Done() >= behind }, "done %d", f.Done)
		took := time.Since(begun).Seconds()
		b.StopTimer()
		cancel()
		<-ran
		<-live
		b.ReportMetric(each/took, "obs/s")
		b.ReportMetric(each/took/liveRate, "x-live-rate")
		b.ReportMetric(float64(added.Load())/took, "live-obs/s")
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkYear measures a year of 10-minute values (52,560 points), raw and as
// 1,000 windows.
func BenchmarkYear(b *testing.B) {
	server := influxtest.Start(b, "127.0.0.1", nil)
	s := open(b, server, Options{})
	const points, step = 52_560, 600_000
	t0 := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	var list []telemetry.Observation
	for i := range int64(points) {
		list = append(list, telemetry.Observation{Device: "w", Metric: "level", At: t0 + i*step, Value: math.Round(100*math.Sin(float64(i)/12)) / 100, Flag: telemetry.Pass})
	}
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: list}); err != nil {
		b.Fatal(err)
	}
	to := t0 + points*step
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.Points(b.Context(), "w", "level", t0, to, func(telemetry.Point) bool { n++; return true }); err != nil || n != points {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("windows", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := telemetry.Windows(b.Context(), s, "w", "level", t0, to, telemetry.Every{Millis: 12 * 3600_000}, func(telemetry.Window) bool { n++; return true }); err != nil || n < 700 {
				b.Fatal(n, err)
			}
		}
	})
}
