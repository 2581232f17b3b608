package fmp4

import (
	"errors"
	"fmt"
	"slices"
)

const (
	objectTypeAAC = 0x40 // ISO/IEC 14496-1 table 5: Audio ISO/IEC 14496-3
	movieScale    = 1000 // ticks a second of durations in mvhd; all of ours are zero
)

// AppendInit appends the init segment (ftyp, moov) to dst. It fails on tracks
// that no player could use: no parameter sets, no size, an id that is zero or
// taken; dst is answered unchanged then.
func AppendInit(dst []byte, tracks []Track) ([]byte, error) {
	if len(tracks) == 0 {
		return dst, errors.New("fmp4: no tracks")
	}
	last := uint32(0)
	for i, t := range tracks {
		if err := t.check(); err != nil {
			return dst, err
		}
		if slices.ContainsFunc(tracks[:i], func(o Track) bool { return o.ID == t.ID }) {
			return dst, fmt.Errorf("fmp4: track id %d is taken", t.ID)
		}
		last = max(last, t.ID)
	}

	// ISO/IEC 14496-12 §4.3: iso5 is the first brand with default-base-is-moof,
	// iso6 the first with tfdt and signed composition offsets in trun.
	dst, ftyp := begin(dst, "ftyp")
	dst = append(dst, "iso6"...)
	dst = words(dst, 1)
	dst = append(dst, "iso5iso6avc1mp41"...)
	dst = end(dst, ftyp)

	dst, moov := begin(dst, "moov") // §8.2.1
	dst = appendMovieHeader(dst, last)
	for _, t := range tracks {
		dst = t.append(dst)
	}
	dst, mvex := begin(dst, "mvex") // §8.8.1; no mehd: the length is not known
	for _, t := range tracks {
		dst = appendFull(dst, "trex", 0, 0, t.ID, 1, 0, 0, 0) // §8.8.3; samples say all themselves
	}
	dst = end(dst, mvex)
	return end(dst, moov), nil
}

// appendFull appends a FullBox that is all 32-bit words.
func appendFull(dst []byte, name string, version uint8, flags uint32, values ...uint32) []byte {
	dst, at := beginFull(dst, name, version, flags)
	return end(words(dst, values...), at)
}

// matrix is the unity matrix of §8.2.2.2, 16.16 and 2.30 fixed point.
var matrix = []uint32{0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000}

// appendMovieHeader appends mvhd (§8.2.2). Duration 0: the moov itself holds no sample.
func appendMovieHeader(dst []byte, last uint32) []byte {
	dst, at := beginFull(dst, "mvhd", 0, 0)
	dst = words(dst, 0, 0, movieScale, 0)       // made, changed, timescale, duration
	dst = words(dst, 0x10000, 0x01000000, 0, 0) // rate 1.0, volume 1.0, reserved
	dst = words(dst, matrix...)
	dst = zeros(dst, 6*4)              // pre_defined
	dst = be.AppendUint32(dst, last+1) // next_track_ID; 2^32-1 wraps to 0 and then has no next, as the clause has it
	return end(dst, at)
}

// append appends the track's trak (§8.3.1).
func (t Track) append(dst []byte) []byte {
	dst, trak := begin(dst, "trak")

	dst, tkhd := beginFull(dst, "tkhd", 0, 3) // §8.3.2; enabled, in movie
	dst = words(dst, 0, 0, t.ID, 0, 0, 0, 0)  // made, changed, id, reserved, duration, reserved
	dst = words(dst, 0, t.volume())           // layer and alternate_group, volume
	dst = words(dst, matrix...)               //
	if t.AVC != nil {                         // 16.16 fixed point
		dst = words(dst, uint32(t.AVC.Width)<<16, uint32(t.AVC.Height)<<16)
	} else {
		dst = words(dst, 0, 0)
	}
	dst = end(dst, tkhd)

	dst, mdia := begin(dst, "mdia")                                       // §8.4.1
	dst = appendFull(dst, "mdhd", 0, 0, 0, 0, t.Timescale, 0, 0x55c40000) // §8.4.2; language "und"
	dst, hdlr := beginFull(dst, "hdlr", 0, 0)                             // §8.4.3
	dst = words(dst, 0)
	if t.AVC != nil {
		dst = append(dst, "vide"...)
	} else {
		dst = append(dst, "soun"...)
	}
	dst = words(dst, 0, 0, 0)
	dst = append(dst, 0) // name, empty
	dst = end(dst, hdlr)

	dst, minf := begin(dst, "minf") // §8.4.4
	if t.AVC != nil {
		dst = appendFull(dst, "vmhd", 0, 1, 0, 0) // §12.1.2: flags are 1
	} else {
		dst = appendFull(dst, "smhd", 0, 0, 0) // §12.2.2
	}
	dst, dinf := begin(dst, "dinf") // §8.7.1
	dst, dref := beginFull(dst, "dref", 0, 0)
	dst = words(dst, 1)
	dst = appendFull(dst, "url ", 0, 1) // §8.7.2: in this file
	dst = end(dst, dref)
	dst = end(dst, dinf)

	dst, stbl := begin(dst, "stbl")           // §8.5.1
	dst, stsd := beginFull(dst, "stsd", 0, 0) // §8.5.2
	dst = words(dst, 1)
	if t.AVC != nil {
		dst = t.AVC.appendEntry(dst)
	} else {
		dst = t.AAC.appendEntry(dst)
	}
	dst = end(dst, stsd)
	// §8.8.1: no sample stands in the moov, so the tables are there and empty.
	dst = appendFull(dst, "stts", 0, 0, 0)    // §8.6.1.2
	dst = appendFull(dst, "stsc", 0, 0, 0)    // §8.7.4
	dst = appendFull(dst, "stsz", 0, 0, 0, 0) // §8.7.3
	dst = appendFull(dst, "stco", 0, 0, 0)    // §8.7.5
	dst = end(dst, stbl)
	dst = end(dst, minf)
	dst = end(dst, mdia)
	return end(dst, trak)
}

// volume is tkhd's volume and the 16 reserved bits after it: 1.0 for sound.
func (t Track) volume() uint32 {
	if t.AAC != nil {
		return 0x01000000
	}
	return 0
}

// appendEntry appends avc1 (ISO/IEC 14496-12 §12.1.3, ISO/IEC 14496-15 §5.4.2.1).
func (v *AVC) appendEntry(dst []byte) []byte {
	dst, avc1 := begin(dst, "avc1")
	dst = zeros(dst, 6)
	dst = append(dst, 0, 1) // data_reference_index
	dst = zeros(dst, 16)    // pre_defined, reserved
	dst = be.AppendUint16(dst, uint16(v.Width))
	dst = be.AppendUint16(dst, uint16(v.Height))
	dst = words(dst, 0x00480000, 0x00480000, 0) // 72 dpi both ways, reserved
	dst = append(dst, 0, 1)                     // frame_count
	dst = zeros(dst, 32)                        // compressorname
	dst = append(dst, 0, 24, 0xff, 0xff)        // depth, pre_defined = -1

	dst, avcC := begin(dst, "avcC") // ISO/IEC 14496-15 §5.3.3.1.2
	dst = append(dst, 1, v.SPS[1], v.SPS[2], v.SPS[3],
		0xfc|3, // reserved, lengthSizeMinusOne
		0xe0|1) // reserved, numOfSequenceParameterSets
	dst = be.AppendUint16(dst, uint16(len(v.SPS)))
	dst = append(dst, v.SPS...)
	dst = append(dst, 1) // numOfPictureParameterSets
	dst = be.AppendUint16(dst, uint16(len(v.PPS)))
	dst = append(dst, v.PPS...)
	if f, _ := spsFormat(v.SPS); f.extended {
		dst = append(dst, 0xfc|f.chroma, 0xf8|f.luma8, 0xf8|f.chroma8, 0) // no SPS extensions
	}
	dst = end(dst, avcC)
	return end(dst, avc1)
}

// appendEntry appends mp4a (ISO/IEC 14496-12 §12.2.3, ISO/IEC 14496-14 §5.6).
func (a *AAC) appendEntry(dst []byte) []byte {
	dst, mp4a := begin(dst, "mp4a")
	dst = zeros(dst, 6)
	dst = append(dst, 0, 1) // data_reference_index
	dst = words(dst, 0, 0)  // reserved
	dst = be.AppendUint16(dst, uint16(a.Channels))
	dst = append(dst, 0, 16) // samplesize, bits
	dst = words(dst, 0)      // pre_defined, reserved
	rate := uint32(a.SampleRate)
	if rate > 0xffff { // 16.16 cannot say it; decoders go by the configuration anyway
		rate = 0
	}
	dst = words(dst, rate<<16)

	n := len(a.Config)
	dst, esds := beginFull(dst, "esds", 0, 0) // ISO/IEC 14496-14 §5.6.1
	dst = descriptor(dst, 3, 3+descriptorHeader+13+descriptorHeader+n+descriptorHeader+1)
	dst = append(dst, 0, 0, 0)                      // ISO/IEC 14496-1 §7.2.6.5: ES_ID 0 in a file, no flags
	dst = descriptor(dst, 4, 13+descriptorHeader+n) // §7.2.6.6
	dst = append(dst, objectTypeAAC, 5<<2|1)        // AudioStream, not upstream, reserved
	dst = append(dst, 0, 0, 0)                      // bufferSizeDB: not known
	dst = words(dst, 0, 0)                          // maxBitrate, avgBitrate: not known
	dst = descriptor(dst, 5, n)                     // §7.2.6.7
	dst = append(dst, a.Config...)                  //
	dst = descriptor(dst, 6, 1)                     // §7.3.2.3
	dst = append(dst, 2)                            // SL packet header as in MP4 files
	dst = end(dst, esds)
	return end(dst, mp4a)
}

const descriptorHeader = 5

// descriptor appends a descriptor's tag and its length in four bytes of seven
// bits each (ISO/IEC 14496-1 §8.3.3).
func descriptor(dst []byte, tag byte, n int) []byte {
	return append(dst, tag, 0x80|byte(n>>21), 0x80|byte(n>>14), 0x80|byte(n>>7), byte(n)&0x7f)
}
