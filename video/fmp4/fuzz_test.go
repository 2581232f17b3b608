package fmp4

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// FuzzParseInit: what is read can be written, and read again as the same.
func FuzzParseInit(f *testing.F) {
	for _, tracks := range [][]Track{{video()}, {audio()}, {video(), audio()}} {
		b, err := AppendInit(nil, tracks)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		tracks, err := ParseInit(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if tracks != nil {
				t.Fatalf("%+v and %v", tracks, err)
			}
			return
		}
		if n := strings.Count(Codecs(tracks), ",") + 1; n != len(tracks) {
			t.Fatalf("%d tracks, codecs %q", len(tracks), Codecs(tracks))
		}
		again, err := AppendInit(nil, tracks)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseInit(again); err != nil || !reflect.DeepEqual(got, tracks) {
			t.Fatalf("%+v, %v; want %+v", got, err, tracks)
		}
	})
}

// FuzzParseFragment: no byte is given twice, and what is read can be written
// and read again as the same.
func FuzzParseFragment(f *testing.F) {
	f.Add(AppendFragment(nil, 1, two()))
	f.Add(AppendFragment([]byte("\x00\x00\x00\x08free"), 1<<32-1, two()[:1]))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		got, err := ParseFragment(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if len(b) == 0 && err != io.EOF || errors.Is(err, io.ErrUnexpectedEOF) && err != io.ErrUnexpectedEOF {
				t.Fatal(err)
			}
			return
		}
		if got.Size < 16 || got.Size > len(b) {
			t.Fatalf("%d of %d bytes", got.Size, len(b))
		}
		sum, follows := 0, true
		for i, s := range got.Samples {
			if len(s.Data) == 0 || s.Track == 0 {
				t.Fatalf("sample %d: %+v", i, s)
			}
			sum += len(s.Data)
			if i > 0 && got.Samples[i-1].Track == s.Track {
				// Several trafs of one track may say any time; within one it follows.
				follows = follows && s.DTS == got.Samples[i-1].DTS+uint64(got.Samples[i-1].Duration)
			}
		}
		if sum > got.Size {
			t.Fatalf("%d bytes of samples in a fragment of %d", sum, got.Size)
		}
		if !follows || len(got.Samples) == 0 {
			return
		}
		again := AppendFragment(nil, got.Seq, got.Samples)
		if len(again) != FragmentSize(got.Samples) {
			t.Fatalf("%d bytes, FragmentSize %d", len(again), FragmentSize(got.Samples))
		}
		back, err := ParseFragment(again)
		if err != nil || back.Seq != got.Seq || !reflect.DeepEqual(back.Samples, got.Samples) {
			t.Fatalf("%+v, %v; want %+v", back, err, got)
		}
	})
}
