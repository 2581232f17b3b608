package fmp4

// Track is one medium. ID and Timescale are above zero; either AVC or AAC is set.
type Track struct {
	ID        uint32
	Timescale uint32 // ticks a second
	AVC       *AVC
	AAC       *AAC
}

// AVC describes H.264 pictures.
type AVC struct {
	SPS, PPS      []byte // NAL units without start code
	Width, Height int    // as shown, after cropping
}

// AAC describes sound.
type AAC struct {
	Config     []byte // AudioSpecificConfig
	SampleRate int    // Hz
	Channels   int
}

// Sample is one access unit in a fragment.
type Sample struct {
	Track    uint32 // its ID
	DTS      uint64 // ticks of the track
	CTS      int32  // PTS - DTS, ticks; may be negative
	Duration uint32 // ticks
	Key      bool
	Data     []byte // H.264: NAL units, each after its length in 4 bytes; AAC: the raw frame
}

// Fragment is what ParseFragment found. Samples' Data point into the input.
type Fragment struct {
	Seq     uint32
	Samples []Sample
	Size    int // bytes from the start of the input to the end of mdat: the next fragment is there
}
