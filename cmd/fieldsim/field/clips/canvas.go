//go:build ignore

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// The colours of the look's camera pictures: a hazy morning in the delta.
const (
	sky, haze, far        = "#aeb5b8", "#bcc2c3", "#5d6b60"
	leaf, leafDark, grass = "#4c5a4b", "#3d4a3e", "#57654f"
	water, waterDark      = "#8a8068", "#7f765f"
	pale, light, grey     = "#cfcfc8", "#b0b1aa", "#9b9c96"
	concrete, asphalt     = "#7f817c", "#6d6f70"
	tar, ink              = "#5c5e60", "#2c3030"
	blue, brick           = "#596a72", "#7c5c50"
	sand, cream           = "#b3ab99", "#d9d6c4"
)

var shirts = []string{blue, brick, leaf, sand, light, cream}

// canvas is one picture of 640 x 360, as SVG.
type canvas struct{ strings.Builder }

func (c *canvas) f(format string, a ...any) { fmt.Fprintf(c, format, a...) }

func (c *canvas) rect(x, y, w, h float64, fill string) {
	c.f(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, w, h, fill)
}

func (c *canvas) oval(x, y, rx, ry float64, fill string) {
	c.f(`<ellipse cx="%.1f" cy="%.1f" rx="%.1f" ry="%.1f" fill="%s"/>`, x, y, rx, ry, fill)
}

func (c *canvas) line(x1, y1, x2, y2, w float64, stroke string) {
	c.f(`<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" stroke-width="%.1f"/>`, x1, y1, x2, y2, stroke, w)
}

func (c *canvas) poly(fill string, xy ...float64) {
	c.f(`<polygon fill="%s" points="`, fill)
	for _, v := range xy {
		c.f("%.1f ", v)
	}
	c.f(`"/>`)
}

// at draws what is drawn around the origin at a place and a scale; a negative
// scale across mirrors it.
func (c *canvas) at(x, y, sx, sy float64, draw func()) {
	c.f(`<g transform="translate(%.2f %.2f) scale(%.3f %.3f)">`, x, y, sx, sy)
	draw()
	c.f(`</g>`)
}

func (c *canvas) text(x, y, size float64, anchor, s string) {
	c.f(`<text x="%.0f" y="%.0f" font-family="DejaVu Sans Mono" font-weight="bold" font-size="%.0f" text-anchor="%s" `+
		`fill="#f4f5f2" stroke="#14191a" stroke-width="4" stroke-linejoin="round" paint-order="stroke">%s</text>`, x, y, size, anchor, s)
}

// person stands with the feet on the origin; step, in turns, swings the legs.
func (c *canvas) person(x, y, s float64, shirt string, hat bool, step float64) {
	c.at(x, y, s, s, func() {
		swing := 3 * math.Sin(2*math.Pi*step)
		c.line(0, -11, -swing, 0, 3.4, ink)
		c.line(0, -11, swing, 0, 3.4, ink)
		c.f(`<rect x="-4.5" y="-21" width="9" height="12" rx="3" fill="%s"/>`, shirt)
		c.oval(0, -24.5, 3.4, 3.4, "#8c7a68")
		if hat {
			c.poly(cream, -7, -24, 0, -31, 7, -24)
		}
	})
}

// scooter with its rider, seen from the side, driving right.
func (c *canvas) scooter(x, y, sx, sy float64, shirt string) {
	c.at(x, y, sx, sy, func() {
		c.oval(-8, -3.5, 4, 4, ink)
		c.oval(9, -3.5, 4, 4, ink)
		c.poly(tar, -12, -10, 1, -10, 5, -6, 9, -16, 11, -16, 9, -4, -9, -4)
		c.f(`<rect x="-5" y="-23" width="8" height="13" rx="3" fill="%s"/>`, shirt)
		c.oval(0, -27, 4, 4, light)
		c.line(2, -19, 9, -15, 2.4, shirt)
	})
}

// rider is a scooter seen from the front.
func (c *canvas) rider(x, y, s float64, shirt string) {
	c.at(x, y, s, s, func() {
		c.rect(-2, -9, 4, 9, ink)
		c.rect(-6, -13, 12, 3, tar)
		c.f(`<rect x="-5.5" y="-24" width="11" height="13" rx="3" fill="%s"/>`, shirt)
		c.oval(0, -27, 4, 4, light)
	})
}

// car seen from the front.
func (c *canvas) car(x, y, s float64, paint string) {
	c.at(x, y, s, s, func() {
		c.oval(0, 0, 16, 3, tar)
		c.f(`<rect x="-14" y="-15" width="28" height="14" rx="3" fill="%s"/>`, paint)
		c.poly(paint, -11, -14, -7, -24, 7, -24, 11, -14)
		c.poly(ink, -8.5, -15, -5.5, -22, 5.5, -22, 8.5, -15)
		c.rect(-12, -10, 5, 3, cream)
		c.rect(7, -10, 5, 3, cream)
	})
}

// van seen from the side, driving right; a bus where it is long.
func (c *canvas) van(x, y, sx, sy, length float64, paint string) {
	c.at(x, y, sx, sy, func() {
		c.f(`<rect x="%.1f" y="-19" width="%.1f" height="16" rx="3" fill="%s"/>`, -length/2, length, paint)
		c.rect(-length/2+3, -16, length-6, 6, ink)
		c.oval(-length/2+7, -3, 3.4, 3.4, ink)
		c.oval(length/2-7, -3, 3.4, 3.4, ink)
	})
}

// boat drives right; a sampan with a roof.
func (c *canvas) boat(x, y, sx, sy float64, hull string) {
	c.at(x, y, sx, sy, func() {
		c.poly(hull, -26, -7, 28, -9, 21, 1, -21, 1)
		c.rect(-15, -16, 20, 8, cream)
		c.rect(-17, -18.5, 24, 3, blue)
	})
}

// palm is a coconut tree; its fronds hang from the top of a bent trunk.
func (c *canvas) palm(x, y, s float64, lean float64) {
	c.at(x, y, s, s, func() {
		c.f(`<path d="M0 0Q%.1f -30 %.1f -56" stroke="#5f5d52" stroke-width="3" fill="none"/>`, lean*0.2, lean)
		for _, a := range []float64{-2.9, -2.3, -1.75, -1.3, -0.8, -0.2} {
			dx, dy := 24*math.Cos(a), 15*math.Sin(a)
			c.f(`<path d="M%.1f -56q%.1f %.1f %.1f %.1f" stroke="%s" stroke-width="4" stroke-linecap="round" fill="none"/>`,
				lean, dx*0.6, dy-5, dx, dy+11, leafDark)
		}
	})
}

// trees is a bank's row of crowns.
func (c *canvas) trees(r *rand.Rand, x1, x2, y, size float64) {
	for x := x1; x < x2; x += size {
		fill := leafDark
		if r.IntN(3) == 0 {
			fill = leaf
		}
		c.oval(x, y, size*(0.7+0.5*r.Float64()), size*(0.5+0.5*r.Float64()), fill)
	}
}

// ripples are short strokes that drift with the current, and come back round
// after a whole number of turns a minute.
func (c *canvas) ripples(r *rand.Rand, n int, x1, x2, y1, y2, t, speed float64) {
	for range n {
		y := y1 + (y2-y1)*r.Float64()
		near := (y - y1) / (y2 - y1)
		w := 8 + 26*near
		x := x1 + math.Mod((x2-x1)*r.Float64()+(x2-x1+80)*speed*t/60, x2-x1+80) - 40
		fill := waterDark
		if r.IntN(3) == 0 {
			fill = "#9a917b"
		}
		c.rect(x, y, w, 1+0.8*near, fill)
	}
}

// hyacinths float by, some in every quarter.
func (c *canvas) hyacinths(r *rand.Rand, n int, x1, x2, y1, y2, t, speed float64) {
	for range n {
		y := y1 + (y2-y1)*r.Float64()
		near := 0.4 + 0.9*(y-y1)/(y2-y1)
		x := x1 + math.Mod((x2-x1)*r.Float64()+(x2-x1+80)*speed*t/60, x2-x1+80) - 40
		c.oval(x, y, 10*near, 3*near, leaf)
		c.oval(x+7*near, y+1, 7*near, 2.4*near, leafDark)
	}
}
