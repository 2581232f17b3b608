package rtsp

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
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
