package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cuulong/telemetry/tsdb"
)

// verifyCmd checks every invariant of a data folder that no server has open, or of a backup.
type verifyCmd struct {
	Dir    string `arg:"" optional:"" help:"Data folder, or backup; default: the data folder of the configuration." placeholder:"DIR"`
	Config string `help:"Configuration file (YAML) that names the data folder." placeholder:"FILE"`
}

func (c verifyCmd) Run(ctx context.Context) error {
	dir, err := whichData{c.Dir, c.Config}.dir()
	if err != nil {
		return err
	}
	return verifyStore(ctx, dir, os.Stdout)
}

// verifyStore prints every fault, then what was seen; with a fault it is an error.
func verifyStore(ctx context.Context, dir string, w io.Writer) error {
	v := &storeCheck{w: w}
	_, err := os.Stat(filepath.Join(dir, manifestName))
	if err == nil {
		err = v.backup(ctx, dir)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = v.folder(ctx, dir)
	}
	if err != nil {
		return fmt.Errorf("verify-store: %w", err)
	}
	if v.faults > 0 {
		return fmt.Errorf("verify-store: %s: %d faults", dir, v.faults)
	}
	return nil
}

type storeCheck struct {
	w      io.Writer
	faults int
}

func (v *storeCheck) fault(where, what string) {
	v.faults++
	fmt.Fprintf(v.w, "%s: %s\n", where, what)
}

func (v *storeCheck) folder(ctx context.Context, dir string) error {
	if err := isDataDir(dir); err != nil {
		return err
	}
	d, err := lockDataDir(dir)
	if errors.Is(err, errInUse) {
		return fmt.Errorf("%w: take a backup (ioc backup) and verify that", err)
	}
	if err != nil {
		return err
	}
	defer d.close()
	return v.parts(ctx, filepath.Join(dir, recordsFile), d.series())
}

// backup holds the files against the manifest first: the engine's own checks
// then tell whether what was taken was sound.
func (v *storeCheck) backup(ctx context.Context, dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	if err := m.verify(ctx, dir, "", func(file string, err error) { v.fault(file, err.Error()) }); err != nil {
		return err
	}
	fmt.Fprintf(v.w, "manifest: %d files, %d bytes, taken %s\n", len(m.Files), m.bytes(), m.Taken.Format("2006-01-02 15:04:05 MST"))
	return v.parts(ctx, filepath.Join(dir, recordsOfBackup, recordsFile), dir)
}

func (v *storeCheck) parts(ctx context.Context, records, engine string) error {
	if err := checkRecords(ctx, records, func(what string) { v.fault(records, what) }); err != nil {
		v.fault(records, err.Error())
	}
	s, err := tsdb.Verify(engine, func(f tsdb.Fault) { v.fault(f.Where, f.What) })
	if err != nil {
		v.fault(engine, err.Error())
	}
	fmt.Fprintf(v.w, "log: %d segments, %d records, %d observations, %d set aside\nseries: %d, %d chunks, %d samples, %d days rolled up\nfaults: %d\n",
		s.Segments, s.Records, s.LogObservations, s.SetAside, s.Series, s.Chunks, s.Samples, s.RolledUpDays, v.faults)
	return nil
}
