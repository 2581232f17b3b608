//go:build ignore

package main

import (
	"math"
	"math/rand/v2"
)

// bridge: a cable-stayed bridge over the river, seen from the bank.
func bridge(c *canvas, r *rand.Rand, t float64) {
	c.rect(0, 0, 640, 160, sky)
	c.rect(0, 110, 640, 60, haze)
	c.trees(r, 0, 650, 170, 13)
	c.rect(0, 172, 640, 188, water)
	c.ripples(r, 34, 0, 640, 184, 350, t, 1)
	deck := func(x float64) float64 { return 138 - 22*math.Cos((x-320)/320*math.Pi/2.2) }
	for _, x := range []float64{30, 95, 545, 610} {
		c.rect(x-5, deck(x), 10, 200-deck(x), grey)
	}
	for _, x := range []float64{185, 455} { // pylons
		c.poly(light, x-15, 214, x-9, 22, x-2, 22, x-4, 214)
		c.poly(grey, x+15, 214, x+9, 22, x+2, 22, x+4, 214)
		c.rect(x-10, 52, 20, 5, grey)
		c.rect(x-26, 206, 52, 12, concrete)
		for i := 1.0; i <= 5; i++ {
			for _, side := range []float64{-1, 1} {
				far := x + side*26*i
				c.line(x, 26+4*i, far, deck(far), 1, pale)
			}
		}
	}
	for i, paint := range []string{cream, blue, brick, light} { // to the right behind, to the left before
		x := -40 + 720*lap(t, 2, float64(i)*0.27)
		c.van(x, deck(x)+1, 0.7, 0.7, 30+float64(i%2)*16, paint)
	}
	for i := range 3 {
		x := 680 - 720*lap(t, 3, 0.1+float64(i)*0.36)
		c.scooter(x, deck(x)+2, -0.55, 0.55, shirts[i])
	}
	c.f(`<path d="M0 %.1f`, deck(0))
	for x := 20.0; x <= 640; x += 20 {
		c.f("L%.0f %.1f", x, deck(x))
	}
	c.f(`" stroke="%s" stroke-width="8" fill="none"/>`, concrete)
	c.boat(-60+760*lap(t, 1, 0.1), 224, 1.1, 1.1, brick)
	c.boat(700-760*lap(t, 1, 0.45), 250, -1.3, 1.3, blue)
	x := -160 + 960*lap(t, 1, 0.62) // a barge with sand
	c.poly(ink, x-90, 286, x+96, 286, x+84, 304, x-82, 304)
	c.poly(sand, x-62, 287, x-20, 272, x+34, 272, x+66, 287)
	c.rect(x-86, 266, 22, 20, cream)
	c.rect(x-83, 270, 16, 6, ink)
	c.hyacinths(r, 9, 0, 640, 300, 345, t, 1)
	c.poly(grass, 0, 360, 0, 296, 70, 318, 150, 360)
	c.palm(28, 322, 1.5, 10)
}

// crossroads: two streets and their lights, half a minute a turn.
func crossroads(c *canvas, r *rand.Rand, t float64) {
	c.rect(0, 0, 640, 170, sky)
	houses(c, r, 0, 250, -1)
	houses(c, r, 640, 390, 1)
	c.trees(r, 246, 400, 148, 11)
	c.rect(0, 150, 640, 210, grey)
	c.poly(asphalt, 296, 150, 348, 150, 560, 360, 70, 360) // to the camera
	c.rect(0, 206, 640, 66, asphalt)                       // across
	for x := 8.0; x < 640; x += 44 {
		if x < 190 || x > 440 {
			c.rect(x, 238, 24, 2.5, pale)
		}
	}
	for i := range 4 {
		y := 158 + 14*float64(i)
		if y < 200 {
			c.rect(321, y, 2+float64(i)*0.4, 7, pale)
		}
	}
	c.rect(309, 290, 6, 22, pale)
	c.rect(305, 326, 7, 30, pale)
	for i := range 9 { // zebra before and behind
		c.poly(pale, 158+float64(i)*36, 276, 174+float64(i)*36, 276, 170+float64(i)*37.5, 286, 153+float64(i)*37.5, 286)
		c.rect(248+float64(i)*17, 198, 9, 4, pale)
	}
	half := math.Mod(t, 30)
	across := half < 14
	for _, x := range []float64{112, 528} {
		c.rect(x-2, 96, 4, 116, tar)
		c.rect(x-7, 84, 14, 32, ink)
		lamp := func(y float64, on bool, fill string) {
			if !on {
				fill = "#454a4a"
			}
			c.oval(x, y, 4, 4, fill)
		}
		lamp(91, across, "#c0665c")
		lamp(100, half >= 28, "#c9ad62")
		lamp(109, !across && half < 28, "#7fa787")
	}
	// Across: go from second 0, the last is through by 14.
	for i := range 5 {
		from := 0.6 + float64(i)*1.7
		u := (half - from) / 5
		x := 60 - float64(i)*46 + 900*max(0, u)
		if half > from+6 { // the next row comes up to the line
			x = -330 + (390-float64(i)*46)*ease(half, 17+float64(i), 24+float64(i))
		}
		if i%2 == 0 {
			c.van(x, 262, 1.25, 1.25, 36, shirts[i])
		} else {
			c.scooter(x, 264, 1.1, 1.1, shirts[i])
		}
		x = 585 + float64(i)*40 - 900*max(0, u)
		if half > from+6 {
			x = 960 - (375-float64(i)*40)*ease(half, 16+float64(i), 23+float64(i))
		}
		if i%2 == 1 {
			c.van(x, 230, -1, 1, 34, shirts[5-i])
		} else {
			c.scooter(x, 230, -0.9, 0.9, shirts[5-i])
		}
	}
	// Towards the camera and away from it: from second 15.
	for i := range 6 {
		from := 15.4 + float64(i)*1.4
		u := max(0, (half-from)/6.5)
		k := 0.05 + float64(5-i)*0.035 + u*u*1.1 // nearer, larger
		if half < 10 && i > 1 {
			k = 0.19 * ease(half, float64(i), 4+float64(i)) * float64(6-i) / 4.5
		}
		y := 152 + 230*k
		lane := 316 - 92*k - float64(i%2)*58*k
		if y < 400 {
			if i%3 == 0 {
				c.car(lane, y, 0.45+1.9*k, shirts[(i+3)%6])
			} else {
				c.rider(lane, y, 0.45+1.4*k, shirts[i])
			}
		}
		u = max(0, (half-from)/6)
		y = 336 - 190*u + float64(i)*16
		k = max(0, (y-152)/230)
		if y > 156 {
			c.rider(336+70*k+float64(i%2)*52*k, y, 0.45+1.4*k, shirts[5-i])
		}
	}
	if across { // people wait for the cars from afar, and cross
		for i := range 3 {
			x := 150 + 330*lap(half, 60/13.0, 0)
			c.person(x-float64(i)*24, 287+float64(i)*3, 1.05, shirts[i], i == 1, t*1.5+float64(i)*0.3)
		}
	}
	c.line(0, 66, 640, 96, 1, ink)
	c.line(0, 74, 640, 100, 1, ink)
}

// houses of a street, from the picture's edge to its vanishing point.
func houses(c *canvas, r *rand.Rand, from, to, side float64) {
	n := 5
	x := from
	for i := range n {
		k := 1 - float64(i)*0.16
		w := (to - from) / float64(n) * (1.35 - 0.17*float64(i))
		top := 152 - 118*k - 14*r.Float64()
		fill := []string{sand, light, "#a59a85", "#9ba39f"}[r.IntN(4)]
		left := min(x, x+w)
		c.rect(left, top, math.Abs(w)+0.5, 160-top, fill)
		c.rect(left, top, math.Abs(w)+0.5, 5*k, brick)
		for wy := top + 16*k; wy < 118; wy += 24 * k {
			for wx := left + 8*k; wx < left+math.Abs(w)-9*k; wx += 19 * k {
				c.rect(wx, wy, 8*k, 11*k, "#454c4d")
			}
		}
		c.rect(left, 126, math.Abs(w), 6, shirts[r.IntN(3)])
		c.rect(left+2, 132, math.Abs(w)-4, 20, "#454c4d")
		x += w
	}
}

// sluice: three gates seen from the sea's side; the middle one is drawn up and let down.
func sluice(c *canvas, r *rand.Rand, t float64) {
	c.rect(0, 0, 640, 130, sky)
	c.rect(0, 74, 640, 40, haze)
	for _, x := range []float64{18, 52, 596, 628} {
		c.palm(x, 122, 1.1, x/40-8)
	}
	c.trees(r, 0, 100, 116, 13)
	c.trees(r, 540, 650, 116, 13)
	c.rect(0, 124, 640, 236, water)
	open := 62 * (ease(t, 6, 22) - ease(t, 36, 52))
	for i := range 3 {
		x := 118 + 136*float64(i)
		up := 0.0
		if i == 1 {
			up = open
		}
		c.rect(x, 80, 118, 130, waterDark)
		c.rect(x, 94-up, 118, 112, blue)
		for y := 94 - up + 18; y < 206-up; y += 22 {
			c.rect(x, y, 118, 1.6, "#43535b")
		}
		for k := 1.0; k < 4; k++ {
			c.rect(x+k*29.5, 94-up, 1.6, 112, "#43535b")
		}
		c.rect(x+57, 40, 3, 54-up, ink)
	}
	c.rect(84, 62, 480, 18, light)
	c.rect(84, 78, 480, 3, concrete)
	for x := 92.0; x < 560; x += 26 {
		c.rect(x, 46, 2, 16, concrete)
	}
	c.rect(84, 45, 480, 2.4, concrete)
	walk := 100 + 430*(ease(t, 3, 27)-ease(t, 33, 57))
	c.person(walk, 63, 0.85, blue, true, t*1.2)
	for i := range 4 { // piers before it
		x := 100 + 136*float64(i)
		c.rect(x, 26, 18, 196, light)
		c.rect(x+12, 26, 6, 196, grey)
		c.rect(x-4, 20, 26, 8, concrete)
		c.rect(x-3, 216, 24, 9, concrete)
	}
	for i := range 22 { // the stream below the gate
		f := lap(t, 10, float64(i)*0.137)
		x := 262 + 100*r.Float64()
		if open > 3 {
			w := (10 + 16*r.Float64()) * min(1, open/30) * (1 - f*0.6)
			c.oval(x+(x-312)*f*0.9, 208+62*f, w, 3.4*(1-f*0.5), "#b9b39f")
		} else {
			r.Float64()
		}
	}
	c.ripples(r, 30, 60, 580, 232, 352, t, 1)
	c.hyacinths(r, 8, 60, 580, 296, 345, t, 1)
	c.rect(548, 128, 14, 94, cream) // the gauge
	for y := 132.0; y < 220; y += 11 {
		c.rect(548, y, 8, 4, ink)
	}
	c.poly(grey, 0, 360, 0, 262, 86, 216, 112, 226, 44, 360)
	c.poly(light, 0, 262, 86, 216, 96, 220, 0, 276)
	c.poly(grey, 640, 360, 640, 262, 566, 216, 546, 226, 600, 360)
	c.poly(light, 640, 262, 566, 216, 556, 220, 640, 276)
}

// canal: a smaller sluice at the end of its canal, seen from the dike.
func canal(c *canvas, r *rand.Rand, t float64) {
	c.rect(0, 0, 640, 160, sky)
	c.rect(0, 96, 640, 50, haze)
	for _, p := range [][2]float64{{40, 1.2}, {92, 1.5}, {150, 1.0}, {470, 1.2}, {532, 1.6}, {602, 1.3}} {
		c.palm(p[0], 148, p[1], (320-p[0])/30)
	}
	c.trees(r, 0, 252, 142, 15)
	c.trees(r, 392, 650, 142, 15)
	c.rect(0, 148, 640, 212, grass)
	c.poly("#4b5947", 0, 148, 236, 148, 0, 276)
	c.poly(water, 252, 176, 390, 176, 520, 360, 92, 360)
	c.poly(leafDark, 252, 176, 92, 360, 74, 360, 246, 172)
	c.poly(leafDark, 390, 176, 520, 360, 540, 360, 396, 172)
	c.poly(grey, 404, 168, 414, 168, 640, 306, 640, 352) // the path
	c.rect(252, 104, 138, 74, waterDark)
	for i := range 2 {
		x := 262 + 62*float64(i)
		up := 40.0
		if i == 1 {
			up = 0
		}
		c.rect(x, 118-up, 54, 58, blue)
		for y := 130 - up; y < 174-up; y += 15 {
			c.rect(x, y, 54, 1.4, "#43535b")
		}
	}
	c.rect(236, 96, 172, 10, light)
	for i := range 3 {
		c.rect(246+62*float64(i), 70, 14, 112, light)
		c.rect(255+62*float64(i), 70, 5, 112, grey)
	}
	for i := range 2 { // houses of the winches
		x := 256 + 62*float64(i)
		c.rect(x+4, 50, 58, 24, cream)
		c.rect(x+16, 56, 12, 10, ink)
		c.rect(x+38, 56, 12, 10, ink)
		c.poly(brick, x-2, 50, x+33, 34, x+68, 50)
	}
	c.ripples(r, 20, 190, 430, 200, 352, t, 0)
	for range 14 { // hyacinths come down towards the camera
		f := lap(t, 1, r.Float64())
		y := 182 + 190*f*f
		k := (y - 176) / 184
		x := 321 + (r.Float64()-0.5)*(120+230*k)
		c.oval(x, y, 4+14*k, 1.6+4*k, leaf)
		c.oval(x+5+7*k, y+1, 3+9*k, 1.4+3*k, leafDark)
	}
	f := lap(t, 1, 0.25) // a rower comes through the open gate
	if f > 0.02 && f < 0.8 {
		k := f / 0.8
		y := 178 + 210*k*k
		s := 0.5 + 1.9*k*k
		x := 289 - 30*k
		c.at(x, y, s, s, func() {
			c.poly(brick, -16, -4, 16, -4, 10, 3, -10, 3)
			c.rect(-3.5, -16, 7, 12, sand)
			c.poly(cream, -7, -16, 0, -23, 7, -16)
			c.line(4, -10, 12+4*math.Sin(t*3), 3, 1.4, ink)
		})
	}
	for i := range 3 { // on the path, two come and one goes
		f := lap(t, 1, 0.1+float64(i)*0.34)
		if i == 2 {
			f = 1 - lap(t, 1, 0.5)
		}
		x, y := 410+214*f, 172+152*f
		if i == 1 {
			c.rider(x-8, y, 0.5+1.1*f, blue)
		} else {
			c.person(x+8*f, y, 0.45+1.1*f, shirts[i+1], i == 0, t*1.3+float64(i)*0.4)
		}
	}
}

// ferry: it lies, leaves, lands at the other bank, and is back before the minute is.
func ferry(c *canvas, r *rand.Rand, t float64) {
	c.rect(0, 0, 640, 130, sky)
	c.rect(0, 84, 640, 30, haze)
	c.trees(r, 0, 650, 122, 10)
	c.rect(0, 124, 640, 236, water)
	c.rect(420, 112, 60, 14, grey)
	c.poly(concrete, 436, 126, 464, 126, 474, 134, 428, 134)
	c.ripples(r, 34, 0, 640, 134, 300, t, -1+2)
	c.hyacinths(r, 10, 0, 640, 150, 280, t, 1)
	c.boat(-60+760*lap(t, 1, 0.55), 166, 0.8, 0.8, brick)
	c.boat(700-760*lap(t, 1, 0.3), 192, -1, 1, blue)
	across := ease(t, 10, 28) - ease(t, 37, 56)
	x, y, s := 300+152*across, 268-122*across, 1.5-1.15*across
	c.at(x, y, s, s, func() {
		c.poly(blue, -86, -14, 74, -20, 92, -6, -70, 2)
		c.poly(ink, -86, -14, -70, 2, -70, 12, -84, -2)
		c.poly("#363b3c", -70, 2, 92, -6, 84, 6, -70, 12)
		c.rect(-18, -50, 46, 32, light)
		c.rect(-14, -45, 38, 10, ink)
		c.rect(-24, -54, 58, 5, cream)
		c.line(5, -54, 5, -68, 2, tar)
		for i := range 4 {
			c.rider(-62+float64(i)*12, -4-float64(i%2)*3, 0.62, shirts[i])
		}
		c.van(62, -8, 0.72, 0.72, 30, cream)
	})
	if across > 0.02 && across < 0.98 { // its wake
		for i := range 6 {
			k := float64(i) / 6
			c.oval(x-(90+50*k)*s, y+(6+8*k)*s, 14*s, 2*s, "#a69d87")
		}
	}
	c.poly(concrete, 0, 360, 0, 312, 190, 268, 270, 284, 640, 306, 640, 360) // the landing
	c.poly(light, 0, 312, 190, 268, 270, 284, 640, 306, 640, 312, 268, 291, 190, 276, 0, 322)
	for i := range 6 {
		x := 300 + float64(i)*62
		c.rect(x, 262+float64(i)*3.6, 5, 28, tar)
	}
	c.line(300, 267, 640, 287, 2, tar)
	for i := range 5 { // they wait, and walk a few steps
		x := 50 + 44*float64(i) + 10*math.Sin(2*math.Pi*(t/60*2+r.Float64()))
		c.person(x, 330+8*float64(i%3), 1.35, shirts[i], i%2 == 0, 0)
	}
	c.scooter(-40+720*lap(t, 2, 0.2), 352, 1.5, 1.5, sand)
	c.person(680-720*lap(t, 1, 0.4), 348, 1.4, brick, true, t*1.3)
}

// market: stalls under awnings in the evening, and those who go between them.
func market(c *canvas, r *rand.Rand, t float64) {
	c.f(`<g>`)
	c.rect(0, 0, 640, 150, "#6c7478")
	for i, x := range []float64{0, 92, 176, 280, 372, 470, 556} {
		top := 34 + 26*math.Mod(float64(i)*0.61, 1)
		w := []float64{94, 86, 106, 94, 100, 88, 90}[i]
		c.rect(x, top, w, 140, []string{"#7d776b", "#6f7574", "#857b6b"}[i%3])
		c.rect(x, top, w, 5, "#5f4b44")
		for wx := x + 10; wx < x+w-14; wx += 24 {
			lit := "#3c4345"
			if (i+int(wx))%3 == 0 {
				lit = "#b9a678"
			}
			c.rect(wx, top+18, 11, 15, lit)
		}
	}
	c.rect(0, 168, 640, 192, "#66696a")
	c.poly("#707374", 250, 168, 390, 168, 600, 360, 40, 360)
	// The hall's sign and the back row of stalls.
	c.rect(232, 74, 176, 30, "#4c5a60")
	c.text(320, 95, 15, "middle", "CHỢ MỸ THO")
	stall := func(x, y, w, k float64, awning string) {
		c.rect(x, y, w, 40*k, "#4a4d4c")
		c.poly(awning, x-8*k, y+8*k, x+6*k, y-14*k, x+w-6*k, y-14*k, x+w+8*k, y+8*k)
		for i := range 5 {
			if i%2 == 0 {
				sx := x - 8*k + (w+16*k)*float64(i)/5
				c.rect(sx, y+8*k, (w+16*k)/5, 5*k, "#b5ae9b")
			}
		}
		c.rect(x, y+32*k, w, 14*k, "#857b6b")
		for i := range 4 {
			c.oval(x+w*(0.15+0.23*float64(i)), y+31*k, w*0.09, 5*k, []string{"#8f7b4e", "#7c5c50", "#5f7057", "#a08a5e"}[i])
		}
		c.oval(x+w/2, y+14*k, 4*k, 4*k, "#e4d3a0")
	}
	for i := range 5 {
		stall(20+126*float64(i), 132, 92, 0.85, []string{"#6d4f47", "#4c5a60", "#54634f", "#6d6150", "#4c5a60"}[i])
	}
	type walker struct {
		y     float64
		paint func()
	}
	var crowd []walker
	for i := range 9 {
		n := float64(1 + i%2)
		f := lap(t, n, r.Float64())
		if i%3 == 0 {
			f = 1 - f
		}
		y := 204 + 15*float64(i)
		x := -50 + 740*f
		k := 0.7 + (y-190)/130
		crowd = append(crowd, walker{y, func() {
			if i == 4 || i == 7 {
				dir := 1.0
				if i%3 == 0 {
					dir = -1
				}
				c.scooter(x, y, dir*k, k, shirts[i%6])
				return
			}
			c.person(x, y, k, shirts[i%6], i%3 == 1, t*1.4+float64(i)*0.37)
		}})
	}
	for _, w := range crowd[:4] {
		w.paint()
	}
	stall(-40, 232, 150, 1.7, "#54634f")
	stall(536, 240, 150, 1.7, "#6d4f47")
	c.person(132, 300, 1.5, sand, true, 0)
	c.person(512, 306, 1.5, blue, false, 0.2*math.Sin(2*math.Pi*t/6))
	for _, w := range crowd[4:] {
		w.paint()
	}
	for _, y := range []float64{12, 20} { // wires and their lamps
		c.f(`<path d="M0 %.0fQ320 %.0f 640 %.0f" stroke="#2c3030" stroke-width="1" fill="none"/>`, y, y+46, y)
	}
	for i := range 9 {
		x := 40 + 70*float64(i)
		u := x / 640
		c.oval(x, 20+92*u*(1-u)+4, 3.4, 4, "#e4d3a0")
	}
	c.f(`</g>`)
}
