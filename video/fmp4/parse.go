package fmp4

import (
	"errors"
	"fmt"
	"io"
)

// What is read may be damaged or hostile. Readers here go down a fixed path of
// boxes, so that depth is bounded by the code; every length is checked against
// the box around it before it is used; nothing is reserved by a count that the
// input merely states.

// maxMoof bounds the boxes that are read whole; a length beyond it is damage,
// not a reason to wait for more bytes.
const maxMoof = 16 << 20

var errShort = errors.New("a box ends before its fields")

// box is one box without its header.
type box struct {
	name string
	body []byte
	size int // with the header
}

// next reads the first box of b (ISO/IEC 14496-12 §4.2). Where b ends within
// the box but its header is whole, the error is io.ErrUnexpectedEOF and the
// box has its name and, if it can be an int, its size.
func next(b []byte) (box, error) {
	if len(b) < 8 {
		return box{}, io.ErrUnexpectedEOF
	}
	size, head := uint64(be.Uint32(b)), 8
	x := box{name: string(b[4:8])}
	switch size {
	case 0: // to the end of the file: where that is, nobody can tell of a stream
		return x, fmt.Errorf("box %q without a length", x.name)
	case 1: // largesize
		if head = 16; len(b) < head {
			return x, io.ErrUnexpectedEOF
		}
		size = be.Uint64(b[8:])
	}
	if size < uint64(head) || size > 1<<62 {
		return x, fmt.Errorf("box %q of %d bytes", x.name, size)
	}
	x.size = int(size)
	if size > uint64(len(b)) {
		return x, io.ErrUnexpectedEOF
	}
	x.body = b[head:size]
	return x, nil
}

// each calls f for every box of a container's body.
func each(body []byte, f func(box) error) error {
	for len(body) > 0 {
		x, err := next(body)
		if err == io.ErrUnexpectedEOF {
			return errShort
		}
		if err != nil {
			return err
		}
		if err := f(x); err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		body = body[x.size:]
	}
	return nil
}

// descend calls f for the boxes at the end of a path, which names one container
// in the other.
func descend(body []byte, path []string, f func(box) error) error {
	return each(body, func(x box) error {
		switch {
		case x.name != path[0]:
			return nil
		case len(path) == 1:
			return f(x)
		}
		return descend(x.body, path[1:], f)
	})
}

// fields reads a box's fields in turn. After the end it gives zeros and says so by err.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) bytes(n int) []byte {
	if n < 0 || n > len(f.b) {
		f.b, f.short = nil, true
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) skip(n int) { f.bytes(n) }

func (f *fields) u8() uint8 {
	if v := f.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (f *fields) u16() uint16 {
	if v := f.bytes(2); v != nil {
		return be.Uint16(v)
	}
	return 0
}

func (f *fields) u32() uint32 {
	if v := f.bytes(4); v != nil {
		return be.Uint32(v)
	}
	return 0
}

// full reads the head of a FullBox.
func (f *fields) full() (version uint8, flags uint32) {
	v := f.u32()
	return uint8(v >> 24), v & 0xffffff
}

func (f *fields) err() error {
	if f.short {
		return errShort
	}
	return nil
}
