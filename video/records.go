package video

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

func migrate(ctx context.Context, db *sql.DB) error {
	store, err := database.NewStore(database.DialectSQLite3, "video_migrations")
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider("", db, files, goose.WithStore(store))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

const columns = `id, name, url, sealed, lon, lat, bearing, view_deg, kind, in_group, pull, created`

// row is a camera as it is stored.
type row struct {
	Camera
	sealed string
}

// load reads all records, by id.
func load(ctx context.Context, db *sql.DB) ([]row, error) {
	rows, err := db.QueryContext(ctx, `SELECT `+columns+` FROM cameras ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		var (
			r             row
			bearing, view sql.NullFloat64
			made          int64
		)
		if err := rows.Scan(&r.ID, &r.Name, &r.URL, &r.sealed, &r.Position.Lon, &r.Position.Lat, &bearing, &view,
			&r.Kind, &r.Group, &r.Pull, &made); err != nil {
			return nil, err
		}
		if bearing.Valid {
			r.Bearing = &bearing.Float64
		}
		if view.Valid {
			r.ViewDeg = &view.Float64
		}
		r.Created = time.UnixMilli(made).UTC()
		all = append(all, r)
	}
	return all, rows.Err()
}

// execer is a database or a transaction of it.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// store inserts or replaces a record.
func store(ctx context.Context, db execer, r row) error {
	var bearing, view any
	if r.Bearing != nil {
		bearing = *r.Bearing
	}
	if r.ViewDeg != nil {
		view = *r.ViewDeg
	}
	_, err := db.ExecContext(ctx, `INSERT INTO cameras (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, url = excluded.url, sealed = excluded.sealed, lon = excluded.lon, lat = excluded.lat,
		bearing = excluded.bearing, view_deg = excluded.view_deg, kind = excluded.kind, in_group = excluded.in_group, pull = excluded.pull`,
		string(r.ID), r.Name, r.URL, r.sealed, r.Position.Lon, r.Position.Lat, bearing, view,
		string(r.Kind), r.Group, string(r.Pull), r.Created.UnixMilli())
	return err
}
