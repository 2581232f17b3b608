package rtsp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// channels are the two interleaved channels of a track.
type channels struct{ rtp, rtcp byte }

// transportOffer is what a client asks for.
func transportOffer(c channels) string {
	return fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", c.rtp, c.rtcp)
}

// parseTransport reads the camera's answer to offer. It may choose other
// channels; it may not choose another way.
func parseTransport(v string, offer channels) (channels, error) {
	if v == "" {
		return offer, nil // forgotten by some; there is but one thing it can be
	}
	v, _, _ = strings.Cut(v, ",")
	profile, params, _ := strings.Cut(v, ";")
	if !strings.Contains(strings.ToUpper(profile), "TCP") && !strings.Contains(strings.ToLower(params), "interleaved") {
		return channels{}, fault(Protocol, nil, "the camera does not send over TCP")
	}
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "interleaved") {
			continue
		}
		first, second, both := strings.Cut(strings.TrimSpace(value), "-")
		a, err := strconv.ParseUint(first, 10, 8)
		if err != nil {
			return channels{}, fault(Protocol, nil, "interleaved channels out of range")
		}
		b := a + 1
		if both {
			if b, err = strconv.ParseUint(second, 10, 8); err != nil {
				return channels{}, fault(Protocol, nil, "interleaved channels out of range")
			}
		}
		if a == b || b > 255 {
			return channels{}, fault(Protocol, nil, "interleaved channels out of range")
		}
		return channels{byte(a), byte(b)}, nil
	}
	return offer, nil
}

// Bounds of a session's timeout, RFC 2326 §12.37.
const (
	assumedTimeout = 60 * time.Second
	longestTimeout = 24 * time.Hour
)

// parseSession reads a Session header: its id, and how long the session lives
// without a sign of ours.
func parseSession(v string) (id string, timeout time.Duration) {
	id, params, _ := strings.Cut(v, ";")
	timeout = assumedTimeout
	for p := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "timeout") {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil && n > 0 {
			timeout = min(time.Duration(n)*time.Second, longestTimeout)
		}
	}
	return strings.TrimSpace(id), timeout
}
