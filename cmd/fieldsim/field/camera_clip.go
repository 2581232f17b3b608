package field

import (
	"bytes"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"cuulong/video/rtsp"
)

// clips are the demo's pictures and sound; clips/make.sh makes them.
//
//go:embed clips/*.h264 clips/*.aac
var clips embed.FS

const demoFPS = 12

// Clip is a video that a camera plays in a loop: H.264 without B-frames,
// beginning with a key frame. It is immutable and shared.
type Clip struct {
	fps   int64
	units []clipUnit
}

type clipUnit struct {
	data     []byte // NAL units after their lengths, as rtsp.Unit
	sps, pps []byte
	key      int // index of the key frame that its group begins with
}

// ReadClip reads H.264 in Annex B (ITU-T H.264, annex B), as ffmpeg writes with
// `-bf 0 -f h264`. What comes before the first key frame is left out. It keeps
// no part of data.
func ReadClip(data []byte, fps int) (*Clip, error) {
	if fps < 1 || fps > 240 {
		return nil, fmt.Errorf("%d pictures a second: 1 to 240 are played", fps)
	}
	r := clipReader{clip: &Clip{fps: int64(fps)}}
	for nal := range annexB(data) {
		r.add(nal)
	}
	r.flush()
	if len(r.clip.units) == 0 {
		return nil, errors.New("no key frame with its parameter sets")
	}
	return r.clip, nil
}

// annexB yields the NAL units between start codes, without their trailing zeros.
func annexB(data []byte) func(func([]byte) bool) {
	start := []byte{0, 0, 1}
	return func(yield func([]byte) bool) {
		i := bytes.Index(data, start)
		for i >= 0 {
			data = data[i+3:]
			i = bytes.Index(data, start)
			nal := data
			if i >= 0 {
				nal = data[:i]
			}
			if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 && !yield(nal) {
				return
			}
		}
	}
}

// The kinds of NAL units that matter (ITU-T H.264, table 7-1).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSEI   = 6
	nalSPS   = 7
	nalPPS   = 8
	nalAUD   = 9
)

type clipReader struct {
	clip     *Clip
	sps, pps []byte
	data     []byte // of the unit that is being read
	slices   int
	key      bool
}

func (r *clipReader) add(nal []byte) {
	kind := nal[0] & 0x1f
	slice := kind == nalSlice || kind == nalIDR
	// §7.4.1.2.3: where the next access unit begins; first_mb_in_slice 0 is one bit 1.
	first := slice && len(nal) > 1 && nal[1]&0x80 != 0
	if r.slices > 0 && (first || kind >= nalSEI && kind <= nalAUD) {
		r.flush()
	}
	switch {
	case kind == nalSPS:
		r.sps = bytes.Clone(nal)
	case kind == nalPPS:
		r.pps = bytes.Clone(nal)
	case slice || kind == nalSEI:
		r.data = binary.BigEndian.AppendUint32(r.data, uint32(len(nal)))
		r.data = append(r.data, nal...)
		if slice {
			r.slices++
			r.key = r.key || kind == nalIDR
		}
	}
}

func (r *clipReader) flush() {
	n := len(r.clip.units)
	if r.slices > 0 && r.sps != nil && r.pps != nil && (n > 0 || r.key) {
		u := clipUnit{data: bytes.Clone(r.data), sps: r.sps, pps: r.pps, key: n}
		if !r.key {
			u.key = r.clip.units[n-1].key
		}
		r.clip.units = append(r.clip.units, u)
	}
	r.data, r.slices, r.key = r.data[:0], 0, false
}

// unit i of an endless row of loops.
func (c *Clip) unit(i int64) *clipUnit { return &c.units[mod(i, len(c.units))] }

func (c *Clip) isKey(i int64) bool { return int64(c.unit(i).key) == mod(i, len(c.units)) }

// keyBefore is the last key frame up to i.
func (c *Clip) keyBefore(i int64) int64 { return i - mod(i, len(c.units)) + int64(c.unit(i).key) }

// keyFrom is the first key frame from i on.
func (c *Clip) keyFrom(i int64) int64 {
	for !c.isKey(i) {
		i++
	}
	return i
}

func (c *Clip) track() rtsp.Track {
	return rtsp.Track{Codec: rtsp.H264, ClockRate: 90000, PayloadType: 96, SPS: c.units[0].sps, PPS: c.units[0].pps}
}

func mod(i int64, n int) int64 { return (i%int64(n) + int64(n)) % int64(n) }

// sound is AAC-LC in a loop.
type sound struct {
	track  rtsp.Track
	frames [][]byte
}

// aacSamples of one channel are in a frame.
const aacSamples = 1024

// aacRates by their index (ISO/IEC 14496-3, table 1.18).
var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// readADTS reads frames of AAC-LC, one after the other, each behind its header
// (ISO/IEC 14496-3 §1.A.2.2). The frames are parts of data.
func readADTS(data []byte) (*sound, error) {
	s := &sound{}
	for len(data) > 0 {
		if len(data) < 7 || data[0] != 0xff || data[1]&0xf6 != 0xf0 {
			return nil, errors.New("no ADTS header where a frame begins")
		}
		header := 7
		if data[1]&1 == 0 {
			header = 9 // with a CRC
		}
		profile, rate := data[2]>>6, int(data[2]>>2&15)
		channels := int(data[2]&1)<<2 | int(data[3]>>6)
		size := int(data[3]&3)<<11 | int(data[4])<<3 | int(data[5])>>5
		switch {
		case profile != 1:
			return nil, errors.New("not AAC-LC")
		case rate >= len(aacRates) || channels < 1 || channels > 2:
			return nil, errors.New("a rate or number of channels that is not played")
		case size <= header || size > len(data):
			return nil, errors.New("a frame that is longer than the data, or empty")
		}
		// ISO/IEC 14496-3 §1.6.2.1: object type 2, rate, channels.
		config := []byte{2<<3 | byte(rate>>1), byte(rate&1)<<7 | byte(channels)<<3}
		if s.frames == nil {
			s.track = rtsp.Track{Codec: rtsp.AAC, PayloadType: 97, ClockRate: aacRates[rate], SampleRate: aacRates[rate],
				Channels: channels, Config: config}
		} else if !bytes.Equal(config, s.track.Config) {
			return nil, errors.New("rate or channels change")
		}
		s.frames = append(s.frames, data[header:size])
		data = data[size:]
	}
	if s.frames == nil {
		return nil, errors.New("no sound")
	}
	return s, nil
}

// reel is what one camera plays.
type reel struct {
	clip  *Clip
	sound *sound // nil: none
}

// demoReels are the pictures and sound of cam-1 to cam-6.
var demoReels = sync.OnceValues(func() ([]reel, error) {
	var all []reel
	for i := range 6 {
		clip, err := demoClip(fmt.Sprintf("cam-%d", i+1))
		if err != nil {
			return nil, err
		}
		all = append(all, reel{clip: clip})
	}
	adts, err := clips.ReadFile("clips/cam-6.aac")
	if err != nil {
		return nil, err
	}
	market, err := readADTS(adts)
	if err != nil {
		return nil, err
	}
	all[5].sound = market
	return all, nil
})

// demoBars are the pictures of a camera that has lost its settings, 320 x 180.
var demoBars = sync.OnceValues(func() (*Clip, error) { return demoClip("bars") })

func demoClip(name string) (*Clip, error) {
	data, err := clips.ReadFile("clips/" + name + ".h264")
	if err != nil {
		return nil, err
	}
	c, err := ReadClip(data, demoFPS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}
