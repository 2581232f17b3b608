package fmp4

import "errors"

// Track is one medium. ID and Timescale are above zero; either AVC or AAC is set.
type Track struct {
	ID        uint32
	Timescale uint32 // ticks a second
	AVC       *AVC
	AAC       *AAC
}

// AVC describes H.264 pictures.
type AVC struct {
	SPS, PPS      []byte
	Width, Height int
}

// AAC describes sound.
type AAC struct {
	Config     []byte // AudioSpecificConfig
	SampleRate int    // Hz
	Channels   int
}

// Codecs names the tracks' codecs for a MIME type (RFC 6381): "avc1.64001f,mp4a.40.2".
func Codecs(tracks []Track) string { return "" }

// AppendInit appends the init segment (ftyp, moov) to dst. It fails on tracks
// that no player could use: no parameter sets, no size.
func AppendInit(dst []byte, tracks []Track) ([]byte, error) { return nil, errors.ErrUnsupported }

// Sample is one access unit in a fragment.
type Sample struct {
	Track    uint32 // its ID
	DTS      uint64 // ticks of the track
	CTS      int32  // PTS - DTS, ticks; may be negative
	Duration uint32 // ticks
	Key      bool
	Data     []byte
}

// FragmentSize is the length of the fragment that AppendFragment would append.
func FragmentSize(samples []Sample) int { return 0 }

// AppendFragment appends one moof and its mdat to dst. Samples of one track
// stand together and in order of DTS; seq counts the fragments of a stream from 1.
func AppendFragment(dst []byte, seq uint32, samples []Sample) []byte { return nil }

// ParseInit reads an init segment of ours or another's.
func ParseInit(b []byte) ([]Track, error) { return nil, errors.ErrUnsupported }

// Fragment is what ParseFragment found. Samples' Data point into the input.
type Fragment struct {
	Seq     uint32
	Samples []Sample
	Size    int // bytes of moof and mdat together
}

// ParseFragment reads the first moof and mdat of b. io.ErrUnexpectedEOF: b ends
// within them.
func ParseFragment(b []byte) (Fragment, error) { return Fragment{}, errors.ErrUnsupported }
