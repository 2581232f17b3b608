package geo

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// edge is one side of a ring; ring and at say which.
type edge struct {
	a, b     vertex
	ring, at int
}

// extent is an edge's or a group of edges' box on the grid.
type extent struct{ w, s, e, n float64 }

func (e edge) extent() extent {
	return extent{min(e.a.x, e.b.x), min(e.a.y, e.b.y), max(e.a.x, e.b.x), max(e.a.y, e.b.y)}
}

func (a extent) union(b extent) extent {
	return extent{min(a.w, b.w), min(a.s, b.s), max(a.e, b.e), max(a.n, b.n)}
}

func (a extent) meets(b extent) bool {
	return a.w <= b.e && b.w <= a.e && a.s <= b.n && b.s <= a.n
}

func (a extent) holds(v vertex) bool {
	return v.x >= a.w && v.x <= a.e && v.y >= a.s && v.y <= a.n
}

// crossings looks for edges that meet where they must not. Edges that follow
// each other along a ring lie near each other, so a binary tree of boxes over
// the edges in that order finds the pairs that can meet at all: about n log n
// steps for anything drawn from the earth. What is drawn to defeat it (a comb
// of long slanted teeth) runs into a bound on the steps, and is refused.
type crossings struct {
	rings []ring
	edges []edge
	tree  []extent // heap order: the children of i are 2i and 2i+1; leaves are groups of edges
	leafs int      // a power of two
	steps int      // left
}

const edgesPerLeaf = 4

// A coast or a commune takes 3 to 5 steps an edge, a rough star of 10,000
// vertices 20; 8 million, the most there can be, take under a second. The free
// ones let any ring of up to 140 vertices be checked pair by pair.
const (
	stepsPerEdge = 40
	freeSteps    = 20_000
)

var errTangled = errors.New("its long edges lie too close across each other to be checked; simplify it")

func checkCrossings(rings []ring) error {
	c := crossings{rings: rings}
	// Rings in Z-order of their first vertices, so that neighbours in the tree
	// are neighbours on the map however the holes are listed.
	order := make([]int, len(rings))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(zOrder(rings[i][0]), zOrder(rings[j][0])) })
	for _, i := range order {
		r := rings[i]
		for k := range r {
			c.edges = append(c.edges, edge{r[k], r[(k+1)%len(r)], i, k})
		}
	}
	c.steps = freeSteps + stepsPerEdge*len(c.edges)
	c.build()
	return c.within(1)
}

// zOrder interleaves the bits of 2 x 16-bit cell numbers.
func zOrder(v vertex) uint32 {
	spread := func(f float64) uint32 {
		u := uint32((f*gridDeg + 180) / 360 * 65535)
		u = (u | u<<8) & 0x00ff00ff
		u = (u | u<<4) & 0x0f0f0f0f
		u = (u | u<<2) & 0x33333333
		return (u | u<<1) & 0x55555555
	}
	return spread(v.x) | spread(v.y)<<1
}

func (c *crossings) build() {
	c.leafs = 1
	for c.leafs*edgesPerLeaf < len(c.edges) {
		c.leafs *= 2
	}
	c.tree = make([]extent, 2*c.leafs)
	for i := 2*c.leafs - 1; i > 0; i-- {
		if i < c.leafs {
			c.tree[i] = c.tree[2*i].union(c.tree[2*i+1])
			continue
		}
		c.tree[i] = extent{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
		for _, e := range c.leaf(i) {
			c.tree[i] = c.tree[i].union(e.extent())
		}
	}
}

// leaf is the group of edges at a leaf of the tree; the last leaves may be empty.
func (c *crossings) leaf(node int) []edge {
	lo := min((node-c.leafs)*edgesPerLeaf, len(c.edges))
	return c.edges[lo:min(lo+edgesPerLeaf, len(c.edges))]
}

// within checks the edges under a node against each other.
func (c *crossings) within(node int) error {
	if node >= c.leafs {
		g := c.leaf(node)
		for i := range g {
			for j := i + 1; j < len(g); j++ {
				if err := c.pair(g[i], g[j]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := c.within(2 * node); err != nil {
		return err
	}
	if err := c.within(2*node + 1); err != nil {
		return err
	}
	return c.between(2*node, 2*node+1)
}

// between checks the edges under one node against those under another.
func (c *crossings) between(m, n int) error {
	if c.steps--; c.steps < 0 {
		return errTangled
	}
	if !c.tree[m].meets(c.tree[n]) {
		return nil
	}
	if m < c.leafs {
		for _, mm := range [2]int{2 * m, 2*m + 1} {
			for _, nn := range [2]int{2 * n, 2*n + 1} {
				if err := c.between(mm, nn); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, e := range c.leaf(m) {
		for _, f := range c.leaf(n) {
			if err := c.pair(e, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crossings) pair(e, f edge) error {
	if !e.extent().meets(f.extent()) {
		return nil
	}
	if c.steps--; c.steps < 0 {
		return errTangled
	}
	how, where := meet(e, f)
	if how == apart {
		return nil
	}
	if e.ring != f.ring {
		if how == touching { // rings may touch at points
			return nil
		}
		return fmt.Errorf("rings %d and %d cross or run along each other near %v", min(e.ring, f.ring), max(e.ring, f.ring), where)
	}
	last := len(c.rings[e.ring]) - 1
	if d := f.at - e.at; how == touching && (d == 1 || d == -1 || d == last || d == -last) {
		return nil // neighbours share their vertex
	}
	return fmt.Errorf("ring %d crosses or touches itself near %v", e.ring, where)
}

// How two edges meet.
const (
	apart       = iota
	touching    // in one point that is an end of one of them
	crossing    // in one point inside both
	overlapping // along a stretch
)

// meet says how two edges meet, and where.
func meet(e, f edge) (how int, where vertex) {
	fa, fb := orient(e.a, e.b, f.a), orient(e.a, e.b, f.b)
	ea, eb := orient(f.a, f.b, e.a), orient(f.a, f.b, e.b)
	if fa*fb < 0 && ea*eb < 0 {
		return crossing, intersection(e, f)
	}
	// Ends of one that lie on the other, each place once.
	var on [4]vertex
	n := 0
	note := func(side int, other edge, v vertex) {
		if side == 0 && other.extent().holds(v) && !slices.Contains(on[:n], v) {
			on[n] = v
			n++
		}
	}
	note(fa, e, f.a)
	note(fb, e, f.b)
	note(ea, f, e.a)
	note(eb, f, e.b)
	switch n {
	case 0:
		return apart, vertex{}
	case 1:
		return touching, on[0]
	}
	return overlapping, on[0]
}

// intersection of two edges known to cross; near enough for a message.
func intersection(e, f edge) vertex {
	dx, dy := e.b.x-e.a.x, e.b.y-e.a.y
	ux, uy := f.b.x-f.a.x, f.b.y-f.a.y
	t := ((f.a.x-e.a.x)*uy - (f.a.y-e.a.y)*ux) / (dx*uy - dy*ux)
	return vertex{e.a.x + t*dx, e.a.y + t*dy}
}
