package ui

import (
	"sort"
	"strconv"
	"sync/atomic"

	"cuulong/geo"
)

// Bounds of what is cut from a table at a time, so that neither a lock is held
// nor a buffer grows with the size of a province.
const (
	pageBytes   = 32 << 10
	pageVisits  = 8192
	tombstones  = 1024 // deletions remembered for those who resume
	compactOver = 1024
)

// place is a device or a camera as the tables see it. Guarded by hub.mu.
type place struct {
	pos     *geo.Point
	metrics map[string]*row // of the telemetry table; a camera has none
	state   *row            // of the devices or the cameras table
}

// row is one key of a state topic. Guarded by hub.mu, but enc: readers fill it.
type row struct {
	key   string // quoted, as JSON
	at    *place
	t     int64
	v     float64
	text  string // stands for v where it is not empty
	q     uint8
	ver   uint64 // of the last change
	born  uint64 // version at which the key appeared
	moved uint64 // version at which its place last changed
	gone  bool
	enc   atomic.Pointer[[]byte] // [key,t,v,q] at ver: encoded once for all clients
}

func (r *row) encoded() []byte {
	if p := r.enc.Load(); p != nil {
		return *p
	}
	b := make([]byte, 0, len(r.key)+48)
	b = append(b, '[')
	b = append(b, r.key...)
	b = append(b, ',')
	b = strconv.AppendInt(b, r.t, 10)
	b = append(b, ',')
	if r.text != "" {
		b = strconv.AppendQuote(b, r.text)
	} else {
		b = strconv.AppendFloat(b, r.v, 'g', -1, 64)
	}
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(r.q), 10)
	b = append(b, ']')
	r.enc.Store(&b)
	return b
}

// table is one state topic: its rows in the order of their last change. What a
// client has not seen is what follows its seq, so that a client costs a number
// here, however slow it is: the dirty set is the tail of log. Guarded by hub.mu.
type table struct {
	ver   uint64
	floor uint64          // deletions up to here are forgotten: older clients start afresh
	log   []entry         // by rising ver; an entry whose row has a later ver is void
	rows  int             // entries that are not void; those of dead included
	dead  map[string]*row // deleted and not forgotten, by key
}

type entry struct {
	ver uint64
	row *row
}

// touch notes that r changed. A row that was never touched is new.
func (t *table) touch(r *row) {
	t.ver++
	if r.ver == 0 {
		r.born = t.ver
		t.rows++
	}
	r.ver = t.ver
	r.enc.Store(nil)
	t.log = append(t.log, entry{t.ver, r})
	if kept := t.rows - max(0, len(t.dead)-tombstones); len(t.log) > 2*kept+compactOver {
		t.compact()
	}
}

// move notes that r's place changed.
func (t *table) move(r *row) {
	t.touch(r)
	r.moved = r.ver
}

// add makes a row, or brings a deleted one back, so that one key never has two
// rows in the log; the caller fills and touches it.
func (t *table) add(key string, at *place) *row {
	r := t.dead[key]
	if r == nil {
		return &row{key: key, at: at}
	}
	delete(t.dead, key)
	r.at, r.gone, r.text = at, false, "" // as if new: whatever it says next is a change
	return r
}

// remove deletes a row.
func (t *table) remove(r *row) {
	r.gone = true
	t.touch(r)
	if t.dead == nil {
		t.dead = map[string]*row{}
	}
	t.dead[r.key] = r
}

// bump gives out a version at which nothing changed.
func (t *table) bump() uint64 {
	t.ver++
	return t.ver
}

func (t *table) compact() {
	dead := 0
	for _, e := range t.log {
		if e.row.ver == e.ver && e.row.gone {
			dead++
		}
	}
	kept := t.log[:0]
	for _, e := range t.log {
		switch {
		case e.row.ver != e.ver:
		case e.row.gone && dead > tombstones:
			dead--
			t.rows--
			delete(t.dead, e.row.key)
			t.floor = e.ver
		default:
			kept = append(kept, e)
		}
	}
	clear(t.log[len(kept):])
	t.log = kept
}

// canResume says whether the changes since seq are all known.
func (t *table) canResume(seq uint64) bool { return seq >= t.floor && seq <= t.ver }

// reach is what a cut goes by: the client's state is complete up to since
// within was; now it shall be so within box. Rows after cursor are looked at.
type reach struct {
	since, cursor uint64
	was, box      *geo.Box // nil: the whole world
	fresh         bool     // the client has nothing yet: no deletions
	upto          uint64   // stop here; 0: at the end
}

// page is a cut: encoded rows and keys with commas between, and where it ended.
type page struct {
	set, del []byte
	cursor   uint64
	more     bool
}

func (p *page) reset() { p.set, p.del, p.more = p.set[:0], p.del[:0], false }

func (p *page) empty() bool { return len(p.set) == 0 && len(p.del) == 0 }

// cut fills p with what the client has to be told, oldest change first, so that
// p.cursor is always a version up to which it knows everything it was shown.
func (t *table) cut(p *page, r reach) {
	p.reset()
	i := sort.Search(len(t.log), func(i int) bool { return t.log[i].ver > r.cursor })
	p.cursor = r.cursor
	for visits := 0; i < len(t.log); i++ {
		e := t.log[i]
		if r.upto > 0 && e.ver > r.upto {
			p.cursor = r.upto
			return
		}
		if visits++; visits > pageVisits || len(p.set)+len(p.del) > pageBytes {
			p.more = true
			return
		}
		p.cursor = e.ver
		if e.row.ver == e.ver {
			p.add(e.row, r)
		}
	}
	p.cursor = t.ver
	if r.upto > 0 {
		p.cursor = r.upto
	}
}

func (p *page) add(r *row, rc reach) {
	in := !r.gone && within(rc.box, r.at.pos)
	changed := r.ver > rc.since
	had := !rc.fresh && r.born <= rc.since && // may the client hold it?
		(r.moved > rc.since || within(rc.was, r.at.pos))
	switch {
	case in && (changed || !had):
		if len(p.set) > 0 {
			p.set = append(p.set, ',')
		}
		p.set = append(p.set, r.encoded()...)
	case !in && had && (changed || !r.gone):
		if len(p.del) > 0 {
			p.del = append(p.del, ',')
		}
		p.del = append(p.del, r.key...)
	}
}

// within says whether a place lies in a box; nothing without a place lies in one.
func within(b *geo.Box, p *geo.Point) bool {
	if b == nil {
		return true
	}
	return p != nil && p.Lon >= b.W && p.Lon <= b.E && p.Lat >= b.S && p.Lat <= b.N
}
