package video

import (
	"context"

	"cuulong/devices"
)

// Stream describes the pictures that follow: what a player must know first.
// It is immutable and shared by all viewers.
type Stream struct {
	Codecs        string // RFC 6381: "avc1.64001f,mp4a.40.2"
	Width, Height int
	Init          []byte // fragmented MP4 init segment
}

// Event is what a viewer gets next; exactly one field is set.
type Event struct {
	Stream   *Stream // a stream begins, or its codec changed
	Lost     *Status // the camera is lost, or not there yet; a Stream follows when it comes
	Fragment []byte  // one moof and mdat; immutable and shared
}

// Viewer is one who looks at a camera: a place in the stream's ring, no queue
// of its own. One that is too slow misses pictures up to the newest key frame,
// and a counter rises.
type Viewer struct{}

// Subscribe begins to look. The first fragment is a key frame, from the cache
// where there is one. Errors: ErrNotFound, ErrFull, ErrClosed.
func (c *Cameras) Subscribe(id devices.ID) (*Viewer, error) { return nil, ErrNotFound }

// Next waits for the next event. ErrNotFound: the camera was deleted; ErrClosed: the
// process stops; or ctx's error.
func (v *Viewer) Next(ctx context.Context) (Event, error) { return Event{}, ErrClosed }

// Close ends the looking. It may be called while Next waits.
func (v *Viewer) Close() {}
