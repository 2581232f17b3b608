package video

import (
	"testing"
)

func TestReorderDepth(t *testing.T) {
	for _, test := range []struct {
		name string
		more []string
		want int
	}{
		{"baseline", []string{"-profile:v", "baseline"}, 0},
		{"main without", []string{"-profile:v", "main", "-bf", "0"}, 0},
		{"high", []string{"-bf", "2", "-x264-params", "b-adapt=0:b-pyramid=none"}, 1},
		{"pyramid", []string{"-bf", "3", "-x264-params", "b-adapt=0:b-pyramid=normal"}, 2},
		{"rate, aspect and matrix", []string{"-bf", "2", "-aspect", "16:9", "-x264-params", "b-pyramid=none:nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900:cqm=jvt:colorprim=bt709:overscan=show"}, 1},
	} {
		c := makeClip(t, test.more...)
		sps := c.tracks[0].SPS
		if got := reorderDepth(sps); got != test.want {
			t.Errorf("%s: depth %d, want %d (%x)", test.name, got, test.want, sps)
		}
		// Cut off anywhere, it is not known or what it was.
		for i := range sps {
			if got := reorderDepth(sps[:i]); got != unknownDepth && got != test.want {
				t.Errorf("%s: cut off after %d bytes, depth %d", test.name, i, got)
			}
		}
	}
}

func FuzzReorderDepth(f *testing.F) {
	f.Add(makeSPS(66, 640, 352))
	f.Add(makeSPS(100, 1920, 1088))
	f.Add([]byte{0x67, 100, 0, 31, 0, 0, 3, 0, 0, 3, 0xff})
	f.Fuzz(func(t *testing.T, sps []byte) {
		if d := reorderDepth(sps); d < unknownDepth || d > maxDepth {
			t.Fatalf("depth %d", d)
		}
	})
}
