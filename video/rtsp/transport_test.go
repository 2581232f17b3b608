package rtsp

import (
	"errors"
	"testing"
	"time"
)

func TestParseTransport(t *testing.T) {
	offer := channels{2, 3}
	for _, c := range []struct {
		in   string
		want channels
		ok   bool
	}{
		{"RTP/AVP/TCP;unicast;interleaved=2-3", channels{2, 3}, true},
		{"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1F;mode=\"PLAY\"", channels{0, 1}, true},
		{"rtp/avp/tcp; unicast; Interleaved = 8-9", channels{8, 9}, true},
		{"RTP/AVP/TCP;interleaved=4", channels{4, 5}, true},
		{"RTP/AVP/TCP;interleaved=9-4", channels{9, 4}, true},
		{"RTP/AVP;unicast;interleaved=6-7", channels{6, 7}, true}, // TCP is meant
		{"RTP/AVP/TCP;unicast", offer, true},
		{"RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast", channels{0, 1}, true},
		{"", offer, true},
		{"RTP/AVP/TCP;interleaved=254-255", channels{254, 255}, true},
		{"RTP/AVP/TCP;interleaved=255", channels{}, false},
		{"RTP/AVP/TCP;interleaved=256-257", channels{}, false},
		{"RTP/AVP/TCP;interleaved=1-256", channels{}, false},
		{"RTP/AVP/TCP;interleaved=5-5", channels{}, false},
		{"RTP/AVP/TCP;interleaved=a-b", channels{}, false},
		{"RTP/AVP/TCP;interleaved=", channels{}, false},
		{"RTP/AVP;unicast;client_port=5000-5001", channels{}, false},
		{"RTP/AVP/UDP;multicast", channels{}, false},
	} {
		got, err := parseTransport(c.in, offer)
		var f *Error
		if (err == nil) != c.ok || c.ok && got != c.want || !c.ok && (!errors.As(err, &f) || f.Code != Protocol) {
			t.Errorf("%q: %v, %v", c.in, got, err)
		}
	}
}

func TestParseSession(t *testing.T) {
	for _, c := range []struct {
		in      string
		id      string
		timeout time.Duration
	}{
		{"1234", "1234", time.Minute},
		{"1234;timeout=30", "1234", 30 * time.Second},
		{" a-b.c+$ ; Timeout = 90 ;x=y", "a-b.c+$", 90 * time.Second},
		{"1;timeout=0", "1", time.Minute},
		{"1;timeout=-5", "1", time.Minute},
		{"1;timeout=soon", "1", time.Minute},
		{"1;timeout=4294967295", "1", longestTimeout},
		{"1;timeout=99999999999999999999", "1", time.Minute},
		{"1;timeout", "1", time.Minute},
		{"", "", time.Minute},
	} {
		if id, timeout := parseSession(c.in); id != c.id || timeout != c.timeout {
			t.Errorf("%q: %q, %v", c.in, id, timeout)
		}
	}
}
