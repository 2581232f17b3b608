package video

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/video/rtsp"
)

// Errors callers tell apart. Invalid input is devices.FieldErrors.
var (
	ErrNotFound = errors.New("no such camera")
	ErrExists   = errors.New("camera id is taken")
	ErrFull     = errors.New("too many viewers") // of this camera or in all
	ErrClosed   = errors.New("cameras are closed")
)

// What a camera watches.
type Kind string

const (
	Traffic  Kind = "traffic"
	Security Kind = "security"
)

// Pull says when a camera's stream is fetched.
type Pull string

const (
	Always   Pull = "always"    // the default
	OnDemand Pull = "on_demand" // while somebody looks
)

// Camera is a camera's record. It shows no secret: URL is without credentials
// on the way out, and may hold them on the way in.
type Camera struct {
	ID       devices.ID
	Name     string
	URL      string // rtsp://host[:port]/path
	Position geo.Point
	Bearing  *float64 // degrees clockwise from north, the axis of view; nil: not known
	ViewDeg  *float64 // horizontal angle of view, above 0 to 360; nil: not known
	Kind     Kind     // "" : not said
	Group    string
	Pull     Pull
	Created  time.Time
}

// State of a camera's connection.
type State string

const (
	Connecting State = "connecting"
	Live       State = "live"
	Retrying   State = "retrying"
	Off        State = "off" // on demand, and nobody looks; or deleted
)

// Codes of a state beside those of rtsp.
const (
	KeyMissing rtsp.Code = "key_missing" // the stored URL cannot be opened: its key is missing, or another one
	Deleted    rtsp.Code = "deleted"
)

// Status is a camera's state, since when, and why if it is not live.
type Status struct {
	State State     `json:"state" enum:"connecting,live,retrying,off"`
	Since time.Time `json:"since"`
	Why   string    `json:"why,omitempty" doc:"English, one clause; holds no secret"`
	Code  rtsp.Code `json:"code,omitempty" doc:"the same for a machine"`
}

// Change tells listeners what happened to a camera: its record, its state, or its end.
type Change struct {
	ID      devices.ID
	Deleted bool
}

// Options of the cameras.
type Options struct {
	Keys     string         // folder of the key file, made with mode 0700; the file is cameras.key, mode 0600
	Allow    []netip.Prefix // local networks where cameras may stand although they are refused by default
	Logger   *slog.Logger
	Metrics  prometheus.Registerer // nil: none
	OnChange func(Change)          // never blocks
}
