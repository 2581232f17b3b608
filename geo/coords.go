package geo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// maxVertices bounds one feature. The finest commune on hand has 6,000.
const maxVertices = 200_000

// coords reads the `coordinates` of a geometry. The text is known to be JSON;
// its shape is not known at all. Nothing is allocated ahead of what was read,
// so that a short hostile text costs little.
type coords struct {
	text     []byte
	at       int
	vertices int
}

func (c *coords) peek() byte {
	for c.at < len(c.text) {
		switch b := c.text[c.at]; b {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return b
		}
	}
	return 0
}

// list reads an array, with each reading exactly one element.
func (c *coords) list(of string, each func(i int) error) error {
	if c.peek() != '[' {
		return fmt.Errorf("expected a list of %s, found %s", of, c.found())
	}
	c.at++
	if c.peek() == ']' {
		c.at++
		return fmt.Errorf("empty list of %s", of)
	}
	for i := 0; ; i++ {
		if err := each(i); err != nil {
			return err
		}
		switch c.peek() {
		case ',':
			c.at++
		case ']':
			c.at++
			return nil
		default:
			return errors.New("not readable")
		}
	}
}

// found names what stands where something else was expected.
func (c *coords) found() string {
	switch b := c.peek(); b {
	case '[':
		return "a list"
	case '{':
		return "an object"
	case '"':
		return "a text"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	case 0:
		return "nothing"
	default:
		return "a number"
	}
}

func (c *coords) number() (float64, error) {
	switch b := c.peek(); {
	case b != '-' && (b < '0' || b > '9'):
		return 0, fmt.Errorf("expected a number, found %s", c.found())
	}
	start := c.at
	for c.at < len(c.text) {
		switch b := c.text[c.at]; {
		case b >= '0' && b <= '9', b == '-', b == '+', b == '.', b == 'e', b == 'E':
			c.at++
			continue
		}
		break
	}
	// Too large a number comes back as ±Inf with an error; the range check says so.
	v, err := strconv.ParseFloat(string(c.text[start:c.at]), 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, errors.New("a number is not readable")
	}
	return v, nil
}

// position reads [lon, lat] and passes over an altitude and a measure.
func (c *coords) position() (Point, error) {
	var v [4]float64
	n := 0
	err := c.list("numbers", func(i int) (err error) {
		if i == len(v) {
			return errors.New("a position has 2 to 4 numbers")
		}
		n = i + 1
		v[i], err = c.number()
		return err
	})
	p := Point{v[0], v[1]}
	switch {
	case err != nil:
		return p, err
	case n < 2:
		return p, errors.New("a position has 2 to 4 numbers, longitude first")
	case !finite(v[2]) || !finite(v[3]):
		return p, errors.New("a number is not finite")
	case !(p.Lon >= -180 && p.Lon <= 180):
		return p, fmt.Errorf("longitude %g is outside -180..180", p.Lon)
	case !(p.Lat >= -90 && p.Lat <= 90):
		return p, fmt.Errorf("latitude %g is outside -90..90", p.Lat)
	}
	c.vertices++
	if c.vertices > maxVertices {
		return p, fmt.Errorf("more than %d vertices; simplify it", maxVertices)
	}
	return p, nil
}

// line reads a list of positions, of which no two neighbours lie on both sides of the antimeridian.
func (c *coords) line() ([]Point, error) {
	var out []Point
	err := c.list("positions", func(i int) error {
		p, err := c.position()
		if err != nil {
			return fmt.Errorf("vertex %d: %w", i, err)
		}
		if i > 0 && math.Abs(p.Lon-out[i-1].Lon) > 180 {
			return fmt.Errorf("vertex %d: crosses the antimeridian; cut it there (RFC 7946 §3.1.9)", i)
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// polygon reads a list of rings: the shell, then its holes.
func (c *coords) polygon() ([][]Point, error) {
	var out [][]Point
	err := c.list("rings", func(i int) error {
		ring, err := c.line()
		if err != nil {
			return fmt.Errorf("ring %d: %w", i, err)
		}
		out = append(out, ring)
		return nil
	})
	return out, err
}

func (c *coords) multiPolygon() ([][][]Point, error) {
	var out [][][]Point
	err := c.list("polygons", func(i int) error {
		rings, err := c.polygon()
		if err != nil {
			return fmt.Errorf("polygon %d: %w", i, err)
		}
		out = append(out, rings)
		return nil
	})
	return out, err
}

func appendLine(b []byte, line []Point) []byte {
	b = append(b, '[')
	for i, p := range line {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendFloat(b, p.Lon, 'g', -1, 64)
		b = append(b, ',')
		b = strconv.AppendFloat(b, p.Lat, 'g', -1, 64)
		b = append(b, ']')
	}
	return append(b, ']')
}

func appendPolygon(b []byte, rings [][]Point) []byte {
	b = append(b, '[')
	for i, ring := range rings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLine(b, ring)
	}
	return append(b, ']')
}
