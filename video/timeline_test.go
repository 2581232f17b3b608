package video

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cuulong/video/rtsp"
)

// placed is what a timeline made of one picture.
type placed struct {
	dts, pts, duration int64
}

func run(t *timeline, pts []int64, keys map[int]bool) (out []placed) {
	for i, p := range pts {
		dts, cts, duration, _ := t.place(p, i == 0 || keys[i])
		out = append(out, placed{int64(dts), int64(dts) + int64(cts), int64(duration)})
	}
	return out
}

func gaps(out []placed) (g []int64) {
	for i := 1; i < len(out); i++ {
		g = append(g, out[i].dts-out[i-1].dts)
	}
	return g
}

// steadily is n times, a step apart.
func steadily(from int64, n int, step int64) (pts []int64) {
	for i := range n {
		pts = append(pts, from+int64(i)*step)
	}
	return pts
}

func TestTimeline(t *testing.T) {
	const ms = videoRate / 1000
	tests := []struct {
		name string
		rate int
		fps  int
		pts  []int64
		want []int64 // steps of the output's DTS
	}{
		{"steady", videoRate, 25, steadily(1<<33-7200, 6, 3600), []int64{3600, 3600, 3600, 3600, 3600}},
		{"another clock", 1000, 25, steadily(17, 4, 40), []int64{3600, 3600, 3600}},
		{"a rate that is not said is learned", videoRate, 0, steadily(0, 4, 100*ms), []int64{7199, 100 * ms, 100 * ms}},
		{"uneven within twice the longest", videoRate, 25, []int64{0, 30 * ms, 100 * ms, 130 * ms}, []int64{30 * ms, 70 * ms, 30 * ms}},
		{"a gap of frames is shortened", videoRate, 25, []int64{0, 3600, 3600 * 5, 3600 * 6}, []int64{3600, 7199, 3600}},
		{"an hour forward", videoRate, 25, []int64{0, 3600, 3600 * videoRate, 3600*videoRate + 3600}, []int64{3600, 3600, 3600}},
		{"an hour back", videoRate, 25, []int64{3600 * videoRate, 3600*videoRate + 3600, 10, 3610}, []int64{3600, 3600, 3600}},
		{"a little back", videoRate, 25, []int64{0, 3600, 3500, 7100}, []int64{3600, 3600, 3600}},
		{"a time repeated", videoRate, 25, []int64{0, 3600, 3600, 7200}, []int64{3600, 1800, 1800}},
		{"a clock that stands", videoRate, 25, []int64{5, 5, 5, 5}, []int64{1800, 1800, 1800}},
		{"every two seconds", videoRate, 25, []int64{0, 180000, 360000}, []int64{3600, 3600}},
		{"no rate", 0, 25, steadily(0, 3, 3600), []int64{3600, 3600}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var line timeline
			line.begin(test.rate, test.fps, 0)
			out := run(&line, test.pts, nil)
			if got := gaps(out); !slices.Equal(got, test.want) {
				t.Errorf("steps %v, want %v", got, test.want)
			}
			for i, p := range out {
				if p.pts > p.dts || p.pts < p.dts-int64(i)*1800 {
					t.Errorf("picture %d in order of decoding is shown %d after it", i, p.pts-p.dts)
				}
			}
		})
	}
}

// reordered is a stream in order of decoding, as an encoder with b pictures
// between two others writes it, a key frame every gop.
func reordered(groups, b int, step int64) (pts []int64) {
	pts = append(pts, 0)
	for g := range groups {
		base := int64(g * (b + 1))
		pts = append(pts, (base+int64(b)+1)*step)
		for i := range b {
			pts = append(pts, (base+int64(i)+1)*step)
		}
	}
	return pts
}

func TestTimelineLearnsReordering(t *testing.T) {
	for b := 1; b <= 4; b++ {
		var line timeline
		line.begin(videoRate, 25, unknownDepth)
		pts := reordered(20, b, 3600)
		out := run(&line, pts, nil)
		for i := range out {
			// Showing times keep their distances from the first on.
			if got, want := out[i].pts-out[0].pts, pts[i]-pts[0]; got != want {
				t.Fatalf("b=%d: picture %d is shown at %d, want %d", b, i, got, want)
			}
			if i > 8*(b+1) {
				if out[i].dts > out[i].pts {
					t.Errorf("b=%d: picture %d is decoded at %d and shown at %d", b, i, out[i].dts, out[i].pts)
				}
				if step := out[i].dts - out[i-1].dts; step != 3600 {
					t.Errorf("b=%d: picture %d comes %d after the one before", b, i, step)
				}
			}
		}
	}
}

func TestTimelineLearnsPyramid(t *testing.T) {
	// I P B(ref) b b, as x264 orders b-pyramid: 0 4 2 1 3 | 8 6 5 7 ...
	var pts []int64
	pts = append(pts, 0)
	for g := range int64(20) {
		for _, n := range []int64{4, 2, 1, 3} {
			pts = append(pts, (4*g+n)*3600)
		}
	}
	var line timeline
	line.begin(videoRate, 25, unknownDepth)
	out := run(&line, pts, nil)
	if line.depth != 2 {
		t.Errorf("depth %d, want 2", line.depth)
	}
	for i := range out {
		if got, want := out[i].pts-out[0].pts, pts[i]; got != want {
			t.Fatalf("picture %d is shown at %d, want %d", i, got, want)
		}
		if i > 32 && (out[i].dts > out[i].pts || out[i].dts-out[i-1].dts != 3600) {
			t.Errorf("picture %d: decoded at %d, %d after the one before, shown at %d", i, out[i].dts, out[i].dts-out[i-1].dts, out[i].pts)
		}
	}
}

func TestTimelineKnowsReordering(t *testing.T) {
	// As the parameter sets say it: right from the first picture on.
	var line timeline
	line.begin(videoRate, 25, 1)
	pts := reordered(20, 3, 3600)
	out := run(&line, pts, nil)
	for i := range out {
		if out[i].pts-out[0].pts != pts[i] || out[i].dts > out[i].pts || i > 0 && out[i].dts-out[i-1].dts != 3600 {
			t.Errorf("picture %d is decoded at %d and shown at %d, want %d", i, out[i].dts, out[i].pts, pts[i])
		}
	}
}

func TestTimelineKeyFrameThatGoesBackIsAJump(t *testing.T) {
	var line timeline
	line.begin(videoRate, 25, unknownDepth)
	out := run(&line, []int64{0, 3600, 7200, 3600, 7200, 10800}, map[int]bool{3: true})
	if got, want := gaps(out), []int64{3600, 3600, 3600, 3600, 3600}; !slices.Equal(got, want) {
		t.Errorf("steps %v, want %v", got, want)
	}
	if line.depth != 0 {
		t.Errorf("a jump was learned as reordering of %d", line.depth)
	}
}

func TestTimelineGoesOnOverSessions(t *testing.T) {
	var line timeline
	line.begin(videoRate, 25, 0)
	first := run(&line, steadily(1000, 3, 3600), nil)
	line.begin(videoRate, 10, 0)
	second := run(&line, steadily(5, 3, 9000), nil)
	if step := second[0].dts - first[2].dts; step <= 0 || step > 9000 {
		t.Errorf("the second session begins %d after the first", step)
	}
	if got := gaps(second); !slices.Equal(got, []int64{9000, 9000}) {
		t.Errorf("steps %v", got)
	}
}

// checkLine is what holds whatever comes.
func checkLine(t *testing.T, pts []int64, keys func(i int) bool, rate, fps, depth int) {
	t.Helper()
	var line timeline
	line.begin(rate, fps, depth)
	last, duration := int64(-1), int64(0)
	for i, p := range pts {
		dts, cts, d, _ := line.place(p, keys(i))
		out := int64(dts)
		switch {
		case out <= last || out < 0:
			t.Fatalf("picture %d: DTS %d after %d", i, out, last)
		case last >= 0 && out-last >= 2*duration:
			t.Fatalf("picture %d: %d after one of %d", i, out-last, duration)
		case out+int64(cts) < 0:
			t.Fatalf("picture %d is shown at %d", i, out+int64(cts))
		case d < shortestTicks || d > longestTicks:
			t.Fatalf("picture %d lasts %d", i, d)
		case depth == 0 && i > 0 && cts != 0 && out-last > 45000:
			t.Fatalf("picture %d is shown %d after it", i, cts)
		}
		last, duration = out, int64(d)
	}
}

func FuzzTimeline(f *testing.F) {
	add := func(pts []int64, rate uint32, fps uint8, depth int8) {
		var b []byte
		for _, p := range pts {
			b = binary.BigEndian.AppendUint64(b, uint64(p))
		}
		f.Add(b, rate, fps, depth)
	}
	add(steadily(0, 10, 3600), videoRate, 25, 0)
	add(reordered(4, 3, 3600), videoRate, 0, unknownDepth)
	add([]int64{math.MaxInt64, math.MinInt64, 0, math.MaxInt64, -1}, 1, 255, 2)
	add([]int64{0, 1 << 43, -(1 << 43), 5}, 1, 1, 0)
	// A step that is learned while a time is repeated, longer than what was declared.
	f.Add([]byte(strings.Repeat("0", 102)+"A0"), uint32(videoRate), uint8(']'), int8(-90))
	f.Fuzz(func(t *testing.T, b []byte, rate uint32, fps uint8, depth int8) {
		var pts []int64
		for ; len(b) >= 8 && len(pts) < 2000; b = b[8:] {
			pts = append(pts, int64(binary.BigEndian.Uint64(b)))
		}
		checkLine(t, pts, func(i int) bool { return i == 0 || pts[i]&0x70 == 0x70 }, int(rate), int(fps), max(int(depth)%(maxDepth+1), unknownDepth))
	})
}

func TestTimelineRisesWhateverComes(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		pts, p := []int64{}, r.Int64N(1<<40)
		for range 400 {
			switch r.IntN(20) {
			case 0:
				p += r.Int64N(1<<34) - 1<<33
			case 1:
				p = int64(r.Uint64())
			case 2:
				p -= r.Int64N(20000)
			case 3:
			default:
				p += 3600 + r.Int64N(200) - 100
			}
			pts = append(pts, p)
		}
		checkLine(t, pts, func(i int) bool { return i%50 == 0 }, videoRate, 25, int(seed%4)-1)
	}
}

// testMux is a mux in a session with pictures, and sound if asked for.
func testMux(t testing.TB, sound bool) (*mux, time.Time) {
	m, err := newMeters(nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	x := &mux{meters: m, epoch: begin}
	tracks := []rtsp.Track{{Codec: rtsp.H264, ClockRate: videoRate}}
	if sound {
		tracks = append(tracks, rtsp.Track{Codec: rtsp.AAC, ClockRate: 16000, SampleRate: 16000, Channels: 1, Config: []byte{0x14, 0x08}})
	}
	x.begin(tracks, begin)
	return x, begin
}
