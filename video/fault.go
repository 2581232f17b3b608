package video

import "cuulong/video/rtsp"

// Fault is what a camera, or the way to it, did wrong; Probe's errors are of this
// kind. It has a name here so that who shows it need not know the wire.
type Fault = rtsp.Error
