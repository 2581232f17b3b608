// Package fmp4 writes and reads fragmented MP4 (ISO/IEC 14496-12, -14, -15) as
// browsers play it and as a recording survives a crash: an init segment, then
// fragments of moof and mdat.
package fmp4
