package fmp4

import "encoding/binary"

// Boxes are written in one pass: begin leaves room for the length, end fills it
// in (ISO/IEC 14496-12 §4.2, 32-bit sizes: nothing written here comes near 4 GiB).

var be = binary.BigEndian

// begin appends a box's header and answers where it stands.
func begin(dst []byte, name string) ([]byte, int) {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, name...), at
}

// beginFull is begin for a FullBox (§4.2: version, 24 bits of flags).
func beginFull(dst []byte, name string, version uint8, flags uint32) ([]byte, int) {
	dst, at := begin(dst, name)
	return be.AppendUint32(dst, uint32(version)<<24|flags), at
}

func end(dst []byte, at int) []byte {
	be.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

func zeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

func words(dst []byte, values ...uint32) []byte {
	for _, v := range values {
		dst = be.AppendUint32(dst, v)
	}
	return dst
}
