package video

import (
	"context"
	"database/sql"
	"errors"
	"io"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/video/rtsp"
)

// Cameras holds all cameras: records in SQL with a copy in memory, and one
// supervisor each. Safe for concurrent use.
type Cameras struct{}

// Open migrates the cameras' tables and loads them. Nothing is dialled before Run.
func Open(ctx context.Context, db *sql.DB, o Options) (*Cameras, error) {
	return &Cameras{}, nil
}

// Run supervises all cameras until ctx ends, and waits for them.
func (c *Cameras) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Create adds a camera. Errors: devices.FieldErrors, ErrExists, or the database's.
func (c *Cameras) Create(ctx context.Context, cam Camera) (Camera, error) {
	return Camera{}, errors.ErrUnsupported
}

// Update replaces a camera's record. A URL without credentials keeps the stored
// ones while scheme, host and port stay, and is refused otherwise where there are any.
func (c *Cameras) Update(ctx context.Context, cam Camera) (Camera, error) {
	return Camera{}, ErrNotFound
}

// Delete ends a camera; its viewers are told.
func (c *Cameras) Delete(ctx context.Context, id devices.ID) error { return ErrNotFound }

// Get, All (by id) and Status answer from memory.
func (c *Cameras) Get(id devices.ID) (Camera, bool)    { return Camera{}, false }
func (c *Cameras) All() []Camera                       { return nil }
func (c *Cameras) Status(id devices.ID) (Status, bool) { return Status{}, false }

// Refusal is a line of an import that was not taken.
type Refusal struct {
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// Import reads CSV with a header: id, name, url, lon, lat, and optional bearing,
// view_deg, kind, group, pull. Lines are taken one by one; a known id is
// replaced as by Update. The error is about the file as a whole, or the database's.
func (c *Cameras) Import(ctx context.Context, r io.Reader) (accepted int, refused []Refusal, err error) {
	return 0, nil, errors.ErrUnsupported
}

// Near is a camera and how it stands to a place.
type Near struct {
	Camera
	DistanceM float64
	Sees      bool // the place lies in its angle of view, near enough to be made out; false where that is not known
}

// Near lists the n cameras nearest to p, nearest first.
func (c *Cameras) Near(p geo.Point, n int) []Near { return nil }

// Probed is what a camera offers.
type Probed struct {
	Codecs        string // "avc1.64001f,mp4a.40.2"
	Width, Height int
	FPS           int // 0: not said
}

// Probe tries an address as Create would take it: dials, logs in, describes,
// plays, and waits for a key frame, for 10 s at most. known, if not empty,
// is the camera whose stored credentials stand in, under Update's rule.
// Errors: devices.FieldErrors for the URL, *rtsp.Error for what the camera did.
func (c *Cameras) Probe(ctx context.Context, url string, known devices.ID) (Probed, error) {
	return Probed{}, &rtsp.Error{Code: rtsp.TimedOut, Detail: "not built"}
}
