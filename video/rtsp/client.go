package rtsp

import (
	"context"
	"errors"
	"net"
	"net/url"
	"time"
)

// Options of a client's session.
type Options struct {
	// Dial opens the TCP connection; the caller's place to refuse addresses by
	// what is dialled. nil: a plain dialler. An *Error of it is passed on.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Handshake time.Duration // for everything from dialling to the answer of PLAY; default 10 s
	Silence   time.Duration // without any RTP packet the session ends; default 10 s
}

// Session is a playing stream. One goroutine calls Read; Close may be called by
// another, and ends it. It has no goroutine of its own: keep-alive is sent from
// within Read.
type Session struct {
	tracks []Track
}

// Dial connects, logs in with the URL's credentials, describes, sets up the
// first H.264 track and the first AAC track, and plays. Every error is an
// *Error, or ctx's.
func Dial(ctx context.Context, u *url.URL, o Options) (*Session, error) {
	return nil, errors.ErrUnsupported
}

// Tracks are the media that units come from; the first is always the video.
func (s *Session) Tracks() []Track { return s.tracks }

// Read waits for the next access unit, in order of arrival. After an error,
// always an *Error, the session is over.
func (s *Session) Read() (Unit, error) { return Unit{}, errors.ErrUnsupported }

// Close says TEARDOWN, where that costs no waiting, and closes the connection.
func (s *Session) Close() error { return nil }
