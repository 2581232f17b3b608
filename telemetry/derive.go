package telemetry

import (
	"math"
	"sort"

	"cuulong/devices"
)

// Derive adds derived observations to a batch: salinity by PSS-78 where the
// device's record asks for it. of tells, for a device, its derived metrics and
// what each comes from. A value that the device has sent itself stays, and what
// comes from an implausible one has its flag. The same message gives the same
// values, so that sending again stays harmless.
func Derive(b *Batch, of func(devices.ID) map[string]string) {
	var device devices.ID
	var wanted map[string]string
	var said siblings
	n := len(b.Observations)
	for i := range n {
		o := b.Observations[i]
		if i == 0 || o.Device != device {
			device, wanted = o.Device, of(o.Device)
		}
		for metric, from := range wanted {
			if o.Metric != from || said.find(b, n, i, metric) != nil {
				continue
			}
			s, flag := math.NaN(), plausible(&o)
			if from == devices.FromEC25 {
				s = SalinityOfEC25(o.Value)
			} else if t := said.find(b, n, i, "water_temperature"); t != nil {
				s, flag = PracticalSalinity(o.Value, t.Value, 0), Worse(flag, plausible(t))
			}
			if !finite(s) {
				continue
			}
			d := o
			d.Metric, d.Value, d.Flag, d.Test = metric, math.Round(s*1000)/1000, 0, ""
			if judge(&d); rank(flag) > rank(d.Flag) {
				d.Flag, d.Test = flag, TestGrossRange
			}
			b.Observations = append(b.Observations, d)
		}
	}
}

// plausible is the flag that an observation will have by its range.
func plausible(o *Observation) Flag {
	p := *o
	judge(&p)
	return p.Flag
}

// siblings find what a device said of another metric at the same time, in one
// message; where no time is told, in one element of it.
type siblings map[sibling]int

type sibling struct {
	device  devices.ID
	metric  string
	at      int64
	element int // where At is 0
}

func (s *siblings) find(b *Batch, n, i int, metric string) *Observation {
	if *s == nil { // a message that derives nothing needs none
		*s = make(siblings, n)
		for k := n - 1; k >= 0; k-- { // of two, the first stays
			(*s)[b.siblingOf(k, b.Observations[k].Metric)] = k
		}
	}
	if k, ok := (*s)[b.siblingOf(i, metric)]; ok {
		return &b.Observations[k]
	}
	return nil
}

func (b *Batch) siblingOf(i int, metric string) sibling {
	o := &b.Observations[i]
	of := sibling{device: o.Device, metric: metric, at: o.At}
	if o.At == 0 {
		of.element = sort.SearchInts(b.elements, i+1)
	}
	return of
}
