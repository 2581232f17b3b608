package geo

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestParseBox(t *testing.T) {
	for _, c := range []struct {
		text string
		want Box
		why  string // part of the error; "" for none
	}{
		{"105,9.5,107,11", Box{105, 9.5, 107, 11}, ""},
		{" 105 , 9.5,\t107,11 ", Box{105, 9.5, 107, 11}, ""},
		{"-180,-90,180,90", Box{-180, -90, 180, 90}, ""},
		{"106,10,106,10", Box{106, 10, 106, 10}, ""},
		{"", Box{}, "not 1"},
		{"105,9,107", Box{}, "not 3"},
		{"105,9,107,11,3", Box{}, "not 5"},
		{"105,9,x,11", Box{}, "number 3"},
		{"105,,107,11", Box{}, "number 2"},
		{"1e999,0,0,0", Box{}, "number 1"},
		{"NaN,9,107,11", Box{}, "longitudes in -180..180"},
		{"-Inf,9,Inf,11", Box{}, "longitudes in -180..180"},
		{"105,9,181,11", Box{}, "longitudes in -180..180"},
		{"105,-91,107,11", Box{}, "latitudes in -90..90"},
		{"107,9,105,11", Box{}, "antimeridian"},
		{"105,11,107,9", Box{}, "lies north of"},
	} {
		got, err := ParseBox(c.text)
		switch {
		case c.why == "" && (err != nil || got != c.want):
			t.Errorf("%q: %v, %v; want %v", c.text, got, err, c.want)
		case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%q: error %v; want one with %q", c.text, err, c.why)
		}
	}
}

func TestBoxJSON(t *testing.T) {
	text, err := json.Marshal(Zone{ID: "a", Name: "A", Box: Box{105, 9.5, 107, 11}})
	if err != nil || string(text) != `{"id":"a","name":"A","bbox":[105,9.5,107,11]}` {
		t.Errorf("%s, %v", text, err)
	}
	var b Box
	if err := json.Unmarshal([]byte(`[105,9.5,107,11]`), &b); err != nil || b != (Box{105, 9.5, 107, 11}) {
		t.Errorf("%v, %v", b, err)
	}
	for _, bad := range []string{`[]`, `[1,2,3]`, `[1,2,3,4,5]`, `[1,null,3,4]`, `["1",2,3,4]`, `[1e999,2,3,4]`, `{}`, `"1,2,3,4"`, `[3,2,1,4]`, `[1,4,3,2]`, `[1,2,3,400]`} {
		was := b
		if err := json.Unmarshal([]byte(bad), &b); err == nil || b != was {
			t.Errorf("%s was taken as %v, %v", bad, b, err)
		}
	}
}

func TestBoxContainsUnionIntersects(t *testing.T) {
	b := Box{105, 9, 107, 11}
	for _, c := range []struct {
		p    Point
		want bool
	}{{Point{106, 10}, true}, {Point{105, 9}, true}, {Point{107, 11}, true}, {Point{107.1, 10}, false}, {Point{106, 8.9}, false}, {Point{math.NaN(), 10}, false}} {
		if b.Contains(c.p) != c.want {
			t.Errorf("%v in %v: %v", c.p, b, !c.want)
		}
	}
	if got := b.Union(Box{104, 10, 106, 12}); got != (Box{104, 9, 107, 12}) {
		t.Errorf("union: %v", got)
	}
	for _, c := range []struct {
		o    Box
		want bool
	}{{Box{107, 11, 108, 12}, true}, {Box{105.5, 9.5, 106, 10}, true}, {Box{107.1, 9, 108, 11}, false}, {Box{105, 11.1, 107, 12}, false}} {
		if b.Intersects(c.o) != c.want || c.o.Intersects(b) != c.want {
			t.Errorf("%v and %v: %v", b, c.o, !c.want)
		}
	}
}

func FuzzBox(f *testing.F) {
	for _, s := range []string{"105,9.5,107,11", "", ",,,", "1e308,1,2,3", "NaN,1,2,3", "-180,-90,180,90", "107,9,105,11", "0x1p3,1,9,2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBox(s)
		if err != nil {
			return
		}
		if !b.Valid() || !b.Contains(Point{b.W, b.S}) || !b.Contains(Point{b.E, b.N}) {
			t.Fatalf("%q gave %v", s, b)
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		var again Box
		if err := json.Unmarshal(text, &again); err != nil || again != b {
			t.Fatalf("%q gave %v, then %s, then %v, %v", s, b, text, again, err)
		}
	})
}
