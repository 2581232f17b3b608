package field

import (
	"testing"
	"time"

	"cuulong/video/rtsp"
)

// switched is a camera whose faults are switched while it plays.
func switched(t *testing.T, f CameraFaults) (sw *CameraSwitch, address string) {
	t.Helper()
	sw = &CameraSwitch{}
	sw.Set("cam-1", f)
	return sw, "rtsp://" + serveCameras(t, CameraOptions{Stamp: true, Faults: sw.Faults}) + "/cam-1"
}

// until reads pictures until one is as wanted.
func until(t *testing.T, s *rtsp.Session, what string, is func(u rtsp.Unit) bool) rtsp.Unit {
	t.Helper()
	for range 12 * demoFPS {
		if u := read(t, s); is(u) {
			return u
		}
	}
	t.Fatalf("in 12 s: %s", what)
	return rtsp.Unit{}
}

func TestCameraFaultsAtTheBeginning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		faults CameraFaults
		want   rtsp.Code
	}{
		{"refuses", CameraFaults{Refuse: true}, rtsp.BadStatus},
		{"H.265", CameraFaults{SDP: "codec"}, rtsp.UnsupportedCodec},
		{"lone m=video", CameraFaults{SDP: "lone"}, rtsp.BadDescription},
		{"garbage", CameraFaults{SDP: "garbage"}, rtsp.BadDescription},
	} {
		t.Run(c.name, func(t *testing.T) {
			sw, address := switched(t, c.faults)
			if _, err := dialCamera(t, address, rtsp.Options{}); code(err) != c.want {
				t.Errorf("%v (%s), want %s", err, code(err), c.want)
			}
			sw.Mend()
			read(t, look(t, address))
		})
	}
}

func TestCameraIsSilent(t *testing.T) {
	t.Parallel()
	_, address := switched(t, CameraFaults{Silence: true})
	s, err := dialCamera(t, address, rtsp.Options{Silence: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := s.Read(); code(err) != rtsp.Silent {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestCameraFlaps(t *testing.T) {
	t.Parallel()
	_, address := switched(t, CameraFaults{Flap: 500 * time.Millisecond})
	for range 2 { // each session anew
		s := look(t, address)
		read(t, s)
		for {
			if _, err := s.Read(); err != nil {
				if code(err) != rtsp.Ended {
					t.Errorf("%v", err)
				}
				break
			}
		}
	}
}

func TestCameraRefusesWhileItPlays(t *testing.T) {
	t.Parallel()
	sw, address := switched(t, CameraFaults{})
	s := look(t, address)
	read(t, s)
	sw.Set("cam-1", CameraFaults{Refuse: true})
	for {
		if _, err := s.Read(); err != nil {
			if code(err) != rtsp.Ended {
				t.Errorf("%v", err)
			}
			return
		}
	}
}

func TestCameraStalls(t *testing.T) {
	t.Parallel()
	// Stalled at one picture and at the key frames that come next.
	asked := 0
	address := serveCameras(t, CameraOptions{Stamp: true, Faults: func(string) CameraFaults {
		asked++ // by one session, which has one goroutine at a time
		return CameraFaults{Stall: asked > 40 && asked <= 43}
	}})
	s := look(t, "rtsp://"+address+"/cam-1")
	var last uint64
	until(t, s, "no gap", func(u rtsp.Unit) bool {
		n, _, _ := ReadStamp(u.Data)
		gap := last > 0 && n > last+1
		if last = n; gap && !u.Key {
			t.Error("goes on within a group")
		}
		return gap
	})
}

func TestCameraTimeJumps(t *testing.T) {
	t.Parallel()
	sw, address := switched(t, CameraFaults{})
	s := look(t, address)
	pts := read(t, s).PTS
	for _, jump := range []time.Duration{time.Hour, -time.Minute} {
		was := sw.Faults("cam-1").Jump
		sw.Set("cam-1", CameraFaults{Jump: jump})
		want := int64((jump-was)/time.Second)*90000 + 90000/demoFPS
		until(t, s, "no jump", func(u rtsp.Unit) bool {
			d := u.PTS - pts
			pts = u.PTS
			if d != want && d != 90000/demoFPS {
				t.Fatalf("the time goes on by %d ticks, want %d", d, want)
			}
			return d == want
		})
	}
}

func TestCameraChangesItsPicture(t *testing.T) {
	t.Parallel()
	sw, address := switched(t, CameraFaults{})
	s := look(t, address)
	read(t, s)
	for _, want := range []int{320, 640} {
		sw.Set("cam-1", CameraFaults{Bars: want == 320})
		u := until(t, s, "the same picture", func(u rtsp.Unit) bool {
			pic, err := rtsp.ParseSPS(u.SPS)
			if err != nil {
				t.Fatal(err)
			}
			return pic.Width == want
		})
		if !u.Key {
			t.Errorf("%d wide within a group", want)
		}
	}
}

func TestCameraLosesPackets(t *testing.T) {
	t.Parallel()
	sw, address := switched(t, CameraFaults{})
	s := look(t, address)
	read(t, s)
	sw.Set("cam-1", CameraFaults{Drop: 0.3})
	until(t, s, "nothing lost", func(u rtsp.Unit) bool { return u.Lost })
}
