package video

import (
	"math"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"cuulong/devices"
)

const maxText = 200 // runes of a name or a group

// check finds all faults of cam but those of its URL, which check in
// Cameras.judge knows more about.
func check(cam *Camera) (faults devices.FieldErrors) {
	if _, err := devices.ParseID(string(cam.ID)); err != nil {
		faults = append(faults, err.(*devices.FieldError))
	}
	if strings.TrimSpace(cam.Name) == "" || !plain(cam.Name, maxText) {
		faults.Add("name", "must be 1 to %d characters without control characters", maxText)
	}
	if !within(cam.Position.Lon, -180, 180) {
		faults.Add("position.lon", "must be a longitude from -180 to 180 degrees")
	}
	if !within(cam.Position.Lat, -90, 90) {
		faults.Add("position.lat", "must be a latitude from -90 to 90 degrees")
	}
	if b := cam.Bearing; b != nil && !within(*b, 0, 360) {
		faults.Add("bearing", "must be 0 to 360 degrees clockwise from north")
	}
	if v := cam.ViewDeg; v != nil && (!within(*v, 0, 360) || *v == 0) {
		faults.Add("view_deg", "must be above 0 to 360 degrees")
	}
	switch cam.Kind {
	case "", Traffic, Security:
	default:
		faults.Add("kind", "must be traffic or security, or left out")
	}
	if !plain(cam.Group, maxText) {
		faults.Add("group", "must be at most %d characters without control characters", maxText)
	}
	switch cam.Pull {
	case Always, OnDemand:
	default:
		faults.Add("pull", "must be always or on_demand")
	}
	return faults
}

// judge finds all faults of cam and, where there is none, its whole URL. before
// is the record that cam replaces; nil: none.
func (c *Cameras) judge(cam *Camera, before *record) (*url.URL, error) {
	faults := check(cam)
	full, why := c.address(cam.URL, before)
	if why != "" {
		faults.Add("url", "%s", why)
	}
	return full, faults.Err()
}

// address reads a URL, completes it from the record before it, and refuses
// networks where no camera may stand.
func (c *Cameras) address(text string, before *record) (full *url.URL, why string) {
	given, why := parseAddress(text)
	if why != "" {
		return nil, why
	}
	if !c.guard.mayHost(given.Hostname()) {
		c.meters.refuse("address_refused")
		return nil, refusedNetwork
	}
	if before == nil {
		return complete(given, nil, false)
	}
	stored := before.url.Load()
	return complete(given, stored, stored == nil)
}

// within tells a finite number in [lo, hi].
func within(x, lo, hi float64) bool { return !math.IsNaN(x) && x >= lo && x <= hi }

// plain tells a text without control characters, of at most n runes.
func plain(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && strings.IndexFunc(s, unicode.IsControl) < 0
}
