package geo

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open migrates geo's tables, seeds the built-in rivers once, and loads the
// index. db stays the caller's, and must stay open as long as the atlas is used.
func Open(ctx context.Context, db *sql.DB) (*Atlas, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, fmt.Errorf("geo: migrating: %w", err)
	}
	a := &Atlas{db: db}
	if err := a.load(ctx); err != nil {
		return nil, fmt.Errorf("geo: loading: %w", err)
	}
	if err := a.seed(ctx); err != nil {
		return nil, fmt.Errorf("geo: seeding the built-in rivers: %w", err)
	}
	return a, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	versions, err := database.NewStore(database.DialectSQLite3, "geo_migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectCustom, db, files, goose.WithStore(versions))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

func (a *Atlas) load(ctx context.Context) error {
	zones := map[string]*zone{}
	err := a.eachFeature(ctx, "geo_zones", func(raw json.RawMessage) error {
		z, id, err := newZone(raw, stored)
		zones[id] = z
		return err
	})
	if err != nil {
		return err
	}
	a.zones.Store(newZoneSet(zones))
	rivers := map[string]*river{}
	err = a.eachFeature(ctx, "geo_rivers", func(raw json.RawMessage) error {
		v, id, err := newRiver(raw, stored)
		rivers[id] = v
		return err
	})
	a.rivers.Store(newRiverSet(rivers))
	return err
}

func (a *Atlas) eachFeature(ctx context.Context, table string, f func(json.RawMessage) error) error {
	rows, err := a.db.QueryContext(ctx, "SELECT id, feature FROM "+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		if err := f(json.RawMessage(text)); err != nil {
			return fmt.Errorf("%s, record %q: %w", table, id, err)
		}
	}
	return rows.Err()
}

// seed puts the built-in rivers in, once in the life of a data folder: what
// somebody deleted stays deleted. Rivers and the mark are one transaction.
func (a *Atlas) seed(ctx context.Context) error {
	var n int
	if err := a.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM geo_done WHERE what = 'built-in rivers'").Scan(&n); err != nil || n > 0 {
		return err
	}
	text, err := BaseFile("rivers.geojson")
	if err != nil {
		return err
	}
	features, err := readCollection(bytes.NewReader(text))
	if err != nil {
		return err
	}
	var rivers []*river
	for _, raw := range features {
		v, id, err := newRiver(raw, untrusted)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		rivers = append(rivers, v)
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, v := range rivers {
		if err := upsert(ctx, tx, "geo_rivers", v.ID, v.GeoJSON); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO geo_done (what) VALUES ('built-in rivers')"); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	a.rivers.Store(a.rivers.Load().with(rivers))
	return nil
}

// store writes n records in one transaction, then shows them.
func (a *Atlas) store(ctx context.Context, table string, n int, record func(i int) (id string, feature json.RawMessage), show func()) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("geo: storing: %w", err)
	}
	defer tx.Rollback()
	for i := range n {
		id, text := record(i)
		if err := upsert(ctx, tx, table, id, text); err != nil {
			return fmt.Errorf("geo: storing %s: %w", id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("geo: storing: %w", err)
	}
	show()
	return nil
}

func upsert(ctx context.Context, tx *sql.Tx, table, id string, feature json.RawMessage) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" (id, feature) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET feature = excluded.feature", id, string(feature))
	return err
}

// remove deletes one record, then shows that.
func (a *Atlas) remove(ctx context.Context, table, id string, show func()) (bool, error) {
	n, err := func() (int64, error) {
		a.writing.Lock()
		defer a.writing.Unlock()
		res, err := a.db.ExecContext(ctx, "DELETE FROM "+table+" WHERE id = $1", id)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		if n > 0 {
			show()
		}
		return n, err
	}()
	if err != nil {
		return false, fmt.Errorf("geo: deleting %s: %w", id, err)
	}
	if n > 0 {
		a.changed()
	}
	return n > 0, nil
}
