package geo

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// fuzzPut holds any text to this: it is refused with a good answer, or what
// was accepted is sound, is accepted again unchanged, and loads as stored.
func fuzzPut[T any](t *testing.T, text []byte, read func(json.RawMessage, trust) (T, string, error), check func(T) json.RawMessage) {
	features, err := readCollection(bytes.NewReader(text))
	if err != nil {
		var input *InputError
		if !errors.As(err, &input) || input.Why == "" || len(input.Why) > 400 {
			t.Fatalf("an error that is no good answer: %#v", err)
		}
		if input.NotJSON && json.Valid(text) && utf8.Valid(text) { // Go calls JSON what RFC 8259 §8.1 does not
			t.Fatalf("%q is JSON; told %v", text, err)
		}
		return
	}
	if !json.Valid(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))) {
		t.Fatalf("%q is no JSON, yet was taken apart", text)
	}
	for _, raw := range features {
		item, id, err := read(raw, untrusted)
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 400 || len([]rune(id)) > 65 {
				t.Fatalf("a refusal that is no good answer: %q, %v", id, err)
			}
			continue
		}
		if !idPattern.MatchString(id) {
			t.Fatalf("id %q was taken", id)
		}
		kept := check(item)
		again, id2, err := read(kept, untrusted)
		if err != nil || id2 != id || !bytes.Equal(check(again), kept) {
			t.Fatalf("kept %s, which is then %v", kept, err)
		}
		loaded, id3, err := read(kept, stored)
		if err != nil || id3 != id || !bytes.Equal(check(loaded), kept) {
			t.Fatalf("kept %s, which loads with %v", kept, err)
		}
	}
}

func FuzzZones(f *testing.F) {
	f.Add([]byte(collection(polygon("a", square))))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzPut(t, text, newZone, func(z *zone) json.RawMessage {
			if z.Name == "" || !z.Box.Valid() || len(z.area.parts) == 0 {
				t.Fatalf("%+v", z.Zone)
			}
			for _, part := range z.area.parts {
				for _, p := range part.points {
					if !p.Valid() || !z.area.contains(p) {
						t.Fatalf("%s: its vertex %v lies outside", z.GeoJSON, p)
					}
				}
			}
			return z.GeoJSON
		})
	})
}

func FuzzRivers(f *testing.F) {
	f.Add([]byte(collection(lineString("a", `[[106,10],[107,10]]`))))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzPut(t, text, newRiver, func(v *river) json.RawMessage {
			if v.Name == "" || !v.Box.Valid() || !(v.line.length() > 0) {
				t.Fatalf("%+v", v.River)
			}
			set := newRiverSet(map[string]*river{v.ID: v})
			for i, p := range v.line.points {
				c, ok := set.snap(p, 1)
				if !p.Valid() || !ok || c.KM < 0 || c.KM > v.line.length()+1e-9 || c.OffsetM > 0.01 {
					t.Fatalf("%s: vertex %d %v snaps to %+v, %v", v.GeoJSON, i, p, c, ok)
				}
			}
			return v.GeoJSON
		})
	})
}
