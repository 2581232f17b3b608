package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// Source is what a path of a server gives.
type Source interface {
	// Tracks describes the media. Called once a session.
	Tracks() []Track
	// Play writes units, at their time, until ctx ends or the client is gone.
	// Each session has its own call.
	Play(ctx context.Context, w *Writer) error
}

// A Source that is a Describer writes its SDP itself: a simulated camera may lie.
type Describer interface {
	Describe() []byte
}

// Writer sends units of one session as interleaved RTP.
type Writer struct {
	// Packet, if set before the first Write, sees every RTP packet on its way
	// and answers what to send in its stead; a simulated camera may lose some.
	Packet func(track int, packet []byte) [][]byte
}

// Write packetises and sends one unit: Track, PTS, Key, Data, SPS and PPS count.
// Parameter sets go in band before each key unit. It blocks while the client
// does not read, at most a few seconds.
func (w *Writer) Write(u Unit) error { return errors.ErrUnsupported }

// ServerOptions are who is served with what.
type ServerOptions struct {
	// Open finds the source of a path ("cam-1", without slashes around it).
	// An error that is fs.ErrNotExist answers 404.
	Open func(path string) (Source, error)
	// Password answers whether user may in and with which password; nil: all may.
	Password func(user string) (password string, ok bool)
	Basic    bool // offer Basic beside Digest
	Logger   *slog.Logger
}

// Server serves sources over RTSP, TCP interleaved.
type Server struct{}

// NewServer makes a server; Serve starts it.
func NewServer(o ServerOptions) *Server { return &Server{} }

// Serve takes connections until Close.
func (s *Server) Serve(l net.Listener) error { return errors.ErrUnsupported }

// Close ends all listeners and sessions, and waits for them.
func (s *Server) Close() error { return nil }
