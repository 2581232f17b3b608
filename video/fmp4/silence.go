package fmp4

// Silence is a frame in which nothing is heard, to fill a hole with; nil where
// none is known: for other objects than AAC-LC, and more than two channels. It
// is shared by all and never changed.
func (a *AAC) Silence() []byte {
	c, ok := parseAudioConfig(a.Config)
	switch {
	case !ok || c.object != 2: // ISO/IEC 14496-3 table 1.17: AAC LC
		return nil
	case c.channels == 1:
		return silentMono
	case c.channels == 2:
		return silentStereo
	}
	return nil
}

// ISO/IEC 14496-3 §4.4.2.1, raw_data_block: one channel element whose max_sfb is
// 0, so that no spectrum follows at any sampling rate, and the end.
var (
	silentMono   = []byte{0x01, 0x18, 0x20, 0x07}             // single_channel_element
	silentStereo = []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c} // channel_pair_element, common_window
)
