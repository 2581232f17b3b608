package video

import (
	"testing"
	"time"

	"cuulong/video/rtsp"
)

func TestPicturesOverTheWire(t *testing.T) {
	address, stopCamera := serve(t, rtsp.ServerOptions{
		Open:     only(feed{every: 20 * time.Millisecond, gop: 10, size: 3000}),
		Password: func(user string) (string, bool) { return "bí mật", user == "xem" },
	})
	c := open(t)
	create(t, c, camera("cam-1", "rtsp://xem:b%C3%AD%20m%E1%BA%ADt@"+address+"/live"))
	start(t, c)
	v := subscribe(t, c, "cam-1")
	s := nextStream(t, v)
	if s.Codecs != "avc1.42001f" || s.Width != 640 || s.Height != 352 || len(s.Init) == 0 {
		t.Errorf("stream %+v", s)
	}
	var lastDTS uint64
	for i := range 25 {
		ev := next(t, v)
		n, sample := numberOf(t, ev.Fragment)
		if i == 0 && !sample.Key {
			t.Error("the first picture is no key frame")
		}
		if i > 0 && (sample.DTS <= lastDTS || sample.DTS-lastDTS > 3600) {
			t.Errorf("picture %d comes %d ticks after the one before", n, sample.DTS-lastDTS)
		}
		lastDTS = sample.DTS
	}
	stopCamera()
	for {
		ev := next(t, v)
		if ev.Lost != nil {
			if ev.Lost.State != Retrying || ev.Lost.Code != rtsp.Ended && ev.Lost.Code != rtsp.Refused {
				t.Errorf("lost: %+v", ev.Lost)
			}
			break
		}
	}
}
