package video

import (
	"math"

	"cuulong/geo"
)

// sightM is how far a camera makes something out, in metres.
const sightM = 1500

// Near is a camera and how it stands to a place.
type Near struct {
	Camera
	DistanceM float64
	Sees      bool // the place lies in its angle of view, near enough to be made out; false where that is not known
}

// Near lists the n cameras nearest to p, nearest first.
func (c *Cameras) Near(p geo.Point, n int) []Near {
	hits := c.index.Near(p, n)
	near := make([]Near, 0, len(hits))
	for _, h := range hits {
		if cam, ok := c.Get(h.Key); ok { // else deleted just now
			near = append(near, Near{cam, h.DistanceM, sees(&cam, p, h.DistanceM)})
		}
	}
	return near
}

func sees(cam *Camera, p geo.Point, distanceM float64) bool {
	if cam.ViewDeg == nil || distanceM > sightM {
		return false
	}
	if *cam.ViewDeg >= 360 {
		return true
	}
	if cam.Bearing == nil {
		return false
	}
	if cam.Position == p {
		return true // it stands there; there is no direction to ask about
	}
	off := math.Abs(math.Mod(geo.Bearing(cam.Position, p)-*cam.Bearing+540, 360) - 180)
	return off <= *cam.ViewDeg/2
}
