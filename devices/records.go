package devices

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"cuulong/geo"
)

//go:embed migrations/*.sql
var migrations embed.FS

func migrate(ctx context.Context, db *sql.DB) error {
	store, err := database.NewStore(database.DialectSQLite3, "devices_migrations")
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

const columns = `id, name, kind, lon, lat, parent, agency, public, maintenance, tags, metrics, quality, derive, attributes, created, secret`

// load reads all records, by id.
func load(ctx context.Context, db *sql.DB) ([]*record, error) {
	rows, err := db.QueryContext(ctx, `SELECT `+columns+` FROM devices ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*record
	for rows.Next() {
		var (
			d                         Device
			lon, lat                  sql.NullFloat64
			parent                    sql.NullString
			public, maintenance, made int64
			tags, metrics, attributes string
			quality, derive           string
			secret                    string
		)
		if err := rows.Scan(&d.ID, &d.Name, &d.Kind, &lon, &lat, &parent, &d.Agency, &public, &maintenance,
			&tags, &metrics, &quality, &derive, &attributes, &made, &secret); err != nil {
			return nil, err
		}
		if lon.Valid && lat.Valid {
			d.Position = &geo.Point{Lon: lon.Float64, Lat: lat.Float64}
		}
		d.Parent = ID(parent.String)
		d.Public, d.Maintenance = public != 0, maintenance != 0
		d.Created = time.UnixMilli(made).UTC()
		for _, column := range []struct {
			text string
			into any
		}{{tags, &d.Tags}, {metrics, &d.Metrics}, {quality, &d.Quality}, {derive, &d.Derive}, {attributes, &d.Attributes}} {
			if err := json.Unmarshal([]byte(column.text), column.into); err != nil {
				return nil, fmt.Errorf("device %s: %w", d.ID, err)
			}
		}
		rec := &record{}
		if n, err := hex.Decode(rec.secret[:], []byte(secret)); err != nil || n != len(rec.secret) {
			return nil, fmt.Errorf("device %s: its stored secret is not a SHA-256 digest", d.ID)
		}
		rec.device.Store(&d)
		all = append(all, rec)
	}
	return all, rows.Err()
}

// fields are the values of columns from name to derive, in their order.
func fields(d *Device) []any {
	var lon, lat, parent any
	if d.Position != nil {
		lon, lat = d.Position.Lon, d.Position.Lat
	}
	if d.Parent != "" {
		parent = string(d.Parent)
	}
	return []any{d.Name, string(d.Kind), lon, lat, parent, d.Agency, bit(d.Public), bit(d.Maintenance),
		text(d.Tags), text(d.Metrics), text(d.Quality), text(d.Derive)}
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// text is v as JSON; what it is given always has one.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
