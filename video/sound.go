package video

import (
	"time"

	"cuulong/video/fmp4"
	"cuulong/video/rtsp"
)

// Sound stands on a grid of whole frames without holes: a browser that misses
// one frame of sound wants a key frame of the pictures, and one that misses two
// never goes on (see the doc of fmp4). So holes are filled with silence.
const (
	frameSamples = 1024 // of a frame of AAC (ISO/IEC 14496-3 §4.5.2.1.1)

	maxSound  = 64 << 10 // bytes of sound between two pictures
	maxFrames = 256
	maxApart  = 300 * time.Millisecond // between sound and pictures, before it is noticed
	maxBehind = 200 * time.Millisecond // sound ends before the pictures; then it is filled
)

// soundline gives frames of sound their places, in samples.
type soundline struct {
	clock, rate int64 // ticks a second of the camera's sound time, and of ours

	begun bool  // the grid of this stream has its beginning
	next  int64 // the next place of the grid

	running bool  // the camera's time is tied to ours
	pts     int64 // of the last frame, in samples of the camera's time
	offset  int64 // from there to ours
}

// begin starts a session.
func (s *soundline) begin(clock, rate int) {
	*s = soundline{clock: int64(max(clock, 1)), rate: int64(max(rate, 1))}
}

// restart begins the grid of another stream.
func (s *soundline) restart() { s.begun = false }

// samples is a duration in ours.
func (s *soundline) samples(d time.Duration) int64 { return int64(d) * s.rate / int64(time.Second) }

// behind is how many places must be filled so that sound does not end long
// before the pictures, which are at shown. The first picture of a stream
// begins the grid.
func (s *soundline) behind(shown int64) int {
	if !s.begun {
		s.begun, s.next = true, max(shown, 0)
	}
	if late := shown - s.next; late > s.samples(maxBehind) {
		return int((late - s.samples(maxBehind)/2) / frameSamples)
	}
	return 0
}

// place finds the place of a frame. want is where the pictures' time would have
// it. empty is how many places before it must be filled, room at most with it;
// ok is false where there is no place for it.
func (s *soundline) place(pts, want int64, room int) (empty int, ok bool) {
	p := pts % (1 << 40)
	p = p/s.clock*s.rate + p%s.clock*s.rate/s.clock
	at := p + s.offset
	drift, apart := at-want, s.samples(maxApart)
	// A step of its own clock, or too far from the pictures to be heard with them.
	if step := p - s.pts; !s.running || step <= 0 || step > s.rate || drift > apart || drift < -apart {
		at = want
		if near := s.next - at; near > 0 && near < apart {
			at = s.next
		}
		s.offset, s.running = at-p, true
	}
	s.pts = p
	if !s.begun {
		return 0, false
	}
	// Less than a frame is rounding, and clocks in milliseconds; drift adds up to one.
	off := at - s.next
	if off <= -frameSamples {
		return 0, false
	}
	if off >= frameSamples {
		if empty = int(min(off/frameSamples, maxFrames)); empty >= room {
			return 0, false
		}
	}
	return empty, true
}

// take gives out the next place.
func (s *soundline) take() uint64 {
	at := s.next
	s.next += frameSamples
	return uint64(at)
}

// soundFrames are the frames that leave with the next picture.
type soundFrames struct {
	all   []fmp4.Sample
	ends  []int  // of the frames in bytes
	bytes []byte // reused
}

func (f *soundFrames) room() int { return maxFrames - len(f.all) }

func (f *soundFrames) add(dts uint64, data []byte) {
	f.bytes = append(f.bytes, data...)
	f.ends = append(f.ends, len(f.bytes))
	f.all = append(f.all, fmp4.Sample{Track: soundTrack, DTS: dts, Duration: frameSamples, Key: true})
}

// samples gives the frames their data, which may have moved while they were gathered.
func (f *soundFrames) samples() []fmp4.Sample {
	begin := 0
	for i, end := range f.ends {
		f.all[i].Data = f.bytes[begin:end]
		begin = end
	}
	return f.all
}

func (f *soundFrames) clear() { f.all, f.ends, f.bytes = f.all[:0], f.ends[:0], f.bytes[:0] }

// listen takes a frame of sound; it leaves with the next picture.
func (m *mux) listen(u *rtsp.Unit) {
	if u.Track != 1 || len(m.tracks) < 2 {
		return
	}
	m.heard = u.Received
	if !m.withSound || m.waiting || m.stream == nil || m.shownAt.IsZero() {
		return
	}
	// Where the pictures are now: by the camera's clock for both if it says so
	// and that is likely, else by arrival; not farther than one picture lasts,
	// since what stood still goes on from there.
	since := u.Received.Sub(m.shownAt)
	if !u.Wall.IsZero() && !m.shownWall.IsZero() {
		if by := u.Wall.Sub(m.shownWall); (by - since).Abs() < 2*time.Second {
			since = by
		}
	}
	lasts := time.Duration(m.video.duration) * time.Second / videoRate
	since = min(max(since, -maxApart-lasts), maxApart+lasts)
	want := (m.shownPTS + int64(since)*9/100_000) * m.sound.rate / videoRate // 90,000 ticks are 1e9 ns
	if len(m.frames.bytes)+len(u.Data) > maxSound || m.frames.room() == 0 {
		m.meters.drop(clock, 1)
		return
	}
	empty, ok := m.sound.place(u.PTS, want, m.frames.room())
	if !ok {
		m.meters.drop(clock, 1)
		return
	}
	m.hush(empty)
	m.frames.add(m.sound.take(), u.Data)
}

// fillSound sees to it that sound keeps up with the pictures, which are at shown.
func (m *mux) fillSound(shown int64) {
	m.hush(min(m.sound.behind(shown*m.sound.rate/videoRate), m.frames.room()))
}

// hush fills n places with silence.
func (m *mux) hush(n int) {
	for range n {
		m.frames.add(m.sound.take(), m.silence)
	}
}

// dropSound lets go of the sound of pictures that are not shown; its places are
// free again.
func (m *mux) dropSound() {
	if len(m.frames.all) > 0 {
		m.sound.next = int64(m.frames.all[0].DTS)
	}
	m.frames.clear()
}
