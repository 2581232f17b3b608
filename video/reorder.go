package video

import "errors"

// unknownDepth: the parameter sets do not say how far pictures are reordered.
const unknownDepth = -1

// reorderDepth reads from a sequence parameter set by how many pictures the order
// of showing may run behind that of decoding, or unknownDepth (ITU-T H.264 §7.3.2.1.1, §E.1.1).
func reorderDepth(sps []byte) int {
	// Emulation prevention, §7.4.1: 0, 0, 3 stands for 0, 0.
	clean := make([]byte, 0, len(sps))
	zeros := 0
	for _, b := range sps {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		clean = append(clean, b)
	}
	if len(clean) < 5 {
		return unknownDepth
	}
	const baseline = 66 // §A.2.1: no B slices
	profile := clean[1]
	if profile == baseline {
		return 0
	}
	r := &bitReader{b: clean, pos: 4 * 8}
	r.golomb() // seq_parameter_set_id
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		r.chroma()
	}
	r.golomb() // log2_max_frame_num_minus4
	switch r.golomb() {
	case 0:
		r.golomb()
	case 1:
		r.skip(1)
		r.golomb()
		r.golomb()
		r.golombs(r.golomb())
	case 2:
		return r.unless(0) // §8.2.1.3: the order of showing is that of decoding
	}
	r.golomb() // max_num_ref_frames
	r.skip(1)
	r.golombs(2)      // size
	if r.bit() == 0 { // frame_mbs_only_flag
		r.skip(1)
	}
	r.skip(1)
	if r.bit() == 1 {
		r.golombs(4) // cropping
	}
	if r.bit() == 0 { // vui_parameters_present_flag
		return unknownDepth
	}
	return r.usability()
}

// bitReader reads a parameter set. After an error it reads zeros.
type bitReader struct {
	b   []byte
	pos int // in bits
	err error
}

var errShort = errors.New("cut off")

func (r *bitReader) bit() uint {
	if r.pos >= 8*len(r.b) {
		r.err = errShort
		return 0
	}
	bit := r.b[r.pos/8] >> (7 - r.pos%8) & 1
	r.pos++
	return uint(bit)
}

func (r *bitReader) bits(n int) (v uint) {
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

func (r *bitReader) skip(n int) {
	if r.pos += n; r.pos > 8*len(r.b) {
		r.err = errShort
	}
}

// golomb reads ue(v); of se(v) it reads as much, §9.1.
func (r *bitReader) golomb() uint {
	zeros := 0
	for r.bit() == 0 {
		if zeros++; zeros > 32 || r.err != nil {
			r.err = errShort
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// golombs passes over n of them.
func (r *bitReader) golombs(n uint) {
	for ; n > 0 && r.err == nil; n-- {
		r.golomb()
	}
}

func (r *bitReader) unless(depth int) int {
	if r.err != nil {
		return unknownDepth
	}
	return depth
}

// chroma passes over what the High profiles add.
func (r *bitReader) chroma() {
	format := r.golomb()
	if format == 3 {
		r.skip(1)
	}
	r.golombs(2) // bit depths
	r.skip(1)
	if r.bit() == 0 { // seq_scaling_matrix_present_flag
		return
	}
	lists := 8
	if format == 3 {
		lists = 12
	}
	for i := range lists {
		if r.bit() == 0 {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		r.scalingList(size)
	}
}

// scalingList is §7.3.2.1.1.1.
func (r *bitReader) scalingList(size int) {
	last, next := 8, 8
	for range size {
		if next != 0 {
			code := int(r.golomb())
			delta := (code + 1) / 2 // §9.1.1
			if code%2 == 0 {
				delta = -delta
			}
			next = (last + delta + 256) & 255
		}
		if next != 0 {
			last = next
		}
		if r.err != nil {
			return
		}
	}
}

// usability reads the VUI, §E.1.1.
func (r *bitReader) usability() int {
	if r.bit() == 1 && r.bits(8) == 255 { // aspect_ratio_info, Extended_SAR
		r.skip(32)
	}
	if r.bit() == 1 { // overscan_info
		r.skip(1)
	}
	if r.bit() == 1 { // video_signal_type
		if r.skip(4); r.bit() == 1 {
			r.skip(24)
		}
	}
	if r.bit() == 1 { // chroma_loc_info
		r.golombs(2)
	}
	if r.bit() == 1 { // timing_info
		r.skip(65)
	}
	nal := r.hypothetical()
	vcl := r.hypothetical()
	if nal || vcl {
		r.skip(1)
	}
	r.skip(1)
	if r.bit() == 0 { // bitstream_restriction_flag
		return unknownDepth
	}
	r.skip(1)
	r.golombs(4)
	depth := r.golomb() // max_num_reorder_frames
	if depth > maxDepth {
		return unknownDepth
	}
	return r.unless(int(depth))
}

// hypothetical passes over the parameters of a hypothetical decoder, §E.1.2, if they are there.
func (r *bitReader) hypothetical() bool {
	if r.bit() == 0 {
		return false
	}
	count := r.golomb() + 1
	r.skip(8)
	for ; count > 0 && r.err == nil; count-- {
		r.golombs(2)
		r.skip(1)
	}
	r.skip(20)
	return true
}
