package devices

import (
	"time"

	"cuulong/geo"
)

// ID names a device: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, checked by ParseID.
type ID string

// Kind is what a device is.
type Kind string

// The kinds of devices.
const (
	Station     Kind = "station"
	Gateway     Kind = "gateway"
	AccessPoint Kind = "access_point"
	Bridge      Kind = "bridge"
)

// State is what can be said of a device's voice.
type State string

// The states of a device: never heard, heard within three expected intervals,
// silent for longer, or in maintenance by decision.
const (
	Never       State = "never"
	Online      State = "online"
	Silent      State = "silent"
	Maintenance State = "maintenance"
)

// Expected is one metric a device promises, and how often, in whole seconds.
type Expected struct {
	Metric string `json:"metric"`
	EveryS int    `json:"every_s,omitempty"`
}

// Device is one registered device. What a Registry hands out is shared: the
// pointers, slices and maps in it must not be changed.
type Device struct {
	ID          ID         `json:"id"`
	Name        string     `json:"name"`
	Kind        Kind       `json:"kind"`
	Position    *geo.Point `json:"position,omitempty"`
	Parent      ID         `json:"parent,omitempty"` // its gateway
	Agency      string     `json:"agency,omitempty"`
	Tags        []string   `json:"tags,omitempty"`
	Public      bool       `json:"public,omitempty"`
	Maintenance bool       `json:"maintenance,omitempty"`
	Metrics     []Expected `json:"metrics,omitempty"`
	Created     time.Time  `json:"created"`

	Quality    map[string]Limits `json:"quality,omitempty"`    // QARTOD tests, by metric
	Derive     map[string]string `json:"derive,omitempty"`     // by derived metric: FromEC25 or FromEC
	Chainage   *geo.Chainage     `json:"chainage,omitempty"`   // snapped, not posted
	Attributes map[string]any    `json:"attributes,omitempty"` // last told by the device
}

// unpromised is the interval of a device that promised no metric.
const unpromised = 15 * time.Minute

// Interval is how often the device should be heard: the shortest interval
// among the metrics it promised, 15 minutes when it promised none.
func (d Device) Interval() time.Duration {
	shortest := 0
	for _, e := range d.Metrics {
		if e.EveryS > 0 && (shortest == 0 || e.EveryS < shortest) {
			shortest = e.EveryS
		}
	}
	if shortest == 0 {
		return unpromised
	}
	return time.Duration(shortest) * time.Second
}

// Credentials are shown once; only a digest of the password is kept.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}
