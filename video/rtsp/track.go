package rtsp

import "time"

// Codec names how a track is coded.
type Codec string

// The codecs that are understood; others are told by name and left alone.
const (
	H264 Codec = "H264"
	AAC  Codec = "AAC"
)

// Track is one medium of a session.
type Track struct {
	Codec     Codec
	ClockRate int // ticks of RTP time a second

	// H.264: parameter sets as the description gave them, without start code;
	// empty where they come in band only. Units carry those in force.
	SPS, PPS []byte

	// AAC: the AudioSpecificConfig and what it says.
	Config     []byte
	SampleRate int // Hz
	Channels   int

	PayloadType uint8
	control     string // absolute control URL, without credentials

	// RFC 3640: bits of the AU header's fields.
	sizeLength, indexLength, indexDeltaLength int
}

// Unit is an access unit: all of one picture, or one frame of sound.
type Unit struct {
	Track    int       // index into Session.Tracks
	PTS      int64     // ticks of the track's clock, unwrapped to 64 bits; starts anywhere
	Received time.Time // when its last packet arrived
	Wall     time.Time // its time by the camera's own clock (RTCP); zero while unknown
	Key      bool      // decoding can begin here (H.264 IDR; all of AAC)
	Lost     bool      // packets of this track were lost since the unit before, or within this one

	// Data is valid until the next Read. H.264: NAL units, each after its
	// length in 4 bytes, without SPS, PPS and access unit delimiter. AAC: the raw frame.
	Data []byte

	// H.264: the parameter sets in force. They are replaced, never changed, so
	// that who compares with those before sees a change of stream.
	SPS, PPS []byte
}
