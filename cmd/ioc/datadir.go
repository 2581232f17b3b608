package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// dataVersion is the layout of the data folder that this ioc writes: VERSION,
// LOCK, records.db, mqtt-session, series/, keys/, control/. Version 2 follows the alarms' place
// in the log (records) and keeps series as chunks, which the engine makes of
// version 1's itself. A new migration of any domain wants a new version, so
// that what was there before is copied (migrate_test.go holds it).
const dataVersion = 2

// dataDir is an opened data folder, which nobody else may write.
type dataDir struct {
	path string
	lock *os.File
	was  folderVersion // when it was opened
}

// openDataDir makes the folder if need be, checks its version and takes its
// lock, so that no second server writes there.
func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	d, err := lockDataDir(path)
	if err != nil {
		return nil, err
	}
	if d.was.at == 0 {
		if err := writeSynced(d.versionFile(), strconv.Itoa(dataVersion)+"\n"); err != nil {
			d.close()
			return nil, fmt.Errorf("data_dir: %w", err)
		}
		d.was.at = dataVersion
	}
	return d, nil
}

// restoringFile marks a data folder that a restore has begun and not ended; no server starts on it.
const restoringFile = "RESTORING"

// errInUse is a folder that another ioc has locked.
var errInUse = errors.New("is in use by another ioc")

// lockDataDir takes the lock of a folder that is there, and changes nothing else.
func lockDataDir(path string) (*dataDir, error) {
	d := &dataDir{path: path}
	if _, err := os.Stat(filepath.Join(path, restoringFile)); err == nil {
		return nil, fmt.Errorf("data_dir: a restore into %s did not end (%s is there): empty the folder and restore again", path, restoringFile)
	}
	// Before the lock too: a folder that is not for us gets no file of ours.
	if _, err := readVersion(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data_dir: %s %w", path, errInUse)
	}
	d.lock = lock
	if d.was, err = readVersion(path); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

// isDataDir says why path is no data folder: opening would make an empty
// province of a mistyped one.
func isDataDir(path string) error {
	if _, err := os.Stat(filepath.Join(path, recordsFile)); err != nil {
		return fmt.Errorf("%s is not a data folder of ioc: %w", path, err)
	}
	return nil
}

func (d *dataDir) close() { d.lock.Close() }

const recordsFile = "records.db"

func (d *dataDir) versionFile() string { return filepath.Join(d.path, "VERSION") }

// series is the folder of the embedded engine.
func (d *dataDir) series() string { return filepath.Join(d.path, "series") }

// keys is the folder of what opens the sealed parts of the records.
func (d *dataDir) keys() string { return filepath.Join(d.path, "keys") }

const sessionFile = "mqtt-session"

// brokerSession is who we are to an outside broker: the client id under which
// it keeps our session, made once, and the groups of shared subscriptions in
// which that session may be, the one asked for included ("" is none). A copy
// of the folder that runs beside the original would take its session away.
func (d *dataDir) brokerSession(share string) (clientID string, groups []string, err error) {
	file := filepath.Join(d.path, sessionFile)
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		clientID = "ioc-" + rand.Text()[:16] // MQTT 3.1.1 promises room for 23 letters and digits
	case err != nil:
		return "", nil, fmt.Errorf("data_dir: %w", err)
	default:
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		clientID, groups = lines[0], lines[1:]
		if !brokerSessionID.MatchString(clientID) {
			return "", nil, fmt.Errorf("data_dir: %s holds no client id", file)
		}
	}
	if slices.Contains(groups, share) {
		return clientID, groups, nil
	}
	groups = append(groups, share)
	if err := writeSynced(file, clientID+"\n"+strings.Join(groups, "\n")+"\n"); err != nil {
		return "", nil, fmt.Errorf("data_dir: %w", err)
	}
	return clientID, groups, nil
}

var brokerSessionID = regexp.MustCompile(`^ioc-[A-Z2-7]{16}$`)

// writeSynced writes a small file whole or not at all.
func writeSynced(file, text string) error {
	tmp := file + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// syncDir makes durable which names a folder holds.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
