package telemetry

import (
	"math"

	"cuulong/devices"
)

// Derive adds derived observations to a batch: salinity by PSS-78 where the
// device's record asks for it. of tells, for a device, its derived metrics and
// what each comes from. A value that the device has sent itself stays. The same
// message gives the same values, so that sending again stays harmless.
func Derive(b *Batch, of func(devices.ID) map[string]string) {
	var device devices.ID
	var wanted map[string]string
	n := len(b.Observations)
	for i := range n {
		o := b.Observations[i]
		if i == 0 || o.Device != device {
			device, wanted = o.Device, of(o.Device)
		}
		for metric, from := range wanted {
			if o.Metric != from || sibling(b.Observations[:n], &o, metric) != nil {
				continue
			}
			s := math.NaN()
			if from == devices.FromEC25 {
				s = SalinityOfEC25(o.Value)
			} else if t := sibling(b.Observations[:n], &o, "water_temperature"); t != nil {
				s = PracticalSalinity(o.Value, t.Value, 0)
			}
			if !finite(s) {
				continue
			}
			d := o
			d.Metric, d.Value, d.Flag, d.Test = metric, math.Round(s*1000)/1000, 0, ""
			b.Observations = append(b.Observations, d)
		}
	}
}

// sibling is what a device said of another metric at the same time, in one message.
func sibling(list []Observation, of *Observation, metric string) *Observation {
	for i := range list {
		if o := &list[i]; o.Metric == metric && o.Device == of.Device && o.At == of.At {
			return o
		}
	}
	return nil
}
