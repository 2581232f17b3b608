package rtsp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Describe writes the SDP of tracks, as the server does for a Source that is no
// Describer: for one that wants to lie about a part of it.
func Describe(tracks []Track) []byte {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n")
	for i, t := range completed(tracks) {
		pt := t.PayloadType
		switch t.Codec {
		case H264:
			fmt.Fprintf(&b, "m=video 0 RTP/AVP %d\r\na=rtpmap:%d H264/%d\r\na=fmtp:%d packetization-mode=1", pt, pt, t.ClockRate, pt)
			if len(t.SPS) >= 4 && len(t.PPS) > 0 {
				fmt.Fprintf(&b, ";profile-level-id=%s;sprop-parameter-sets=%s,%s", hex.EncodeToString(t.SPS[1:4]),
					base64.StdEncoding.EncodeToString(t.SPS), base64.StdEncoding.EncodeToString(t.PPS))
			}
			b.WriteString("\r\n")
		case AAC:
			fmt.Fprintf(&b, "m=audio 0 RTP/AVP %d\r\na=rtpmap:%d mpeg4-generic/%d/%d\r\n", pt, pt, t.ClockRate, t.Channels)
			fmt.Fprintf(&b, "a=fmtp:%d streamtype=5;profile-level-id=1;mode=AAC-hbr;config=%s;sizelength=13;indexlength=3;indexdeltalength=3\r\n",
				pt, hex.EncodeToString(t.Config))
		}
		fmt.Fprintf(&b, "a=control:%s%d\r\n", trackControl, i)
	}
	return []byte(b.String())
}

const trackControl = "track" // and the track's number

// completed gives tracks a payload type and a clock where they have none.
func completed(tracks []Track) []Track {
	all := make([]Track, len(tracks))
	for i, t := range tracks {
		if t.PayloadType == 0 {
			t.PayloadType = uint8(96 + i)
		}
		if t.ClockRate == 0 {
			t.ClockRate = 90000
			if t.Codec == AAC {
				t.ClockRate = t.SampleRate
			}
		}
		all[i] = t
	}
	return all
}
