package ui

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"cuulong/video/rtsp"
)

const clipFPS = 25

// clip is a second of moving shapes and noise, as access units: some 9 Mbit/s,
// so that who does not read it soon blocks.
var clip = sync.OnceValues(func() ([]rtsp.Unit, error) {
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=320x180:rate=%d:duration=1,noise=alls=40:allf=t", clipFPS),
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "24", "-g", fmt.Sprint(clipFPS), "-bf", "0",
		"-x264-params", "aud=1:scenecut=0:slices=1:repeat-headers=1", "-f", "h264", "-").Output()
	if err != nil {
		return nil, fmt.Errorf("ffmpeg: %w", err)
	}
	return accessUnits(out)
})

// accessUnits reads Annex B with delimiters and three- or four-byte start codes.
func accessUnits(annexB []byte) ([]rtsp.Unit, error) {
	var units []rtsp.Unit
	var sps, pps []byte
	for _, nal := range bytes.Split(annexB, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		if len(nal) == 0 {
			continue
		}
		switch kind := nal[0] & 31; kind {
		case 9: // delimiter
			units = append(units, rtsp.Unit{PTS: int64(len(units)) * 90000 / clipFPS})
		case 7:
			sps = nal
		case 8:
			pps = nal
		default:
			u := &units[len(units)-1]
			u.Key = u.Key || kind == 5
			u.SPS, u.PPS = sps, pps
			u.Data = append(binary.BigEndian.AppendUint32(u.Data, uint32(len(nal))), nal...)
		}
	}
	if len(units) != clipFPS || !units[0].Key || sps == nil {
		return nil, fmt.Errorf("%d access units", len(units))
	}
	return units, nil
}

// testCamera is a camera behind a password, served by our own RTSP server.
type testCamera struct {
	t      testing.TB
	units  []rtsp.Unit
	addr   string
	server *rtsp.Server
	done   chan struct{}
}

func newTestCamera(t testing.TB) *testCamera {
	t.Helper()
	c := &testCamera{t: t, units: must[[]rtsp.Unit](t)(clip()), addr: "127.0.0.1:0"}
	c.start()
	t.Cleanup(c.stop)
	return c
}

func (c *testCamera) url() string { return "rtsp://admin:" + geheim + "@" + c.addr + "/cam" }

// start serves, after a stop again at the same address.
func (c *testCamera) start() {
	c.t.Helper()
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.addr = l.Addr().String()
	c.done = make(chan struct{})
	c.server = rtsp.NewServer(rtsp.ServerOptions{
		Open: func(path string) (rtsp.Source, error) {
			if path != "cam" {
				return nil, fs.ErrNotExist
			}
			return c, nil
		},
		Password: func(user string) (string, bool) { return geheim, user == "admin" },
	})
	go func() {
		defer close(c.done)
		c.server.Serve(l)
	}()
}

func (c *testCamera) stop() {
	c.server.Close()
	<-c.done
}

func (c *testCamera) Tracks() []rtsp.Track {
	return []rtsp.Track{{Codec: rtsp.H264, ClockRate: 90000, PayloadType: 96, SPS: c.units[0].SPS, PPS: c.units[0].PPS}}
}

func (c *testCamera) Play(ctx context.Context, w *rtsp.Writer) error {
	tick := time.NewTicker(time.Second / clipFPS)
	defer tick.Stop()
	for n := 0; ; n++ {
		u := c.units[n%len(c.units)]
		u.PTS += int64(n/len(c.units)) * 90000
		if err := w.Write(u); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
