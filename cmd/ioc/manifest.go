package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// manifest says what a backup holds; it is written last, as MANIFEST.json. A
// backup is four folders: records/ (records.db, and mqtt-session where there is one), log/, series/ and keys/, the
// last alone being secret by itself: it opens what is sealed in the records.
type manifest struct {
	Format      int            `json:"format"`       // of the manifest: manifestFormat
	IOC         string         `json:"ioc"`          // version that made it
	DataVersion string         `json:"data_version"` // of the data folder, as its VERSION
	Taken       time.Time      `json:"taken"`        // when it began: what was acknowledged before is in it
	Seq         uint64         `json:"seq,omitempty"`
	Files       []manifestFile `json:"files"`
}

// manifestFile is one file of a backup.
type manifestFile struct {
	Path   string `json:"path"` // with slashes, under one of the four folders
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Apart  bool   `json:"apart,omitempty"` // a key that is kept elsewhere: the hash tells whether it is the right one
}

const (
	manifestName    = "MANIFEST.json"
	manifestFormat  = 1
	maxManifest     = 64 << 20 // bytes
	maxBackupFiles  = 1 << 18
	keysOfBackup    = "keys"
	recordsOfBackup = "records"
)

// backupFolders are those of a backup.
var backupFolders = []string{recordsOfBackup, "log", "series", keysOfBackup}

// bytes is the size of what the backup itself holds.
func (m *manifest) bytes() (n int64) {
	for _, f := range m.Files {
		if !f.Apart {
			n += f.Bytes
		}
	}
	return n
}

// parseManifest reads a manifest, which may come from anywhere: its paths stay
// below the backup, and name each file once.
func parseManifest(text []byte) (*manifest, error) {
	var m manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("is damaged: something follows its end")
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("has format %d; this ioc knows %d", m.Format, manifestFormat)
	}
	if _, err := parseVersion(m.DataVersion); err != nil {
		return nil, fmt.Errorf("data_version: %w", err)
	}
	if len(m.Files) > maxBackupFiles {
		return nil, fmt.Errorf("names %d files; a backup has no more than %d", len(m.Files), maxBackupFiles)
	}
	seen := make(map[string]bool, len(m.Files))
	for i, f := range m.Files {
		top, rest, _ := strings.Cut(f.Path, "/")
		sum, err := hex.DecodeString(f.SHA256)
		switch {
		case !filepath.IsLocal(f.Path) || filepath.ToSlash(filepath.Clean(f.Path)) != f.Path || strings.ContainsAny(f.Path, "\\\x00") || rest == "" || !slices.Contains(backupFolders, top):
			return nil, fmt.Errorf("file %d: %.80q is no path within a backup", i, f.Path)
		case seen[f.Path]:
			return nil, fmt.Errorf("file %d: %s is named twice", i, f.Path)
		case top == recordsOfBackup && rest != recordsFile && rest != sessionFile:
			return nil, fmt.Errorf("file %d: %s is not of the records", i, f.Path)
		case f.Bytes < 0 || err != nil || len(sum) != sha256.Size || hex.EncodeToString(sum) != f.SHA256:
			return nil, fmt.Errorf("file %d: %s: size or hash is none", i, f.Path)
		case f.Apart && top != keysOfBackup:
			return nil, fmt.Errorf("file %d: %s: keys alone are kept apart", i, f.Path)
		}
		seen[f.Path] = true
	}
	if !seen[recordsOfBackup+"/"+recordsFile] {
		return nil, fmt.Errorf("names no %s/%s", recordsOfBackup, recordsFile)
	}
	return &m, nil
}

func readManifest(dir string) (*manifest, error) {
	file := filepath.Join(dir, manifestName)
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no backup: it has no %s: %w", dir, manifestName, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(text) > maxManifest {
		err = errors.New("is larger than a manifest can be")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// verify holds the files of a backup against its manifest. Keys that are apart
// are looked for in keys; with keys empty they are not.
func (m *manifest) verify(ctx context.Context, dir, keys string, report func(file string, err error)) error {
	for _, f := range m.Files {
		from := f.from(dir, keys)
		if from == "" {
			continue
		}
		err := f.copyTo(ctx, io.Discard, from)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			report(from, err)
		}
	}
	return nil
}

// from is where a file of a backup lies; keys, where it is not empty, stands for the backup's own.
func (f *manifestFile) from(dir, keys string) string {
	if rest, ok := strings.CutPrefix(f.Path, keysOfBackup+"/"); ok && (keys != "" || f.Apart) {
		if keys == "" {
			return ""
		}
		return filepath.Join(keys, filepath.FromSlash(rest))
	}
	return filepath.Join(dir, filepath.FromSlash(f.Path))
}

// copyTo copies the file, and fails where it is not what the manifest says.
func (f *manifestFile) copyTo(ctx context.Context, w io.Writer, from string) error {
	n, sum, err := hashed(ctx, w, from)
	switch {
	case err != nil:
		return err
	case n != f.Bytes:
		return fmt.Errorf("has %d bytes; the manifest says %d", n, f.Bytes)
	case sum != f.SHA256:
		return errors.New("is damaged: its SHA-256 is not the manifest's")
	}
	return nil
}

// hashed copies a regular file and returns its size and SHA-256.
func hashed(ctx context.Context, w io.Writer, from string) (int64, string, error) {
	info, err := os.Lstat(from)
	if err != nil {
		return 0, "", err
	}
	if !info.Mode().IsRegular() {
		return 0, "", errors.New("is not a plain file")
	}
	f, err := os.Open(from)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), readerUntil{ctx, f})
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// readerUntil reads until its context ends.
type readerUntil struct {
	ctx context.Context
	r   io.Reader
}

func (r readerUntil) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
