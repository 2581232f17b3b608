package geo

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// The vectors are shared with the browser's tests.
func TestReachSalinityVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/interpolation.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name     string
			Stations []RiverValue
			Cases    []struct {
				River string
				KM    float64
				GL    *float64
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, g := range file.Groups {
		for _, c := range g.Cases {
			cases++
			got, ok := ReachSalinity(g.Stations, c.River, c.KM)
			switch {
			case ok != (c.GL != nil):
				t.Errorf("%s: %s km %v: known is %v", g.Name, c.River, c.KM, ok)
			case ok && math.Abs(got-*c.GL) > 1e-9**c.GL:
				t.Errorf("%s: %s km %v: %v g/l; want %v", g.Name, c.River, c.KM, got, *c.GL)
			}
		}
	}
	if cases < 25 {
		t.Errorf("only %d cases", cases)
	}
}

func TestReachSalinityTakesNoNonsense(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, s := range []RiverValue{{"r", nan, 1}, {"r", inf, 1}, {"r", -inf, 1}, {"r", 5, nan}, {"r", 5, inf}} {
		if gl, ok := ReachSalinity([]RiverValue{s}, "r", 5); ok {
			t.Errorf("%+v alone gives %v", s, gl)
		}
	}
	good := []RiverValue{{"r", 5, 1}}
	for _, km := range []float64{nan, inf, -inf} {
		if gl, ok := ReachSalinity(good, "r", km); ok {
			t.Errorf("at km %v: %v", km, gl)
		}
	}
}

// Between two stations the estimate never leaves their values, and the order of stations is all one.
func TestReachSalinityStaysBetween(t *testing.T) {
	rnd := rand.New(rand.NewPCG(19, 20))
	for range 5000 {
		a := RiverValue{"r", rnd.Float64() * 50, math.Exp(rnd.Float64()*8 - 4)}
		b := RiverValue{"r", a.KM + rnd.Float64()*50, math.Exp(rnd.Float64()*8 - 4)}
		km := a.KM + rnd.Float64()*(b.KM-a.KM)
		got, ok := ReachSalinity([]RiverValue{a, b}, "r", km)
		turned, _ := ReachSalinity([]RiverValue{b, a}, "r", km)
		lo, hi := min(a.Value, b.Value), max(a.Value, b.Value)
		if !ok || got < lo*(1-1e-9) || got > hi*(1+1e-9) || got != turned {
			t.Fatalf("%+v, %+v at %v: %v, %v, turned %v", a, b, km, got, ok, turned)
		}
	}
}
