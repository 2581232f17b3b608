package geo

import (
	"cmp"
	"slices"
	"sync"

	"github.com/tidwall/rtree"
)

// Hit is an item found near a place.
type Hit[K cmp.Ordered] struct {
	Key       K
	DistanceM float64
}

// Index finds located items by place: the nearest N, and those in a box.
// Safe for concurrent use.
type Index[K cmp.Ordered] struct {
	mu   sync.RWMutex
	at   map[K]Point // guarded by mu
	tree rtree.RTreeGN[float64, K]
}

// NewIndex returns an empty index.
func NewIndex[K cmp.Ordered]() *Index[K] { return &Index[K]{at: map[K]Point{}} }

// Set puts an item at p, or moves it there. An invalid p takes it out: it is
// nowhere to be found.
func (x *Index[K]) Set(key K, p Point) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(key)
	if !p.Valid() {
		return
	}
	x.at[key] = p
	x.tree.Insert([2]float64{p.Lon, p.Lat}, [2]float64{p.Lon, p.Lat}, key)
}

// Delete takes an item out; one that is not there is no error.
func (x *Index[K]) Delete(key K) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(key)
}

func (x *Index[K]) remove(key K) {
	if p, ok := x.at[key]; ok {
		delete(x.at, key)
		x.tree.Delete([2]float64{p.Lon, p.Lat}, [2]float64{p.Lon, p.Lat}, key)
	}
}

// Len is the number of items.
func (x *Index[K]) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.at)
}

// Near lists the n items nearest to p by distance along the earth, nearest
// first, equal distances by key. It finds across the antimeridian and the poles.
func (x *Index[K]) Near(p Point, n int) []Hit[K] {
	if n <= 0 || !p.Valid() {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	var hits []Hit[K]
	x.tree.Nearby(func(lo, hi [2]float64, _ K, item bool) float64 {
		if item {
			return Distance(p, Point{lo[0], lo[1]})
		}
		return boxM(p, lo, hi)
	}, func(_, _ [2]float64, key K, m float64) bool {
		// Items equally far as the last one may still have a lesser key.
		if len(hits) >= n && m > hits[len(hits)-1].DistanceM {
			return false
		}
		hits = append(hits, Hit[K]{key, m})
		return true
	})
	slices.SortFunc(hits, func(a, b Hit[K]) int {
		return cmp.Or(cmp.Compare(a.DistanceM, b.DistanceM), cmp.Compare(a.Key, b.Key))
	})
	return hits[:min(n, len(hits))]
}

// In lists the items in the box or on its edge, by key.
func (x *Index[K]) In(b Box) []K {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var keys []K
	lo, hi := b.corners()
	x.tree.Search(lo, hi, func(_, _ [2]float64, key K) bool {
		keys = append(keys, key)
		return true
	})
	slices.Sort(keys)
	return keys
}

// boxM is a lower bound, in metres, of the distance from p into a box. The
// margin covers the error of Distance, which it is compared with.
func boxM(p Point, lo, hi [2]float64) float64 {
	return boxArc(p, Box{lo[0], lo[1], hi[0], hi[1]}) * shortestRadiusM * 0.9999
}
