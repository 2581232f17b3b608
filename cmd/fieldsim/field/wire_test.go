package field

import (
	"bufio"
	"bytes"
	"testing"
)

func TestConnack(t *testing.T) {
	for name, c := range map[string]struct {
		version byte
		body    []byte
		code    byte
		most    int
		bad     bool
	}{
		"3.1.1":           {4, []byte{0, 0}, 0, 65535, false},
		"3.1.1 refused":   {4, []byte{0, 5}, 5, 65535, false},
		"5 bare":          {5, []byte{0, 0, 0}, 0, 65535, false},
		"5 receive 20":    {5, []byte{0, 0, 5, 0x24, 1, 0x21, 0, 20}, 0, 20, false},
		"5 assigned id":   {5, []byte{0, 0, 8, 0x12, 0, 2, 'a', 'b', 0x21, 1, 0}, 0, 256, false},
		"5 user property": {5, []byte{0, 0, 10, 0x26, 0, 1, 'a', 0, 1, 'b', 0x21, 0, 9}, 0, 9, false},
		"5 receive 0":     {5, []byte{0, 0, 3, 0x21, 0, 0}, 0, 0, true},
		"5 cut":           {5, []byte{0, 0, 3, 0x21, 0}, 0, 0, true},
		"5 unknown":       {5, []byte{0, 0, 2, 0x7f, 0}, 0, 0, true},
		"short":           {4, []byte{0}, 0, 0, true},
	} {
		code, most, err := packet{kind: packetConnack, body: c.body}.connack(c.version)
		if (err != nil) != c.bad || code != c.code && !c.bad || most != c.most && !c.bad {
			t.Errorf("%s: code %d, receive maximum %d, %v", name, code, most, err)
		}
	}
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x40, 4, 0, 2, 0x99, 0})
	f.Add([]byte{0x20, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0x20, 8, 0, 0, 5, 0x26, 0, 1, 'a', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := packetReader{in: bufio.NewReader(bytes.NewReader(b))}
		for {
			p, err := r.next()
			if err != nil {
				return
			}
			if len(p.body) > len(b) {
				t.Fatalf("%d bytes out of %d", len(p.body), len(b))
			}
			if _, most, err := p.connack(5); err == nil && (most < 1 || most > 65535) {
				t.Fatalf("receive maximum %d", most)
			}
			_, _, _ = p.puback()
		}
	})
}

// A packet longer than 127 bytes has a length of two bytes, one above 16,383 of three.
func TestPublishLengths(t *testing.T) {
	for _, n := range []int{0, 100, 127, 128, 16_383, 16_384, 200_000} {
		for _, version := range []byte{4, 5} {
			b := appendPublish(nil, version, 1, 7, "devices/a/telemetry", bytes.Repeat([]byte{'x'}, n))
			r := packetReader{in: bufio.NewReader(bytes.NewReader(b))}
			p, err := r.next()
			if err != nil || p.kind != packetPublish || !bytes.HasSuffix(p.body, bytes.Repeat([]byte{'x'}, n)) {
				t.Errorf("v%d, %d bytes: %v", version, n, err)
			}
			if _, err := r.in.ReadByte(); err == nil {
				t.Errorf("v%d, %d bytes: something is left", version, n)
			}
		}
	}
}
