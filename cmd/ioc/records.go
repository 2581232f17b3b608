package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// openRecords opens the SQL part. One connection: SQLite has one writer, and
// the domains read from memory. Every commit is synced, since answers rest on it.
func openRecords(dir string) (*sql.DB, error) {
	file := filepath.Join(dir, recordsFile)
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open records %s: %w", file, err)
	}
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("open records %s: %w", file, err)
	}
	// Secrets' hashes and personal data: for the owner alone.
	if err := os.Chmod(file, 0o600); err != nil {
		db.Close()
		return nil, fmt.Errorf("open records %s: %w", file, err)
	}
	return db, nil
}

// checkRecords lets SQLite read a file of records to its last page, changing
// nothing; without report the first fault is the error.
func checkRecords(ctx context.Context, file string, report func(string)) error {
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `PRAGMA integrity_check`)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer rows.Close()
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			return err
		}
		if what == "ok" {
			continue
		}
		if report == nil {
			return fmt.Errorf("%s: %s", file, what)
		}
		report(what)
	}
	return errors.Join(rows.Err(), db.Close())
}
