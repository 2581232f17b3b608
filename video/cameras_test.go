package video

import (
	"bytes"

	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cuulong/devices"
	"cuulong/geo"
)

func TestCreateAndReadBack(t *testing.T) {
	dir := t.TempDir()
	c := reopen(t, dir)
	bearing, view := 90.0, 60.0
	cam := camera("cam-1", "rtsp://xem:bimat@10.0.0.5:8554/live?pwd=S3")
	cam.Bearing, cam.ViewDeg, cam.Kind, cam.Group, cam.Pull = &bearing, &view, Security, "Gò Công", OnDemand
	made := create(t, c, cam)
	bearing = 7 // the caller's copy is not the record's
	again := reopen(t, dir)
	for name, cs := range map[string]*Cameras{"same": c, "reopened": again} {
		got, ok := cs.Get("cam-1")
		if !ok {
			t.Fatalf("%s: it is not there", name)
		}
		if got.URL != "rtsp://10.0.0.5:8554/live?pwd=*" || *got.Bearing != 90 || *got.ViewDeg != 60 || got.Kind != Security || got.Group != "Gò Công" ||
			got.Pull != OnDemand || got.Name != cam.Name || got.Position != cam.Position || !got.Created.Equal(made.Created) {
			t.Errorf("%s: %+v", name, got)
		}
		rec, _ := cs.find("cam-1")
		if got := rec.url.Load().String(); got != "rtsp://xem:bimat@10.0.0.5:8554/live?pwd=S3" {
			t.Errorf("%s: it would dial %s", name, got)
		}
		if all := cs.All(); len(all) != 1 || all[0].ID != "cam-1" {
			t.Errorf("%s: All = %v", name, all)
		}
	}
	if _, err := c.Create(t.Context(), cam); !errors.Is(err, ErrExists) {
		t.Errorf("second Create: %v", err)
	}
	if _, err := c.Update(t.Context(), camera("cam-2", "rtsp://10.0.0.5/")); !errors.Is(err, ErrNotFound) {
		t.Errorf("Update of nobody: %v", err)
	}
	if err := c.Delete(t.Context(), "cam-1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), "cam-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("second Delete: %v", err)
	}
	if n := len(reopen(t, dir).All()); n != 0 {
		t.Errorf("%d cameras after a restart", n)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	c := open(t, func(o *Options) { o.Allow = nil })
	nan, wide := math.NaN(), 361.0
	_, err := c.Create(t.Context(), Camera{ID: "-", Name: " ", URL: "rtsp://u:hunter2@127.0.0.1/x", Position: geo.Point{Lon: nan, Lat: 91},
		Bearing: &nan, ViewDeg: &wide, Kind: "spy", Group: "a\nb", Pull: "never"})
	for _, field := range []string{"id", "name", "url", "position.lon", "position.lat", "bearing", "view_deg", "kind", "group", "pull"} {
		mustContain(t, err, field)
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Errorf("the answer repeats the password: %v", err)
	}
	zero := 0.0
	cam := camera("cam-1", "rtsp://10.0.0.1/")
	cam.ViewDeg = &zero
	_, err = c.Create(t.Context(), cam)
	mustContain(t, err, "view_deg")
}

func TestUpdateKeepsCredentials(t *testing.T) {
	c := open(t)
	create(t, c, camera("cam-1", "rtsp://u:S3@10.0.0.1/a"))
	dials := func() string { rec, _ := c.find("cam-1"); return rec.url.Load().String() }
	if _, err := c.Update(t.Context(), camera("cam-1", "rtsp://10.0.0.1/b")); err != nil || dials() != "rtsp://u:S3@10.0.0.1/b" {
		t.Errorf("%v, dials %s", err, dials())
	}
	_, err := c.Update(t.Context(), camera("cam-1", "rtsp://10.0.0.2/b"))
	mustContain(t, err, "url")
	if dials() != "rtsp://u:S3@10.0.0.1/b" {
		t.Errorf("dials %s", dials())
	}
	if _, err := c.Update(t.Context(), camera("cam-1", "rtsp://v:T4@10.0.0.2/b")); err != nil || dials() != "rtsp://v:T4@10.0.0.2/b" {
		t.Errorf("%v, dials %s", err, dials())
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	c := reopen(t, dir)
	key := filepath.Join(dir, "keys", keyFile)
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a key before there is anything to seal: %v", err)
	}
	create(t, c, camera("cam-1", "rtsp://u:S3@10.0.0.1/a"))
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != keySize {
		t.Fatalf("key file: %v, %v", info, err)
	}
	if folder, _ := os.Stat(filepath.Dir(key)); folder.Mode().Perm() != 0o700 {
		t.Errorf("key folder: %v", folder.Mode())
	}
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	locked := func(c *Cameras, id string) bool {
		s, _ := c.Status(devices.ID(id))
		return s.State == Off && s.Code == KeyMissing && s.Why != ""
	}

	// Missing: the camera is off and says why; its name may be changed, and its
	// address given anew.
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c = reopen(t, dir, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	start(t, c)
	if !locked(c, "cam-1") || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("status without key; log %s", log.String())
	}
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading made a key: %v", err)
	}
	renamed := camera("cam-1", "rtsp://10.0.0.1/a")
	renamed.Name = "Tên mới"
	if _, err := c.Update(t.Context(), renamed); err != nil || !locked(c, "cam-1") {
		t.Errorf("renaming: %v", err)
	}
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("renaming made a key: %v", err)
	}
	_, err = c.Update(t.Context(), camera("cam-1", "rtsp://10.0.0.1/b"))
	mustContain(t, err, "url")

	// The right one comes back: so does the camera.
	if err := os.WriteFile(key, right, 0o644); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, dir)
	if got, _ := c.Get("cam-1"); got.Name != "Tên mới" || locked(c, "cam-1") {
		t.Errorf("with its key again: %+v", got)
	}
	if info, _ := os.Stat(key); info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v", info.Mode())
	}

	// Another one: the camera is off, the file stays.
	wrong := bytes.Repeat([]byte{7}, keySize)
	if err := os.WriteFile(key, wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, dir)
	start(t, c)
	if !locked(c, "cam-1") {
		t.Error("the wrong key opens it")
	}
	create(t, c, camera("cam-2", "rtsp://u:S3@10.0.0.2/a"))
	if _, err := c.Update(t.Context(), camera("cam-1", "rtsp://u:S4@10.0.0.1/a")); err != nil || locked(c, "cam-1") {
		t.Errorf("an address given anew: %v", err)
	}
	if now, _ := os.ReadFile(key); !bytes.Equal(now, wrong) {
		t.Error("the key file was changed")
	}

	// Cut short: nothing is sealed with it, nothing overwritten. Empty: it never held a key.
	if err := os.WriteFile(key, wrong[:5], 0o600); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, dir)
	if _, err := c.Create(t.Context(), camera("cam-3", "rtsp://10.0.0.3/")); err == nil || !locked(c, "cam-1") {
		t.Errorf("a key cut short: %v", err)
	}
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, dir)
	create(t, c, camera("cam-3", "rtsp://10.0.0.3/"))
	if info, _ := os.Stat(key); info.Size() != keySize {
		t.Error("no key was made")
	}
}

func TestSealedForOneCameraOnly(t *testing.T) {
	c := open(t)
	sealed, err := c.vault.seal("cam-1", "rtsp://u:p@h/")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := c.vault.open("cam-1", sealed); err != nil || text != "rtsp://u:p@h/" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := c.vault.open("cam-2", sealed); err == nil {
		t.Error("another camera opens it")
	}
	raw, _ := hex.DecodeString(sealed)
	for i := range raw {
		raw[i] ^= 1
		if _, err := c.vault.open("cam-1", hex.EncodeToString(raw)); err == nil {
			t.Errorf("byte %d may be changed", i)
		}
		raw[i] ^= 1
	}
	for _, bad := range []string{"", "01", "zz", sealed[:20]} {
		if _, err := c.vault.open("cam-1", bad); err == nil {
			t.Errorf("%q opens", bad)
		}
	}
	if again, _ := c.vault.seal("cam-1", "rtsp://u:p@h/"); again == sealed {
		t.Error("sealed twice alike")
	}
}

// forms are how a secret might show.
func forms(secret string) (all []string) {
	all = []string{secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("u", secret).String()[2:], hex.EncodeToString([]byte(secret))}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		all = append(all, e.EncodeToString([]byte(secret)))
		for _, user := range []string{"xem:", "admin:"} {
			// The middle of it, whatever stands around.
			text := e.EncodeToString([]byte(user + secret))
			all = append(all, text[8:len(text)-4])
		}
	}
	return all
}

func mustNotLeak(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			if strings.Contains(text, form) {
				t.Errorf("%s holds the secret as %q", where, form)
			}
		}
	}
}

// safeBuffer is a log that several write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestChangesAreTold(t *testing.T) {
	var told []Change
	c := open(t, func(o *Options) { o.OnChange = func(ch Change) { told = append(told, ch) } })
	create(t, c, camera("cam-1", "rtsp://10.0.0.1/"))
	if _, err := c.Update(t.Context(), camera("cam-1", "rtsp://10.0.0.1/")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Import(t.Context(), strings.NewReader("id,name,url,lon,lat\ncam-2,b,rtsp://10.0.0.2/,106,10\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), "cam-1"); err != nil {
		t.Fatal(err)
	}
	want := []Change{{ID: "cam-1"}, {ID: "cam-1"}, {ID: "cam-2"}, {ID: "cam-1", Deleted: true}}
	if len(told) != len(want) {
		t.Fatalf("told %v", told)
	}
	for i := range want {
		if told[i] != want[i] {
			t.Errorf("told %v, want %v", told, want)
		}
	}
}
