package rtsp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

func TestServerSendsUnits(t *testing.T) {
	filmed := time.Now().Add(-time.Hour) // a recording is of its own time
	units := []Unit{
		{PTS: 1<<32 - 3600, Wall: filmed, Key: true, Data: avcc(idr(3000))},
		{Track: 1, PTS: 48000, Key: true, Data: sound(300)},
		{PTS: 1 << 32, Data: avcc(first(500))},
	}
	two := source{[]Track{h264Track(), aacTrack()}, func(ctx context.Context, w *Writer) error {
		for _, u := range units {
			if err := w.Write(u); err != nil {
				return err
			}
		}
		if w.Write(Unit{Track: 2}) == nil || w.Write(Unit{Track: -1}) == nil {
			return errors.New("a track that is not there was written")
		}
		return still(ctx, w)
	}}
	_, address := listen(t, ServerOptions{Open: only("cam", two)})
	c := dialRaw(t, address)
	c.want(200, "SETUP", "rtsp://"+address+"/cam/track0", "Transport: RTP/AVP/TCP;interleaved=4-5")
	c.want(200, "PLAY", "rtsp://"+address+"/cam") // without sound
	before := time.Now()
	track := h264Track()
	track.SPS, track.PPS = nil, nil // they come in band
	a, err := newAssembler(0, track)
	if err != nil {
		t.Fatal(err)
	}
	var got []Unit
	for len(got) < 2 {
		channel, b := c.frame()
		switch channel {
		case 5:
			all, err := rtcp.Unmarshal(b)
			if err != nil || len(all) != 2 {
				t.Fatalf("RTCP %v, %v", all, err)
			}
			sr := all[0].(*rtcp.SenderReport)
			wall, ok := fromNTP(sr.NTPTime, before)
			if off := wall.Sub(filmed); !ok || off.Abs() > time.Millisecond || sr.RTPTime != 0xffff_f1f0 {
				t.Errorf("reports RTP time %x at %v", sr.RTPTime, wall)
			}
		case 4:
			p := &rtp.Packet{}
			if err := p.Unmarshal(b); err != nil {
				t.Fatal(err)
			}
			a.push(p, before)
			for u, ok := a.pop(); ok; u, ok = a.pop() {
				u.Data = bytes.Clone(u.Data)
				got = append(got, u)
			}
		default:
			t.Fatalf("channel %d", channel)
		}
	}
	want := []Unit{units[0], units[2]}
	for i := range want {
		want[i].SPS, want[i].PPS = sps0, pps0
	}
	sameUnits(t, got, want)
	c.want(200, "TEARDOWN", "rtsp://"+address+"/cam")
	c.wantEnd("after TEARDOWN")
}

func TestWriterReportsAndLetsPacketsBeChanged(t *testing.T) {
	var sent []byte
	w := &Writer{send: func(b []byte) error { sent = append(sent[:0], b...); return nil }}
	out := newOutlet(h264Track(), 0)
	w.tracks = []*outlet{out}
	kinds := func() (s string) {
		for b := sent; len(b) > 0; b = b[frameHead+int(binary.BigEndian.Uint16(b[2:])):] {
			s += fmt.Sprint(b[1])
		}
		return s
	}
	u := Unit{Key: true, Data: avcc(idr(3000))}
	write := func(want string) {
		t.Helper()
		if err := w.Write(u); err != nil || kinds() != want {
			t.Errorf("sent on channels %q, want %q; %v", kinds(), want, err)
		}
	}
	write("10000") // a report, parameter sets, three fragments
	write("0000")
	out.reported = out.reported.Add(-sendReportEvery)
	write("10000")
	all, err := rtcp.Unmarshal(sent[frameHead : frameHead+int(binary.BigEndian.Uint16(sent[2:]))])
	if err != nil {
		t.Fatal(err)
	}
	octets := uint32(2 * (1 + 2 + len(sps0) + 2 + len(pps0) + 2999 + 3*2))
	if sr := all[0].(*rtcp.SenderReport); sr.PacketCount != 8 || sr.OctetCount != octets || sr.SSRC != out.head.SSRC {
		t.Errorf("reports %d packets, %d bytes, want 8, %d", sr.PacketCount, sr.OctetCount, octets)
	}
	if n := testing.AllocsPerRun(50, func() { w.Write(u) }); n != 0 {
		t.Errorf("%v allocations a unit", n)
	}

	w = &Writer{send: w.send, tracks: []*outlet{newOutlet(h264Track(), 0)}}
	seen := 0
	w.Packet = func(track int, packet []byte) [][]byte {
		switch seen++; seen {
		case 1:
			return nil // lost
		case 2:
			return [][]byte{packet, packet}
		case 3:
			return [][]byte{{1, 2, 3}, make([]byte, 1<<16)} // the second cannot be sent
		}
		return [][]byte{packet}
	}
	write("10000")
	packets := sent
	for range 3 {
		packets = packets[frameHead+int(binary.BigEndian.Uint16(packets[2:])):]
	}
	if !bytes.HasPrefix(packets, []byte{'$', 0, 0, 3, 1, 2, 3, '$'}) {
		t.Errorf("sent % x", packets[:12])
	}
}
