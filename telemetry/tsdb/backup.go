package tsdb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Backup copies the engine into dir/log and dir/series while it goes on: first
// the series as they are on the disk and the consumers' places, then the log,
// which reaches from what the series hold to the newest record, so that no place
// is ahead of it. dir must exist; on the same file system sealed segments are
// linked. Everything is synced before it returns.
func (db *DB) Backup(dir string) error {
	if err := db.Err(); err != nil {
		return err
	}
	// The janitor deletes what is behind the series; they stay as they are in the backup.
	db.keeping.Lock()
	defer db.keeping.Unlock()
	if err := db.series.flush(); err != nil {
		return err
	}
	if err := db.series.checkpoint(filepath.Join(dir, "series")); err != nil {
		return fmt.Errorf("back up the series: %w", err)
	}
	logDir := filepath.Join(dir, "log")
	if err := os.Mkdir(logDir, 0o750); err != nil {
		return err
	}
	if err := db.places.backUp(logDir); err != nil {
		return err
	}
	db.appendMu.Lock()
	sealed, cur := append([]segment(nil), db.segs.sealed...), db.segs.cur
	db.appendMu.Unlock()
	for _, s := range sealed {
		if err := linkOrCopy(s.path, filepath.Join(logDir, filepath.Base(s.path)), s.size); err != nil {
			return fmt.Errorf("back up the log: %w", err)
		}
	}
	// The newest segment grows: of it, what was durable.
	if err := copyFile(cur.path, filepath.Join(logDir, filepath.Base(cur.path)), cur.size); err != nil {
		return fmt.Errorf("back up the log: %w", err)
	}
	return errors.Join(syncDir(logDir), syncDir(dir))
}

// checkpoint flushes and links the series' files.
func (s *series) checkpoint(dir string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.toDisk(); err != nil {
		return err
	}
	return s.db.Checkpoint(dir)
}

func linkOrCopy(from, to string, size int64) error {
	if os.Link(from, to) == nil {
		return nil // a sealed segment never changes
	}
	return copyFile(from, to, size)
}

func copyFile(from, to string, size int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, in, size)
	return errors.Join(err, out.Sync(), out.Close())
}

// backUp copies the consumers' places.
func (p *places) backUp(dir string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for name, seq := range p.done {
		errs = append(errs, writeSynced(filepath.Join(dir, name+placeExt), placeBytes(seq)))
	}
	return errors.Join(errs...)
}
