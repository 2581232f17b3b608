package rtsp

import "errors"

// Picture is what a sequence parameter set says of the pictures.
type Picture struct {
	Width, Height int // as shown, after cropping
	FPS           int // 0: not said
	Profile       uint8
}

// ParseSPS reads a sequence parameter set, whatever it holds.
func ParseSPS(sps []byte) (Picture, error) { return Picture{}, errors.ErrUnsupported }

// ParseAudioConfig reads an AudioSpecificConfig, whatever it holds.
func ParseAudioConfig(config []byte) (sampleRate, channels int, err error) {
	return 0, 0, errors.ErrUnsupported
}
