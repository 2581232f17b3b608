package rtsp

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Bounds of a description.
const (
	maxMedia        = 16      // m= lines
	maxParameterSet = 4 << 10 // bytes of an SPS or PPS
	maxAudioConfig  = 64      // bytes of an AudioSpecificConfig
)

// description is what of an SDP concerns us.
type description struct {
	control string // of the session
	video   Track  // the first H.264 track
	audio   *Track // the first AAC track that can be read; nil: none
}

// parseDescription reads what a camera describes. Errors are *Error:
// BadDescription, NoVideo, UnsupportedCodec, TooLarge.
func parseDescription(body []byte) (description, error) {
	clean, err := cleanSDP(string(body))
	if err != nil {
		return description{}, err
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(clean); err != nil {
		return description{}, fault(BadDescription, err, "the description cannot be read")
	}
	d := description{}
	d.control, _ = s.Attribute("control")
	found, other := false, ""
	for _, m := range s.MediaDescriptions {
		switch m.MediaName.Media {
		case "video":
			t, codec := videoTrack(m)
			if t == nil {
				other = codec
			} else if !found {
				d.video, found = *t, true
			}
		case "audio":
			if d.audio == nil {
				d.audio = audioTrack(m)
			}
		}
	}
	switch {
	case found:
		return d, nil
	case other != "":
		return d, fault(UnsupportedCodec, nil, "the camera sends %s, which cannot be played; it must send H.264", other)
	case len(s.MediaDescriptions) == 0:
		return d, fault(BadDescription, nil, "the description names no media")
	}
	return d, fault(NoVideo, nil, "the description names no video")
}

// cleanSDP keeps the lines that we read, m= and a=, and puts those before them
// that the grammar wants: cameras leave out, double, misplace and misspell what
// is of no use to anybody.
func cleanSDP(body string) (string, error) {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")
	media, known := 0, true
	for line := range strings.FieldsFuncSeq(body, func(r rune) bool { return r == '\r' || r == '\n' || r == 0 }) {
		line = strings.TrimSpace(line)
		switch {
		case len(line) > maxBody || len(line) < 3 || line[1] != '=':
			continue
		case line[0] == 'a' && known:
			b.WriteString(line)
			b.WriteString("\r\n")
		case line[0] == 'm':
			if media++; media > maxMedia {
				return "", fault(TooLarge, nil, "more than %d media described", maxMedia)
			}
			var clean string
			if clean, known = cleanMedia(line[2:]); known {
				b.WriteString(clean)
			}
		}
	}
	return b.String(), nil
}

// cleanMedia writes an m= line anew from the medium and its formats.
func cleanMedia(v string) (line string, ok bool) {
	f := strings.Fields(v)
	if len(f) < 4 || !strings.HasPrefix(strings.ToUpper(f[2]), "RTP/") {
		return "", false
	}
	kind := strings.ToLower(f[0])
	if kind != "video" && kind != "audio" {
		return "", false
	}
	formats := f[3:]
	return "m=" + kind + " 0 RTP/AVP " + strings.Join(formats[:min(len(formats), maxMedia)], " ") + "\r\n", true
}

// format is one payload type of a medium.
type format struct {
	payloadType uint8
	name        string // in upper case; "" if not said
	clockRate   int    // 0 if not said
	channels    int    // 0 if not said
	params      map[string]string
}

func formatsOf(m *sdp.MediaDescription) []format {
	var all []format
	for _, f := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		one := format{payloadType: uint8(pt), name: staticNames[uint8(pt)]}
		for _, a := range m.Attributes {
			number, rest, _ := strings.Cut(strings.TrimSpace(a.Value), " ")
			if number != f {
				continue
			}
			switch strings.ToLower(a.Key) {
			case "rtpmap":
				parts := strings.Split(strings.TrimSpace(rest), "/")
				one.name = strings.ToUpper(strings.TrimSpace(parts[0]))
				if len(parts) > 1 {
					one.clockRate = number32(parts[1])
				}
				if len(parts) > 2 {
					one.channels = number32(parts[2])
				}
			case "fmtp":
				one.params = formatParams(rest)
			}
		}
		all = append(all, one)
	}
	return all
}

// number32 reads a number above 0 of 32 bits; 0 for anything else.
func number32(s string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

func formatParams(s string) map[string]string {
	params := map[string]string{}
	for p := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if name = strings.ToLower(strings.TrimSpace(name)); ok && name != "" {
			params[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return params
}

// staticNames are the payload types of RFC 3551 that cameras use without rtpmap.
var staticNames = map[uint8]string{26: "JPEG", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263"}

// codecNames are the only names that an error shows for what a camera sends.
var codecNames = map[string]string{
	"H265": "H.265", "HEVC": "H.265",
	"JPEG": "MJPEG", "MJPEG": "MJPEG", "JPEG2000": "JPEG 2000",
	"MP4V-ES": "MPEG-4 Visual", "MPV": "MPEG-2 video", "MP2T": "MPEG-TS",
	"H261": "H.261", "H263": "H.263", "H263-1998": "H.263", "H263-2000": "H.263",
	"VP8": "VP8", "VP9": "VP9", "AV1": "AV1",
}

// videoTrack gives the medium as H.264, or else names what it is.
func videoTrack(m *sdp.MediaDescription) (t *Track, codec string) {
	codec = "an unknown codec"
	for _, f := range formatsOf(m) {
		if f.name != "H264" {
			if name := codecNames[f.name]; name != "" {
				codec = name
			}
			continue
		}
		if f.params["packetization-mode"] == "2" {
			codec = "H.264 in interleaved packets"
			continue
		}
		t := &Track{Codec: H264, ClockRate: f.clockRate, PayloadType: f.payloadType}
		if t.ClockRate < 1000 || t.ClockRate > 1_000_000 {
			t.ClockRate = 90000 // RFC 6184 §8.2.1 allows nothing else
		}
		t.control, _ = m.Attribute("control")
		t.SPS, t.PPS = parameterSets(f.params["sprop-parameter-sets"])
		return t, ""
	}
	return nil, codec
}

// parameterSets reads RFC 6184's sprop-parameter-sets, as far as it can be read:
// all of it comes in band too.
func parameterSets(v string) (sps, pps []byte) {
	for text := range strings.SplitSeq(v, ",") {
		nal, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
		if err != nil {
			continue
		}
		for _, start := range []string{"\x00\x00\x00\x01", "\x00\x00\x01"} { // some cameras leave it on
			if rest, ok := strings.CutPrefix(string(nal), start); ok {
				nal = []byte(rest)
			}
		}
		if len(nal) < 2 || len(nal) > maxParameterSet {
			continue
		}
		switch nal[0] & 0x1f {
		case 7:
			if _, err := ParseSPS(nal); err == nil && sps == nil {
				sps = nal
			}
		case 8:
			if pps == nil {
				pps = nal
			}
		}
	}
	return sps, pps
}

// audioTrack gives the medium as AAC, nil if it is not or cannot be read: a
// camera whose sound is no use is still worth seeing.
func audioTrack(m *sdp.MediaDescription) *Track {
	for _, f := range formatsOf(m) {
		if f.name != "MPEG4-GENERIC" || !strings.HasPrefix(strings.ToUpper(f.params["mode"]), "AAC") {
			continue
		}
		config, err := hex.DecodeString(f.params["config"])
		if err != nil || len(config) == 0 || len(config) > maxAudioConfig {
			continue
		}
		rate, channels, err := ParseAudioConfig(config)
		if err != nil || rate <= 0 {
			continue
		}
		t := &Track{
			Codec: AAC, ClockRate: f.clockRate, PayloadType: f.payloadType,
			Config: config, SampleRate: rate, Channels: channels,
			sizeLength:       number32(f.params["sizelength"]),
			indexLength:      number32(f.params["indexlength"]),
			indexDeltaLength: number32(f.params["indexdeltalength"]),
		}
		if t.sizeLength < 1 || t.sizeLength > 32 || t.indexLength > 32 || t.indexDeltaLength > 32 {
			continue
		}
		if t.ClockRate < 1000 || t.ClockRate > 1_000_000 {
			t.ClockRate = rate
		}
		t.control, _ = m.Attribute("control")
		return t
	}
	return nil
}
