package main

import (
	"errors"
	"time"

	"cuulong/devices"
	"cuulong/devices/mqtt"
	"cuulong/telemetry"
)

// intake carries what the edge received to where it belongs. This is the one
// place where topics meet decoders.
type intake struct {
	registry *devices.Registry
	ingest   *telemetry.Ingest
	words    *words
}

func (in *intake) handle(m mqtt.Message, done func(error)) {
	now := time.Now()
	source := m.Topic + " from " + string(m.From)
	var batch telemetry.Batch
	switch {
	case m.Refused != "":
		batch.SetAside = []telemetry.SetAside{{Source: source, Reason: m.Refused, Detail: m.Detail, Payload: m.Payload, Seen: now.UnixMilli()}}
	case m.Gateway:
		batch = telemetry.DecodeGateway(func(id devices.ID) bool {
			return in.registry.IsChild(m.Device, id)
		}, source, m.Payload, now.UnixMilli())
	case m.Leaf == "telemetry":
		batch = telemetry.DecodeTelemetry(m.Device, source, m.Payload, now.UnixMilli())
	case m.Leaf == "netjson":
		batch = telemetry.DecodeNetJSON(m.Device, source, m.Payload, now.UnixMilli())
	case m.Leaf == "attributes":
		var err error
		if batch, err = in.attributes(m, source, now); err != nil {
			done(err)
			return
		}
	}
	telemetry.Derive(&batch, in.derived)
	// Also an empty batch goes this way, so that acknowledgements keep their order.
	in.ingest.Submit(batch, func(err error) {
		if errors.Is(err, telemetry.ErrSetAside) {
			err = mqtt.ErrSetAside
		}
		done(err)
	})
}

// derived is what is derived from a device's values.
func (in *intake) derived(id devices.ID) map[string]string {
	d, _ := in.registry.Get(id)
	return d.Derive
}

// limitsOf asks a device's record for the tests of its values.
func limitsOf(registry *devices.Registry) telemetry.LimitsOf {
	return func(id devices.ID, metric string) *devices.Limits {
		d, _ := registry.Get(id)
		if l, ok := d.Quality[metric]; ok {
			return &l
		}
		return nil
	}
}

// attributes are recorded before the acknowledgement; what cannot be read is set aside.
func (in *intake) attributes(m mqtt.Message, source string, now time.Time) (telemetry.Batch, error) {
	var why string
	attrs, err := telemetry.DecodeAttributes(m.Payload)
	if err != nil {
		why = err.Error()
	} else if why, err = in.words.record(m.Device, attrs); err != nil || why == "" {
		return telemetry.Batch{}, err
	}
	return telemetry.Batch{SetAside: []telemetry.SetAside{{
		Source: source, Reason: telemetry.BadAttributes, Detail: why, Payload: m.Payload, Seen: now.UnixMilli(),
	}}}, nil
}

// heard notes whose values came, also those that a gateway carried; the edge
// itself notes who sent.
func heard(registry *devices.Registry, obs []telemetry.Observation) {
	var last devices.ID
	for i := range obs {
		if obs[i].Device != last {
			last = obs[i].Device
			registry.Heard(last, time.UnixMilli(obs[i].Seen))
		}
	}
}
