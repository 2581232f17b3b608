package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// folderVersion is what a folder's VERSION says: "2", or, from the copy of the
// records until all is migrated, "1 to 2, copied: records.db.v1-20261128T031500Z".
// An older ioc takes neither a higher number nor the longer form for its own.
type folderVersion struct {
	at     int    // 0: no VERSION, so a new folder
	to     int    // 0: not being migrated
	copied string // the records before the migration
}

func (v folderVersion) String() string {
	if v.to == 0 {
		return strconv.Itoa(v.at)
	}
	return fmt.Sprintf("%d to %d, copied: %s", v.at, v.to, v.copied)
}

func parseVersion(text string) (v folderVersion, err error) {
	bad := fmt.Errorf("%.80q is not a version number", text)
	number := func(s string) (n int) {
		if n, err := strconv.Atoi(s); err == nil && n > 0 && strconv.Itoa(n) == s {
			return n
		}
		err = bad
		return 0
	}
	at, rest, migrating := strings.Cut(strings.TrimSpace(text), " to ")
	v.at = number(at)
	if migrating {
		to, copied, ok := strings.Cut(rest, ", copied: ")
		v.to, v.copied = number(to), copied
		if !ok || copied != filepath.Base(copied) || copied == "." || v.to <= v.at {
			err = bad
		}
	}
	if err != nil {
		return folderVersion{}, err
	}
	return v, nil
}

// readVersion refuses a folder that a newer ioc has written.
func readVersion(path string) (folderVersion, error) {
	file := filepath.Join(path, "VERSION")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return folderVersion{}, nil
	}
	if err != nil {
		return folderVersion{}, fmt.Errorf("data_dir: %w", err)
	}
	v, err := parseVersion(string(text))
	if err != nil {
		return v, fmt.Errorf("data_dir: %s: %w", file, err)
	}
	if newest := max(v.at, v.to); newest > dataVersion {
		return v, fmt.Errorf("data_dir: %s has version %d, written by a newer ioc; this one knows %d", path, newest, dataVersion)
	}
	return v, nil
}

// sameVersion refuses a folder that is still to be migrated, for commands that are not to do so.
func sameVersion(v folderVersion, path string) error {
	if v.to == 0 && (v.at == dataVersion || v.at == 0) {
		return nil
	}
	return fmt.Errorf("data_dir: %s has version %s, this ioc knows %d: ioc serve migrates it, after a copy of its records", path, v, dataVersion)
}

// beforeMigration copies the records of an older folder, once, before anything
// of it is changed; VERSION then says so.
func (d *dataDir) beforeMigration(ctx context.Context, log *slog.Logger) error {
	if d.was.to == 0 && d.was.at == dataVersion {
		return nil
	}
	if d.was.to != 0 { // an earlier start made the copy and did not come to the end
		log.Info("data folder: migration goes on", "version", d.was.String())
		return nil
	}
	name := fmt.Sprintf("%s.v%d-%s", recordsFile, d.was.at, time.Now().UTC().Format("20060102T150405Z"))
	if _, err := os.Stat(filepath.Join(d.path, recordsFile)); err == nil {
		if err := copyRecords(ctx, d.path, filepath.Join(d.path, name)); err != nil {
			return fmt.Errorf("data_dir: copy of the records before they are migrated: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data_dir: %w", err)
	}
	d.was.to, d.was.copied = dataVersion, name
	if err := writeSynced(d.versionFile(), d.was.String()+"\n"); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	log.Info("data folder: migrating", "from", d.was.at, "to", dataVersion, "records as they were", name)
	return nil
}

// migrated raises the version, once every domain and engine has migrated what is its own.
func (d *dataDir) migrated(log *slog.Logger) error {
	if d.was.to == 0 {
		return nil
	}
	if err := writeSynced(d.versionFile(), strconv.Itoa(dataVersion)+"\n"); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	log.Info("data folder: migrated", "from", d.was.at, "to", dataVersion, "records as they were", d.was.copied)
	d.was = folderVersion{at: dataVersion}
	return nil
}

// copyRecords writes the records as they stand to a new file, whole or not at
// all. It may run beside a server: readers do not hold up its writer.
func copyRecords(ctx context.Context, dir, file string) error {
	db, err := openRecords(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	// SQLite takes an empty file as it is, and so its mode: for the owner alone.
	tmp := file + ".tmp"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, tmp)
	if err == nil {
		err = checkRecords(ctx, tmp, nil)
	}
	// SQLite does not sync what VACUUM INTO writes.
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}
