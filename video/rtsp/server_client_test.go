package rtsp

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"testing"
	"time"
)

// TestOurClientAtOurServer carries a film with sound there and back, unchanged.
func TestOurClientAtOurServer(t *testing.T) {
	c := withSound(t, film(t))
	_, address := listen(t, ServerOptions{
		Open:     only("cam-1", c),
		Password: func(user string) (string, bool) { return "p@ß", user == "ü" },
	})
	u := &url.URL{Scheme: "rtsp", User: url.UserPassword("ü", "p@ß"), Host: address, Path: "/cam-1"}
	s, err := Dial(t.Context(), u, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tracks := s.Tracks()
	if len(tracks) != 2 || tracks[0].Codec != H264 || tracks[1].Codec != AAC || !bytes.Equal(tracks[0].SPS, c.tracks[0].SPS) {
		t.Fatalf("tracks %+v", tracks)
	}
	for i, want := range c.units {
		got, err := s.Read()
		if err != nil {
			t.Fatal(err)
		}
		if got.Track != want.Track || got.PTS != want.PTS || got.Key != want.Key || got.Lost || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("unit %d: track %d pts %d key %v lost %v, %d bytes", i, got.Track, got.PTS, got.Key, got.Lost, len(got.Data))
		}
		if off := got.Received.Sub(got.Wall); i > 0 && want.Track == 0 && got.PTS == 0 && (off < 0 || off > time.Minute) {
			t.Errorf("unit %d: %v behind the server's clock", i, off)
		}
	}
}

// TestLossOnTheWay lets the server lose every 97th packet: no picture that comes
// through differs from the one sent, and where one is missing the next tells.
func TestLossOnTheWay(t *testing.T) {
	c := film(t, "-qp", "5") // large pictures, of many packets
	lossy := source{c.tracks, nil}
	lossy.play = func(_ context.Context, w *Writer) error {
		n := 0
		w.Packet = func(_ int, packet []byte) [][]byte {
			if n++; n%97 == 0 {
				return nil
			}
			return [][]byte{packet}
		}
		for _, u := range c.units {
			if err := w.Write(u); err != nil {
				return err
			}
		}
		return nil
	}
	_, address := listen(t, ServerOptions{Open: only("cam-1", lossy)})
	s, err := Dial(t.Context(), &url.URL{Scheme: "rtsp", Host: address, Path: "/cam-1"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	next, lost := 0, 0
	for {
		got, err := s.Read()
		if f := (*Error)(nil); errors.As(err, &f) && f.Code == Ended {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		at := next
		for at < len(c.units) && c.units[at].PTS != got.PTS {
			at++
		}
		if at == len(c.units) || !bytes.Equal(got.Data, c.units[at].Data) || got.Key != c.units[at].Key {
			t.Fatalf("a picture at %d that was not sent", got.PTS)
		}
		if got.Lost != (at != next) {
			t.Errorf("picture %d after %d: lost %v", at, next-1, got.Lost)
		}
		lost += at - next
		next = at + 1
	}
	if lost == 0 || lost > len(c.units)/2 {
		t.Errorf("%d of %d pictures lost: the test tries nothing", lost, len(c.units))
	}
}
