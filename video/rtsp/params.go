package rtsp

import (
	"github.com/deepch/vdk/codec/aacparser"
	"github.com/deepch/vdk/codec/h264parser"
)

// Picture is what a sequence parameter set says of the pictures.
type Picture struct {
	Width, Height int // as shown, after cropping
	FPS           int // 0: not said
	Profile       uint8
}

// Bounds of what is believed of a picture.
const (
	minSide = 16
	maxSide = 16384
	maxFPS  = 240
)

// ParseSPS reads a sequence parameter set, whatever it holds. The error is an *Error.
func ParseSPS(sps []byte) (p Picture, err error) {
	// The parser panics on nothing that is known; what is not known must not hurt.
	defer func() {
		if recover() != nil {
			p, err = Picture{}, fault(Protocol, nil, "sequence parameter set cannot be read")
		}
	}()
	if len(sps) < 5 || len(sps) > maxParameters || sps[0]&(nalForbidden|nalTypeMask) != nalSPS {
		return Picture{}, fault(Protocol, nil, "no sequence parameter set in %d bytes", len(sps))
	}
	info, err := h264parser.ParseSPS(sps)
	// The usability information comes last; a set cut off within it still gives the size.
	if err != nil && (info.Width == 0 || info.Height == 0) {
		return Picture{}, fault(Protocol, err, "sequence parameter set is cut off")
	}
	const limit = maxSide / 16
	if info.MbWidth > limit || info.MbHeight > limit ||
		max(info.CropLeft, info.CropRight, info.CropTop, info.CropBottom) > maxSide {
		return Picture{}, fault(Protocol, nil, "sequence parameter set says an impossible size")
	}
	p = Picture{Width: int(info.Width), Height: int(info.Height), Profile: uint8(info.ProfileIdc)}
	// The parser takes a crop of 2 lines a step, which holds for frames; where
	// pictures may be fields it is 4 (ITU-T H.264 §7.4.2.1.1).
	crop := int(2 * (info.CropTop + info.CropBottom))
	if lines := p.Height + crop; lines == 2*16*int(info.MbHeight) {
		p.Height = lines - 2*crop
	}
	if p.Width < minSide || p.Width > maxSide || p.Height < minSide || p.Height > maxSide {
		return Picture{}, fault(Protocol, nil, "sequence parameter set says an impossible size")
	}
	if info.FPS > 0 && info.FPS <= maxFPS {
		p.FPS = int(info.FPS)
	}
	return p, nil
}

// ParseAudioConfig reads an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1),
// whatever it holds: sample rate in Hz and channels of a sound that browsers
// play, AAC-LC and HE-AAC. The rate is the core's, half of what HE-AAC gives.
// The error is an *Error.
func ParseAudioConfig(config []byte) (sampleRate, channels int, err error) {
	defer func() {
		if recover() != nil {
			sampleRate, channels, err = 0, 0, fault(Protocol, nil, "audio configuration cannot be read")
		}
	}()
	if len(config) < 2 || len(config) > maxAudioConfig {
		return 0, 0, fault(Protocol, nil, "no audio configuration in %d bytes", len(config))
	}
	c, err := aacparser.ParseMPEG4AudioConfigBytes(config)
	if err != nil {
		return 0, 0, fault(Protocol, err, "audio configuration is cut off")
	}
	const lc, sbr, ps = 2, 5, 29
	if c.ObjectType != lc && c.ObjectType != sbr && c.ObjectType != ps {
		return 0, 0, fault(UnsupportedCodec, nil, "AAC of object type %d", c.ObjectType)
	}
	rate := c.SampleRate
	if explicit := audioRateIndex(config) == 15; explicit { // the parser gives it as an index
		rate = int(c.SampleRateIndex)
	}
	if rate < 7350 || rate > 96000 {
		return 0, 0, fault(Protocol, nil, "audio configuration says %d Hz", rate)
	}
	switch n := c.ChannelConfig; {
	case n >= 1 && n <= 6:
		return rate, int(n), nil
	case n == 7:
		return rate, 8, nil
	}
	return 0, 0, fault(UnsupportedCodec, nil, "AAC with channel configuration %d", c.ChannelConfig)
}

// audioRateIndex is the sampling frequency's index: 15 stands for 24 bits that follow.
func audioRateIndex(config []byte) uint32 {
	r := bits{b: config, pos: 5} // behind an object type below 31
	index, _ := r.read(4)
	return index
}

// audioFrame is how many samples one frame of an AudioSpecificConfig holds.
func audioFrame(config []byte) int64 {
	r := bits{b: config, pos: 5}
	if index, _ := r.read(4); index == 15 {
		r.pos += 24
	}
	r.pos += 4 // channels
	if short, ok := r.read(1); ok && short == 1 && config[0]>>3 == 2 {
		return 960 // frameLengthFlag of AAC-LC
	}
	return 1024
}
