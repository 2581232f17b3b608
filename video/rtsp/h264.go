package rtsp

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/pion/rtp"
)

// NAL unit types (ITU-T H.264 table 7-1) and RTP's own (RFC 6184 table 1).
const (
	nalSlice       = 1
	nalIDR         = 5
	nalSPS         = 7
	nalPPS         = 8
	nalDelimiter   = 9
	nalFiller      = 12
	nalLast        = 23 // last that stands for itself in RTP
	nalSTAPA       = 24
	nalFUA         = 28
	nalTypeMask    = 0x1f
	nalForbidden   = 0x80 // set only where bits were damaged
	maxParameters  = 1024 // bytes of a parameter set
	lengthSize     = 4    // bytes of the length before each NAL unit in Data
	releaseAbove   = 256 << 10
	releaseEvery   = 256 // units
	releaseAtRatio = 4
)

// h264Assembler puts pictures together (RFC 6184, packetisation modes 0 and 1).
//
// A picture ends where its last packet's marker says so: so nothing waits for the
// next one. Where a further slice of a picture comes after its marker, this
// camera's marker lies, and from then on its pictures end where the next begins.
type h264Assembler struct {
	inlet
	sps, pps []byte // in force; replaced, never changed

	markerLies bool
	ended      bool // the picture of time pts was emitted

	picture
	spare []byte // the other of two buffers: one fills while the other waits to be popped

	largest, units int // of the buffers' recent use
}

// picture is what came of an access unit so far.
type picture struct {
	begun    bool
	pts      int64
	arrived  time.Time // of its newest packet
	data     []byte    // NAL units, each after its length
	nals     int
	slices   bool // a slice came
	key      bool
	damaged  bool // it will not be emitted
	headLost bool // packets are missing before its first slice
	fragment int  // where the open fragmented NAL unit's length stands; -1: none open

	sawSPS, sawPPS bool
	nextSPS        []byte // parameter sets that came after its slices, for the next
	nextPPS        []byte
}

func newH264Assembler(in inlet, t Track) *h264Assembler {
	a := &h264Assembler{inlet: in, picture: picture{fragment: -1}}
	if sps := trimParameters(t.SPS); usableSPS(sps) {
		a.sps = bytes.Clone(sps)
	}
	if pps := trimParameters(t.PPS); usablePPS(pps) {
		a.pps = bytes.Clone(pps)
	}
	return a
}

func (a *h264Assembler) push(p *rtp.Packet, received time.Time) {
	fresh, gap := a.admit(p, received)
	if !fresh {
		return
	}
	last, started := a.clock.now, a.clock.started
	pts := a.time(p)
	if gap {
		a.lost = true
		if a.begun {
			a.damage()
		}
	}
	if !started || pts != last {
		a.finish()
		a.ended = false
		a.begin(pts, gap || !started)
	} else if !a.begun {
		a.begin(pts, gap) // after its marker
	}
	if len(p.Payload) == 0 {
		return // kept alive, or padding alone
	}
	a.arrived = received
	a.payload(p.Payload)
	if p.Marker && !a.markerLies && (a.slices || a.damaged) {
		a.finish()
		a.ended = true
	}
}

func (a *h264Assembler) begin(pts int64, headLost bool) {
	a.picture = picture{
		begun: true, pts: pts, arrived: a.received, data: a.data[:0], fragment: -1,
		headLost: headLost,
	}
}

// payload reads one packet's NAL units.
func (a *h264Assembler) payload(b []byte) {
	if b[0]&nalForbidden != 0 {
		a.damage()
		return
	}
	switch typ := b[0] & nalTypeMask; {
	case typ == nalFUA:
		a.fragmented(b)
	case typ == nalSTAPA:
		a.closeFragment()
		a.aggregated(b[1:])
	case typ >= 1 && typ <= nalLast:
		a.closeFragment()
		a.whole(b)
	case typ == 0 && bytes.Contains(b[:min(len(b), 4)], startCode):
		a.closeFragment()
		a.byteStream(b)
	default: // STAP-B, MTAP and FU-B belong to interleaved mode, which nobody asked for
		a.damage()
	}
}

// aggregated reads the NAL units of a STAP-A (RFC 6184 §5.7.1), each after 16
// bits of size. A size of zero holds nothing and loses nothing.
func (a *h264Assembler) aggregated(b []byte) {
	for len(b) >= 2 {
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; size > len(b) {
			break
		}
		if size > 0 {
			a.whole(b[:size])
		}
		b = b[size:]
	}
	if len(b) > 0 {
		a.damage()
	}
}

// fragmented reads a FU-A (RFC 6184 §5.8).
func (a *h264Assembler) fragmented(b []byte) {
	if len(b) < 2 {
		a.damage()
		return
	}
	const start, end = 0x80, 0x40
	typ, rest := b[1]&nalTypeMask, b[2:]
	switch {
	case b[1]&start != 0:
		a.closeFragment()
		a.slice(typ, rest)
		if !a.room(1 + len(rest)) {
			return
		}
		a.fragment = len(a.data)
		a.data = append(a.data, 0, 0, 0, 0, b[0]&^nalTypeMask|typ)
		a.nals++
	case a.fragment < 0 && a.ended:
		a.late()
		return
	case a.fragment < 0: // its start is missing
		a.damage()
		return
	case !a.fits(len(rest)):
		return
	}
	a.data = append(a.data, rest...)
	if b[1]&end != 0 {
		a.closeFragment()
	}
}

// closeFragment ends the open fragmented NAL unit, if there is one. No packet of
// it is missing, or the picture would be damaged; some cameras never say its end.
func (a *h264Assembler) closeFragment() {
	at := a.fragment
	if a.fragment = -1; at < 0 {
		return
	}
	nal := a.data[at+lengthSize:]
	if typ := nal[0] & nalTypeMask; isSlice(typ) {
		binary.BigEndian.PutUint32(a.data[at:], uint32(len(nal)))
		a.key = a.key || typ == nalIDR
		return
	}
	a.data = a.data[:at]
	a.nals--
	if bytes.Contains(nal, startCode) {
		nal = bytes.Clone(nal) // its pieces will be written over it
	}
	a.whole(nal)
}

// whole takes a NAL unit that is not in pieces.
func (a *h264Assembler) whole(nal []byte) {
	typ := nal[0] & nalTypeMask
	switch {
	case nal[0]&nalForbidden != 0:
		a.damage()
	case isSlice(typ):
		if a.slice(typ, nal[1:]); a.room(len(nal)) {
			a.key = a.key || typ == nalIDR
			a.append(nal)
		}
	case bytes.Contains(nal, startCode):
		a.byteStream(nal)
	default:
		a.extra(typ, nal)
	}
}

func isSlice(typ byte) bool { return typ >= nalSlice && typ <= nalIDR }

// slice judges a slice by its beginning, the byte behind its NAL unit's header:
// whether it belongs to this picture, and whether one before it is missing.
func (a *h264Assembler) slice(typ byte, rest []byte) {
	if !isSlice(typ) {
		return
	}
	// first_mb_in_slice is its first field; 0 is coded as one bit 1 (ITU-T H.264
	// §7.3.3). Partitions B and C begin with another field, and follow an A.
	first := len(rest) > 0 && rest[0]&0x80 != 0
	switch {
	case a.ended && first:
		a.ended = false // a picture of its own at the same time: a field, or a clock that stands still
	case a.ended:
		a.late()
	case a.headLost && !first:
		a.damage()
	}
	a.headLost = false
	a.slices = true
}

// late is told of a part of a picture that was emitted without it: unless it is
// packets that are missing, the marker lied.
func (a *h264Assembler) late() {
	a.markerLies = a.markerLies || !a.headLost
	a.damage()
}

// extra takes a NAL unit that is no slice. A second set of parameters in one
// picture stays where it came: decoders read it there, and a Unit names one.
func (a *h264Assembler) extra(typ byte, nal []byte) {
	switch {
	case typ == nalSPS:
		nal = trimParameters(nal)
		news, again := differs(nal, a.sps, &a.sawSPS, usableSPS)
		if !news {
			return
		}
		if !again {
			a.replace(nal, &a.sps, &a.nextSPS)
			return
		}
	case typ == nalPPS:
		nal = trimParameters(nal)
		news, again := differs(nal, a.pps, &a.sawPPS, usablePPS)
		if !news {
			return
		}
		if a.pps == nil || a.sawSPS && !again || samePPS(nal, a.pps) {
			a.replace(nal, &a.pps, &a.nextPPS)
			return
		}
	case typ >= nalDelimiter && typ <= nalFiller, typ == 0, typ > nalLast:
		return // delimiters, ends and filling mean nothing in a file
	}
	if !a.ended && a.room(len(nal)) {
		a.append(nal)
	}
}

// differs tells whether a parameter set is usable and not the one in force, and
// whether the picture had one before.
func differs(nal, inForce []byte, saw *bool, usable func([]byte) bool) (news, again bool) {
	same := bytes.Equal(nal, inForce)
	if !same && !usable(nal) {
		return false, *saw
	}
	again, *saw = *saw, true
	return !same, again
}

// replace puts a parameter set in force: at once, or with the next picture when
// this one's slices came before it.
func (a *h264Assembler) replace(nal []byte, inForce, next *[]byte) {
	if a.slices {
		inForce = next
	}
	*inForce = bytes.Clone(nal)
}

var startCode = []byte{0, 0, 1}

// byteStream takes NAL units apart that come as a byte stream (ITU-T H.264
// annex B), against RFC 6184 but seen of cameras.
func (a *h264Assembler) byteStream(b []byte) {
	for len(b) > 0 {
		nal, rest, _ := bytes.Cut(b, startCode)
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			a.whole(nal)
		}
		b = rest
	}
}

// room makes sure that a further NAL unit of n bytes may be added.
func (a *h264Assembler) room(n int) bool {
	if a.nals >= maxNALs {
		a.damage()
		return false
	}
	return a.fits(lengthSize + n)
}

func (a *h264Assembler) fits(n int) bool {
	if a.damaged {
		return false
	}
	if len(a.data)+n > maxUnit {
		a.damage()
		a.data = nil // given back at once
		return false
	}
	return true
}

func (a *h264Assembler) append(nal []byte) {
	a.data = binary.BigEndian.AppendUint32(a.data, uint32(len(nal)))
	a.data = append(a.data, nal...)
	a.nals++
}

// damage gives the picture up; the next one tells of it.
func (a *h264Assembler) damage() {
	a.damaged, a.lost, a.fragment = true, true, -1
	a.data = a.data[:0]
}

// finish ends the picture: emits it, or lets it go.
func (a *h264Assembler) finish() {
	if !a.begun {
		return
	}
	a.closeFragment()
	a.begun = false
	if a.slices && !a.damaged {
		a.emit(Unit{
			PTS: a.pts, Received: a.arrived, Data: a.data,
			Key: a.key && a.sps != nil && a.pps != nil,
			SPS: a.sps, PPS: a.pps,
		})
		a.measure(len(a.data))
		a.data, a.spare = a.spare[:0], a.data
	}
	if a.nextSPS != nil {
		a.sps = a.nextSPS
	}
	if a.nextPPS != nil {
		a.pps = a.nextPPS
	}
	a.nextSPS, a.nextPPS = nil, nil
}

// measure gives large buffers back when pictures have become small again. The
// one that waits to be popped is kept by its unit.
func (a *h264Assembler) measure(n int) {
	a.largest = max(a.largest, n)
	if a.units++; a.units < releaseEvery {
		return
	}
	for _, b := range []*[]byte{&a.data, &a.spare} {
		if cap(*b) > releaseAbove && cap(*b) > releaseAtRatio*a.largest {
			*b = nil
		}
	}
	a.largest, a.units = 0, 0
}

// trimParameters cuts zeros that some encoders leave behind a parameter set;
// none can end with one (ITU-T H.264 §7.4.1).
func trimParameters(nal []byte) []byte { return bytes.TrimRight(nal, "\x00") }

// usableSPS is asked only about sets that differ from the one in force.
func usableSPS(sps []byte) bool {
	_, err := ParseSPS(sps)
	return err == nil
}

func usablePPS(pps []byte) bool {
	_, err := ppsID(pps)
	return err == nil
}

func ppsID(pps []byte) (uint32, error) {
	if len(pps) < 2 || len(pps) > maxParameters || pps[0]&nalTypeMask != nalPPS {
		return 0, fault(Protocol, nil, "no picture parameter set")
	}
	id, err := (&bits{b: pps[1:]}).golomb()
	if err != nil || id > 255 {
		return 0, fault(Protocol, err, "no picture parameter set")
	}
	return id, nil
}

// samePPS tells whether one replaces the other.
func samePPS(a, b []byte) bool {
	x, errX := ppsID(a)
	y, errY := ppsID(b)
	return errX == nil && errY == nil && x == y
}
