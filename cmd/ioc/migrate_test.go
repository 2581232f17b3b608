package main

import (
	"archive/tar"
	"compress/gzip"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oldFolder unpacks the committed data folder of version 1 (testdata/make-v1.sh made it).
func oldFolder(t *testing.T) string {
	t.Helper()
	f, err := os.Open("testdata/v1.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(root, "data")
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = newFile(path, h.FileInfo().Mode().Perm(), func(w io.Writer) error { _, err := io.Copy(w, r); return err })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func copiesOf(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, recordsFile+".v1-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A folder of version 1 is migrated whole, after a copy of its records.
func TestOlderDataFolderIsMigrated(t *testing.T) {
	dir := oldFolder(t)
	if err := setPassword(t.Context(), dir, "admin", testPassword); err == nil || !strings.Contains(err.Error(), "ioc serve migrates it") {
		t.Errorf("passwd before: %v", err)
	}
	// A start that does not come to its end leaves the first copy to be the one.
	wrong := func(c *Config, _ *runOptions) { c.HTTP.Addr = "192.0.2.1:1" }
	cfg, o := defaults(false), runOptions{logger: quiet(), out: io.Discard}
	cfg.DataDir = dir
	wrong(&cfg, &o)
	if err := run(t.Context(), cfg, o); err == nil {
		t.Fatal("listened on an address of nobody")
	}
	first := copiesOf(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, "VERSION"))
	if err != nil || len(first) != 1 || string(text) != "1 to 2, copied: "+filepath.Base(first[0])+"\n" {
		t.Fatalf("half way: VERSION %q, copies %v, %v", text, first, err)
	}
	if info, err := os.Stat(first[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v %v", info, err)
	}
	// The copy is what the old ioc knew.
	db, err := sql.Open("sqlite", first[0])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var newest int
	if err := db.QueryRow(`SELECT max(version_id) FROM alerts_migrations`).Scan(&newest); err != nil || newest != 1 {
		t.Errorf("the copy's migrations: %d, %v", newest, err)
	}

	addrs, stop := startHere(t, dir, false)
	c := login(t, addrs.HTTP[0])
	var out struct {
		Series []struct{ Points [][]float64 }
	}
	c.must(http.MethodGet, "/api/v1/observations?device=tram-1&metric=level&from=2026-06-01T00:00:00Z&to=2026-06-03T00:00:00Z", nil, http.StatusOK, &out)
	if len(out.Series) != 1 || len(out.Series[0].Points) != 288 || out.Series[0].Points[287][1] != 2.87 {
		t.Errorf("series: %d", len(out.Series))
	}
	if a := theAlarm(t, c); a.State != "active" {
		t.Errorf("alarm %+v", a)
	}
	password, err := os.ReadFile(filepath.Join(dir, "PASSWORD-OF-TRAM-1"))
	if err != nil {
		t.Fatal(err)
	}
	device := deviceLogin{"tram-1", strings.TrimSpace(string(password))}
	if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":1}}`); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	var cam camera
	c.must(http.MethodPatch, "/api/v1/cameras/cam-1", map[string]any{"name": "Cống Xuân Hòa"}, http.StatusOK, &cam)
	if cam.URL != "rtsp://192.0.2.1/cam-1" {
		t.Errorf("the camera's sealed address: %+v", cam)
	}
	stop()
	text, err = os.ReadFile(filepath.Join(dir, "VERSION"))
	if again := copiesOf(t, dir); err != nil || string(text) != "2\n" || !slices.Equal(again, first) {
		t.Errorf("VERSION %q, copies %v, were %v, %v", text, again, first, err)
	}
	if err := verifyStore(t.Context(), dir, t.Output()); err != nil {
		t.Error(err)
	}
	// Once is enough.
	_, stop = startHere(t, dir, false)
	stop()
	if again := copiesOf(t, dir); !slices.Equal(again, first) {
		t.Errorf("copied again: %v", again)
	}
}

// A backup of an older folder is taken as it lies, and its restore migrates.
func TestOlderBackupIsRestoredAndMigrated(t *testing.T) {
	dir, dest, into := oldFolder(t), filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "data")
	m, err := backupOf(t.Context(), dir, dest, false)
	if err != nil || m.DataVersion != "1" {
		t.Fatalf("%+v, %v", m, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "VERSION")); err != nil || string(text) != "1\n" || len(copiesOf(t, dir)) > 0 {
		t.Errorf("a backup changed the folder: VERSION %q, %v", text, err)
	}
	if _, err := restore(t.Context(), dest, into, "", false); err != nil {
		t.Fatal(err)
	}
	addrs := serveHere(t, into, false)
	if v, ok := login(t, addrs.HTTP[0]).latest("tram-1", "level"); !ok || v != 2.87 {
		t.Errorf("restored: %v %v", v, ok)
	}
	if got := copiesOf(t, into); len(got) != 1 {
		t.Errorf("copies: %v", got)
	}
}

// migrationsOf is what each data version has to bring about. Who adds a
// migration raises dataVersion and adds a line (or, where the version was never
// released, adds to it): the copy of the records rests on it.
var migrationsOf = map[int][]string{
	1: {"alerts/00001_alerts", "devices/00001_devices", "geo/00001_atlas", "ui/00001_epochs", "ui/access/00001_access", "video/00001_cameras"},
	2: {"alerts/00002_place", "devices/00002_quality"},
}

func TestEveryMigrationBelongsToADataVersion(t *testing.T) {
	var known, found []string
	for version, list := range migrationsOf {
		if version > dataVersion {
			t.Errorf("version %d is beyond %d", version, dataVersion)
		}
		known = append(known, list...)
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if name, ok := strings.CutSuffix(filepath.ToSlash(path), ".sql"); ok && strings.Contains(name, "/migrations/") {
			found = append(found, strings.Replace(strings.TrimPrefix(name, "../../"), "/migrations/", "/", 1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(known)
	slices.Sort(found)
	if !slices.Equal(known, found) {
		t.Errorf("migrations are\n%v\nof the data versions are\n%v", found, known)
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"2\n", "1 to 2, copied: records.db.v1-20261128T031500Z\n", "1 to 2", "-1", "02", "1 to 2, copied: ../x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseVersion(s)
		if err != nil {
			return
		}
		if v.at < 1 || v.to != 0 && (v.to <= v.at || strings.ContainsRune(v.copied, '/')) {
			t.Errorf("%q is read as %+v", s, v)
		}
		if again, err := parseVersion(v.String()); err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
			t.Errorf("%q is read as %+v, written as %q, read as %+v, %v", s, v, v, again, err)
		}
	})
}
