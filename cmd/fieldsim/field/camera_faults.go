package field

import (
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// CameraFaults are what is wrong with a camera. The zero value is a good one.
// What concerns a session's beginning holds for sessions that begin; the rest
// is seen with the next picture.
type CameraFaults struct {
	Refuse  bool          `help:"No session; those that run end."`
	SDP     string        `help:"Describes itself wrongly: codec (H.265), garbage, or lone (a lone m=video)." enum:",codec,garbage,lone" default:""`
	Silence bool          `help:"A session begins, and nothing ever comes."`
	Flap    time.Duration `help:"Sessions end after this."`
	Stall   bool          `help:"Pictures stop, the connection stays; they go on with a key frame."`
	Drop    float64       `help:"Share of RTP packets that are lost, 0..1." default:"0"`
	Jump    time.Duration `help:"The camera's RTP time is wrong by this; a change of it is a jump."`
	Bars    bool          `help:"Colour bars of 320x180 instead of the picture, in mid-stream."`
}

func noFaults() CameraFaults { return CameraFaults{} }

// CameraSwitch holds the faults of cameras by path, to be switched while they
// run: CameraOptions{Faults: s.Faults}. The zero value has none.
type CameraSwitch struct {
	mu     sync.Mutex
	byPath map[string]CameraFaults // guarded by mu
}

// Set gives a camera, by path ("cam-1"), its faults; the zero value mends it.
func (s *CameraSwitch) Set(path string, f CameraFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPath == nil {
		s.byPath = map[string]CameraFaults{}
	}
	s.byPath[path] = f
}

// Mend takes all faults away.
func (s *CameraSwitch) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byPath, func(string, CameraFaults) bool { return true })
}

// Faults of a camera now.
func (s *CameraSwitch) Faults(path string) CameraFaults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPath[path]
}

// lies are descriptions by name of the fault. "lone" has an m= line and nothing
// more; clients have crashed on less.
func lie(kind string, seed uint64) []byte {
	const head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
	switch kind {
	case "codec":
		return []byte(head + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=control:trackID=0\r\n")
	case "lone":
		return []byte("m=video\r\n")
	default:
		r := rand.New(rand.NewPCG(seed, 0))
		b := make([]byte, 512)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
}
