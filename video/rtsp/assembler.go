package rtsp

import (
	"fmt"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Bounds of what a camera may make us hold.
const (
	maxUnit  = 8 << 20 // bytes of a picture; key frames of 4K cameras are below 2 MB
	maxNALs  = 1024    // NAL units of a picture
	maxAU    = 1 << 15 // bytes of a frame of sound; AAC-hbr can say 8191
	maxAUs   = 64      // frames of sound in a packet
	maxClock = 1 << 20 // ticks a second; 90,000 and the rates of sound are usual
)

// assembler puts the packets of one track together to units. It survives
// whatever the packets hold; what it cannot use it drops and counts as lost.
type assembler interface {
	// push takes a packet in order of arrival. Its payload is valid during the call only.
	push(p *rtp.Packet, received time.Time)
	// report takes the camera's word on how its clock and RTP time go together.
	report(sr *rtcp.SenderReport)
	// pop gives the next complete unit; its Data is valid until the next push.
	pop() (Unit, bool)
}

// newAssembler makes the assembler of a track. It fails on a track that cannot
// be understood, never on parameter sets, which may come in band.
func newAssembler(index int, t Track) (assembler, error) {
	if t.ClockRate <= 0 || t.ClockRate > maxClock {
		return nil, fault(BadDescription, nil, "clock rate of %d", t.ClockRate)
	}
	in := inlet{track: index, clock: clock{rate: int64(t.ClockRate)}}
	switch t.Codec {
	case H264:
		return newH264Assembler(in, t), nil
	case AAC:
		return newAACAssembler(in, t)
	}
	return nil, fault(UnsupportedCodec, nil, "no assembler for this codec")
}

// inlet is what assemblers of all codecs share: the order of packets, time, and
// the units that wait to be popped.
type inlet struct {
	track    int
	clock    clock
	received time.Time // of the newest packet

	started bool
	ssrc    uint32
	seq     uint16
	stale   int // packets in a row that were dropped as late

	lost bool // to be told by the next unit

	early *rtcp.SenderReport // came before any packet; cameras like to begin so

	ready []Unit // complete units from taken on; reused
	taken int
}

// Over TCP nothing is reordered on the way, so a sequence number from the near
// past is a repeat by the camera. But one that repeats for ever has started over.
const (
	lateBy   = 64
	maxStale = 64
)

// admit says whether a packet is new, and whether packets before it are missing.
// It drops the units that were not popped: their data is about to be reused.
func (in *inlet) admit(p *rtp.Packet, received time.Time) (fresh, gap bool) {
	clear(in.ready)
	in.ready, in.taken, in.received = in.ready[:0], 0, received
	step := int16(p.SequenceNumber - in.seq)
	switch {
	case !in.started, p.SSRC != in.ssrc:
		gap = in.started
	case step == 1:
	case step <= 0 && step > -lateBy && in.stale < maxStale:
		in.stale++
		return false, false
	default:
		gap = true
	}
	in.started, in.ssrc, in.seq, in.stale = true, p.SSRC, p.SequenceNumber, 0
	return true, gap
}

// emit queues a unit and tells it what is known of the camera's clock and of loss.
func (in *inlet) emit(u Unit) {
	u.Track, u.Wall, u.Lost = in.track, in.clock.wallOf(u.PTS), in.lost
	in.lost = false
	in.ready = append(in.ready, u)
}

// time unwraps a packet's.
func (in *inlet) time(p *rtp.Packet) int64 {
	pts := in.clock.unwrap(p.Timestamp)
	if in.early != nil {
		in.clock.report(in.early, in.received)
		in.early = nil
	}
	return pts
}

func (in *inlet) report(sr *rtcp.SenderReport) {
	if !in.started {
		early := *sr
		in.early = &early
		return
	}
	in.clock.report(sr, in.received)
}

func (in *inlet) pop() (Unit, bool) {
	if in.taken == len(in.ready) {
		return Unit{}, false
	}
	in.taken++
	return in.ready[in.taken-1], true
}

// bits reads bit fields, most significant first. Past the end it fails.
type bits struct {
	b   []byte
	pos int // bits read
}

func (r *bits) read(n int) (v uint32, ok bool) {
	if n < 0 || n > 32 || r.pos+n > 8*len(r.b) {
		return 0, false
	}
	for range n {
		v = v<<1 | uint32(r.b[r.pos/8]>>(7-r.pos%8)&1)
		r.pos++
	}
	return v, true
}

// golomb reads an unsigned Exp-Golomb code (ITU-T H.264 §9.1).
func (r *bits) golomb() (uint32, error) {
	zeros := 0
	for {
		bit, ok := r.read(1)
		if !ok || zeros > 31 {
			return 0, fmt.Errorf("no Exp-Golomb code at bit %d", r.pos)
		}
		if bit == 1 {
			break
		}
		zeros++
	}
	rest, ok := r.read(zeros)
	if !ok {
		return 0, fmt.Errorf("Exp-Golomb code cut off at bit %d", r.pos)
	}
	return 1<<zeros - 1 + rest, nil
}
