package ui

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/ui/access"
)

// BenchmarkHub marks 2,000 observations a second before 50 clients and tells
// the age of values when a client has read them: flush interval included.
func BenchmarkHub(b *testing.B) {
	w := newWorld(b)
	const stations, metrics, clients, rate = 200, 10, 50, 2000
	for i := range stations {
		w.station(fmt.Sprintf("s%03d", i), 106, 10)
	}
	p := w.tokenOf(access.Viewer)
	var mu sync.Mutex
	var ages []float64 // ms
	var readers sync.WaitGroup
	for range clients {
		l := p.listen()
		l.say(`{"op":"sub","id":"x","topic":"telemetry","hz":4}`)
		l.want("snap")
		readers.Go(func() {
			var mine []float64
			for {
				f, err := l.read()
				if err != nil {
					break
				}
				now := time.Now().UnixMilli()
				for _, raw := range f.Set {
					var row [4]any
					if json.Unmarshal(raw, &row) == nil {
						mine = append(mine, float64(now)-row[1].(float64))
					}
				}
			}
			mu.Lock()
			ages = append(ages, mine...)
			mu.Unlock()
		})
	}
	const each = 20 * time.Millisecond
	tick := time.NewTicker(each)
	defer tick.Stop()
	n := 0
	b.ResetTimer()
	for range b.N {
		for range int(4 * time.Second / each) {
			<-tick.C
			now := time.Now().UnixMilli()
			obs := make([]telemetry.Observation, rate*int(each)/int(time.Second))
			for i := range obs {
				n++
				obs[i] = telemetry.Observation{Device: devices.ID(fmt.Sprintf("s%03d", n%stations)), Metric: fmt.Sprintf("m%d", n/stations%metrics),
					At: now, Value: float64(n), Flag: telemetry.Pass}
			}
			w.s.Mark(obs)
		}
	}
	b.StopTimer()
	w.s.Close()
	readers.Wait()
	slices.Sort(ages)
	if len(ages) == 0 {
		b.Fatal("nothing arrived")
	}
	b.ReportMetric(ages[len(ages)/2], "p50-ms")
	b.ReportMetric(ages[len(ages)*99/100], "p99-ms")
}
