package geo

import "math"

// edgeDeg is how near to a border a point counts as on it, and so inside: 0.1 mm.
const edgeDeg = 1e-9

// bands answers whether a point lies in a polygon without looking at all of
// it: the edges are sorted into bands of latitude, and only those of the
// point's band are tried. Immutable.
type bands struct {
	box    Box
	points []Point // ring after ring, each closed
	ends   []bool  // ends[i]: no edge leads from points[i] to points[i+1]
	height float64 // of a band, degrees
	first  []int32 // edges[first[k]:first[k+1]] are those of band k
	edges  []int32 // edge i leads from points[i] to points[i+1]
}

func newBands(rings [][]Point) *bands {
	b := &bands{box: boxOf(rings[0])}
	for _, r := range rings {
		b.box = b.box.Union(boxOf(r))
		b.points = append(b.points, r...)
		for i := range r {
			b.ends = append(b.ends, i == len(r)-1)
		}
	}
	// Fewer bands where many edges are tall, so that the lists stay short:
	// a comb of long teeth would fill n bands n times.
	count := min(max(len(b.points)/4, 1), 4096)
	for {
		b.height = (b.box.N - b.box.S) / float64(count)
		total := b.fill(count, 4*len(b.points)+count)
		if total || count == 1 {
			return b
		}
		count /= 2
	}
}

// fill makes the lists; false, if they would be longer than most in all.
func (b *bands) fill(count, most int) bool {
	b.first = make([]int32, count+1)
	total := 0
	b.eachEdge(func(i, lo, hi int) {
		total += hi - lo + 1
		if total <= most {
			for k := lo; k <= hi; k++ {
				b.first[k+1]++
			}
		}
	}, count)
	if total > most && count > 1 {
		return false
	}
	for k := range count {
		b.first[k+1] += b.first[k]
	}
	b.edges = make([]int32, b.first[count])
	next := append([]int32(nil), b.first...)
	b.eachEdge(func(i, lo, hi int) {
		for k := lo; k <= hi; k++ {
			b.edges[next[k]] = int32(i)
			next[k]++
		}
	}, count)
	return true
}

func (b *bands) eachEdge(f func(i, lo, hi int), count int) {
	for i := range len(b.points) - 1 {
		if b.ends[i] {
			continue
		}
		s, n := b.points[i].Lat, b.points[i+1].Lat
		f(i, b.band(min(s, n)-edgeDeg, count), b.band(max(s, n)+edgeDeg, count))
	}
}

func (b *bands) band(lat float64, count int) int {
	if b.height <= 0 {
		return 0
	}
	return min(max(int((lat-b.box.S)/b.height), 0), count-1)
}

// contains says whether p lies inside or on the border.
func (b *bands) contains(p Point) bool {
	if !b.box.grown(edgeDeg).Contains(p) {
		return false
	}
	inside := false
	for _, i := range b.edgesBeside(p) {
		a, c := b.points[i], b.points[i+1]
		if onEdge(a, c, p) {
			return true
		}
		if (a.Lat > p.Lat) != (c.Lat > p.Lat) && p.Lon < a.Lon+(c.Lon-a.Lon)*(p.Lat-a.Lat)/(c.Lat-a.Lat) {
			inside = !inside
		}
	}
	return inside
}

// edgesBeside lists the edges that p must be tried against.
func (b *bands) edgesBeside(p Point) []int32 {
	k := b.band(p.Lat, len(b.first)-1)
	return b.edges[b.first[k]:b.first[k+1]]
}

// onEdge says whether p lies within edgeDeg of the edge from a to b.
func onEdge(a, b, p Point) bool {
	if p.Lon < min(a.Lon, b.Lon)-edgeDeg || p.Lon > max(a.Lon, b.Lon)+edgeDeg ||
		p.Lat < min(a.Lat, b.Lat)-edgeDeg || p.Lat > max(a.Lat, b.Lat)+edgeDeg {
		return false
	}
	dx, dy := b.Lon-a.Lon, b.Lat-a.Lat
	px, py := p.Lon-a.Lon, p.Lat-a.Lat
	t := 0.0
	if l := dx*dx + dy*dy; l > 0 {
		t = min(max((px*dx+py*dy)/l, 0), 1)
	}
	return math.Hypot(px-t*dx, py-t*dy) <= edgeDeg
}

// grown is the box with deg added on each side.
func (b Box) grown(deg float64) Box {
	return Box{b.W - deg, b.S - deg, b.E + deg, b.N + deg}
}

// area is a zone's polygons. Immutable.
type area struct {
	box   Box
	parts []*bands
}

func newArea(polygons [][][]Point) area {
	a := area{box: boxOf(nil)}
	for _, rings := range polygons {
		part := newBands(rings)
		a.parts = append(a.parts, part)
		a.box = a.box.Union(part.box)
	}
	return a
}

func (a area) contains(p Point) bool {
	for _, part := range a.parts {
		if part.contains(p) {
			return true
		}
	}
	return false
}
