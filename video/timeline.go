package video

import "math"

// videoRate is the ticks a second of the pictures' output time, and of RTP time
// for every video codec (RFC 6184 §8.2.1).
const videoRate = 90_000

const (
	shortestTicks = videoRate / 120 // bounds of a picture's declared duration
	longestTicks  = videoRate
	assumedTicks  = videoRate / 25 // while nothing is known
	maxDepth      = 8              // pictures of reordering; encoders use 4 at most
	unlearned     = 8              // steps to declare while reordering is not learned
	gapsKept      = 16
)

// timeline turns the times of a camera's pictures into those of the stream: a
// decoding time (DTS) that rises strictly, whatever comes, and a signed offset
// from it to the time of showing.
//
// RTP says when to show a picture, not when to decode it. Pictures come in order
// of decoding; so the DTS of the n-th is the n-th smallest showing time, delayed by as many
// pictures (the depth) as the encoder reorders. Where the parameter sets do not say the depth,
// it is learned when a time first goes back.
//
// A browser wants a key frame where the DTS jumps by more than twice the
// duration that the last picture declared; so larger steps of the camera's
// clock are shortened to just below, and jumps are bridged. The zero value is
// not ready; begin is called first.
type timeline struct {
	rate     int64 // the camera's ticks a second
	inOrder  bool  // there is no reordering: a time that goes back is a jump
	depth    int
	top      [maxDepth + 1]int64 // the largest showing times since the last jump, largest first
	n        int                 // of top; 0: the next picture begins anew
	key      int64               // showing time of the last key frame; what follows is shown after it
	decoding int64               // DTS of the last picture in the camera's time
	offset   int64               // from the camera's time to ours

	started  bool
	last     int64 // output DTS
	duration int64 // that the last picture declared

	gaps  [gapsKept]int64 // the last steps of DTS
	gap   int             // where the next goes
	usual int64           // the last of them, or what the parameter sets said
}

// begin starts a session: the camera's clock begins anew, ours goes on.
// fps 0 is not known, nor depth unknownDepth.
func (t *timeline) begin(rate, fps, depth int) {
	t.rate, t.inOrder = int64(rate), depth == 0
	if rate <= 0 {
		t.rate = videoRate
	}
	t.depth, t.n = max(depth, 0), 0
	t.gaps = [gapsKept]int64{}
	step := int64(assumedTicks)
	if fps > 0 {
		step = min(max(int64(videoRate/fps), shortestTicks), longestTicks)
		t.gaps[0] = step
	}
	t.gap, t.usual = 1, step
	if depth == unknownDepth {
		// Until the depth is learned, the picture after the first may be many
		// steps ahead of it: those reordered before it follow.
		t.gaps[0] = min(unlearned*step, longestTicks)
	}
}

// place gives the next picture its output times, in ticks of videoRate.
// jumped tells that the camera's clock did.
func (t *timeline) place(pts int64, key bool) (dts uint64, cts int32, duration uint32, jumped bool) {
	p := t.scale(pts)
	jumped = t.n > 0 && t.jump(p, key)
	var out int64
	if t.n == 0 || jumped {
		out = t.anew(p)
	} else {
		out = t.next(p)
	}
	if key {
		t.key = p
	}
	t.started, t.last, t.duration = true, out, t.longest()
	// Far beyond what any encoder reorders, but the field has 32 bits.
	const far = 10 * videoRate
	offset := min(max(p+t.offset-out, -far, -out), far)
	return uint64(out), int32(offset), uint32(t.duration), jumped
}

// scale brings the camera's ticks to ours. Beyond 2^44 ticks, 6 years, time wraps.
func (t *timeline) scale(pts int64) int64 {
	pts %= 1 << 44
	if t.rate == videoRate {
		return pts
	}
	return pts/t.rate*videoRate + pts%t.rate*videoRate/t.rate
}

// jump tells whether p cannot belong to the pictures before it.
func (t *timeline) jump(p int64, key bool) bool {
	newest := t.top[0]
	if p >= newest {
		return p-newest > longestTicks*int64(t.depth+1)
	}
	// An IDR picture and all after it are shown after all before it (H.264 §8.2.1).
	return key || t.inOrder || newest-p > longestTicks || p <= t.key || t.later(p) > maxDepth
}

// later counts the pictures that came before p and are shown after it.
func (t *timeline) later(p int64) int {
	k := 0
	for k < t.n && t.top[k] > p {
		k++
	}
	return k
}

// anew begins at p, one usual step after what was.
func (t *timeline) anew(p int64) int64 {
	t.top[0], t.n = p, 1
	t.key = math.MinInt64
	step := t.usual
	t.decoding = p - int64(t.depth)*step
	out := int64(0)
	if t.started {
		// The step must suit what was declared last, which may have been less.
		out = t.last + min(step, 2*t.duration-1)
	}
	t.offset = out - t.decoding
	return out
}

// next goes on to p.
func (t *timeline) next(p int64) int64 {
	k := t.later(p)
	t.depth = max(t.depth, k)
	if t.n < len(t.top) {
		t.n++
	}
	if k < t.n {
		copy(t.top[k+1:t.n], t.top[k:t.n-1])
		t.top[k] = p
	}
	decoding := t.top[min(t.depth, t.n-1)]
	if missing := t.depth - (t.n - 1); missing > 0 {
		decoding -= int64(missing) * t.usual // the first pictures have nobody before them
	}
	step := decoding - t.decoding
	if step > 0 {
		t.decoding = decoding
		if step <= longestTicks {
			t.usual = max(step, shortestTicks)
			t.gaps[t.gap] = t.usual
			t.gap = (t.gap + 1) % gapsKept
		}
	}
	out := decoding + t.offset
	if out <= t.last {
		// While the depth is learned, or the camera repeats a time: slowly, until
		// the times have come up with us. Standing still would be a complaint of ffmpeg's.
		return t.last + min(max(t.usual/2, 1), 2*t.duration-1)
	}
	if most := t.last + 2*t.duration - 1; out > most {
		t.offset -= out - most
		out = most
	}
	return out
}

// longest is the duration to declare: the longest of the last steps. Too long
// is harmless, too short is a gap that stops a player.
func (t *timeline) longest() int64 {
	longest := int64(0)
	for _, g := range t.gaps {
		longest = max(longest, g)
	}
	if longest == 0 {
		return assumedTicks
	}
	return longest
}
