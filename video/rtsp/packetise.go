package rtsp

import (
	"bytes"
	"encoding/binary"

	"github.com/pion/rtp"
)

// maxPayload is how much a packet of ours carries: it would fit into a datagram
// on any network, for clients whose buffers are made for those.
const maxPayload = 1400

// packetiser turns units of one track into interleaved RTP packets.
type packetiser struct {
	codec   Codec
	channel uint8
	head    rtp.Header                   // of the packet to come
	hook    func(packet []byte) [][]byte // nil: packets go out as they are

	packets, octets uint32 // so far, for RTCP; they wrap

	nals  [][]byte // of the unit in hand; reused
	small []byte   // headers and sizes of the packet in hand; reused
}

func newPacketiser(t Track, channel uint8, ssrc uint32, seq uint16) *packetiser {
	return &packetiser{codec: t.Codec, channel: channel, head: rtp.Header{
		Version: 2, PayloadType: t.PayloadType, SSRC: ssrc, SequenceNumber: seq,
	}}
}

// appendUnit appends a unit's packets to dst, each with its interleaved frame's
// head (RFC 2326 §10.12).
func (p *packetiser) appendUnit(dst []byte, u Unit) ([]byte, error) {
	p.head.Timestamp = uint32(u.PTS)
	if p.codec == AAC {
		return p.appendAAC(dst, u.Data)
	}
	if err := p.collect(u); err != nil {
		return dst, err
	}
	for i := 0; i < len(p.nals); {
		n := p.together(p.nals[i:])
		last := i+n == len(p.nals)
		switch {
		case len(p.nals[i]) > maxPayload:
			dst = p.appendFragments(dst, p.nals[i], last)
		case n == 1:
			dst = p.appendPacket(dst, last, nil, p.nals[i])
		default:
			dst = p.appendAggregate(dst, p.nals[i:i+n], last)
		}
		i += n
	}
	return dst, nil
}

// collect lists a picture's NAL units, parameter sets before those of a key frame.
func (p *packetiser) collect(u Unit) error {
	p.nals = p.nals[:0]
	if u.Key && len(u.SPS) > 0 && len(u.PPS) > 0 {
		p.nals = append(p.nals, u.SPS, u.PPS)
	}
	for b := u.Data; len(b) > 0; {
		if len(b) < lengthSize {
			return fault(Protocol, nil, "unit ends within a length")
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[lengthSize:]; n == 0 || uint64(n) > uint64(len(b)) {
			return fault(Protocol, nil, "unit with a NAL unit of %d bytes where %d are left", n, len(b))
		}
		p.nals = append(p.nals, b[:n])
		b = b[n:]
	}
	return nil
}

// together counts the NAL units from the first on that fit into one packet.
func (p *packetiser) together(nals [][]byte) int {
	size, n := 1, 0
	for n < len(nals) && size+2+len(nals[n]) <= maxPayload {
		size += 2 + len(nals[n])
		n++
	}
	return max(n, 1)
}

// appendAggregate makes a STAP-A (RFC 6184 §5.7.1).
func (p *packetiser) appendAggregate(dst []byte, nals [][]byte, last bool) []byte {
	b := append(p.small[:0], nalSTAPA)
	for _, nal := range nals {
		b[0] = max(b[0], nal[0]&^nalTypeMask&^nalForbidden|nalSTAPA) // the highest importance within
		b = binary.BigEndian.AppendUint16(b, uint16(len(nal)))
		b = append(b, nal...)
	}
	p.small = b
	return p.appendPacket(dst, last, nil, b)
}

// appendFragments makes FU-As (RFC 6184 §5.8).
func (p *packetiser) appendFragments(dst, nal []byte, last bool) []byte {
	head := append(p.small[:0], nal[0]&^nalTypeMask|nalFUA, 0x80|nal[0]&nalTypeMask)
	p.small = head
	for rest := nal[1:]; len(rest) > 0; {
		n := min(len(rest), maxPayload-len(head))
		end := n == len(rest)
		if end {
			head[1] |= 0x40
		}
		dst = p.appendPacket(dst, last && end, head, rest[:n])
		head[1] &^= 0x80
		rest = rest[n:]
	}
	return dst
}

// maxAACFrame is the longest frame that 13 bits of size can say.
const maxAACFrame = 1<<13 - 1

// appendAAC makes packets of AAC-hbr: each piece of a frame behind the header
// that tells the whole's size (RFC 3640 §3.3.6).
func (p *packetiser) appendAAC(dst, frame []byte) ([]byte, error) {
	if len(frame) == 0 || len(frame) > maxAACFrame {
		return dst, fault(Protocol, nil, "frame of sound of %d bytes", len(frame))
	}
	head := append(p.small[:0], 0, 16)
	head = binary.BigEndian.AppendUint16(head, uint16(len(frame)<<3))
	p.small = head
	for len(frame) > 0 {
		n := min(len(frame), maxPayload-len(head))
		dst = p.appendPacket(dst, n == len(frame), head, frame[:n])
		frame = frame[n:]
	}
	return dst, nil
}

// appendPacket makes one packet, of a payload in two parts.
func (p *packetiser) appendPacket(dst []byte, marker bool, head, body []byte) []byte {
	p.head.Marker = marker
	const headerSize = 12
	at, payload := len(dst), len(head)+len(body)
	dst = appendFrameHead(dst, p.channel, headerSize+payload)
	var header [headerSize]byte
	p.head.MarshalTo(header[:]) // fits: there are no extensions
	dst = append(dst, header[:]...)
	dst = append(dst, head...)
	dst = append(dst, body...)
	p.head.SequenceNumber++
	p.packets++
	p.octets += uint32(payload)
	if p.hook == nil {
		return dst
	}
	packet := bytes.Clone(dst[at+frameHead:])
	dst = dst[:at]
	for _, b := range p.hook(packet) {
		if len(b) > 0xffff {
			continue // cannot be said
		}
		dst = append(appendFrameHead(dst, p.channel, len(b)), b...)
	}
	return dst
}

const frameHead = 4 // bytes before each interleaved packet

func appendFrameHead(dst []byte, channel uint8, n int) []byte {
	return append(dst, '$', channel, byte(n>>8), byte(n))
}
