package video

import (
	"context"
	"errors"
	"time"

	"cuulong/devices"
	"cuulong/video/rtsp"
)

const (
	maxProbes   = 4
	probeWithin = 10 * time.Second
)

// Probed is what a camera offers.
type Probed struct {
	Codecs        string // "avc1.64001f,mp4a.40.2"
	Width, Height int
	FPS           int // 0: not said
}

// Probe tries an address as Create would take it: dials, logs in, describes,
// plays, and waits for a key frame, for 10 s at most. known, if not empty,
// is the camera whose stored credentials stand in, under Update's rule.
// Errors: devices.FieldErrors for the URL, ErrNotFound for known, *rtsp.Error for
// what the camera did, or ctx's.
func (c *Cameras) Probe(ctx context.Context, url string, known devices.ID) (Probed, error) {
	var before *record
	if known != "" {
		var ok bool
		if before, ok = c.find(known); !ok {
			return Probed{}, ErrNotFound
		}
	}
	full, why := c.address(url, before)
	if why != "" {
		return Probed{}, devices.FieldErrors{{Field: "url", Why: why}}
	}
	select {
	case c.probes <- struct{}{}:
		defer func() { <-c.probes }()
	case <-ctx.Done():
		return Probed{}, ctx.Err()
	}
	s := &supervisor{cameras: c, relay: newRelay("", c.meters, Connecting), url: full, log: c.log.With("camera", "probe")}
	within, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	got, err := s.probe(within)
	var fault *rtsp.Error
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil:
		return Probed{}, ctx.Err()
	case within.Err() == nil && errors.As(err, &fault):
		return Probed{}, fault
	case got.Codecs != "":
		return Probed{}, &rtsp.Error{Code: rtsp.NoKeyFrame, Detail: "no picture to begin with came within 10 s"}
	case within.Err() != nil:
		return Probed{}, &rtsp.Error{Code: rtsp.TimedOut, Detail: "no answer within 10 s"}
	}
	return Probed{}, &rtsp.Error{Code: rtsp.Protocol, Detail: "the connection failed"}
}

// probe is a session up to its first key frame. With an error, Codecs tells that it played.
func (s *supervisor) probe(ctx context.Context) (got Probed, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.caught(r)
		}
	}()
	u := *s.url
	sess, err := s.cameras.dial(ctx, &u, rtsp.Options{Dial: s.cameras.guard.dial})
	if err != nil {
		return Probed{}, err
	}
	defer sess.Close()
	stop := context.AfterFunc(ctx, func() { sess.Close() })
	defer stop()
	m := mux{meters: s.cameras.meters, epoch: time.Now()}
	m.begin(sess.Tracks(), m.epoch)
	got.Codecs = string(rtsp.H264)
	for {
		u, err := sess.Read()
		if err != nil {
			return got, err
		}
		if u.Track != 0 || !u.Key || !m.describe(&u) {
			continue
		}
		picture, err := rtsp.ParseSPS(u.SPS)
		if err != nil {
			continue
		}
		return Probed{Codecs: m.stream.Codecs, Width: picture.Width, Height: picture.Height, FPS: picture.FPS}, nil
	}
}
