package access

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lookEvery is how old the copy in memory may be where another process changed the database.
const lookEvery = time.Second

// Control holds accounts, sessions and tokens. Safe for concurrent use.
type Control struct {
	db  *sql.DB
	now func() time.Time // replaced in tests

	hasher    *hasher
	byAccount *throttle
	byAddress *throttle
	links     links

	writing sync.Mutex // one change at a time: transaction, then the copy
	copy    atomic.Pointer[records]

	looking sync.Mutex
	looked  time.Time // guarded by looking

	listening sync.Mutex
	listeners []func(Revoked) // guarded by listening
}

// Open migrates and loads.
func Open(ctx context.Context, db *sql.DB) (*Control, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithTableName("access_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("access migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return nil, fmt.Errorf("migrate accounts: %w", err)
	}
	c := &Control{
		db: db, now: time.Now, hasher: newHasher(),
		// An account recovers within a minute, so that a stranger's guesses
		// cannot keep its owner out for long; an address waits longer.
		byAccount: newThrottle(5, time.Minute, 10_000),
		byAddress: newThrottle(20, 5*time.Minute, 10_000),
	}
	if err := c.reload(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// OnRevoke is told, after each change is committed, whose live connections
// end. It is called from the changing goroutine, outside any lock, and before
// the change returns. A connection that registers itself must call Renew once
// more afterwards, or it may miss a change made in between.
func (c *Control) OnRevoke(f func(Revoked)) {
	c.listening.Lock()
	defer c.listening.Unlock()
	c.listeners = append(c.listeners, f)
}

func (c *Control) tell(rs []Revoked) {
	c.listening.Lock()
	ls := c.listeners[:len(c.listeners):len(c.listeners)]
	c.listening.Unlock()
	for _, r := range rs {
		for _, f := range ls {
			f(r)
		}
	}
}

// Run ends what expires, notes when sessions were last used, and looks for
// changes by other processes, until ctx ends. Answers do not depend on it, but
// for live connections: theirs are ended by it.
func (c *Control) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	last := c.now()
	lastSweep := last
	for {
		select {
		case <-ctx.Done():
			// The last uses, so that a restart keeps the wall logged in.
			c.noteUse(context.WithoutCancel(ctx))
			return nil
		case <-t.C:
		}
		now := c.now()
		// A database that fails is told by whoever asks for it next; this is tried again in a second.
		_ = c.look(ctx)
		c.tell(c.copy.Load().expired(last, now))
		last = now
		if now.Sub(lastSweep) >= time.Minute {
			lastSweep = now
			c.noteUse(ctx)
			c.sweep(ctx)
		}
	}
}

// look reloads the copy when the database has moved on, at most once a second.
func (c *Control) look(ctx context.Context) error { return c.lookAfter(ctx, lookEvery) }

// lookAfter reloads the copy when it is age old and the database has moved on.
func (c *Control) lookAfter(ctx context.Context, age time.Duration) error {
	revoked, err := c.lookOnce(ctx, age)
	c.tell(revoked)
	return err
}

func (c *Control) lookOnce(ctx context.Context, age time.Duration) ([]Revoked, error) {
	c.looking.Lock()
	defer c.looking.Unlock()
	now := c.now()
	if d := now.Sub(c.looked); d >= 0 && d < age {
		return nil, nil
	}
	var n int64
	if err := c.db.QueryRowContext(ctx, `SELECT n FROM access_version WHERE id = 1`).Scan(&n); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	var revoked []Revoked
	if n != c.copy.Load().version {
		var err error
		if revoked, err = c.reloadLocked(ctx); err != nil {
			return nil, err
		}
	}
	c.looked = now
	return revoked, nil
}

// change runs f in one transaction, then renews the copy and tells whose
// connections end. When it returns nil, every answer knows the change.
func (c *Control) change(ctx context.Context, f func(tx *sql.Tx) error) error {
	c.writing.Lock()
	err := c.transact(ctx, f)
	if err != nil {
		c.writing.Unlock()
		return err
	}
	// Committed: what follows must not be cut short by a caller who has left.
	revoked, err := c.reloadLocked(context.WithoutCancel(ctx))
	c.writing.Unlock()
	c.tell(revoked)
	return err
}

func (c *Control) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("change accounts: %w", err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE access_version SET n = n + 1 WHERE id = 1`); err != nil {
		return fmt.Errorf("change accounts: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("change accounts: %w", err)
	}
	return nil
}

func (c *Control) reload(ctx context.Context) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.reloadLocked(ctx)
	return err
}

// reloadLocked replaces the copy by what the database holds and says whose
// connections end by it. Called with writing held.
func (c *Control) reloadLocked(ctx context.Context) ([]Revoked, error) {
	fresh, err := readRecords(ctx, c.db)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	old := c.copy.Load()
	fresh.keepUse(old)
	c.copy.Store(fresh)
	return old.lostIn(fresh), nil
}
