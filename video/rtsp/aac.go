package rtsp

import (
	"time"

	"github.com/pion/rtp"
)

// aacAssembler takes frames of sound out of packets (RFC 3640): several in a
// packet, or one in several packets. Interleaving is not known of cameras: it is
// dropped and counted as lost.
type aacAssembler struct {
	inlet
	sizeLength, indexLength, indexDeltaLength int

	step int64 // ticks from frame to frame
	data []byte

	// The frame that comes in pieces.
	open      bool
	size      int
	fragment  []byte
	timestamp uint32
}

func newAACAssembler(in inlet, t Track) (*aacAssembler, error) {
	for _, n := range []int{t.sizeLength, t.indexLength, t.indexDeltaLength} {
		if n < 0 || n > 16 {
			return nil, fault(BadDescription, nil, "AU header with a field of %d bits", n)
		}
	}
	if t.SampleRate < 7350 || t.SampleRate > 96000 || len(t.Config) < 2 {
		return nil, fault(BadDescription, nil, "sound without a sample rate")
	}
	step := audioFrame(t.Config) * int64(t.ClockRate) / int64(t.SampleRate)
	return &aacAssembler{
		inlet: in, step: step,
		sizeLength: t.sizeLength, indexLength: t.indexLength, indexDeltaLength: t.indexDeltaLength,
	}, nil
}

func (a *aacAssembler) push(p *rtp.Packet, received time.Time) {
	fresh, gap := a.admit(p, received)
	if !fresh {
		return
	}
	pts := a.time(p)
	if gap {
		a.lost = true
	}
	if a.open && (gap || p.Timestamp != a.timestamp) {
		a.open, a.lost = false, true // the rest never came
	}
	if len(p.Payload) == 0 {
		return
	}
	a.data = a.data[:0]
	if a.sizeLength == 0 {
		a.frame(pts, p.Payload) // no AU headers: one frame a packet
		return
	}
	if !a.payload(p, pts) {
		a.lost, a.open = true, false
	}
}

// payload reads the AU headers and what they announce (RFC 3640 §3.2).
func (a *aacAssembler) payload(p *rtp.Packet, pts int64) bool {
	b := p.Payload
	if len(b) < 2 {
		return false
	}
	headerBits := int(b[0])<<8 | int(b[1])
	b = b[2:]
	headerBytes := (headerBits + 7) / 8
	if headerBits < a.sizeLength+a.indexLength || headerBytes > len(b) {
		return false
	}
	headers, body := bits{b: b[:headerBytes]}, b[headerBytes:]
	for n := int64(0); headers.pos < headerBits; n++ {
		size, index, ok := a.header(&headers, n == 0)
		if headers.pos > headerBits || !ok || index != 0 || size == 0 || n == maxAUs {
			return false
		}
		if size > len(body) {
			only := n == 0 && headers.pos == headerBits
			return only && a.piece(p, pts, size, body)
		}
		if a.open {
			// The last piece of all comes with the whole frame's size, so this is another frame.
			a.open, a.lost = false, true
		}
		a.frame(pts+n*a.step, body[:size])
		body = body[size:]
	}
	return true
}

func (a *aacAssembler) header(r *bits, first bool) (size int, index uint32, ok bool) {
	s, ok := r.read(a.sizeLength)
	if !ok {
		return 0, 0, false
	}
	length := a.indexDeltaLength
	if first {
		length = a.indexLength
	}
	index, ok = r.read(length)
	return int(s), index, ok
}

// piece takes a part of a frame; each comes with the size of the whole.
func (a *aacAssembler) piece(p *rtp.Packet, pts int64, size int, b []byte) bool {
	if size > maxAU {
		return false
	}
	if !a.open {
		a.open, a.size, a.timestamp, a.fragment = true, size, p.Timestamp, a.fragment[:0]
	}
	if size != a.size || len(a.fragment)+len(b) > size {
		return false
	}
	a.fragment = append(a.fragment, b...)
	if len(a.fragment) == size {
		a.open = false
		a.frame(pts, a.fragment)
	}
	return true
}

// frame emits a frame. It is copied, since the packet goes; what was emitted
// before of this packet stays where it is when data must grow.
func (a *aacAssembler) frame(pts int64, b []byte) {
	if b = withoutADTS(b); len(b) == 0 || len(b) > maxAU {
		a.lost = true
		return
	}
	at := len(a.data)
	a.data = append(a.data, b...)
	a.emit(Unit{PTS: pts, Received: a.received, Key: true, Data: a.data[at:len(a.data):len(a.data)]})
}

// withoutADTS cuts the header of a byte stream off, which does not belong into
// RTP but is seen there. No raw frame begins with its twelve bits 1.
func withoutADTS(b []byte) []byte {
	if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
		return b
	}
	n := 7
	if b[1]&1 == 0 {
		n = 9 // with a check sum
	}
	return b[min(n, len(b)):]
}
