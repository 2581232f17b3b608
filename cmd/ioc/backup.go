package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// backupCmd takes a backup of the whole data folder, while a server runs on it or none does.
type backupCmd struct {
	Dest        string `arg:"" help:"Folder to make; it must not be there yet." placeholder:"DEST"`
	WithoutKeys bool   `help:"Leave out keys/, which opens the cameras' passwords, to keep it elsewhere."`
	whichData
}

// whichData names the data folder that a command is about.
type whichData struct {
	DataDir string `help:"Data folder; default: that of the configuration." placeholder:"DIR"`
	Config  string `help:"Configuration file (YAML) that names the data folder." placeholder:"FILE"`
}

func (w whichData) dir() (string, error) {
	if w.DataDir != "" {
		return filepath.Abs(w.DataDir)
	}
	cfg, err := loadConfig(w.Config, false, os.Getenv)
	if err != nil {
		return "", err
	}
	return filepath.Abs(cfg.DataDir)
}

func (c backupCmd) Run(ctx context.Context) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	dest, err := filepath.Abs(c.Dest)
	if err != nil {
		return err
	}
	m, err := backupOf(ctx, dir, dest, c.WithoutKeys)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	fmt.Printf("%s: %d files, %d bytes, taken %s\n", dest, len(m.Files), m.bytes(), m.Taken.Format(time.RFC3339))
	if c.WithoutKeys {
		fmt.Printf("keep %s elsewhere: without it the cameras' passwords cannot be opened again\n", filepath.Join(dir, "keys"))
	}
	return nil
}

// backupOf asks the server that runs on dir, or takes the backup itself where none does.
func backupOf(ctx context.Context, dir, dest string, withoutKeys bool) (*manifest, error) {
	if err := isDataDir(dir); err != nil {
		return nil, err
	}
	var m manifest
	err := askServer(ctx, dir, "/backup", backupRequest{dest, withoutKeys}, func(r io.Reader) error {
		return json.NewDecoder(r).Decode(&m)
	})
	if !errors.Is(err, errNoServer) {
		return &m, err
	}
	d, err := lockDataDir(dir)
	if errors.Is(err, errInUse) {
		return nil, fmt.Errorf("%w, which does not answer: it is starting, stopping, or of an older version", err)
	}
	if err != nil {
		return nil, err
	}
	defer d.close()
	// Nobody writes: the engine's files are copied as they lie, of whatever version.
	return takeBackup(ctx, backupOptions{dir: d, dest: dest, withoutKeys: withoutKeys, engine: func(into string) error {
		for _, name := range []string{"log", "series"} {
			if err := copyTree(ctx, filepath.Join(d.series(), name), filepath.Join(into, name)); err != nil {
				return err
			}
		}
		return nil
	}})
}

type backupOptions struct {
	dir         *dataDir
	dest        string
	withoutKeys bool
	seq         uint64                  // newest record of the log when the backup began; 0: not known
	engine      func(into string) error // writes into/log and into/series, synced
}

// takeBackup makes dest. The order is what makes the parts fit each other:
//
//  1. The records. The alarms' place in the log that they hold is not beyond the
//     log that follows: a log older than the place would, after a restore, give
//     its seqs anew to records that the alarms take for judged.
//  2. The engine: its series, then its log (tsdb.Backup), so that the log reaches
//     from what the series hold to a record newer than the records know. What the
//     log has beyond the place is judged again at the start; an alarm's identity
//     makes that harmless. What came from a device registered after 1 is kept
//     without its device.
//  3. The keys. A key is made before anything is sealed with it, so that each
//     that the records need is there by now.
//
// It is written as dest.partial, each file read back for its hash, synced, and
// named dest at the end: a folder of that name is whole.
func takeBackup(ctx context.Context, o backupOptions) (m *manifest, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	m = &manifest{Format: manifestFormat, IOC: versionText(), DataVersion: o.dir.was.String(), Taken: time.Now().UTC().Truncate(time.Millisecond), Seq: o.seq}
	partial := o.dest + ".partial"
	if err := os.Mkdir(partial, 0o700); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there: a backup is under way, or did not end; remove it if none is", partial)
	} else if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	records := filepath.Join(partial, recordsOfBackup)
	if err := os.Mkdir(records, 0o700); err != nil {
		return nil, err
	}
	if err := copyRecords(ctx, o.dir.path, filepath.Join(records, recordsFile)); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	if err := copySession(ctx, o.dir.path, records); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := o.engine(partial); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if o.withoutKeys {
		if err := m.list(ctx, o.dir.keys(), keysOfBackup, true); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
	} else if err := copyTree(ctx, o.dir.keys(), filepath.Join(partial, keysOfBackup)); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	for _, name := range backupFolders {
		if err := m.list(ctx, filepath.Join(partial, name), name, false); err != nil {
			return nil, err
		}
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	if err := writeSynced(filepath.Join(partial, manifestName), string(text)+"\n"); err != nil {
		return nil, err
	}
	if err := os.Rename(partial, o.dest); err != nil {
		return nil, err
	}
	return m, syncDir(filepath.Dir(o.dest))
}

// copySession copies who we are to an outside broker: what it keeps for us
// while no server runs then comes to the one that was restored.
func copySession(ctx context.Context, from, to string) error {
	err := newFile(filepath.Join(to, sessionFile), 0o600, func(w io.Writer) error {
		_, _, err := hashed(ctx, w, filepath.Join(from, sessionFile))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return os.Remove(filepath.Join(to, sessionFile))
	}
	return err
}

// check says what would make the backup fail, or worse, before it begins.
func (o *backupOptions) check() error {
	if _, err := os.Lstat(o.dest); err == nil {
		return fmt.Errorf("%s is there already", o.dest)
	}
	parent := filepath.Dir(o.dest)
	info, err := os.Stat(parent)
	if err != nil {
		return err
	}
	if in, err := within(o.dest, o.dir.path); err != nil {
		return err
	} else if in {
		return fmt.Errorf("%s lies in the data folder; a backup belongs elsewhere, best on another disk", o.dest)
	}
	// A full disk of the backup's is a nuisance; one of the server's stops its intake.
	series, err := treeBytes(o.dir.series())
	if err != nil {
		return err
	}
	need, err := treeBytes(filepath.Join(o.dir.path, recordsFile))
	if err != nil {
		return err
	}
	own, err := os.Stat(o.dir.path)
	if err != nil {
		return err
	}
	if device(own) == device(info) {
		series = min(series, 64<<20) // on one file system files that never change are linked
	}
	const spare = 128 << 20 // the server's reserve, and air
	need += series + spare
	var fs syscall.Statfs_t
	if err := syscall.Statfs(parent, &fs); err != nil {
		return err
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < need {
		return fmt.Errorf("%s has %d MiB free; the backup may want %d MiB", parent, free>>20, need>>20)
	}
	return nil
}

// within tells whether a folder, which need not be there yet, is another one or
// below it, by whatever links they are named.
func within(dir, of string) (bool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	real, err := filepath.EvalSymlinks(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		real, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return false, err
	}
	if of, err = filepath.Abs(of); err == nil {
		of, err = filepath.EvalSymlinks(of)
	}
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(of, real)
	return err == nil && filepath.IsLocal(rel), nil
}

func device(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev)
	}
	return 0
}

// treeBytes is the size of a file, or of the files below a folder; those that go meanwhile do not count.
func treeBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				n += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return n, err
}

// list hashes and syncs the plain files and folders below dir into the manifest, under a name of their own.
func (m *manifest) list(ctx context.Context, dir, as string, apart bool) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return nil // no camera was ever sealed
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			return syncDir(path)
		}
		if path == filepath.Join(dir, "LOCK") {
			return nil // of the series' engine, which makes it anew
		}
		if strings.HasSuffix(path, ".tmp") && as == keysOfBackup {
			return nil // a key that is being made
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		n, sum, err := hashed(ctx, io.Discard, path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		m.Files = append(m.Files, manifestFile{Path: as + "/" + filepath.ToSlash(rel), Bytes: n, SHA256: sum, Apart: apart})
		return nil
	})
}

// copyTree copies a folder's plain files, synced, with their modes. A folder
// that is not there is an empty one.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == from {
			return os.MkdirAll(to, 0o700)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if rel == "LOCK" || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return newFile(filepath.Join(to, rel), info.Mode().Perm(), func(w io.Writer) error {
			_, _, err := hashed(ctx, w, path)
			return err
		})
	})
}

// newFile makes a file that was not there, synced.
func newFile(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
