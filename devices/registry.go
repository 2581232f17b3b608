package devices

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cuulong/geo"
)

// Errors callers tell apart. Invalid input is reported as FieldErrors or one
// *FieldError; errors.As finds a *FieldError in both.
var (
	ErrNotFound = errors.New("no such device")
	ErrExists   = errors.New("device id is taken")
)

// Change tells listeners what happened to a device.
type Change struct {
	ID                 ID
	Deleted            bool
	CredentialsChanged bool
}

// Registry holds all devices: records in SQL, a full copy in memory.
// Safe for concurrent use; reads never touch the database.
type Registry struct {
	db   *sql.DB
	snap func(geo.Point) (geo.Chainage, bool) // may be nil

	write sync.Mutex // one writer at a time, held over SQL; readers never wait for it

	mu   sync.RWMutex // held for a map access only
	byID map[ID]*record
	list atomic.Pointer[[]Device] // cached All, nil after a change

	listening sync.Mutex
	listeners []func(Change)
}

// record is one device in memory. The Device it points to is never changed:
// a change stores another one.
type record struct {
	device atomic.Pointer[Device]
	heard  atomic.Int64 // receive time, Unix ms; 0 never

	secret [sha256.Size]byte // of the password; guarded by Registry.mu
}

// Open migrates the registry's tables and loads them. snap puts positions on rivers (geo.Atlas.Snap); nil for none.
func Open(ctx context.Context, db *sql.DB, snap func(geo.Point) (geo.Chainage, bool)) (*Registry, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, fmt.Errorf("devices: migrate: %w", err)
	}
	records, err := load(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("devices: load: %w", err)
	}
	r := &Registry{db: db, snap: snap, byID: make(map[ID]*record, len(records))}
	for _, rec := range records {
		d := rec.device.Load()
		d.Chainage = r.chainage(d.Position)
		r.byID[d.ID] = rec
	}
	return r, nil
}

// Create registers a device and returns it with the credentials that nobody
// will see again. Created, Chainage and Attributes of d are ignored.
// Errors: FieldErrors, ErrExists, or the database's.
func (r *Registry) Create(ctx context.Context, d Device) (Device, Credentials, error) {
	r.write.Lock()
	made, secret, err := r.create(ctx, own(d))
	r.write.Unlock()
	if err != nil {
		return Device{}, Credentials{}, err
	}
	r.tell(Change{ID: made.ID})
	return *made, Credentials{Username: string(made.ID), Password: secret}, nil
}

func (r *Registry) create(ctx context.Context, d *Device) (*Device, string, error) {
	d.Created = time.Now().UTC().Truncate(time.Millisecond)
	d.Attributes = nil
	if err := r.judge(d); err != nil {
		return nil, "", err
	}
	if _, taken := r.Get(d.ID); taken {
		return nil, "", ErrExists
	}
	rec := &record{}
	password := newPassword()
	rec.secret = sha256.Sum256([]byte(password))
	args := append([]any{string(d.ID)}, fields(d)...)
	args = append(args, "{}", d.Created.UnixMilli(), hex.EncodeToString(rec.secret[:]))
	_, err := r.db.ExecContext(ctx, `INSERT INTO devices (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, args...)
	if err != nil {
		return nil, "", fmt.Errorf("create device %s: %w", d.ID, err)
	}
	d.Chainage = r.chainage(d.Position)
	rec.device.Store(d)
	r.mu.Lock()
	r.byID[d.ID] = rec
	r.list.Store(nil)
	r.mu.Unlock()
	return d, password, nil
}

// Update replaces a device's record by d. Credentials, Created and Attributes
// stay as they are. Errors: FieldErrors, ErrNotFound, or the database's.
func (r *Registry) Update(ctx context.Context, d Device) (Device, error) {
	r.write.Lock()
	after, err := r.update(ctx, own(d))
	r.write.Unlock()
	if err != nil {
		return Device{}, err
	}
	r.tell(Change{ID: after.ID})
	return *after, nil
}

func (r *Registry) update(ctx context.Context, d *Device) (*Device, error) {
	rec, ok := r.find(d.ID)
	if !ok {
		return nil, ErrNotFound
	}
	before := rec.device.Load()
	d.Created, d.Attributes = before.Created, before.Attributes
	if err := r.judge(d); err != nil {
		return nil, err
	}
	if before.Kind == Gateway && d.Kind != Gateway && len(r.children(d.ID)) > 0 {
		return nil, FieldErrors{{Field: "kind", Why: "must stay gateway while other devices name it as parent"}}
	}
	_, err := r.db.ExecContext(ctx, `UPDATE devices SET name = $2, kind = $3, lon = $4, lat = $5, parent = $6, agency = $7,
		public = $8, maintenance = $9, tags = $10, metrics = $11, quality = $12, derive = $13 WHERE id = $1`, append([]any{string(d.ID)}, fields(d)...)...)
	if err != nil {
		return nil, fmt.Errorf("update device %s: %w", d.ID, err)
	}
	d.Chainage = r.chainage(d.Position)
	r.replace(rec, d)
	return d, nil
}

// Delete removes the record and its credentials; what the device observed
// stays. Children of a deleted gateway stand without a parent.
// Errors: ErrNotFound, or the database's.
func (r *Registry) Delete(ctx context.Context, id ID) error {
	changes, err := r.remove(ctx, id)
	if err != nil {
		return err
	}
	for _, c := range changes {
		r.tell(c)
	}
	return nil
}

func (r *Registry) remove(ctx context.Context, id ID) ([]Change, error) {
	r.write.Lock()
	defer r.write.Unlock()
	if _, ok := r.find(id); !ok {
		return nil, ErrNotFound
	}
	// One statement: the foreign key sets the children's parent to null.
	if _, err := r.db.ExecContext(ctx, `DELETE FROM devices WHERE id = $1`, string(id)); err != nil {
		return nil, fmt.Errorf("delete device %s: %w", id, err)
	}
	changes := []Change{{ID: id, Deleted: true}}
	orphans := r.children(id)
	r.mu.Lock()
	delete(r.byID, id)
	r.list.Store(nil)
	r.mu.Unlock()
	for _, rec := range orphans {
		d := *rec.device.Load()
		d.Parent = ""
		r.replace(rec, &d)
		changes = append(changes, Change{ID: d.ID})
	}
	return changes, nil
}

// ResetCredentials makes new credentials; the old ones end with the commit.
// Errors: ErrNotFound, or the database's.
func (r *Registry) ResetCredentials(ctx context.Context, id ID) (Credentials, error) {
	password, err := r.reset(ctx, id)
	if err != nil {
		return Credentials{}, err
	}
	r.tell(Change{ID: id, CredentialsChanged: true})
	return Credentials{Username: string(id), Password: password}, nil
}

func (r *Registry) reset(ctx context.Context, id ID) (string, error) {
	r.write.Lock()
	defer r.write.Unlock()
	rec, ok := r.find(id)
	if !ok {
		return "", ErrNotFound
	}
	password := newPassword()
	secret := sha256.Sum256([]byte(password))
	if _, err := r.db.ExecContext(ctx, `UPDATE devices SET secret = $2 WHERE id = $1`, string(id), hex.EncodeToString(secret[:])); err != nil {
		return "", fmt.Errorf("reset credentials of %s: %w", id, err)
	}
	r.mu.Lock()
	rec.secret = secret
	r.mu.Unlock()
	return password, nil
}

// SetAttributes merges what a device told of itself: names are laid over the
// old ones, null removes. A valid "position" {"lon","lat"} there moves a
// device that has none. What changes nothing writes nothing.
// Errors: *FieldError, ErrNotFound, or the database's.
func (r *Registry) SetAttributes(ctx context.Context, id ID, attrs map[string]any) error {
	changed, err := r.setAttributes(ctx, id, attrs)
	if err == nil && changed {
		r.tell(Change{ID: id})
	}
	return err
}

func (r *Registry) setAttributes(ctx context.Context, id ID, attrs map[string]any) (bool, error) {
	r.write.Lock()
	defer r.write.Unlock()
	rec, ok := r.find(id)
	if !ok {
		return false, ErrNotFound
	}
	d := *rec.device.Load()
	merged, raw, err := mergeAttributes(d.Attributes, attrs)
	if err != nil {
		return false, err
	}
	placed := false
	if d.Position == nil {
		if p, ok := toldPosition(merged["position"]); ok {
			d.Position, d.Chainage, placed = &p, r.chainage(&p), true
		}
	}
	if !placed && raw == text(d.Attributes) {
		return false, nil
	}
	d.Attributes = merged
	var lon, lat any
	if d.Position != nil {
		lon, lat = d.Position.Lon, d.Position.Lat
	}
	if _, err := r.db.ExecContext(ctx, `UPDATE devices SET attributes = $2, lon = $3, lat = $4 WHERE id = $1`, string(id), raw, lon, lat); err != nil {
		return false, fmt.Errorf("attributes of %s: %w", id, err)
	}
	r.replace(rec, &d)
	return true, nil
}

func toldPosition(v any) (geo.Point, bool) {
	m, _ := v.(map[string]any)
	lon, ok1 := m["lon"].(float64)
	lat, ok2 := m["lat"].(float64)
	return geo.Point{Lon: lon, Lat: lat}, ok1 && ok2 && within(lon, 180) && within(lat, 90)
}

// Resnap puts all positions on the rivers again; call it after rivers changed.
func (r *Registry) Resnap() {
	r.write.Lock()
	var moved []ID
	for _, rec := range r.records() {
		d := *rec.device.Load()
		was := d.Chainage
		d.Chainage = r.chainage(d.Position)
		if was == d.Chainage || was != nil && d.Chainage != nil && *was == *d.Chainage {
			continue
		}
		r.replace(rec, &d)
		moved = append(moved, d.ID)
	}
	r.write.Unlock()
	slices.Sort(moved)
	for _, id := range moved {
		r.tell(Change{ID: id})
	}
}

// Get returns a device; what it points to must not be changed.
func (r *Registry) Get(id ID) (Device, bool) {
	rec, ok := r.find(id)
	if !ok {
		return Device{}, false
	}
	return *rec.device.Load(), true
}

// All lists devices by id; the slice and what it points to must not be changed.
func (r *Registry) All() []Device {
	if list := r.list.Load(); list != nil {
		return *list
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]Device, 0, len(r.byID))
	for _, id := range slices.Sorted(maps.Keys(r.byID)) {
		list = append(list, *r.byID[id].device.Load())
	}
	// Changes clear the cache under mu, so none can be lost here.
	r.list.Store(&list)
	return list
}

// IsChild tells whether parent is child's gateway now.
func (r *Registry) IsChild(parent, child ID) bool {
	rec, ok := r.find(child)
	return ok && parent != "" && rec.device.Load().Parent == parent
}

// Authenticate answers whose credentials these are. Constant time; takes the same time for an unknown name.
func (r *Registry) Authenticate(username, password string) (Device, bool) {
	given := sha256.Sum256([]byte(password))
	var stored [sha256.Size]byte
	r.mu.RLock()
	rec, known := r.byID[ID(username)]
	if known {
		stored = rec.secret
	}
	r.mu.RUnlock()
	// The zero digest of an unknown name is compared all the same.
	if subtle.ConstantTimeCompare(given[:], stored[:]) != 1 || !known {
		return Device{}, false
	}
	return *rec.device.Load(), true
}

// OnChange is called after each committed change, outside any lock, by the
// goroutine that made the change.
func (r *Registry) OnChange(f func(Change)) {
	r.listening.Lock()
	defer r.listening.Unlock()
	r.listeners = append(slices.Clip(r.listeners), f)
}

func (r *Registry) tell(c Change) {
	r.listening.Lock()
	listeners := r.listeners
	r.listening.Unlock()
	for _, f := range listeners {
		f(c)
	}
}

// judge finds all faults of d, those among the other devices included.
func (r *Registry) judge(d *Device) error {
	faults := check(d)
	switch parent, ok := r.Get(d.Parent); {
	case d.Parent == "":
	case d.Parent == d.ID:
		faults.Add("parent", "is the device itself")
	case d.Kind == Gateway:
		faults.Add("parent", "a gateway has none")
	case !ok:
		faults.Add("parent", "no such device")
	case parent.Kind != Gateway:
		faults.Add("parent", "is not a gateway")
	}
	return faults.Err()
}

// replace publishes d as rec's device.
func (r *Registry) replace(rec *record, d *Device) {
	r.mu.Lock()
	rec.device.Store(d)
	r.list.Store(nil)
	r.mu.Unlock()
}

func (r *Registry) find(id ID) (*record, bool) {
	r.mu.RLock()
	rec, ok := r.byID[id]
	r.mu.RUnlock()
	return rec, ok
}

func (r *Registry) records() []*record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Values(r.byID))
}

func (r *Registry) children(id ID) (found []*record) {
	for _, rec := range r.records() {
		if rec.device.Load().Parent == id {
			found = append(found, rec)
		}
	}
	return found
}

func (r *Registry) chainage(p *geo.Point) *geo.Chainage {
	if p == nil || r.snap == nil {
		return nil
	}
	c, ok := r.snap(*p)
	if !ok {
		return nil
	}
	return &c
}

// own copies d, so that a caller's later writes do not reach the registry.
func own(d Device) *Device {
	if d.Position != nil {
		p := *d.Position
		d.Position = &p
	}
	d.Tags = slices.Clone(d.Tags)
	d.Metrics = slices.Clone(d.Metrics)
	d.Chainage, d.Attributes = nil, nil
	return &d
}

// newPassword is 26 characters of base 32: 130 bits, so that SHA-256 alone
// keeps it.
func newPassword() string { return rand.Text() }
