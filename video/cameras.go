package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/video/rtsp"
)

// Cameras holds all cameras: records in SQL with a copy in memory, and one
// supervisor each. Safe for concurrent use.
type Cameras struct {
	db       *sql.DB
	log      *slog.Logger
	onChange func(Change)
	vault    vault
	guard    guard
	meters   *meters
	dial     func(ctx context.Context, u *url.URL, o rtsp.Options) (session, error)
	dials    dialling
	probes   chan struct{} // holds one for each that runs
	viewers  atomic.Int64
	closed   atomic.Bool
	index    *geo.Index[devices.ID]

	write sync.Mutex      // one writer at a time, held over SQL; readers never wait for it
	ctx   context.Context // Run's; nil before. Guarded by write
	tasks sync.WaitGroup  // supervisors; added to with write held, while Run runs

	mu   sync.RWMutex // held for a map access only
	byID map[devices.ID]*record
	list atomic.Pointer[[]Camera] // cached All, nil after a change
}

// record is one camera in memory. The Camera it points to is never changed: a
// change stores another one.
type record struct {
	camera atomic.Pointer[Camera]
	url    atomic.Pointer[url.URL] // whole; nil: it cannot be opened
	relay  *relay

	// Guarded by Cameras.write.
	sealed string
	stop   context.CancelFunc // ends the supervisor; nil: there is none
	done   chan struct{}      // closed when the last supervisor has ended; nil: there was none
}

// Open migrates the cameras' tables and loads them. Nothing is dialled before Run.
func Open(ctx context.Context, db *sql.DB, o Options) (*Cameras, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnChange == nil {
		o.OnChange = func(Change) {}
	}
	m, err := newMeters(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("cameras: %w", err)
	}
	if err := migrate(ctx, db); err != nil {
		return nil, fmt.Errorf("cameras: migrate: %w", err)
	}
	rows, err := load(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("cameras: load: %w", err)
	}
	c := &Cameras{
		db: db, log: o.Logger, onChange: o.OnChange, meters: m,
		vault:  vault{dir: o.Keys, log: o.Logger},
		guard:  guard{allow: slices.Clone(o.Allow), refused: func() { m.refuse(string(rtsp.AddressRefused)) }},
		dial:   dial,
		dials:  newDialling(),
		probes: make(chan struct{}, maxProbes),
		index:  geo.NewIndex[devices.ID](),
		byID:   make(map[devices.ID]*record, len(rows)),
	}
	locked := 0
	for _, r := range rows {
		rec := c.adopt(r, c.unseal(r))
		if rec.url.Load() == nil {
			locked++
		}
	}
	if locked > 0 {
		c.log.Error("cameras' addresses cannot be opened: the key file is missing or another one; put it back, or give the addresses again",
			"file", keyFile, "cameras", locked)
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(newStates(c)); err != nil {
			return nil, fmt.Errorf("cameras: %w", err)
		}
	}
	return c, nil
}

func (c *Cameras) unseal(r row) *url.URL {
	text, err := c.vault.open(string(r.ID), r.sealed)
	if err != nil {
		return nil
	}
	u, why := parseAddress(text)
	if why != "" {
		return nil
	}
	return u
}

// Run supervises all cameras until ctx ends, and waits for them. It is called once.
func (c *Cameras) Run(ctx context.Context) error {
	c.write.Lock()
	if c.ctx != nil {
		c.write.Unlock()
		return errors.New("cameras run already, or did")
	}
	c.ctx = ctx
	for _, rec := range c.records() {
		c.start(rec)
	}
	c.write.Unlock()

	<-ctx.Done()
	c.closed.Store(true)
	// Who held write when ctx ended may have started one more; nobody does after.
	c.write.Lock()
	for _, rec := range c.records() {
		rec.relay.end(ErrClosed)
	}
	c.write.Unlock()
	c.tasks.Wait()
	return ctx.Err()
}

// Create adds a camera. Errors: devices.FieldErrors, ErrExists, or the database's.
func (c *Cameras) Create(ctx context.Context, cam Camera) (Camera, error) {
	return c.put(ctx, cam, func(before *record) error {
		if before != nil {
			return ErrExists
		}
		return nil
	})
}

// Update replaces a camera's record. A URL without credentials keeps the stored
// ones while scheme, host and port stay, and is refused otherwise where there are any.
// Errors: devices.FieldErrors, ErrNotFound, or the database's.
func (c *Cameras) Update(ctx context.Context, cam Camera) (Camera, error) {
	return c.put(ctx, cam, func(before *record) error {
		if before == nil {
			return ErrNotFound
		}
		return nil
	})
}

func (c *Cameras) put(ctx context.Context, cam Camera, may func(before *record) error) (Camera, error) {
	after, err := c.putLocked(ctx, cam, may)
	if err != nil {
		return Camera{}, err
	}
	c.tell(Change{ID: after.ID})
	return after, nil
}

func (c *Cameras) putLocked(ctx context.Context, cam Camera, may func(before *record) error) (Camera, error) {
	c.write.Lock()
	defer c.write.Unlock()
	before, _ := c.find(cam.ID)
	if err := may(before); err != nil {
		return Camera{}, err
	}
	r, full, err := c.prepare(cam, before)
	if err != nil {
		return Camera{}, err
	}
	if err := store(ctx, c.db, r); err != nil {
		return Camera{}, fmt.Errorf("store camera %s: %w", cam.ID, err)
	}
	return *c.adopt(r, full).camera.Load(), nil
}

// prepare makes of what was given the row to store and the whole URL.
func (c *Cameras) prepare(cam Camera, before *record) (row, *url.URL, error) {
	cam.Bearing, cam.ViewDeg = own(cam.Bearing), own(cam.ViewDeg)
	if cam.Pull == "" {
		cam.Pull = Always
	}
	cam.Created = now()
	if before != nil {
		old := before.camera.Load()
		cam.Created = old.Created
		if before.url.Load() == nil && cam.URL == old.URL {
			// Locked away, and to stay as it is.
			return row{Camera: cam, sealed: before.sealed}, nil, check(&cam).Err()
		}
	}
	full, err := c.judge(&cam, before)
	if err != nil {
		return row{}, nil, err
	}
	sealed, err := c.vault.seal(string(cam.ID), full.String())
	if err != nil {
		return row{}, nil, err
	}
	cam.URL = shown(full)
	return row{Camera: cam, sealed: sealed}, full, nil
}

// adopt takes a stored row into memory, and starts its supervisor anew where
// the address or the time of pulling changed. Called with write held, or by Open.
func (c *Cameras) adopt(r row, full *url.URL) *record {
	rec, known := c.find(r.ID)
	if !known {
		rec = &record{relay: newRelay(r.ID, c.meters, firstState(r.Pull))}
	}
	same := false
	if was := rec.url.Load(); known {
		same = (was == nil) == (full == nil) && (was == nil || was.String() == full.String()) && rec.camera.Load().Pull == r.Pull
	}
	cam := r.Camera
	rec.sealed = r.sealed
	c.mu.Lock()
	rec.camera.Store(&cam)
	rec.url.Store(full)
	c.byID[cam.ID] = rec
	c.list.Store(nil)
	c.mu.Unlock()
	c.index.Set(cam.ID, cam.Position)
	if !same {
		c.start(rec)
	}
	return rec
}

// firstState is a camera's before its supervisor has said anything.
func firstState(p Pull) State {
	if p == OnDemand {
		return Off
	}
	return Connecting
}

// start ends a record's supervisor and begins another, which waits for the
// first. Called with write held.
func (c *Cameras) start(rec *record) {
	if rec.stop != nil {
		rec.stop()
		rec.stop = nil
	}
	full := rec.url.Load()
	if full == nil {
		rec.relay.set(Off, KeyMissing, "the stored address cannot be opened: its key is missing, or another one")
		return
	}
	if rec.relay.now().Code == KeyMissing {
		rec.relay.set(firstState(rec.camera.Load().Pull), "", "")
	}
	if c.ctx == nil || c.closed.Load() || c.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	before, done := rec.done, make(chan struct{})
	rec.stop, rec.done = cancel, done
	s := &supervisor{cameras: c, relay: rec.relay, url: full, onDemand: rec.camera.Load().Pull == OnDemand,
		log: c.log.With("camera", string(rec.relay.id))}
	c.tasks.Go(func() {
		defer close(done)
		defer cancel()
		if before != nil {
			<-before
		}
		s.run(ctx)
	})
}

// Delete ends a camera; its viewers are told. Errors: ErrNotFound, or the database's.
func (c *Cameras) Delete(ctx context.Context, id devices.ID) error {
	if err := c.remove(ctx, id); err != nil {
		return err
	}
	c.tell(Change{ID: id, Deleted: true})
	return nil
}

func (c *Cameras) remove(ctx context.Context, id devices.ID) error {
	c.write.Lock()
	defer c.write.Unlock()
	rec, ok := c.find(id)
	if !ok {
		return ErrNotFound
	}
	if _, err := c.db.ExecContext(ctx, `DELETE FROM cameras WHERE id = $1`, string(id)); err != nil {
		return fmt.Errorf("delete camera %s: %w", id, err)
	}
	c.mu.Lock()
	delete(c.byID, id)
	c.list.Store(nil)
	c.mu.Unlock()
	c.index.Delete(id)
	rec.relay.end(ErrNotFound)
	if rec.stop != nil {
		rec.stop()
	}
	return nil
}

// Get returns a camera's record; what it points to must not be changed.
func (c *Cameras) Get(id devices.ID) (Camera, bool) {
	rec, ok := c.find(id)
	if !ok {
		return Camera{}, false
	}
	return *rec.camera.Load(), true
}

// All lists cameras by id; the slice and what it points to must not be changed.
func (c *Cameras) All() []Camera {
	if list := c.list.Load(); list != nil {
		return *list
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]Camera, 0, len(c.byID))
	for _, id := range slices.Sorted(maps.Keys(c.byID)) {
		list = append(list, *c.byID[id].camera.Load())
	}
	// Changes clear the cache under mu, so none can be lost here.
	c.list.Store(&list)
	return list
}

// Status answers from memory.
func (c *Cameras) Status(id devices.ID) (Status, bool) {
	rec, ok := c.find(id)
	if !ok {
		return Status{}, false
	}
	return rec.relay.now(), true
}

func (c *Cameras) find(id devices.ID) (*record, bool) {
	c.mu.RLock()
	rec, ok := c.byID[id]
	c.mu.RUnlock()
	return rec, ok
}

func (c *Cameras) records() []*record {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.byID))
}

// tell is called outside any lock.
func (c *Cameras) tell(change Change) { c.onChange(change) }

func own(x *float64) *float64 {
	if x == nil {
		return nil
	}
	y := *x
	return &y
}

// now is a time as the API tells it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
