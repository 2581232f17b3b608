package rtsp

import (
	"time"

	"github.com/pion/rtcp"
)

// clock counts a track's RTP time in 64 bits, and knows by RTCP what the
// camera's own clock shows at it. The zero value has only to be given a rate.
type clock struct {
	rate    int64 // ticks a second
	started bool
	last    uint32 // RTP time of the newest packet
	now     int64  // the same, unwrapped

	mapped bool
	wall   time.Time // the camera's time at RTP time at
	at     int64
}

// mappingHolds is how far from a sender report, in seconds, the report is still
// believed: further off, the camera's RTP time has jumped since.
const mappingHolds = 300

// unwrap gives t in 64 bits: whichever of its meanings lies nearest to the
// packet before (RFC 3550 §5.1: the field wraps, every 13 h 15 m at 90 kHz).
// Time may go backwards: by B pictures, and by cameras that start over.
func (c *clock) unwrap(t uint32) int64 {
	if !c.started {
		c.started, c.now = true, int64(t)
	} else {
		c.now += int64(int32(t - c.last))
	}
	c.last = t
	return c.now
}

// report takes a sender report, after the first packet. What its clock shows is believed only within
// ten years of ours: cameras whose clock was never set report 1970, or the time
// since they were switched on.
func (c *clock) report(sr *rtcp.SenderReport, received time.Time) {
	wall, ok := fromNTP(sr.NTPTime, received)
	if !ok {
		c.mapped = false
		return
	}
	c.mapped, c.wall, c.at = true, wall, c.now+int64(int32(sr.RTPTime-c.last))
}

// wallOf is the camera's time at an unwrapped RTP time, zero while not known.
func (c *clock) wallOf(pts int64) time.Time {
	ticks := pts - c.at
	if !c.mapped || ticks > mappingHolds*c.rate || ticks < -mappingHolds*c.rate {
		return time.Time{}
	}
	return c.wall.Add(time.Duration(ticks) * time.Second / time.Duration(c.rate))
}

const (
	ntpToUnix = 2208988800 // seconds from 1900, where NTP begins, to 1970
	decade    = 10 * 365 * 24 * time.Hour
)

// fromNTP reads a 64-bit NTP timestamp of the era nearest to near (RFC 5905 §6).
func fromNTP(t uint64, near time.Time) (time.Time, bool) {
	// The 32 bits of seconds wrap in 2036 as RTP time does.
	seconds := near.Unix() + int64(int32(uint32(t>>32)-uint32(near.Unix()+ntpToUnix)))
	wall := time.Unix(seconds, int64((t&0xffffffff)*uint64(time.Second)>>32)).UTC()
	off := wall.Sub(near)
	return wall, off < decade && off > -decade
}

// toNTP writes a time as NTP does.
func toNTP(t time.Time) uint64 {
	return uint64(uint32(t.Unix()+ntpToUnix))<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}
