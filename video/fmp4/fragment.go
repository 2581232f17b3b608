package fmp4

import "slices"

const (
	moofHead  = 8 + 16           // moof, mfhd
	trafHead  = 8 + 16 + 20 + 20 // traf, tfhd, tfdt, trun without samples
	trunEntry = 16
	mdatHead  = 8
)

// Flags of tfhd (ISO/IEC 14496-12 §8.8.7.1) and trun (§8.8.8.1).
const (
	tfhdBaseOffset     = 0x000001
	tfhdDescription    = 0x000002
	tfhdDuration       = 0x000008
	tfhdSize           = 0x000010
	tfhdFlags          = 0x000020
	tfhdBaseIsMoof     = 0x020000
	trunOffset         = 0x001
	trunFirstFlags     = 0x004
	trunDuration       = 0x100
	trunSize           = 0x200
	trunFlags          = 0x400
	trunCTS            = 0x800
	trunAll            = trunOffset | trunDuration | trunSize | trunFlags | trunCTS
	sampleNonSync      = 0x00010000 // §8.8.3.1 sample_is_non_sync_sample
	sampleDependsOn    = 0x01000000 // sample_depends_on = 1: on others
	sampleIndependent  = 0x02000000 // sample_depends_on = 2: on none
	sampleFlagsKey     = sampleIndependent
	sampleFlagsNotAKey = sampleDependsOn | sampleNonSync
)

// FragmentSize is the length of the fragment that AppendFragment would append.
func FragmentSize(samples []Sample) int {
	n := moofSize(samples) + mdatHead
	for i := range samples {
		n += len(samples[i].Data)
	}
	return n
}

func moofSize(samples []Sample) int {
	n := moofHead
	for i := range samples {
		if i == 0 || samples[i].Track != samples[i-1].Track {
			n += trafHead
		}
		n += trunEntry
	}
	return n
}

// AppendFragment appends one moof and its mdat to dst. Samples of one track
// stand together and in order of DTS, which rises strictly; there is at least
// one, and together they are below 1 GiB. seq counts the fragments of a stream
// from 1. Of samples of one track each lasts until the next begins, whatever
// its Duration says; the last lasts its Duration. It allocates nothing but,
// where dst is too short, the new dst.
func AppendFragment(dst []byte, seq uint32, samples []Sample) []byte {
	dst = slices.Grow(dst, FragmentSize(samples))
	offset := moofSize(samples) + mdatHead // of the next track's data, from the moof's first byte

	dst, moof := begin(dst, "moof")           // §8.8.4
	dst, mfhd := beginFull(dst, "mfhd", 0, 0) // §8.8.5
	dst = end(be.AppendUint32(dst, seq), mfhd)
	for rest := samples; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Track == rest[0].Track {
			n++
		}
		dst = appendTrackFragment(dst, rest[:n], offset)
		for i := range rest[:n] {
			offset += len(rest[i].Data)
		}
		rest = rest[n:]
	}
	dst = end(dst, moof)

	dst, mdat := begin(dst, "mdat") // §8.1.1
	for i := range samples {
		dst = append(dst, samples[i].Data...)
	}
	return end(dst, mdat)
}

// appendTrackFragment appends traf (§8.8.6) for samples of one track, whose
// data begin offset bytes after the moof's first.
func appendTrackFragment(dst []byte, samples []Sample, offset int) []byte {
	dst, traf := begin(dst, "traf")

	dst, tfhd := beginFull(dst, "tfhd", 0, tfhdBaseIsMoof) // §8.8.7
	dst = end(be.AppendUint32(dst, samples[0].Track), tfhd)

	dst, tfdt := beginFull(dst, "tfdt", 1, 0) // §8.8.12
	dst = end(be.AppendUint64(dst, samples[0].DTS), tfdt)

	dst, trun := beginFull(dst, "trun", 1, trunAll) // §8.8.8; version 1: signed composition offsets
	dst = be.AppendUint32(dst, uint32(len(samples)))
	dst = be.AppendUint32(dst, uint32(offset))
	for i := range samples {
		s := &samples[i]
		// §8.8.12: a fragment says the DTS of its first sample only; the others
		// follow from the durations, so these must be true within it.
		duration := s.Duration
		if i+1 < len(samples) && samples[i+1].DTS > s.DTS {
			duration = uint32(samples[i+1].DTS - s.DTS)
		}
		flags := uint32(sampleFlagsNotAKey)
		if s.Key {
			flags = sampleFlagsKey
		}
		dst = be.AppendUint32(dst, duration)
		dst = be.AppendUint32(dst, uint32(len(s.Data)))
		dst = be.AppendUint32(dst, flags)
		dst = be.AppendUint32(dst, uint32(s.CTS))
	}
	dst = end(dst, trun)
	return end(dst, traf)
}
