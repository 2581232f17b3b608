package fmp4

import (
	"errors"
	"fmt"
	"slices"
)

const maxTracks = 64

// ParseInit reads an init segment of ours or another's. Tracks of other codecs
// than AVC and AAC are left out; it is an error if none is left, if the file is
// not fragmented, or if a track could not be written again by AppendInit.
// Parameter sets beyond the first of each kind are not told. What is answered
// points into b.
func ParseInit(b []byte) ([]Track, error) {
	tracks, err := parseInit(b)
	if err != nil {
		return nil, fmt.Errorf("fmp4: init segment: %w", err)
	}
	return tracks, nil
}

func parseInit(b []byte) (tracks []Track, err error) {
	movies, fragmented := 0, false
	for len(b) > 0 && movies == 0 {
		x, err := next(b)
		if err != nil {
			return nil, err
		}
		b = b[x.size:]
		if x.name != "moov" { // ftyp, free and what else may stand before it
			continue
		}
		movies++
		err = each(x.body, func(x box) error {
			switch x.name {
			case "mvex":
				fragmented = true
			case "trak":
				t, err := parseTrack(x.body)
				if err != nil {
					return err
				}
				if t.AVC == nil && t.AAC == nil {
					return nil
				}
				if len(tracks) == maxTracks {
					return errors.New("more tracks than anybody needs")
				}
				if slices.ContainsFunc(tracks, func(o Track) bool { return o.ID == t.ID }) {
					return fmt.Errorf("track id %d is taken", t.ID) // §8.3.2.3
				}
				tracks = append(tracks, t)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	switch {
	case movies == 0:
		return nil, errors.New("no moov")
	case !fragmented: // §8.8.1
		return nil, errors.New("not fragmented: no mvex")
	case len(tracks) == 0:
		return nil, errors.New("no track of AVC or AAC")
	}
	return tracks, nil
}

// parseTrack reads a trak. Of a codec that is not ours neither AVC nor AAC is set.
func parseTrack(body []byte) (Track, error) {
	var t Track
	err := descend(body, []string{"tkhd"}, func(x box) error { // §8.3.2
		f := fields{b: x.body}
		if version, _ := f.full(); version == 1 {
			f.skip(16)
		} else {
			f.skip(8)
		}
		t.ID = f.u32()
		return f.err()
	})
	if err != nil {
		return t, err
	}
	err = descend(body, []string{"mdia", "mdhd"}, func(x box) error { // §8.4.2
		f := fields{b: x.body}
		if version, _ := f.full(); version == 1 {
			f.skip(16)
		} else {
			f.skip(8)
		}
		t.Timescale = f.u32()
		return f.err()
	})
	if err != nil {
		return t, err
	}
	err = descend(body, []string{"mdia", "minf", "stbl", "stsd"}, func(x box) error { // §8.5.2
		f := fields{b: x.body}
		f.skip(8) // version and flags, entry_count: the boxes say how many there are
		if f.short {
			return errShort
		}
		return each(f.b, func(x box) (err error) {
			if t.AVC != nil || t.AAC != nil {
				return nil // fragments may use other entries; ours never do
			}
			switch x.name {
			case "avc1", "avc3":
				t.AVC, err = parseAVC(x.body)
			case "mp4a":
				t.AAC, err = parseAAC(x.body)
			}
			return err
		})
	})
	if err != nil || (t.AVC == nil && t.AAC == nil) {
		return t, err
	}
	return t, t.check()
}

func parseAVC(body []byte) (*AVC, error) {
	v := &AVC{}
	f := fields{b: body}
	f.skip(8 + 16) // SampleEntry; pre_defined, reserved
	v.Width, v.Height = int(f.u16()), int(f.u16())
	f.skip(12 + 2 + 32 + 4) // resolution, reserved; frame_count; compressorname; depth, pre_defined
	if f.short {
		return nil, errShort
	}
	err := descend(f.b, []string{"avcC"}, func(x box) error { // ISO/IEC 14496-15 §5.3.3.1.2
		f := fields{b: x.body}
		version := f.u8()
		f.skip(3) // profile, compatibility, level: the SPS says them too
		length := f.u8() & 3
		if f.short {
			return errShort
		}
		if version != 1 {
			return fmt.Errorf("version %d", version)
		}
		if length != 3 {
			return fmt.Errorf("NAL unit lengths of %d bytes", length+1)
		}
		v.SPS = firstSet(&f, f.u8()&0x1f)
		v.PPS = firstSet(&f, f.u8())
		return f.err()
	})
	return v, err
}

// firstSet reads n parameter sets and answers the first.
func firstSet(f *fields, n uint8) (first []byte) {
	for i := range n {
		set := f.bytes(int(f.u16()))
		if i == 0 {
			first = set
		}
	}
	return first
}

// parseAAC answers nil for other sound than AAC.
func parseAAC(body []byte) (*AAC, error) {
	a := &AAC{}
	f := fields{b: body}
	f.skip(8 + 8) // SampleEntry; reserved
	a.Channels = int(f.u16())
	f.skip(2 + 4) // samplesize; pre_defined, reserved
	a.SampleRate = int(f.u32() >> 16)
	if f.short {
		return nil, errShort
	}
	object := uint8(0)
	err := descend(f.b, []string{"esds"}, func(x box) (err error) { // ISO/IEC 14496-14 §5.6.1
		f := fields{b: x.body}
		f.skip(4)
		object, a.Config, err = parseDescriptors(&f)
		return err
	})
	if err != nil {
		return nil, err
	}
	if object != objectTypeAAC {
		return nil, nil
	}
	// ISO/IEC 14496-14 §5.6: the entry's own fields are a template (many writers
	// say two channels always, and 16.16 holds no 88,2 kHz); the configuration rules.
	c, _ := parseAudioConfig(a.Config)
	if c.channels != 0 {
		a.Channels = c.channels
	}
	if a.SampleRate == 0 {
		a.SampleRate = c.rate
	}
	return a, nil
}

// parseDescriptors reads an ES_Descriptor (ISO/IEC 14496-1 §7.2.6.5) as far as
// the object type and the decoder's configuration.
func parseDescriptors(f *fields) (object uint8, config []byte, err error) {
	es := descend1(f, 3)
	es.skip(2)
	flags := es.u8()
	if flags&0x80 != 0 { // dependsOn_ES_ID
		es.skip(2)
	}
	if flags&0x40 != 0 { // URL
		es.skip(int(es.u8()))
	}
	if flags&0x20 != 0 { // OCR_ES_Id
		es.skip(2)
	}
	decoder := descend1(&es, 4) // §7.2.6.6
	object = decoder.u8()
	decoder.skip(12)
	if decoder.short {
		return 0, nil, errShort
	}
	if object != objectTypeAAC {
		return object, nil, nil
	}
	info := descend1(&decoder, 5) // §7.2.6.7
	if info.short {
		return 0, nil, errShort
	}
	return object, info.b, nil
}

// descend1 reads the first descriptor of f, which must have this tag (ISO/IEC 14496-1 §8.3.3).
func descend1(f *fields, tag uint8) fields {
	if f.u8() != tag {
		return fields{short: true}
	}
	n := 0
	for range 4 {
		c := f.u8()
		n = n<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			break
		}
	}
	b := f.bytes(n)
	return fields{b: b, short: f.short}
}
