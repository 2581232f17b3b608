//go:build ignore

// Command draw writes the pictures of one camera for make.sh: SVG files of one minute,
// to be run as `go run canvas.go draw.go scenes.go cam-1 FOLDER`.
package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const fps = 12

// A scene draws second t of the minute. Whatever moves is where it began after
// 60 s. r gives the same numbers for every picture.
type scene struct {
	name string
	draw func(c *canvas, r *rand.Rand, t float64)
}

var scenes = map[string]scene{
	"cam-1": {"Cầu Rạch Miễu", bridge},
	"cam-2": {"Ngã tư trung tâm Gò Công", crossroads},
	"cam-3": {"Cống Vàm Giồng", sluice},
	"cam-4": {"Cống Xuân Hòa", canal},
	"cam-5": {"Bến phà Tân Long", ferry},
	"cam-6": {"Chợ Mỹ Tho", market},
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

func run(id, folder string) error {
	s, ok := scenes[id]
	if !ok {
		return fmt.Errorf("no scene %q", id)
	}
	for i := range 60 * fps {
		c := &canvas{}
		c.f(`<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360" viewBox="0 0 640 360">`)
		s.draw(c, rand.New(rand.NewPCG(9, 26)), float64(i)/fps)
		c.text(16, 32, 22, "start", fmt.Sprintf(":%02d", i/fps))
		c.text(624, 344, 16, "end", s.name)
		c.f(`</svg>`)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%03d.svg", i)), []byte(c.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// lap is how far along its way a thing is that goes n times a minute, 0..1.
func lap(t, n, phase float64) float64 {
	_, f := math.Modf(t*n/60 + phase)
	return f
}

// ease goes from 0 to 1 between two seconds, softly.
func ease(t, from, to float64) float64 {
	u := min(1, max(0, (t-from)/(to-from)))
	return u * u * (3 - 2*u)
}
