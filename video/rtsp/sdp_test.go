package rtsp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Descriptions as cameras and servers of many makers write them.
func TestDescriptionsOfTheWorld(t *testing.T) {
	for _, c := range []struct {
		file          string // in testdata/sdp
		session       string
		video         string // control
		payloadType   uint8
		width, height int // of the parameter sets; 0: none given
		audio         string
		rate          int // 0: no sound that can be used
	}{
		{"hikvision", "rtsp://192.168.1.64:554/Streaming/Channels/101/", "rtsp://192.168.1.64:554/Streaming/Channels/101/trackID=1", 96, 1920, 1080, "", 0},
		{"dahua", "*", "trackID=0", 96, 1920, 1080, "trackID=1", 16000},
		{"axis", "rtsp://192.168.0.90/axis-media/media.amp?videocodec=h264", "rtsp://192.168.0.90/axis-media/media.amp/stream=0?videocodec=h264", 96, 1920, 1080, "", 0},
		{"uniview", "", "rtsp://192.168.1.13/media/video1/video", 105, 0, 0, "", 0},
		{"xiongmai", "*", "trackID=3", 96, 0, 0, "", 0},
		{"tapo", "", "track1", 96, 0, 0, "", 0},
		{"gstreamer", "*", "stream=0", 96, 320, 240, "stream=1", 16000},
		{"mediamtx", "*", "rtsp://127.0.0.1:8554/cam/trackID=0", 96, 1920, 1080, "rtsp://127.0.0.1:8554/cam/trackID=1", 48000},
		{"vlc", "rtsp://127.0.0.1:8554/cam", "rtsp://127.0.0.1:8554/cam/trackID=1", 96, 0, 0, "rtsp://127.0.0.1:8554/cam/trackID=0", 44100},
		{"live555", "rtsp://192.168.1.20/ch0/", "track1", 96, 0, 0, "", 0},
	} {
		raw, err := os.ReadFile(filepath.Join("testdata/sdp", c.file+".sdp"))
		if err != nil {
			t.Fatal(err)
		}
		lf := strings.ReplaceAll(string(raw), "\r\n", "\n")
		for name, text := range map[string]string{
			"LF":                        lf,
			"CR LF":                     strings.ReplaceAll(lf, "\n", "\r\n"),
			"CR":                        strings.ReplaceAll(lf, "\n", "\r"),
			"without the session lines": withoutSessionLines(lf),
			"with a NUL at the end":     lf + "\x00",
			"with spaces around lines":  strings.ReplaceAll(lf, "\n", "  \r\n "),
			"with lines that are none":  strings.ReplaceAll(lf, "\n", "\n\nx\nz=\nAuthor: \xff\xfe\n"),
		} {
			d, err := parseDescription([]byte(text))
			if err != nil {
				t.Errorf("%s, %s: %v", c.file, name, err)
				continue
			}
			if d.control != c.session {
				t.Errorf("%s, %s: control of the session %q", c.file, name, d.control)
			}
			if v := d.video; v.Codec != H264 || v.ClockRate != 90000 || v.control != c.video || v.PayloadType != c.payloadType {
				t.Errorf("%s, %s: video %+v", c.file, name, v)
			}
			p, _ := ParseSPS(d.video.SPS)
			if p.Width != c.width || p.Height != c.height || (c.width > 0) != (len(d.video.PPS) > 0) {
				t.Errorf("%s, %s: picture %+v, PPS %x", c.file, name, p, d.video.PPS)
			}
			switch a := d.audio; {
			case (a != nil) != (c.rate > 0):
				t.Errorf("%s, %s: audio %+v", c.file, name, a)
			case a != nil && (a.Codec != AAC || a.control != c.audio || a.SampleRate != c.rate || a.sizeLength != 13 || a.indexLength != 3 || a.indexDeltaLength != 3):
				t.Errorf("%s, %s: audio %+v", c.file, name, a)
			}
		}
	}
}

func withoutSessionLines(sdp string) string {
	var b strings.Builder
	for line := range strings.Lines(sdp) {
		if line[0] == 'a' || line[0] == 'm' {
			b.WriteString(line)
		}
	}
	return b.String()
}

// What a description says that cannot be played, and how that is told.
func TestDescriptionsRefused(t *testing.T) {
	for _, c := range []struct {
		name, media string
		want        Code
		says        string
	}{
		{"nothing", "", BadDescription, ""},
		{"not SDP", "<html><body>login</body></html>", BadDescription, ""},
		{"lone m=video", "m=video", BadDescription, ""},
		{"no formats", "m=video 0 RTP/AVP\n", BadDescription, ""},
		{"not RTP", "m=video 0 UDP 33\n", BadDescription, ""},
		{"sound alone", testAudio, NoVideo, ""},
		{"H.265", "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n", UnsupportedCodec, "H.265"},
		{"MJPEG without rtpmap", "m=video 0 RTP/AVP 26\n", UnsupportedCodec, "MJPEG"},
		{"MPEG-4", "m=video 0 RTP/AVP 96\na=rtpmap:96 mp4v-es/90000\n", UnsupportedCodec, "MPEG-4 Visual"},
		{"unknown", "m=video 0 RTP/AVP 96\na=rtpmap:96 " + secret + "/90000\n", UnsupportedCodec, "an unknown codec"},
		{"no rtpmap", "m=video 0 RTP/AVP 96\n", UnsupportedCodec, "an unknown codec"},
		{"payload type out of range", "m=video 0 RTP/AVP 128 -1 x\na=rtpmap:128 H264/90000\n", UnsupportedCodec, "an unknown codec"},
		{"H.264 in interleaved packets", "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=2\n", UnsupportedCodec, "interleaved"},
		{"17 media", strings.Repeat("m=application 0 RTP/AVP 96\n", 17), TooLarge, ""},
	} {
		_, err := parseDescription([]byte("v=0\n" + c.media))
		checkFault(t, c.name, err, c.want)
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", c.name, err, c.says)
		}
	}
}

// Of several, the one that can be played is taken; nonsense beside it is no harm.
func TestDescriptionsWithFlaws(t *testing.T) {
	const h264 = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:good\n"
	for _, c := range []struct{ name, sdp string }{
		{"H.265 first", "m=video 0 RTP/AVP 98\na=rtpmap:98 H265/90000\na=control:other\n" + h264},
		{"H.264 twice", h264 + "m=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\na=control:second\n"},
		{"H.264 beside others in one medium", "m=video 0 RTP/AVP 98 96\na=rtpmap:98 H265/90000\na=rtpmap:96 h264/90000\na=control:good\n"},
		{"medium that is none", "m=video\na=control:bad\nm=application/x 0 y z\na=control:worse\n" + h264},
		{"broken parameter sets", h264 + "a=fmtp:96 sprop-parameter-sets=!!!,Zw==," + strings.Repeat("Z", 9000) + "\n"},
		{"parameter sets that lie", h264 + "a=fmtp:96 sprop-parameter-sets=Z0I=,aA==\n"},
		{"clock of 0", "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\na=control:good\n"},
		{"clock without end", "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/99999999999999999999\na=control:good\n"},
		{"sound that cannot be read", h264 + "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000\na=fmtp:97 mode=AAC-hbr;config=zz;sizelength=13\n"},
		{"sound without sizes", h264 + "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000\na=fmtp:97 mode=AAC-hbr;config=1408\n"},
		{"sound with sizes of 99 bits", h264 + "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000\na=fmtp:97 mode=AAC-hbr;config=1408;sizelength=99\n"},
	} {
		d, err := parseDescription([]byte(c.sdp))
		if err != nil || d.video.control != "good" || d.video.ClockRate != 90000 || d.audio != nil || d.video.SPS != nil {
			t.Errorf("%s: %+v, %v", c.name, d, err)
		}
	}
	d, err := parseDescription([]byte(h264 + "a=fmtp:96 sprop-parameter-sets=AAAAAWdCwB7ZA8VoQAAAAwBAAAAMA8WLkg==,AAAAAWjLjLI=\n"))
	sps, pps := testNALs(t)
	if err != nil || string(d.video.SPS) != string(sps) || string(d.video.PPS) != string(pps) {
		t.Errorf("parameter sets with start codes: %x %x, %v", d.video.SPS, d.video.PPS, err)
	}
}

func FuzzDescription(f *testing.F) {
	files, err := filepath.Glob("testdata/sdp/*.sdp")
	if err != nil || len(files) == 0 {
		f.Fatal("no descriptions: ", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDescription(b)
		if err != nil {
			if fault := (*Error)(nil); !errors.As(err, &fault) {
				t.Errorf("%v is no *Error", err)
			}
			return
		}
		if _, err := newAssembler(0, d.video); err != nil {
			t.Errorf("%+v has no assembler: %v", d.video, err)
		}
		base := target{"rtsp://h", "/cam"}
		if to, ok := base.control(d.video.control); ok && !strings.HasPrefix(to.String(), "rtsp://h/") {
			t.Errorf("control %q leads to %s", d.video.control, to)
		}
	})
}
