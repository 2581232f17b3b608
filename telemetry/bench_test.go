package telemetry_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"cuulong/devices"
	. "cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// province names devices and their metrics as a running server shares them.
func province(n int) (ids []devices.ID, metrics []string) {
	for i := range n {
		ids = append(ids, devices.ID(fmt.Sprintf("station-%05d", i)))
	}
	return ids, []string{"salinity", "ec25", "water_temperature", "level", "battery"}
}

func bench(b *testing.B) (*Ingest, *tsdb.DB) {
	b.Helper()
	db, err := tsdb.Open(b.TempDir(), tsdb.Options{Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	in := NewIngest(Options{Log: db, Store: db, Logger: quiet()})
	b.Cleanup(func() { _ = in.Close(); _ = db.Close() })
	return in, db
}

// BenchmarkSubmit measures durable intake, fsync on, at a bound of messages in
// flight, and prints its ratio to the log written and synced alone.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct{ inFlight, batch int }{{1600, 1}, {256, 1}, {200, 50}} {
		b.Run(fmt.Sprintf("inflight=%d/obs=%d", c.inFlight, c.batch), func(b *testing.B) {
			in, _ := bench(b)
			ids, metrics := province(1000)
			room := make(chan struct{}, c.inFlight)
			var wg sync.WaitGroup
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
				<-room
				wg.Done()
			}
			t0 := time.Now().UnixMilli() - 1_000_000_000
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				list := make([]Observation, c.batch)
				for j := range list {
					k := i*c.batch + j
					list[j] = Observation{Device: ids[i%len(ids)], Metric: metrics[j%len(metrics)], At: t0 + int64(k/len(metrics))*10 + int64(j), Seen: t0 + 1e9, Value: float64(k%4000) / 100}
				}
				room <- struct{}{}
				wg.Add(1)
				in.Submit(Batch{Observations: list}, done)
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "obs/s")
		})
	}
}

// BenchmarkDecode measures the common message.
func BenchmarkDecode(b *testing.B) {
	for name, payload := range map[string]string{
		"one":   `{"ts":1772323199000,"values":{"salinity":3.21}}`,
		"five":  `{"ts":1772323199000,"values":{"salinity":3.21,"ec25":6.02,"water_temperature":28.4,"level":1.37,"battery":12.61}}`,
		"senml": `[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1772323199,"n":"salinity","v":3.21},{"n":"ec25","v":6.02},{"n":"level","u":"m","v":1.37}]`,
	} {
		b.Run(name, func(b *testing.B) {
			p := []byte(payload)
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if got := DecodeTelemetry("station-00001", "mqtt", p, now); len(got.SetAside) > 0 {
					b.Fatal(got.SetAside)
				}
			}
		})
	}
}
