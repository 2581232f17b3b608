package video

import (
	"bytes"
	"time"

	"cuulong/video/fmp4"
	"cuulong/video/rtsp"
)

const (
	videoTrack = 1 // track IDs of the stream
	soundTrack = 2

	soundLost   = time.Second      // without sound the stream becomes pictures only
	soundSettle = 10 * time.Second // before it comes back
)

// mux turns a session's access units into fragments of one stream. It is owned
// by the camera's supervisor and lives as long as the camera, so that output time
// rises over all sessions.
type mux struct {
	meters *meters
	tracks []rtsp.Track

	video timeline
	seq   uint32
	muted bool      // the camera announced sound and sent none
	deaf  bool      // its sound cannot be described, in this session
	epoch time.Time // units' arrival counts from here

	stream    *Stream
	sps, pps  []byte // of stream
	withSound bool   // stream has sound
	changed   time.Time
	waiting   bool // for a key frame

	shownAt   time.Time // arrival, wall time and place of the last picture
	shownWall time.Time
	shownPTS  int64

	heard   time.Time // when sound came last
	sound   soundline
	silence []byte      // a frame of it
	frames  soundFrames // since the last picture

	samples []fmp4.Sample // reused
}

// begin starts a session.
func (m *mux) begin(tracks []rtsp.Track, now time.Time) {
	m.tracks = tracks
	m.stream, m.sps, m.pps = nil, nil, nil
	m.waiting, m.deaf = true, false
	m.changed, m.heard = time.Time{}, time.Time{}
	m.shownAt = time.Time{}
	m.frames.clear()
	if len(tracks) > 1 {
		m.sound.begin(tracks[1].ClockRate, tracks[1].SampleRate)
		if !m.muted {
			m.heard = now // it is believed until a second has gone without
		}
	}
}

// push takes one unit. ok tells that it became out, the next to publish.
func (m *mux) push(u *rtsp.Unit) (out unit, ok bool) {
	if u.Track != 0 {
		m.listen(u)
		return unit{}, false
	}
	if u.Lost && !m.waiting {
		// What was lost is gone before this unit; a key frame does without it.
		m.meters.drop(damaged, 1)
		m.waiting = true
	}
	if u.Key {
		m.waiting = !m.describe(u)
	} else if !m.waiting && !m.same(u) {
		m.waiting = true // new parameter sets begin with a key frame
	}
	if m.waiting {
		m.meters.drop(noKey, 1)
		m.dropSound()
		return unit{}, false
	}
	dts, cts, duration, _ := m.video.place(u.PTS, u.Key)
	m.samples = append(m.samples[:0], fmp4.Sample{Track: videoTrack, DTS: dts, CTS: cts, Duration: duration, Key: u.Key, Data: u.Data})
	if m.withSound {
		m.fillSound(int64(dts) + int64(cts))
		m.samples = append(m.samples, m.frames.samples()...)
	}
	m.seq++
	size := fmp4.FragmentSize(m.samples)
	if size > ringBytes {
		m.meters.drop(damaged, 1)
		m.waiting = true
		m.dropSound()
		return unit{}, false
	}
	out = unit{
		fragment: fmp4.AppendFragment(make([]byte, 0, size), m.seq, m.samples),
		stream:   m.stream, dts: dts, at: u.Received.Sub(m.epoch), key: u.Key,
	}
	m.frames.clear()
	m.shownAt, m.shownWall, m.shownPTS = u.Received, u.Wall, int64(dts)+int64(cts)
	return out, true
}

func (m *mux) same(u *rtsp.Unit) bool {
	return m.stream != nil && equal(u.SPS, m.sps) && equal(u.PPS, m.pps)
}

// equal compares parameter sets, which are mostly the same slice.
func equal(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) || bytes.Equal(a, b)
}

// describe sees to it that the stream is what begins with this key frame. It is
// false where the key frame cannot be begun with.
func (m *mux) describe(u *rtsp.Unit) bool {
	sound := len(m.tracks) > 1 && !m.deaf && !m.heard.IsZero() && u.Received.Sub(m.heard) <= soundLost
	if sound && !m.withSound && m.stream != nil && u.Received.Sub(m.changed) < soundSettle {
		sound = false
	}
	if m.same(u) && sound == m.withSound {
		return true
	}
	if len(u.SPS) == 0 || len(u.PPS) == 0 {
		return false // nothing to describe it by yet
	}
	picture, err := rtsp.ParseSPS(u.SPS)
	if err != nil {
		m.meters.drop(damaged, 1)
		return false
	}
	tracks := []fmp4.Track{{ID: videoTrack, Timescale: videoRate,
		AVC: &fmp4.AVC{SPS: u.SPS, PPS: u.PPS, Width: picture.Width, Height: picture.Height}}}
	if sound {
		t := m.tracks[1]
		aac := &fmp4.AAC{Config: t.Config, SampleRate: t.SampleRate, Channels: t.Channels}
		m.silence = aac.Silence()
		tracks = append(tracks, fmp4.Track{ID: soundTrack, Timescale: uint32(t.SampleRate), AAC: aac})
	}
	head, err := fmp4.AppendInit(nil, tracks)
	if sound && (err != nil || m.silence == nil) {
		// Nor is sound taken whose holes could not be filled.
		sound, m.deaf = false, true
		tracks = tracks[:1]
		head, err = fmp4.AppendInit(nil, tracks)
	}
	if err != nil {
		m.meters.drop(damaged, 1)
		return false
	}
	if !m.same(u) {
		m.video.begin(m.tracks[0].ClockRate, picture.FPS, reorderDepth(u.SPS))
	}
	m.muted = len(m.tracks) > 1 && !sound
	m.stream = &Stream{Codecs: fmp4.Codecs(tracks), Width: picture.Width, Height: picture.Height, Init: head}
	m.sps, m.pps, m.withSound, m.changed = u.SPS, u.PPS, sound, u.Received
	m.frames.clear() // of the stream before
	m.sound.restart()
	return true
}
