package rtsp

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// receiver takes the packets of one track to its assembler, and counts what
// RFC 3550 §6.4 wants told to the sender. Owned by who reads.
type receiver struct {
	channels
	assembler   assembler
	payloadType uint8
	clockRate   int
	p           rtp.Packet // reused, as its slices are

	count         int // packets taken, since the beginning
	ssrc          uint32
	first         uint32 // extended sequence numbers
	highest       uint32
	received      uint32 // packets of this ssrc
	expectedThen  uint32 // at the last report
	receivedThen  uint32
	transit       int64 // ticks
	jitter        int64 // ticks, times 16: RFC 3550 §A.8
	lastSR        uint32
	lastSRArrived time.Time
}

// packet takes what came on the RTP channel, and tells whether there may be units.
// What is no RTP, or of another payload type, is left out: several cameras send
// forward correction and metadata on the same channel.
func (r *receiver) packet(b []byte, at time.Time) bool {
	if len(b) < 12 || b[0]>>6 != 2 {
		return false
	}
	// pion checks CSRC count, extension length and padding against the length.
	if err := r.p.Unmarshal(b); err != nil || r.p.PayloadType != r.payloadType {
		return false
	}
	r.account(at)
	// One without payload counts too: else its number would pass for a loss.
	r.assembler.push(&r.p, at)
	return true
}

// account keeps the figures of the receiver report.
func (r *receiver) account(at time.Time) {
	now := at.Unix()*int64(r.clockRate) + int64(at.Nanosecond())*int64(r.clockRate)/1e9
	seq := r.p.SequenceNumber
	if r.count == 0 || r.ssrc != r.p.SSRC {
		r.ssrc = r.p.SSRC
		r.first, r.highest = uint32(seq), uint32(seq)
		r.received, r.expectedThen, r.receivedThen, r.jitter = 0, 0, 0, 0
		r.transit = now - int64(r.p.Timestamp)
		r.lastSRArrived = time.Time{}
	}
	r.count++
	r.received++
	if ahead := int16(seq - uint16(r.highest)); ahead > 0 {
		r.highest += uint32(ahead)
	}
	// A camera's time may jump: what no network does is not counted as jitter.
	transit := now - int64(r.p.Timestamp)
	d := max(transit-r.transit, r.transit-transit)
	if r.transit = transit; d < int64(r.clockRate) {
		r.jitter += d - (r.jitter+8)>>4
	}
}

// control takes what came on the RTCP channel: sender reports, whatever they
// are wrapped in.
func (r *receiver) control(b []byte, at time.Time) {
	for len(b) >= 8 && b[0]>>6 == 2 {
		n := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if n > len(b) {
			return
		}
		if b[1] == byte(rtcp.TypeSenderReport) {
			var sr rtcp.SenderReport
			if sr.Unmarshal(b[:n]) == nil {
				r.lastSR, r.lastSRArrived = uint32(sr.NTPTime>>16), at
				r.assembler.report(&sr)
			}
		}
		b = b[n:]
	}
}

// report makes an interleaved frame with a receiver report; nil while there is
// nothing to tell.
func (r *receiver) report(now time.Time) []byte {
	if r.count == 0 {
		return nil
	}
	expected := r.highest - r.first + 1
	lost := int64(expected) - int64(r.received)
	inTime := int64(expected-r.expectedThen) - int64(r.received-r.receivedThen)
	fraction := int64(0)
	if e := int64(expected - r.expectedThen); e > 0 && inTime > 0 {
		fraction = min(inTime*256/e, 255)
	}
	r.expectedThen, r.receivedThen = expected, r.received
	block := rtcp.ReceptionReport{
		SSRC:               r.ssrc,
		FractionLost:       uint8(fraction),
		TotalLost:          uint32(min(max(lost, 0), 1<<23-1)),
		LastSequenceNumber: r.highest,
		Jitter:             uint32(r.jitter >> 4),
	}
	if !r.lastSRArrived.IsZero() {
		block.LastSenderReport = r.lastSR
		block.Delay = uint32(now.Sub(r.lastSRArrived).Seconds() * 65536)
	}
	us := r.ssrc + 1 // any number but the sender's
	body, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: us, Reports: []rtcp.ReceptionReport{block}},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: us,
			Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: agent}},
		}}},
	})
	if err != nil {
		return nil
	}
	frame := append(make([]byte, 0, 4+len(body)), '$', r.rtcp)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(body)))
	return append(frame, body...)
}
