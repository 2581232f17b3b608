package field

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/video"
	"cuulong/video/rtsp"
)

// Cameras lists the demo's cameras, their URLs on the camera server at
// hostPort: rtsp://hostPort/cam-1.
func Cameras(hostPort string) []video.Camera {
	text, err := geo.Base.ReadFile("base/stations.geojson")
	if err != nil {
		panic("field: the built-in cameras are missing: " + err.Error()) // a broken build, not an input
	}
	all, err := readCameras(text, hostPort)
	if err != nil {
		panic("field: the built-in cameras: " + err.Error())
	}
	return all
}

// watches says what a site's camera is for.
var watches = map[string]struct {
	kind  video.Kind
	group string
}{
	"bridge":     {video.Traffic, "Giao thông"},
	"crossroads": {video.Traffic, "Giao thông"},
	"ferry":      {video.Traffic, "Giao thông"},
	"sluice":     {video.Security, "Cống ngăn mặn"},
	"market":     {video.Security, "An ninh trật tự"},
}

func readCameras(text []byte, hostPort string) ([]video.Camera, error) {
	var file struct {
		Features []struct {
			Properties struct {
				ID, Name, Kind, Site string
				Bearing              *float64
				ViewDeg              *float64 `json:"view_deg"`
			}
			Geometry struct{ Coordinates json.RawMessage }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	var all []video.Camera
	for _, f := range file.Features {
		p := f.Properties
		if p.Kind != "camera" {
			continue
		}
		var at [2]float64
		if err := json.Unmarshal(f.Geometry.Coordinates, &at); err != nil {
			return nil, fmt.Errorf("camera %s: %w", p.ID, err)
		}
		w, ok := watches[p.Site]
		if !ok {
			return nil, fmt.Errorf("camera %s: unknown site %q", p.ID, p.Site)
		}
		all = append(all, video.Camera{ID: devices.ID(p.ID), Name: p.Name, URL: "rtsp://" + hostPort + "/" + p.ID,
			Position: geo.Point{Lon: at[0], Lat: at[1]}, Bearing: p.Bearing, ViewDeg: p.ViewDeg,
			Kind: w.kind, Group: w.group, Pull: video.Always})
	}
	return all, nil
}

// CameraOptions of simulated cameras. The zero value serves the demo's six,
// without faults, to everybody.
type CameraOptions struct {
	User, Password string // both empty: everybody may look

	Count int   // cam-1 to cam-Count; 0: as many as there are clips
	Clip  *Clip // all cameras play it, each at its own moment; nil: the demo's clips
	Stamp bool  // each picture carries its number and time of sending: ReadStamp

	// Faults, if not nil, is asked again for each picture and must be quick and
	// safe for concurrent use; CameraSwitch has one.
	Faults func(path string) CameraFaults
	Seed   uint64 // of what is lost by chance

	Logger *slog.Logger // nil: quiet
}

// NewCameraServer serves the demo's clips, each in a loop and in step with the
// clock, or what o asks for.
func NewCameraServer(o CameraOptions) (*rtsp.Server, error) {
	reels, err := demoReels()
	if err != nil {
		return nil, fmt.Errorf("field: the built-in clips: %w", err)
	}
	other, err := demoBars()
	if err != nil {
		return nil, fmt.Errorf("field: the built-in clips: %w", err)
	}
	if o.Count <= 0 {
		o.Count = len(reels)
	}
	open := func(path string) (rtsp.Source, error) {
		i, ok := cameraNumber(path, o.Count)
		if !ok {
			return nil, fs.ErrNotExist
		}
		c := &camera{reel: reels[i%len(reels)], other: other, stamp: o.Stamp, faults: noFaults, seed: o.Seed + uint64(i)}
		if o.Clip != nil {
			// Not all at once, as cameras that know nothing of each other.
			c.reel, c.phase = reel{clip: o.Clip}, time.Duration(i)*137*time.Millisecond
		}
		if o.Faults != nil {
			c.faults = func() CameraFaults { return o.Faults(path) }
		}
		return c.source()
	}
	so := rtsp.ServerOptions{Open: open, Logger: o.Logger}
	if o.User != "" || o.Password != "" {
		so.Password = func(user string) (string, bool) { return o.Password, user == o.User }
	}
	return rtsp.NewServer(so), nil
}

// cameraNumber of "cam-3" is 2.
func cameraNumber(path string, count int) (int, bool) {
	digits, ok := strings.CutPrefix(path, "cam-")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > count || strconv.Itoa(n) != digits {
		return 0, false
	}
	return n - 1, true
}
