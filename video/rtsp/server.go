package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Source is what a path of a server gives.
type Source interface {
	// Tracks describes the media. Called once a session.
	Tracks() []Track
	// Play writes units, at their time, until ctx ends or the client is gone.
	// Each session has its own call. When it returns the connection is closed.
	Play(ctx context.Context, w *Writer) error
}

// A Source that is a Describer writes its SDP itself: a simulated camera may lie.
type Describer interface {
	Describe() []byte
}

// ServerOptions are who is served with what.
type ServerOptions struct {
	// Open finds the source of a path ("cam-1", without slashes around it).
	// An error that is fs.ErrNotExist answers 404.
	Open func(path string) (Source, error)
	// Password answers whether user may in and with which password; nil: all may.
	Password func(user string) (password string, ok bool)
	Basic    bool // offer Basic beside Digest
	Logger   *slog.Logger

	Timeout time.Duration // of a session without a request or RTCP from its client; default 60 s
}

// Bounds of what clients may take.
const (
	maxConnections  = 512
	helloTimeout    = 10 * time.Second      // for each request before a session is set up
	writeTimeout    = 4 * time.Second       // for what is sent at once; then a client is too slow
	defaultLife     = 60 * time.Second      // of a session that nothing is heard of
	socketBuffer    = 512 << 10             // bytes the kernel holds for a client that does not read
	acceptRetry     = 50 * time.Millisecond // after an accept that failed for want of descriptors
	maxFailedLogins = 8                     // on one connection
)

// Server serves sources over RTSP, TCP interleaved.
type Server struct {
	o     ServerOptions
	guard *guard // nil: all may
	log   *slog.Logger

	maxConnections       int // these as above; tests have less patience
	hello, writePatience time.Duration

	ctx  context.Context // ends with the server
	stop context.CancelFunc
	done sync.WaitGroup // connections, and Serve

	mu        sync.Mutex // guards what follows
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
}

// NewServer makes a server; Serve starts it.
func NewServer(o ServerOptions) *Server {
	if o.Timeout <= 0 {
		o.Timeout = defaultLife
	}
	s := &Server{
		o: o, log: o.Logger,
		maxConnections: maxConnections, hello: helloTimeout, writePatience: writeTimeout,
		listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]struct{}{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Password != nil {
		s.guard = newGuard("cuulong", o.Basic, o.Password)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Serve takes connections until Close, and closes l. It returns nil after Close,
// net.ErrClosed if the server was closed before, and otherwise why the listener failed.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.done.Add(1)
	s.mu.Unlock()
	defer s.done.Done()
	for {
		c, err := l.Accept()
		if err == nil {
			s.take(c)
			continue
		}
		if s.ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.log.Warn("connection not accepted", "error", err)
		select {
		case <-s.ctx.Done():
		case <-time.After(acceptRetry):
		}
	}
}

// take serves a connection in a goroutine of its own, or closes it.
func (s *Server) take(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.maxConnections {
		c.Close()
		return
	}
	if t, ok := c.(*net.TCPConn); ok {
		t.SetWriteBuffer(socketBuffer)
	}
	s.conns[c] = struct{}{}
	s.done.Go(func() {
		s.serve(c)
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// Close ends all listeners and sessions, and waits for them.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
	return nil
}
