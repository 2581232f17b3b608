package rtsp

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestWallClock(t *testing.T) {
	s := newScript(t, h264Track())
	report := func(wall time.Time, rtpTime uint32) {
		s.a.report(&rtcp.SenderReport{NTPTime: toNTP(wall), RTPTime: rtpTime})
	}
	near := func(i int, want time.Time) {
		t.Helper()
		if d := s.units[i].Wall.Sub(want); d < -time.Microsecond || d > time.Microsecond {
			t.Errorf("unit %d at %v, want %v", i, s.units[i].Wall, want)
		}
	}
	camera := s.at.Add(-time.Hour) // its clock is slow by an hour
	begin := uint32(0xffff_ff00)
	s.all(begin, first(10)) // nothing is known
	report(camera, begin+90000)
	s.all(begin+180000, first(10))
	s.all(begin+mappingHolds*90000+180000, first(10)) // too far from any report
	if !s.units[0].Wall.IsZero() || !s.units[2].Wall.IsZero() {
		t.Errorf("known out of nothing: %v %v", s.units[0].Wall, s.units[2].Wall)
	}
	near(1, camera.Add(time.Second))
	report(time.Unix(0, 0), begin) // a clock that was never set
	s.all(begin+180000, first(10))
	if !s.units[3].Wall.IsZero() {
		t.Errorf("1970 believed: %v", s.units[3].Wall)
	}
	wrapped := time.Date(2036, 2, 7, 7, 0, 0, 0, time.UTC) // half an hour after NTP wrapped
	s.at = wrapped
	s.all(0, first(10))
	report(wrapped.Add(-time.Hour), 0)
	s.all(90000, first(10))
	near(5, wrapped.Add(-time.Hour+time.Second))
}

func TestWallClockOfAReportBeforeAllPackets(t *testing.T) {
	s := newScript(t, h264Track())
	want := s.at.Add(-time.Minute).UTC()
	s.a.report(&rtcp.SenderReport{NTPTime: toNTP(want.Add(-time.Second)), RTPTime: 0xffff_fff0})
	s.all(90000-16, first(10)) // its time has wrapped since
	if got := s.units[0].Wall; got.Sub(want).Abs() > time.Microsecond {
		t.Errorf("wall %v, want %v", got, want)
	}
}
