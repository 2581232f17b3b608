package fmp4

import (
	"errors"
	"fmt"
	"strings"
)

// Codecs names the tracks' codecs for a MIME type (RFC 6381): "avc1.64001f,mp4a.40.2".
// Tracks that AppendInit would refuse are left out.
func Codecs(tracks []Track) string {
	var names []string
	for _, t := range tracks {
		if t.check() != nil {
			continue
		}
		if t.AVC != nil {
			// RFC 6381 §3.3: profile_idc, the constraint flags and level_idc, in hexadecimal.
			names = append(names, fmt.Sprintf("avc1.%02x%02x%02x", t.AVC.SPS[1], t.AVC.SPS[2], t.AVC.SPS[3]))
			continue
		}
		// §3.3: the object type indication in hexadecimal (0x40: ISO/IEC 14496-3),
		// then the audio object type in decimal.
		c, _ := parseAudioConfig(t.AAC.Config)
		names = append(names, fmt.Sprintf("mp4a.%x.%d", objectTypeAAC, c.object))
	}
	return strings.Join(names, ",")
}

// Bounds of what a track may say; generous, and small enough for every length field.
const (
	maxParameterSet = 1 << 15
	maxAudioConfig  = 1 << 10
	maxSide         = 1<<16 - 1 // width and height are 16 bits in a sample entry
)

// check says why no player could use the track.
func (t Track) check() error {
	switch {
	case t.ID == 0: // ISO/IEC 14496-12 §8.3.2.3
		return errors.New("fmp4: a track's id is zero")
	case t.Timescale == 0:
		return fmt.Errorf("fmp4: track %d: no timescale", t.ID)
	case (t.AVC == nil) == (t.AAC == nil):
		return fmt.Errorf("fmp4: track %d: neither pictures nor sound, or both", t.ID)
	case t.AVC != nil:
		if err := t.AVC.check(); err != nil {
			return fmt.Errorf("fmp4: track %d: %w", t.ID, err)
		}
		return nil
	}
	if err := t.AAC.check(); err != nil {
		return fmt.Errorf("fmp4: track %d: %w", t.ID, err)
	}
	return nil
}

func (v *AVC) check() error {
	switch {
	case len(v.SPS) < 4 || len(v.SPS) > maxParameterSet || v.SPS[0]&0x1f != 7: // ITU-T H.264 table 7-1
		return errors.New("no sequence parameter set")
	case len(v.PPS) < 2 || len(v.PPS) > maxParameterSet || v.PPS[0]&0x1f != 8:
		return errors.New("no picture parameter set")
	case v.Width < 1 || v.Height < 1 || v.Width > maxSide || v.Height > maxSide:
		return errors.New("no size of pictures")
	}
	_, err := spsFormat(v.SPS)
	return err
}

func (a *AAC) check() error {
	if _, ok := parseAudioConfig(a.Config); !ok || len(a.Config) > maxAudioConfig {
		return errors.New("no AudioSpecificConfig")
	}
	if a.SampleRate < 1 || a.Channels < 1 || a.Channels > maxSide {
		return errors.New("no sample rate or no channels")
	}
	return nil
}

// pixelFormat is what an SPS of a High profile says of the samples.
type pixelFormat struct {
	extended               bool // the profile carries the fields at all
	chroma, luma8, chroma8 uint8
}

// spsFormat reads an SPS as far as bit_depth_chroma_minus8 (ITU-T H.264 §7.3.2.1.1).
func spsFormat(sps []byte) (pixelFormat, error) {
	switch sps[1] {
	// §7.3.2.1.1: the profiles whose SPS has chroma_format_idc.
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
	default:
		return pixelFormat{}, nil
	}
	// Of all legal values none puts two zero bytes in a row here, so there is no
	// emulation prevention (§7.4.1) to undo.
	r := bitReader{b: sps[4:]}
	r.golomb() // seq_parameter_set_id
	chroma := r.golomb()
	if chroma == 3 {
		r.bits(1) // separate_colour_plane_flag
	}
	luma8, chroma8 := r.golomb(), r.golomb()
	if r.short || chroma > 3 || luma8 > 6 || chroma8 > 6 { // §7.4.2.1.1
		return pixelFormat{}, errors.New("a sequence parameter set that cannot be read")
	}
	return pixelFormat{true, uint8(chroma), uint8(luma8), uint8(chroma8)}, nil
}

// audioConfig is the begin of an AudioSpecificConfig.
type audioConfig struct {
	object   uint8
	rate     int // Hz; 0: a reserved index
	channels int // 0: said elsewhere
}

// parseAudioConfig reads ISO/IEC 14496-3 §1.6.2.1.
func parseAudioConfig(config []byte) (c audioConfig, ok bool) {
	r := bitReader{b: config}
	c.object = uint8(r.bits(5))
	if c.object == 31 { // GetAudioObjectType: escape
		c.object = 32 + uint8(r.bits(6))
	}
	if index := r.bits(4); index == 15 {
		c.rate = int(r.bits(24))
	} else {
		c.rate = audioRates[index]
	}
	if c.channels = int(r.bits(4)); c.channels == 7 { // table 1.19
		c.channels = 8
	} else if c.channels > 7 {
		c.channels = 0
	}
	return c, !r.short && c.object != 0
}

// audioRates is ISO/IEC 14496-3 table 1.18.
var audioRates = [15]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// bitReader reads bits, most significant first. After the end it gives zeros
// and says so by short.
type bitReader struct {
	b     []byte
	at    int // bits read
	short bool
}

func (r *bitReader) bit() uint32 {
	if r.at>>3 >= len(r.b) {
		r.short = true
		return 0
	}
	v := r.b[r.at>>3] >> (7 - r.at&7) & 1
	r.at++
	return uint32(v)
}

func (r *bitReader) bits(n int) (v uint32) {
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// golomb reads ue(v), ITU-T H.264 §9.1.
func (r *bitReader) golomb() uint32 {
	n := 0
	for r.bit() == 0 {
		if n++; n > 31 || r.short {
			r.short = true
			return 0
		}
	}
	return 1<<n - 1 + r.bits(n)
}
