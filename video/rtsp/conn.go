package rtsp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"
)

const (
	// readBuffer holds one interleaved frame of any length, so that a frame is
	// looked at where it lies and never copied.
	readBuffer = 4 + 1<<16

	maxGarbage  = 64 << 10        // bytes in a row that are no RTSP
	messageTime = 5 * time.Second // for a whole message amid a stream
	writeTime   = 2 * time.Second // for a message of ours to leave
	byeTime     = 50 * time.Millisecond
)

// errWaiting says that the read deadline passed between messages; nothing is
// lost and reading may go on.
var errWaiting = errors.New("nothing yet")

// conn is a connection's RTSP side: messages and interleaved frames (RFC 2326
// §10.12). One goroutine reads; writing is the session's business.
type conn struct {
	nc net.Conn
	br *bufio.Reader
	at time.Time // of the newest bytes; everything of one read came together

	streaming bool      // a deadline is a pause, not an end
	deadline  time.Time // the present read deadline while streaming

	spoken  bool      // the other side has sent an RTSP message
	known   [256]bool // channels that were announced
	pending int       // bytes of the frame handed out
	dirty   bool      // in the midst of something that is no RTSP
	garbage int       // bytes of it in a row
}

// arrival is one thing that came: a frame, whose bytes are valid until the next,
// a response or a request.
type arrival struct {
	channel  byte
	frame    []byte // nil for messages
	response *response
	request  *request
}

func newConn(nc net.Conn) *conn {
	c := &conn{nc: nc, at: time.Now()}
	c.br = bufio.NewReaderSize(stamped{c}, readBuffer)
	return c
}

// stamped reads from the connection and notes when: one look at the clock for
// all packets of a read.
type stamped struct{ c *conn }

func (r stamped) Read(p []byte) (int, error) {
	n, err := r.c.nc.Read(p)
	r.c.at = time.Now()
	return n, err
}

// wait sets how long reading may wait for something to come.
func (c *conn) wait(until time.Time) error {
	if c.deadline.Equal(until) {
		return nil
	}
	c.deadline = until
	return c.nc.SetReadDeadline(until)
}

// next gives what comes next. Errors are *Error, or errWaiting while streaming.
func (c *conn) next() (arrival, error) {
	if c.pending > 0 {
		c.br.Discard(c.pending) // all of it is in the buffer
		c.pending = 0
	}
	for {
		head, err := c.br.Peek(4)
		if err != nil {
			return arrival{}, c.fault(err)
		}
		switch {
		case head[0] == '$':
			a, ok, err := c.frame(head)
			if ok || err != nil {
				return a, err
			}
		case head[0] >= 'A' && head[0] <= 'Z':
			a, ok, err := c.message()
			if ok || err != nil {
				return a, err
			}
		}
		if err := c.skip(); err != nil {
			return arrival{}, err
		}
	}
}

// frame looks at what begins with a dollar sign; ok is false if that was chance.
func (c *conn) frame(head []byte) (a arrival, ok bool, err error) {
	if !c.spoken || c.dirty && !c.known[head[1]] {
		return a, false, nil
	}
	channel, n := head[1], int(binary.BigEndian.Uint16(head[2:]))
	if c.dirty {
		// Beginning anew: RTP and RTCP both start with their version, 2.
		first, err := c.br.Peek(5)
		if err != nil {
			return a, false, c.fault(err)
		}
		if n < 8 || first[4]>>6 != 2 {
			return a, false, nil
		}
	}
	b, err := c.br.Peek(4 + n)
	if err != nil {
		return a, false, c.fault(err)
	}
	c.pending = 4 + n
	if c.known[channel] {
		c.dirty, c.garbage = false, 0
	}
	return arrival{channel: channel, frame: b[4:]}, true, nil
}

// requestLines begin what a server may ask of a client, and some that it may not.
var requestLines = []string{"OPTIONS ", "ANNOUNCE ", "REDIRECT ", "TEARDOWN ", "GET_PARAMETER ", "SET_PARAMETER ", "DESCRIBE ", "PAUSE ", "PLAY ", "RECORD ", "SETUP "}

// message reads a message, if there is one; ok is false if there is none.
func (c *conn) message() (a arrival, ok bool, err error) {
	const longest = len("GET_PARAMETER ")
	head, err := c.br.Peek(longest)
	if err != nil && !c.isMessage(head) {
		return a, false, c.fault(err)
	}
	if !c.isMessage(head) {
		return a, false, nil
	}
	if c.streaming {
		c.deadline = time.Time{} // to be set anew by wait
		if err := c.nc.SetReadDeadline(time.Now().Add(messageTime)); err != nil {
			return a, false, ioFault(err, "before a message")
		}
	}
	if bytes.HasPrefix(head, []byte("RTSP/")) {
		a.response, err = readResponse(c.br)
	} else {
		a.request, err = readRequest(c.br)
	}
	if err != nil {
		return a, false, err
	}
	c.spoken, c.dirty, c.garbage = true, false, 0
	return a, true, nil
}

func (c *conn) isMessage(head []byte) bool {
	if bytes.HasPrefix(head, []byte("RTSP/")) {
		return true
	}
	if c.spoken {
		for _, m := range requestLines {
			if bytes.HasPrefix(head, []byte(m)) {
				return true
			}
		}
	}
	return false
}

// skip leaves out a byte that begins nothing, and those after it which cannot
// either. Cameras with a full buffer cut frames short; more than that is an error.
func (c *conn) skip() error {
	b, _ := c.br.Peek(c.br.Buffered())
	blank := b[0] == '\r' || b[0] == '\n'
	if !c.spoken && !blank {
		return fault(NotRTSP, nil, "what answers is not RTSP")
	}
	n := 1
	if !blank {
		c.dirty = true
		if i := bytes.IndexAny(b[1:], "$RO"); c.spoken && i >= 0 {
			n += i
		} else if c.spoken {
			n = len(b)
		}
	}
	if c.garbage += n; c.garbage > maxGarbage {
		return fault(Protocol, nil, "more than %d bytes that are no RTSP", maxGarbage)
	}
	c.br.Discard(n)
	return nil
}

func (c *conn) fault(err error) error {
	if c.streaming && errors.Is(err, os.ErrDeadlineExceeded) {
		return errWaiting
	}
	if !c.spoken {
		return ioFault(err, "before an answer")
	}
	return ioFault(err, "between messages")
}

// write sends b as a whole: within patience while streaming, before that within
// the handshake's deadline.
func (c *conn) write(b []byte, patience time.Duration) error {
	if c.streaming {
		if err := c.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return ioFault(err, "while writing")
		}
	}
	if _, err := c.nc.Write(b); err != nil {
		return ioFault(err, "while writing")
	}
	return nil
}
