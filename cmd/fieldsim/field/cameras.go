package field

import (
	"cuulong/video"
	"cuulong/video/rtsp"
)

// Cameras lists the demo's cameras, their URLs on the camera server at
// hostPort: rtsp://hostPort/cam-1.
func Cameras(hostPort string) []video.Camera { return nil }

// CameraOptions of simulated cameras.
type CameraOptions struct {
	User, Password string // both empty: everybody may look
}

// NewCameraServer serves the demo's clips, each in a loop and in step with the clock.
func NewCameraServer(o CameraOptions) (*rtsp.Server, error) {
	return rtsp.NewServer(rtsp.ServerOptions{}), nil
}
