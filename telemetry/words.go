package telemetry

import "cuulong/devices"

// Word is a string or boolean among the values: an attribute of the device,
// unless what it names is a metric. Ingest knows that.
type Word struct {
	Device  devices.ID
	Name    string
	Value   any // string or bool
	Source  string
	Payload []byte
	Seen    int64
}

func (w *Word) refused(reason, detail string) SetAside {
	return SetAside{Source: w.Source, Reason: reason, Detail: detail, Payload: w.Payload, Seen: w.Seen, Count: 1}
}

// takeWords sets aside those under the name of a metric, and makes the others
// their devices' attributes; of two of one name the last counts. The error is
// that of attributes which could not be recorded this time.
func (in *Ingest) takeWords(b *Batch, good []Observation) error {
	if len(b.Words) == 0 {
		return nil
	}
	isMetric := in.metrics(good)
	said := map[devices.ID]map[string]any{}
	for i := range b.Words {
		w := &b.Words[i]
		if isMetric(w) {
			b.setAside(w.refused(BadValue, noNumber(w.Name)))
			continue
		}
		if said[w.Device] == nil {
			said[w.Device] = map[string]any{}
		}
		said[w.Device][w.Name] = w.Value
	}
	if in.o.Attributes == nil {
		return nil
	}
	for i := range b.Words {
		w := &b.Words[i]
		if said[w.Device] == nil {
			continue // metrics alone, or recorded by now
		}
		why, err := in.o.Attributes(w.Device, said[w.Device])
		if err != nil {
			return err
		}
		if why != "" {
			b.setAside(w.refused(BadAttributes, why))
		}
		delete(said, w.Device)
	}
	return nil
}

// metrics tells whether a word has the name of a metric: of the catalogue, or of
// one that the device sends, in these observations, or has sent numbers for.
func (in *Ingest) metrics(beside []Observation) func(*Word) bool {
	type datastream struct {
		device devices.ID
		metric string
	}
	numbers := make(map[datastream]bool, len(beside))
	for i := range beside {
		numbers[datastream{beside[i].Device, beside[i].Metric}] = true
	}
	return func(w *Word) bool {
		if _, known := Lookup(w.Name); known || numbers[datastream{w.Device, w.Name}] {
			return true
		}
		_, known := in.o.Latest.Get(w.Device, w.Name)
		return known
	}
}
