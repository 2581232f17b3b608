package field

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"cuulong/video/rtsp"
)

// camera is the source of one session.
type camera struct {
	reel   reel
	other  *Clip         // what it shows under the fault Bars
	phase  time.Duration // how far it is ahead of the clock
	stamp  bool
	faults func() CameraFaults
	seed   uint64
}

var (
	errRefuses = errors.New("the simulated camera refuses")
	errFlaps   = errors.New("the simulated camera ends the session")
)

// source is the camera as the faults at a session's beginning make it.
func (c *camera) source() (rtsp.Source, error) {
	f := c.faults()
	switch {
	case f.Refuse:
		return nil, errRefuses
	case f.SDP != "":
		return liar{c, lie(f.SDP, c.seed)}, nil
	default:
		return c, nil
	}
}

// liar is a camera with a false description.
type liar struct {
	*camera
	sdp []byte
}

func (l liar) Describe() []byte { return l.sdp }

// Tracks are the picture and, where there is one, the sound.
func (c *camera) Tracks() []rtsp.Track {
	tracks := []rtsp.Track{c.reel.clip.track()}
	if c.reel.sound != nil {
		tracks = append(tracks, c.reel.sound.track)
	}
	return tracks
}

// Play sends what the clock says, each unit when it is due. It begins with the
// key frame of the group that runs, and what followed until now at once, as
// cameras do that are asked for a key frame.
func (c *camera) Play(ctx context.Context, w *rtsp.Writer) error {
	p := player{camera: c, w: w, began: time.Now(), rand: rand.New(rand.NewPCG(c.seed, 1))}
	p.now = c.faults()
	if p.now.Silence {
		<-ctx.Done()
		return ctx.Err()
	}
	w.Packet = p.packet
	p.start(c.reel.clip)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, isSound := p.due()
		// Set even where it is past: a client that is gone ends the loop.
		timer.Reset(time.Until(due.Add(-c.phase)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if err := p.send(isSound); err != nil {
			return err
		}
	}
}

// player is the state of one session.
type player struct {
	*camera
	w       *rtsp.Writer
	began   time.Time
	rand    *rand.Rand
	now     CameraFaults // as of the last unit
	clip    *Clip        // that plays
	picture int64        // next, counted from 1970 on
	frame   int64        // next of the sound, likewise
	buf     []byte       // of the unit with its stamp
}

// clock is the time of the camera.
func (p *player) clock() time.Time { return time.Now().Add(p.phase) }

func (p *player) pictures() beat { return beat{rate: p.clip.fps, step: 1} }
func (p *player) sounds() beat {
	return beat{rate: int64(p.reel.sound.track.ClockRate), step: aacSamples}
}

// start goes to the key frame of the group that runs.
func (p *player) start(clip *Clip) {
	p.clip = clip
	p.picture = clip.keyBefore(p.pictures().at(p.clock()))
	if p.reel.sound != nil {
		p.frame = p.sounds().at(p.pictures().due(p.picture)) + 1
	}
}

// due is when the next unit is, by the clock.
func (p *player) due() (at time.Time, isSound bool) {
	at = p.pictures().due(p.picture)
	if p.reel.sound != nil {
		if s := p.sounds().due(p.frame); s.Before(at) {
			return s, true
		}
	}
	return at, false
}

// send sends the unit that is due, or what the faults make of it.
func (p *player) send(isSound bool) error {
	p.now = p.faults()
	if p.now.Refuse {
		return errRefuses
	}
	if p.now.Flap > 0 && time.Since(p.began) >= p.now.Flap {
		return errFlaps
	}
	if isSound {
		i := p.frame
		p.frame++
		if p.now.Stall {
			return nil
		}
		return p.w.Write(rtsp.Unit{Track: 1, Key: true, Data: p.reel.sound.frames[mod(i, len(p.reel.sound.frames))],
			Wall: p.sounds().due(i), PTS: i*aacSamples + p.jump(p.reel.sound.track.ClockRate)})
	}
	if p.now.Stall {
		p.picture = p.clip.keyFrom(p.picture + 1)
		return nil
	}
	clip := p.reel.clip
	if p.now.Bars {
		clip = p.other
	}
	newest := p.pictures().at(p.clock())
	switch {
	case clip != p.clip:
		p.clip = clip
		p.picture = clip.keyFrom(p.pictures().at(p.clock()) + 1)
		return nil
	case p.clip.keyBefore(newest) > p.picture+5*p.clip.fps || p.picture > newest+p.clip.fps:
		p.start(clip) // the client did not read for long, or the clock was set
		return nil
	}
	i := p.picture
	p.picture++
	u := p.clip.unit(i)
	data := u.data
	if p.stamp {
		p.buf = append(appendStamp(p.buf[:0], uint64(i), time.Now()), data...)
		data = p.buf
	}
	return p.w.Write(rtsp.Unit{Track: 0, Key: p.clip.isKey(i), Data: data, SPS: u.sps, PPS: u.pps,
		Wall: p.pictures().due(i), PTS: i*90000/p.clip.fps + p.jump(90000)})
}

// jump is how far the camera's RTP time is off, in ticks.
func (p *player) jump(rate int) int64 {
	d := p.now.Jump
	return int64(d/time.Second)*int64(rate) + int64(d%time.Second)*int64(rate)/1e9
}

// packet loses packets by chance.
func (p *player) packet(_ int, packet []byte) [][]byte {
	if chance(p.rand, p.now.Drop) {
		return nil
	}
	return [][]byte{packet}
}

// beat counts units from 1970 on: step ticks each, rate ticks a second.
type beat struct{ rate, step int64 }

// at is the newest unit that is due at t.
func (b beat) at(t time.Time) int64 {
	ticks := t.Unix()*b.rate + int64(t.Nanosecond())*b.rate/1e9
	return ticks / b.step
}

// due is the first moment at which at gives i.
func (b beat) due(i int64) time.Time {
	ticks := i * b.step
	return time.Unix(ticks/b.rate, (ticks%b.rate*1e9+b.rate-1)/b.rate)
}
