package field

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// stampID marks our SEI message among others (user_data_unregistered, ITU-T
// H.264 §D.1.6). No byte of a stamp is 0, so that none needs emulation prevention.
var stampID = [16]byte{0xc8, 0x1f, 0x5a, 0x7e, 0x3b, 0x9d, 0x4c, 0x21, 0xa6, 0xe4, 0x57, 0xb8, 0x93, 0x6f, 0xd2, 0x1b}

// A stamp's payload: stampID, then frame number and Unix time in ns, each in 16 hex digits.
const stampSize = 16 + 16 + 16

// appendStamp appends a NAL unit behind its length.
func appendStamp(b []byte, n uint64, sent time.Time) []byte {
	b = binary.BigEndian.AppendUint32(b, 3+stampSize+1)
	b = append(b, nalSEI, 5, stampSize) // payload type, payload size
	b = append(b, stampID[:]...)
	var v [16]byte
	binary.BigEndian.PutUint64(v[:8], n)
	binary.BigEndian.PutUint64(v[8:], uint64(sent.UnixNano()))
	b = hex.AppendEncode(b, v[:])
	return append(b, 0x80) // rbsp_trailing_bits
}

// ReadStamp finds the stamp in an access unit of a camera with
// CameraOptions.Stamp, or in whatever holds that: its frame number, which rises
// by one a picture, over sessions too, and when it was sent. data is an
// rtsp.Unit's, or a fragment of MP4.
func ReadStamp(data []byte) (n uint64, sent time.Time, ok bool) {
	i := bytes.Index(data, stampID[:])
	if i < 0 || len(data)-i < stampSize {
		return 0, time.Time{}, false
	}
	var v [16]byte
	if _, err := hex.Decode(v[:], data[i+16:i+stampSize]); err != nil {
		return 0, time.Time{}, false
	}
	return binary.BigEndian.Uint64(v[:8]), time.Unix(0, int64(binary.BigEndian.Uint64(v[8:]))), true
}
