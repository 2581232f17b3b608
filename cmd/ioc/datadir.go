package main

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// dataVersion is the layout of the data folder that this ioc writes:
// VERSION, LOCK, records.db, series/, keys/, mqtt-session.
const dataVersion = 1

// dataDir is an opened data folder.
type dataDir struct {
	path string
	lock *os.File
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
	if err := checkVersion(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data_dir: %s is in use by another ioc", path)
	}
	return &dataDir{path: path, lock: lock}, nil
}

func (d *dataDir) close() { d.lock.Close() }

// series is the folder of the embedded engine.
func (d *dataDir) series() string { return filepath.Join(d.path, "series") }

// keys is the folder of what opens the sealed parts of the records.
func (d *dataDir) keys() string { return filepath.Join(d.path, "keys") }

// brokerSession is who we are to an outside broker: the client id under which
// it keeps our session, made once, and the groups of shared subscriptions in
// which that session may be, the one asked for included ("" is none). A copy
// of the folder that runs beside the original would take its session away.
func (d *dataDir) brokerSession(share string) (clientID string, groups []string, err error) {
	file := filepath.Join(d.path, "mqtt-session")
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

// checkVersion stamps a new folder and refuses one that a newer ioc has written.
func checkVersion(path string) error {
	file := filepath.Join(path, "VERSION")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return writeSynced(file, strconv.Itoa(dataVersion)+"\n")
	}
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || version < 1 {
		return fmt.Errorf("data_dir: %s holds %.20q, not a version number", file, text)
	}
	if version > dataVersion {
		return fmt.Errorf("data_dir: %s has version %d, written by a newer ioc; this one knows %d", path, version, dataVersion)
	}
	return nil
}

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
	return os.Rename(tmp, file)
}

// openRecords opens the SQL part. One connection: SQLite has one writer, and
// the domains read from memory. Every commit is synced, since answers rest on it.
func openRecords(dir string) (*sql.DB, error) {
	file := filepath.Join(dir, "records.db")
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
