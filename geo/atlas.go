package geo

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Chainage is a place on a river.
type Chainage struct {
	River   string  `json:"river"`
	KM      float64 `json:"km"`       // from the mouth
	OffsetM float64 `json:"offset_m"` // from the centre line
}

// Zone is a polygon that somebody answers for.
type Zone struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"` // the id where the feature has none
	Kind    string          `json:"kind,omitempty"`
	Box     Box             `json:"bbox"` // marshals as [w,s,e,n]
	GeoJSON json.RawMessage `json:"-"`    // the whole Feature; not to be changed
}

// River is a centre line whose first vertex lies at the mouth.
type River struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Mouth    string          `json:"mouth,omitempty"`
	Joins    *Join           `json:"joins,omitempty"`
	LengthKM float64         `json:"length_km"`
	Box      Box             `json:"bbox"`
	GeoJSON  json.RawMessage `json:"-"` // the whole Feature; not to be changed
}

// Join says where a river meets another one.
type Join struct {
	River string  `json:"river"`
	KM    float64 `json:"km"`  // chainage on that river
	End   string  `json:"end"` // "upstream": it flows out of that river there; "downstream": into it
}

// Atlas holds the province's zones and rivers: records in SQL, index in memory.
// Safe for concurrent use; reads never touch the database.
type Atlas struct {
	db *sql.DB

	// writing is held from before a transaction until memory shows it, so that
	// memory takes changes in the order of the records.
	writing sync.Mutex
	zones   atomic.Pointer[zoneSet]  // replaced whole, under writing
	rivers  atomic.Pointer[riverSet] // replaced whole, under writing

	listening sync.Mutex
	listeners []func() // guarded by listening
}

// PutZones takes a FeatureCollection of Polygons and MultiPolygons; features
// that fail are refused one by one, the others replace those of the same id,
// in one transaction. An error means that the whole text was unreadable
// (*InputError), or that the database failed and nothing was taken.
// Winding is put right (RFC 7946 §3.1.6), altitudes are dropped, and all else
// of a feature is kept. The parts of a MultiPolygon may overlap.
func (a *Atlas) PutZones(ctx context.Context, r io.Reader) (accepted int, refused []Refusal, err error) {
	return put(ctx, a, r, "geo_zones", newZone, func(z *zone) (string, json.RawMessage) { return z.ID, z.GeoJSON },
		func(taken []*zone) { a.zones.Store(a.zones.Load().with(taken)) })
}

// PutRivers is PutZones for LineStrings, first vertex at the mouth.
func (a *Atlas) PutRivers(ctx context.Context, r io.Reader) (accepted int, refused []Refusal, err error) {
	return put(ctx, a, r, "geo_rivers", newRiver, func(v *river) (string, json.RawMessage) { return v.ID, v.GeoJSON },
		func(taken []*river) { a.rivers.Store(a.rivers.Load().with(taken)) })
}

// put is what zones and rivers have in common: read, judge each, write together, show, tell.
func put[T any](ctx context.Context, a *Atlas, r io.Reader, table string,
	read func(json.RawMessage, trust) (T, string, error),
	record func(T) (string, json.RawMessage), show func([]T),
) (accepted int, refused []Refusal, err error) {
	features, err := readCollection(r)
	if err != nil {
		return 0, nil, err
	}
	refused = []Refusal{}
	var taken []T
	firstAt := map[string]int{} // index of an id's first feature, refused or not
	for i, raw := range features {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		item, id, err := read(raw, untrusted)
		if first, again := firstAt[id]; again && id != "" {
			err = fmt.Errorf("its id is that of feature %d of this collection", first)
		} else {
			firstAt[id] = i
		}
		if err != nil {
			refused = append(refused, Refusal{i, id, err.Error()})
			continue
		}
		taken = append(taken, item)
	}
	if len(taken) == 0 {
		return 0, refused, nil
	}
	if err := a.store(ctx, table, len(taken), func(i int) (string, json.RawMessage) { return record(taken[i]) },
		func() { show(taken) }); err != nil {
		return 0, nil, err
	}
	a.changed()
	return len(taken), refused, nil
}

// Zones lists all zones by id.
func (a *Atlas) Zones() []Zone { return slices.Clone(a.zones.Load().all) }

// Zone gives one zone.
func (a *Atlas) Zone(id string) (Zone, bool) {
	if z := a.zones.Load().byID[id]; z != nil {
		return z.Zone, true
	}
	return Zone{}, false
}

// ZonesAt lists the zones that hold p, by id. A point on a border lies in all zones that share it.
func (a *Atlas) ZonesAt(p Point) []Zone { return a.zones.Load().at(p) }

// InZone says whether p lies in the zone or on its border; false where there is no such zone.
func (a *Atlas) InZone(id string, p Point) bool {
	z := a.zones.Load().byID[id]
	return z != nil && z.area.contains(p)
}

// DeleteZone takes a zone out; false where there is none.
func (a *Atlas) DeleteZone(ctx context.Context, id string) (bool, error) {
	return a.remove(ctx, "geo_zones", id, func() { a.zones.Store(a.zones.Load().without(id)) })
}

// Rivers lists all rivers by id.
func (a *Atlas) Rivers() []River { return slices.Clone(a.rivers.Load().all) }

// River gives one river.
func (a *Atlas) River(id string) (River, bool) {
	if v := a.rivers.Load().byID[id]; v != nil {
		return v.River, true
	}
	return River{}, false
}

// DeleteRiver takes a river out; false where there is none. A built-in one does not come back.
func (a *Atlas) DeleteRiver(ctx context.Context, id string) (bool, error) {
	return a.remove(ctx, "geo_rivers", id, func() { a.rivers.Store(a.rivers.Load().without(id)) })
}

// Snap finds the place on the nearest river within maxM metres, to the metre along and the decimetre across.
func (a *Atlas) Snap(p Point, maxM float64) (Chainage, bool) {
	c, ok := a.rivers.Load().snap(p, maxM)
	c.KM, c.OffsetM = math.Round(c.KM*1e3)/1e3, math.Round(c.OffsetM*10)/10
	return c, ok
}

// OnChange has f called after zones or rivers changed, on the goroutine that
// changed them, outside all locks. f may read the atlas.
func (a *Atlas) OnChange(f func()) {
	a.listening.Lock()
	defer a.listening.Unlock()
	a.listeners = append(a.listeners, f)
}

func (a *Atlas) changed() {
	a.listening.Lock()
	listeners := slices.Clone(a.listeners)
	a.listening.Unlock()
	for _, f := range listeners {
		f()
	}
}
