package fmp4

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// ParseFragment reads the first moof of b and the mdat after it; other boxes
// before and between are passed over. io.EOF: b holds no moof, up to its end or
// to a last box that is not whole; what is left unread, none of it a fragment,
// is as long as b. io.ErrUnexpectedEOF: b ends within the moof or before its
// mdat does. Any other error: it can not be read, with whatever bytes follow.
//
// Each sample must be described by the moof itself: defaults of the init
// segment (trex) and data outside the mdat are refused.
func ParseFragment(b []byte) (Fragment, error) {
	f, err := parseFragment(b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		err = fmt.Errorf("fmp4: fragment: %w", err)
	}
	if err != nil {
		return Fragment{}, err
	}
	return f, nil
}

func parseFragment(b []byte) (Fragment, error) {
	start, moof, err := find(b, 0, "moof")
	if err == io.ErrUnexpectedEOF && moof.name != "moof" {
		err = io.EOF
	}
	if err != nil {
		return Fragment{}, err
	}
	after := start + moof.size
	at, mdat, err := find(b, after, "mdat")
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Fragment{}, err
	}
	f := Fragment{Size: at + mdat.size}
	// §8.8.7.1: the first track's data are found from the moof's first byte.
	d := data{b: b[start:f.Size], from: f.Size - len(mdat.body) - start}
	sequences := 0
	err = each(moof.body, func(x box) error {
		switch x.name {
		case "mfhd": // §8.8.5
			r := fields{b: x.body}
			r.skip(4)
			f.Seq = r.u32()
			sequences++
			return r.err()
		case "traf":
			f.Samples, err = parseTrackFragment(x.body, &d, f.Samples)
			return err
		}
		return nil
	})
	if err == nil && sequences != 1 {
		err = errors.New("not one mfhd")
	}
	return f, err
}

// find reads boxes of b from at on until one of this name. Of moof and mdat
// none other may come before it.
func find(b []byte, at int, name string) (int, box, error) {
	for at < len(b) {
		x, err := next(b[at:])
		if x.name == "moof" && x.size > maxMoof {
			return at, x, fmt.Errorf("moof of %d bytes", x.size)
		}
		if x.name == "moof" && name == "mdat" {
			return at, x, errors.New("moof without mdat")
		}
		if err != nil || x.name == name {
			return at, x, err
		}
		at += x.size
	}
	return at, box{}, io.EOF
}

// data is where samples' bytes are taken from.
type data struct {
	b    []byte // from the moof's first byte to mdat's last
	from int    // where mdat's payload begins
	next int    // where the run before ended
	sum  int    // bytes given, so that no byte is given a thousand times over
}

func (d *data) take(n uint32) ([]byte, error) {
	at, stop := d.next, int64(d.next)+int64(n)
	if at < d.from || stop > int64(len(d.b)) {
		return nil, errors.New("a sample outside mdat")
	}
	if n == 0 {
		return nil, errors.New("an empty sample")
	}
	if d.sum += int(n); d.sum > len(d.b) {
		return nil, errors.New("samples upon each other")
	}
	d.next = int(stop)
	return d.b[at:stop:stop], nil
}

// header is what tfhd says, and the run so far.
type header struct {
	track                  uint32
	flags                  uint32 // which of the defaults below are said
	duration, size, flags0 uint32
	base                   int // of the runs' offsets
	dts                    uint64
	dated                  bool // by tfdt
}

// parseTrackFragment reads a traf (§8.8.6).
func parseTrackFragment(body []byte, d *data, samples []Sample) ([]Sample, error) {
	var h header
	err := each(body, func(x box) (err error) {
		r := fields{b: x.body}
		version, flags := r.full()
		switch x.name {
		case "tfhd": // §8.8.7
			if h.track != 0 {
				return errors.New("said twice")
			}
			return h.parse(&r, flags, d)
		case "tfdt": // §8.8.12
			if h.dts = uint64(r.u32()); version == 1 {
				h.dts = h.dts<<32 | uint64(r.u32())
			}
			h.dated = true
			return r.err()
		case "trun": // §8.8.8
			if h.track == 0 || !h.dated {
				return errors.New("before tfhd and tfdt")
			}
			samples, err = h.parseRun(&r, version, flags, d, samples)
			return err
		}
		return nil
	})
	if err == nil && h.track == 0 {
		err = errors.New("no tfhd")
	}
	return samples, err
}

func (h *header) parse(r *fields, flags uint32, d *data) error {
	h.track, h.flags = r.u32(), flags
	if flags&tfhdBaseOffset != 0 {
		return errors.New("data by their place in a file") // which the caller has not shown
	}
	if flags&tfhdDescription != 0 {
		r.skip(4)
	}
	if flags&tfhdDuration != 0 {
		h.duration = r.u32()
	}
	if flags&tfhdSize != 0 {
		h.size = r.u32()
	}
	if flags&tfhdFlags != 0 {
		h.flags0 = r.u32()
	}
	if r.short {
		return errShort
	}
	if h.track == 0 {
		return errors.New("track 0")
	}
	// §8.8.7.1: from the moof's first byte, or, without the flag, from where the
	// track before ended; for the first track the two are one.
	if flags&tfhdBaseIsMoof == 0 {
		h.base = d.next
	}
	return nil
}

func (h *header) parseRun(r *fields, version uint8, flags uint32, d *data, samples []Sample) ([]Sample, error) {
	count := r.u32()
	if flags&trunOffset != 0 {
		at := int64(h.base) + int64(int32(r.u32()))
		if at < 0 || at > int64(len(d.b)) {
			return samples, errors.New("data outside mdat")
		}
		d.next = int(at)
	}
	first := h.flags0
	if flags&trunFirstFlags != 0 {
		first = r.u32()
	}
	if (flags|h.flags<<5)&trunDuration == 0 || (flags|h.flags<<5)&trunSize == 0 || // tfhd's bits are trun's, five lower
		(flags|h.flags<<5)&trunFlags == 0 && (flags&trunFirstFlags == 0 || count > 1) {
		return samples, errors.New("samples that need defaults of the init segment")
	}
	for i := range count {
		s := Sample{Track: h.track, DTS: h.dts, Duration: h.duration}
		size, sampleFlags := h.size, h.flags0
		if flags&trunDuration != 0 {
			s.Duration = r.u32()
		}
		if flags&trunSize != 0 {
			size = r.u32()
		}
		if flags&trunFlags != 0 {
			sampleFlags = r.u32()
		}
		if i == 0 && flags&trunFirstFlags != 0 {
			sampleFlags = first
		}
		if flags&trunCTS != 0 {
			cts := r.u32()
			if version == 0 && cts > math.MaxInt32 {
				return samples, errors.New("a composition offset beyond 31 bits")
			}
			s.CTS = int32(cts)
		}
		if r.short {
			return samples, errShort
		}
		s.Key = sampleFlags&sampleNonSync == 0
		var err error
		if s.Data, err = d.take(size); err != nil {
			return samples, err
		}
		samples = append(samples, s)
		if h.dts += uint64(s.Duration); h.dts < s.DTS {
			return samples, errors.New("time beyond 64 bits")
		}
	}
	return samples, nil
}
