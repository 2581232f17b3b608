package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cuulong/ui"
)

// restoreCmd puts a backup into an empty data folder.
type restoreCmd struct {
	Src         string `arg:"" help:"Folder that ioc backup made." placeholder:"SRC"`
	Keys        string `help:"Where the keys lie, if they were kept apart." placeholder:"DIR"`
	WithoutKeys bool   `help:"Restore although the keys are not there: the cameras' passwords are lost."`
	whichData
}

func (c restoreCmd) Run(ctx context.Context) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	m, err := restore(ctx, c.Src, dir, c.Keys, c.WithoutKeys)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	fmt.Printf("%s: restored %d files of the backup taken %s; ioc serve goes on from there\n", dir, len(m.Files), m.Taken.Format("2006-01-02 15:04:05 MST"))
	return nil
}

// restore verifies the whole backup before it makes the first file in dir, which
// must be empty or not be there. While it copies it verifies again, so that what
// stands in dir at the end is what the manifest says.
func restore(ctx context.Context, src, dir, keys string, withoutKeys bool) (*manifest, error) {
	m, err := readManifest(src)
	if err != nil {
		return nil, err
	}
	if v, _ := parseVersion(m.DataVersion); max(v.at, v.to) > dataVersion { // parseManifest has parsed it
		return nil, fmt.Errorf("%s was made by a newer ioc, of data version %s; this one knows %d", src, m.DataVersion, dataVersion)
	}
	if withoutKeys {
		keys = ""
	} else if f := m.missingKey(src, keys); f != "" {
		return nil, fmt.Errorf("%s is not there: name the keys' folder with --keys, or do --without-keys and enter the cameras' passwords again", f)
	}
	var damaged []error
	err = m.verify(ctx, src, keys, func(file string, err error) {
		if !withoutKeys || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(file, filepath.Join(src, keysOfBackup)) {
			damaged = append(damaged, fmt.Errorf("%s: %w", file, err))
		}
	})
	if err := errors.Join(append(damaged, err)...); err != nil {
		return nil, fmt.Errorf("the backup is damaged, nothing was restored:\n%w", err)
	}
	if in, err := within(dir, src); err != nil {
		return nil, err
	} else if in {
		return nil, fmt.Errorf("%s lies in the backup, which a server must not write to", dir)
	}
	if err := emptyFolder(dir); err != nil {
		return nil, err
	}
	marker := filepath.Join(dir, restoringFile)
	if err := writeSynced(marker, "from "+src+"\n"); err != nil {
		return nil, err
	}
	if err := m.place(ctx, src, dir, keys, withoutKeys); err != nil {
		return nil, fmt.Errorf("%w (%s is not whole: empty it before another try)", err, dir)
	}
	if err := endEpochs(ctx, dir); err != nil {
		return nil, err
	}
	if err := os.Remove(marker); err != nil {
		return nil, err
	}
	return m, syncDir(dir)
}

// endEpochs lets the browsers that the old server had begin anew: what they
// hold of its journal may be newer than the backup.
func endEpochs(ctx context.Context, dir string) error {
	db, err := openRecords(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	var tables int
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'ui_epochs'`).Scan(&tables)
	if err != nil || tables == 0 {
		return err
	}
	return errors.Join(ui.EndEpochs(ctx, db), db.Close())
}

// missingKey is a key that is nowhere.
func (m *manifest) missingKey(src, keys string) string {
	for _, f := range m.Files {
		if !strings.HasPrefix(f.Path, keysOfBackup+"/") {
			continue
		}
		from := f.from(src, keys)
		if from == "" {
			return f.Path
		}
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			return from
		}
	}
	return ""
}

// emptyFolder makes dir, or sees that nothing is in it.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lost+found" { // a disk of its own
			return fmt.Errorf("%s is not empty (%s): a restore never writes over anything", dir, e.Name())
		}
	}
	return nil
}

// place puts the files where a server looks for them; VERSION comes last.
func (m *manifest) place(ctx context.Context, src, dir, keys string, withoutKeys bool) error {
	folders := map[string]bool{dir: true}
	for _, f := range m.Files {
		from, rel := f.from(src, keys), filepath.FromSlash(f.Path)
		mode := fs.FileMode(0o640)
		switch top, rest, _ := strings.Cut(f.Path, "/"); top {
		case keysOfBackup:
			if withoutKeys {
				continue
			}
			mode = 0o600
		case recordsOfBackup:
			rel, mode = filepath.FromSlash(rest), 0o600
		default:
			rel = filepath.Join("series", rel)
		}
		to := filepath.Join(dir, rel)
		for d := filepath.Dir(to); !folders[d]; d = filepath.Dir(d) {
			folders[d] = true
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := newFile(to, mode, func(w io.Writer) error { return f.copyTo(ctx, w, from) }); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	for d := range folders {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return writeSynced(filepath.Join(dir, "VERSION"), m.DataVersion+"\n")
}
