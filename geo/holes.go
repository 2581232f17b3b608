package geo

import (
	"fmt"

	"github.com/tidwall/rtree"
)

// looksPerVertex bounds the edges tried in placing holes. Real ones take some
// tens; holes between tall teeth would take all edges for every vertex.
const looksPerVertex = 400

// holes places the holes of one polygon, whose rings are known not to cross.
type holes struct {
	shell *bands
	rings []*bands // by number of the ring; none at 0
	boxes rtree.RTreeGN[float64, int]
	looks int // edges that may yet be tried
}

// checkHoles says which hole leaves the shell or lies in another hole.
func checkHoles(rings [][]Point) error {
	if len(rings) == 1 {
		return nil
	}
	h := holes{shell: newBands(rings[:1]), rings: make([]*bands, len(rings)), looks: 100_000}
	for i, r := range rings {
		h.looks += looksPerVertex * len(r)
		if i > 0 {
			h.rings[i] = newBands(rings[i : i+1])
			lo, hi := h.rings[i].box.corners()
			h.boxes.Insert(lo, hi, i)
		}
	}
	for i := 1; i < len(rings); i++ {
		if p, out := h.leavesShell(rings[i]); out {
			return fmt.Errorf("ring %d, a hole, lies outside the shell at %.6f,%.6f", i, p.Lon, p.Lat)
		}
		if outer := h.around(i); outer != 0 {
			return fmt.Errorf("ring %d, a hole, lies in the hole that is ring %d", i, outer)
		}
		if h.looks < 0 {
			return errTangled
		}
	}
	return nil
}

// leavesShell finds a place of a hole that lies outside the shell.
func (h *holes) leavesShell(hole []Point) (at Point, out bool) {
	for k, p := range hole {
		if k > 0 { // an edge may leave between two vertices that lie on the shell
			mid := Point{(p.Lon + hole[k-1].Lon) / 2, (p.Lat + hole[k-1].Lat) / 2}
			if !h.contains(h.shell, mid) {
				return mid, h.looks >= 0
			}
		}
		if !h.contains(h.shell, p) {
			return p, h.looks >= 0
		}
	}
	return Point{}, false
}

// around finds a hole that holds hole i; 0 for none.
func (h *holes) around(i int) (outer int) {
	inner := h.rings[i]
	lo, hi := inner.box.corners()
	h.boxes.Search(lo, hi, func(_, _ [2]float64, j int) bool {
		if j != i && h.rings[j].box.holds(inner.box) && h.containsAll(h.rings[j], inner.points) {
			outer = j
		}
		return outer == 0 && h.looks >= 0
	})
	return outer
}

func (h *holes) containsAll(b *bands, points []Point) bool {
	for _, p := range points {
		if !h.contains(b, p) {
			return false
		}
	}
	return true
}

// contains is b.contains at a price; when looks are used up it says no.
func (h *holes) contains(b *bands, p Point) bool {
	h.looks -= 1 + len(b.edgesBeside(p))
	return h.looks >= 0 && b.contains(p)
}

func (b Box) holds(o Box) bool { return o.W >= b.W && o.E <= b.E && o.S >= b.S && o.N <= b.N }
