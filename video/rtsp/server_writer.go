package rtsp

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
)

// Writer sends units of one session as interleaved RTP. It is for one goroutine.
type Writer struct {
	// Packet, if set before the first Write, sees every RTP packet on its way
	// and answers what to send in its stead; a simulated camera may lose some.
	Packet func(track int, packet []byte) [][]byte

	send   func([]byte) error
	tracks []*outlet // nil: not set up by the client
	buf    []byte    // one unit's packets; reused
}

// outlet is a track on its way out.
type outlet struct {
	packetiser
	parameters Track // its parameter sets stand in where a unit has none
	clockRate  int
	reported   time.Time
}

// sendReportEvery is how often a client is told how RTP time and ours go together.
const sendReportEvery = 5 * time.Second

func newOutlet(t Track, channel uint8) *outlet {
	return &outlet{
		packetiser: *newPacketiser(t, channel, rand.Uint32(), uint16(rand.Uint32())),
		parameters: t, clockRate: t.ClockRate,
	}
}

// Write packetises and sends one unit: Track, PTS, Wall, Key, Data, SPS and PPS
// count; RTP time is PTS itself, and a unit without Wall is of this moment. Parameter sets, the track's where the unit has none, go
// in band before each key unit. It blocks while the client does not read, at most
// a few seconds. Units of tracks that the client did not set up are passed over.
func (w *Writer) Write(u Unit) error {
	if u.Track < 0 || u.Track >= len(w.tracks) {
		return fault(Protocol, nil, "unit of track %d of %d", u.Track, len(w.tracks))
	}
	out := w.tracks[u.Track]
	if out == nil {
		return nil
	}
	if u.SPS == nil && u.PPS == nil {
		u.SPS, u.PPS = out.parameters.SPS, out.parameters.PPS
	}
	if w.Packet != nil && out.hook == nil {
		track := u.Track
		out.hook = func(packet []byte) [][]byte { return w.Packet(track, packet) }
	}
	w.buf = w.buf[:0]
	if now := time.Now(); now.Sub(out.reported) >= sendReportEvery {
		out.reported = now
		if !u.Wall.IsZero() {
			now = u.Wall
		}
		w.buf = out.appendReport(w.buf, uint32(u.PTS), now)
	}
	var err error
	if w.buf, err = out.appendUnit(w.buf, u); err != nil {
		return err
	}
	return w.send(w.buf)
}

// appendReport appends a sender report (RFC 3550 §6.4.1).
func (o *outlet) appendReport(dst []byte, rtpTime uint32, now time.Time) []byte {
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{
			SSRC: o.head.SSRC, NTPTime: toNTP(now), RTPTime: rtpTime,
			PacketCount: o.packets, OctetCount: o.octets,
		},
		rtcp.NewCNAMESourceDescription(o.head.SSRC, "camera"),
	})
	if err != nil {
		return dst // nothing in it can be refused
	}
	return append(appendFrameHead(dst, o.channel+1, len(b)), b...)
}
