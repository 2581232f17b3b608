package fmp4

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// What x264 writes for 320 x 240, High, and an AudioSpecificConfig: AAC-LC, 48 kHz, mono.
var (
	highSPS = unhex("67 64 00 0d ac d9 41 41 fb 01 10 00 00 03 00 10 00 00 03 03 20 f1 42 99 60")
	basePPS = unhex("68 eb e3 cb 22 c0")
	baseSPS = unhex("67 42 c0 1e d9 00 a0 47 fe c8")
	lcMono  = unhex("11 88")
)

func video() Track {
	return Track{ID: 1, Timescale: 90000, AVC: &AVC{SPS: highSPS, PPS: basePPS, Width: 320, Height: 240}}
}

func audio() Track {
	return Track{ID: 2, Timescale: 48000, AAC: &AAC{Config: lcMono, SampleRate: 48000, Channels: 1}}
}

// two is a fragment with a picture and two frames of sound.
func two() []Sample {
	return []Sample{
		{Track: 1, DTS: 1 << 40, CTS: -3600, Duration: 3600, Data: []byte{0, 0, 0, 2, 0x41, 0x9a}},
		{Track: 2, DTS: 1 << 39, Duration: 1024, Key: true, Data: []byte{0x21, 0x10, 0x05}},
		{Track: 2, DTS: 1<<39 + 1024, Duration: 1024, Key: true, Data: []byte{0x21}},
	}
}

func TestCodecs(t *testing.T) {
	sound := func(config string) Track {
		return Track{ID: 2, Timescale: 48000, AAC: &AAC{Config: unhex(config), SampleRate: 48000, Channels: 2}}
	}
	base := video()
	base.AVC = &AVC{SPS: baseSPS, PPS: basePPS, Width: 640, Height: 480}
	for _, c := range []struct {
		want   string
		tracks []Track
	}{
		{"avc1.64000d,mp4a.40.2", []Track{video(), audio()}},
		{"avc1.42c01e", []Track{base}},
		{"mp4a.40.5", []Track{sound("2b 92 08 00")}}, // HE-AAC
		{"mp4a.40.42", []Track{sound("f9 46 40")}},   // an object type behind the escape
		{"avc1.64000d", []Track{video(), sound("")}}, // one that cannot play
		{"", nil},
	} {
		if got := Codecs(c.tracks); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestInitRefusesWhatNobodyCanPlay(t *testing.T) {
	for name, spoil := range map[string]func(v, a *Track){
		"id zero":             func(v, a *Track) { v.ID = 0 },
		"id is taken":         func(v, a *Track) { a.ID = 1 },
		"no timescale":        func(v, a *Track) { a.Timescale = 0 },
		"both":                func(v, a *Track) { v.AAC = a.AAC },
		"neither":             func(v, a *Track) { v.AVC = nil },
		"no SPS":              func(v, a *Track) { v.AVC.SPS = nil },
		"a PPS for an SPS":    func(v, a *Track) { v.AVC.SPS = basePPS },
		"SPS of two bytes":    func(v, a *Track) { v.AVC.SPS = highSPS[:2] },
		"SPS that ends early": func(v, a *Track) { v.AVC.SPS = highSPS[:4] },
		"SPS of 12 zeros":     func(v, a *Track) { v.AVC.SPS = append(bytes.Clone(highSPS[:4]), make([]byte, 12)...) },
		"SPS of 64 KiB":       func(v, a *Track) { v.AVC.SPS = append(bytes.Clone(highSPS), make([]byte, 1<<16)...) },
		"chroma format 4":     func(v, a *Track) { v.AVC.SPS = append(bytes.Clone(highSPS[:4]), 0b1_00101_1_1, 0xff) },
		"no PPS":              func(v, a *Track) { v.AVC.PPS = nil },
		"no width":            func(v, a *Track) { v.AVC.Width = 0 },
		"negative height":     func(v, a *Track) { v.AVC.Height = -1 },
		"width of 17 bits":    func(v, a *Track) { v.AVC.Width = 1 << 16 },
		"no configuration":    func(v, a *Track) { a.AAC.Config = nil },
		"one byte of it":      func(v, a *Track) { a.AAC.Config = lcMono[:1] },
		"a long one":          func(v, a *Track) { a.AAC.Config = make([]byte, 1<<11) },
		"no rate":             func(v, a *Track) { a.AAC.SampleRate = 0 },
		"no channels":         func(v, a *Track) { a.AAC.Channels = 0 },
	} {
		v, a := video(), audio()
		spoil(&v, &a)
		dst := []byte("before")
		if b, err := AppendInit(dst, []Track{v, a}); err == nil || !bytes.Equal(b, dst) {
			t.Errorf("%s: %d bytes, error %v", name, len(b), err)
		}
	}
	if _, err := AppendInit(nil, nil); err == nil {
		t.Error("no tracks: no error")
	}
}

// outline lists the boxes with their sizes, by depth.
func outline(b []byte, depth int) string {
	var out strings.Builder
	for len(b) > 0 {
		x, err := next(b)
		if err != nil {
			return out.String() + err.Error()
		}
		fmt.Fprintf(&out, "%s%s %d\n", strings.Repeat(" ", depth), x.name, x.size)
		switch x.name {
		case "moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf":
			out.WriteString(outline(x.body, depth+1))
		case "stsd", "dref":
			out.WriteString(outline(x.body[8:], depth+1))
		case "avc1":
			out.WriteString(outline(x.body[78:], depth+1))
		case "mp4a":
			out.WriteString(outline(x.body[28:], depth+1))
		}
		b = b[x.size:]
	}
	return out.String()
}

func TestInitToTheByte(t *testing.T) {
	b, err := AppendInit([]byte("before"), []Track{video(), audio()})
	if err != nil {
		t.Fatal(err)
	}
	b = b[len("before"):]
	const want = `ftyp 32
moov 1069
 mvhd 108
 trak 469
  tkhd 92
  mdia 369
   mdhd 32
   hdlr 33
   minf 296
    vmhd 20
    dinf 36
     dref 28
      url  12
    stbl 232
     stsd 156
      avc1 140
       avcC 54
     stts 16
     stsc 16
     stsz 20
     stco 16
 trak 412
  tkhd 92
  mdia 312
   mdhd 32
   hdlr 33
   minf 239
    smhd 16
    dinf 36
     dref 28
      url  12
    stbl 179
     stsd 103
      mp4a 87
       esds 51
     stts 16
     stsc 16
     stsz 20
     stco 16
 mvex 72
  trex 32
  trex 32
`
	if got := outline(b, 0); got != want {
		t.Errorf("boxes:\n%s", got)
	}
	// ISO/IEC 14496-1: ES 39 bytes, decoder 20 (AAC, audio stream), its own 2, SL header of MP4.
	esds := unhex("00000033 65736473 00000000  03 80808022 0000 00  04 80808014 40 15 000000 00000000 00000000  05 80808002 1188  06 80808001 02")
	if !bytes.Contains(b, esds) {
		t.Errorf("no %x in %x", esds, b)
	}
}

func TestFragmentToTheByte(t *testing.T) {
	got := AppendFragment(nil, 7, two())
	want := unhex(`
	000000c8 6d6f6f66
	  00000010 6d666864 00000000 00000007
	  00000050 74726166
	    00000010 74666864 00020000 00000001
	    00000014 74666474 01000000 0000010000000000
	    00000024 7472756e 01000f01 00000001 000000d0  00000e10 00000006 01010000 fffff1f0
	  00000060 74726166
	    00000010 74666864 00020000 00000002
	    00000014 74666474 01000000 0000008000000000
	    00000034 7472756e 01000f01 00000002 000000d6  00000400 00000003 02000000 00000000  00000400 00000001 02000000 00000000
	00000012 6d646174
	  00000002 419a  211005  21`)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x, want\n%x", got, want)
	}
	if n := FragmentSize(two()); n != len(want) {
		t.Errorf("FragmentSize %d, want %d", n, len(want))
	}
}

// TestTheConfigurationOfHighProfiles: the four bytes that Main and Baseline do without.
func TestTheConfigurationOfHighProfiles(t *testing.T) {
	for name, c := range map[string]struct{ sps, tail []byte }{
		"Constrained Baseline": {baseSPS, nil},
		"High":                 {highSPS, unhex("fd f8 f8 00")},
		"High 4:2:2, 10 bits":  {unhex("67 7a 00 1f b6 c0"), unhex("fe fa fa 00")},
		"High 4:4:4, 8 bits":   {unhex("67 f4 00 1f 91 b0"), unhex("ff f8 f8 00")}, // with separate_colour_plane_flag before the depths
	} {
		v := video()
		v.AVC = &AVC{SPS: c.sps, PPS: basePPS, Width: 320, Height: 240}
		b, err := AppendInit(nil, []Track{v})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := append([]byte("avcC\x01"), c.sps[1:4]...)
		want = append(want, 0xff, 0xe1, 0, byte(len(c.sps)))
		want = append(want, c.sps...)
		want = append(want, 1, 0, byte(len(basePPS)))
		want = append(want, basePPS...)
		want = append(want, c.tail...)
		want = append(want, 0, 0, 0, 16, 's', 't', 't', 's')
		if !bytes.Contains(b, want) {
			t.Errorf("%s: no %x", name, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	fast := audio()
	fast.AAC = &AAC{Config: unhex("10 10"), SampleRate: 96000, Channels: 2} // more than 16.16 can say
	for _, tracks := range [][]Track{{video()}, {video(), audio()}, {audio()}, {audio(), video()}, {video(), fast}} {
		b, err := AppendInit(nil, tracks)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseInit(b); err != nil || !reflect.DeepEqual(got, tracks) {
			t.Errorf("%+v, %v; want %+v", got, err, tracks)
		}
		for n := range b {
			if got, err := ParseInit(b[:n]); err == nil {
				t.Fatalf("%d of %d bytes: %+v", n, len(b), got)
			}
		}
	}

	b := AppendFragment(nil, 7, two())
	all := append(append([]byte(nil), b...), b...)
	got, err := ParseFragment(all)
	if want := (Fragment{Seq: 7, Samples: two(), Size: len(b)}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for n := range b {
		want := io.ErrUnexpectedEOF
		if n < 8 {
			want = io.EOF // nothing tells that a fragment begins
		}
		if got, err := ParseFragment(b[:n]); err != want {
			t.Fatalf("%d of %d bytes: %+v, %v; want %v", n, len(b), got, err, want)
		}
	}
}

// TestEachLastsUntilTheNext: a fragment says one DTS; the others follow from durations.
func TestEachLastsUntilTheNext(t *testing.T) {
	in := []Sample{
		{Track: 1, DTS: 100, Duration: 9, Key: true, Data: []byte{1}},
		{Track: 1, DTS: 150, Duration: 9, Data: []byte{2}},
		{Track: 1, DTS: 151, Duration: 9, Data: []byte{3}},
	}
	f, err := ParseFragment(AppendFragment(nil, 1, in))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint32{50, 1, 9} {
		if s := f.Samples[i]; s.DTS != in[i].DTS || s.Duration != want {
			t.Errorf("sample %d: DTS %d, lasts %d; want %d, %d", i, s.DTS, s.Duration, in[i].DTS, want)
		}
	}
}

func TestAppendFragmentAllocatesNothing(t *testing.T) {
	samples := two()
	dst := make([]byte, 0, FragmentSize(samples))
	if n := testing.AllocsPerRun(100, func() { dst = AppendFragment(dst[:0], 1, samples) }); n != 0 {
		t.Errorf("%v allocations into a dst that is long enough", n)
	}
	if len(dst) != cap(dst) {
		t.Errorf("%d bytes of %d", len(dst), cap(dst))
	}
}

// TestHostileFragments: each is one whole fragment but for a single lie.
func TestHostileFragments(t *testing.T) {
	good := AppendFragment(nil, 7, two())
	// Offsets are those of TestFragmentToTheByte.
	put := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		be.PutUint32(b[at:], v)
		return b
	}
	const mfhd, traf, tfhd, tfdt, trun, mdat = 8, 24, 32, 48, 68, 200
	if string(good[trun+4:trun+8]) != "trun" || string(good[mdat+4:mdat+8]) != "mdat" {
		t.Fatal("the boxes are elsewhere")
	}
	wide := func(size uint64) []byte { // moof with a 64-bit size
		return append(be.AppendUint64([]byte("\x00\x00\x00\x01moof"), size), good[8:]...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error // nil: any but the two of input that ends
	}{
		{"moof without a length", put(0, 0), nil},
		{"moof of 7 bytes", put(0, 7), nil},
		{"moof of 1 GiB", put(0, 1<<30), nil},
		{"moof of 2^64-1 bytes", wide(1<<64 - 1), nil},
		{"moof of 2^63 bytes", wide(1 << 63), nil},
		{"moof of 15 bytes, wide", wide(15), nil},
		{"moof that takes mdat in", put(0, uint32(len(good))), io.ErrUnexpectedEOF},
		{"mfhd twice its size", put(mfhd, 1<<20), nil},
		{"mfhd is gone", put(mfhd+4, 0x66726565), nil},
		{"traf beyond moof", put(traf, 0xfffffff0), nil},
		{"tfhd is gone", put(tfhd+4, 0x66726565), nil},
		{"track 0", put(tfhd+12, 0), nil},
		{"base offset of a file", put(tfhd+8, tfhdBaseOffset), nil},
		{"tfhd that says more than it holds", put(tfhd+8, tfhdDuration), nil},
		{"tfdt is gone", put(tfdt+4, 0x66726565), nil},
		{"tfdt twice the track's header", put(tfdt+4, 0x74666864), nil},
		{"time beyond 64 bits", func() []byte { b := put(tfdt+12, 1<<32-1); be.PutUint32(b[tfdt+16:], 1<<32-1); return b }(), nil},
		{"4 thousand million samples", put(trun+12, 1<<32-1), nil},
		{"4 thousand million samples without a field", func() []byte {
			b := put(trun+12, 1<<32-1)
			be.PutUint32(b[trun+8:], trunOffset)
			return b
		}(), nil},
		{"data before the moof", put(trun+16, 1<<32-8), nil},
		{"data in the moof", put(trun+16, 0), nil},
		{"data in mdat's header", put(trun+16, mdat), nil},
		{"data after mdat", put(trun+16, uint32(len(good))-5), nil},
		{"data far away", put(trun+16, 1<<31-1), nil},
		{"a sample of 4 GiB", put(trun+24, 1<<32-1), nil},
		{"an empty sample", put(trun+24, 0), nil},
		{"durations from trex", put(trun+8, 1<<24|trunAll&^trunDuration), nil},
		{"an unsigned offset too large", put(trun+8, trunAll), nil},
		{"mdat without a length", put(mdat, 0), nil},
		{"mdat of 3 bytes", put(mdat, 3), nil},
		{"mdat longer than what is there", put(mdat, 1<<20), io.ErrUnexpectedEOF},
		{"moof upon moof", append(bytes.Clone(good[:mdat]), good...), nil},
		{"no moof", []byte("\x00\x00\x00\x08free"), io.EOF},
		{"a box that is not whole", []byte("\x00\x00\x00\x10sidx"), io.EOF},
		{"nothing", nil, io.EOF},
	} {
		f, err := ParseFragment(c.b)
		switch {
		case err == nil:
			t.Errorf("%s: %+v", c.name, f)
		case c.want != nil && err != c.want, c.want == nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestOneByteGivenManyTimes: runs that share their data would make much of little.
func TestOneByteGivenManyTimes(t *testing.T) {
	const runs = 1000
	b, moof := begin(nil, "moof")
	b = appendFull(b, "mfhd", 0, 0, 1)
	b, traf := begin(b, "traf")
	b = appendFull(b, "tfhd", 0, tfhdBaseIsMoof|tfhdDuration|tfhdSize|tfhdFlags, 1, 1, 1<<16, 0)
	b = appendFull(b, "tfdt", 0, 0, 0)
	for range runs {
		b = appendFull(b, "trun", 0, trunOffset, 1, 8+16+8+28+16+runs*20+8)
	}
	b = end(end(b, traf), moof)
	b, mdat := begin(b, "mdat")
	b = end(zeros(b, 1<<16), mdat)
	if f, err := ParseFragment(b); err == nil {
		t.Errorf("%d samples of %d bytes", len(f.Samples), len(b))
	}
}
