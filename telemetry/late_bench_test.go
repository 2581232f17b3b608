package telemetry_test

import (
	"fmt"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// BenchmarkLate takes in a backlog that lies behind newer values: each value asks the store whether it is there.
func BenchmarkLate(b *testing.B) {
	db, err := tsdb.Open(b.TempDir(), tsdb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	in := telemetry.NewIngest(telemetry.Options{Log: db, Store: db})
	now := time.Now().UnixMilli()
	metrics := []string{"salinity", "level", "ph", "turbidity", "rain"}
	send := func(from, to int64, step int64) {
		for at := from; at < to; at += step * 10 {
			for d := range 20 {
				var batch telemetry.Batch
				for k := range int64(10) {
					for _, m := range metrics {
						batch.Observations = append(batch.Observations, telemetry.Observation{Device: devices.ID(fmt.Sprint("d", d)), Metric: m, At: at + k*step, Seen: now, Value: float64(at % 100)})
					}
				}
				in.Submit(batch, func(err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
		}
	}
	const rows = 2000
	send(now-1000_000, now-1000_000+rows*100, 100)
	send(now-5, now, 1)
	b.ResetTimer()
	n := 0
	for i := 0; b.Loop(); i++ {
		from := now - 1000_000 + 7 + int64(i%90)
		send(from, from+rows*100, 100)
		n += rows * 100
	}
	_ = in.Write(b.Context(), telemetry.Batch{})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/observation")
	_ = in.Close()
	_ = db.Close()
}
