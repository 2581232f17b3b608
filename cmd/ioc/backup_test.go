package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cuulong/cmd/fieldsim/field"
)

// A backup taken while devices speak, restored on an empty machine: every
// observation that was acknowledged before it began is there, and all else too.
func TestBackupUnderLoadRestoresWhole(t *testing.T) {
	cameras, err := field.NewCameraServer(field.CameraOptions{User: "ioc", Password: "mật khẩu@1"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = cameras.Serve(l) }()
	defer cameras.Close()
	local := func(c *Config, _ *runOptions) { c.Video.Allow = []string{"127.0.0.0/8"} }

	dir, dest := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	addrs, stop := startHere(t, dir, false, local)
	c := login(t, addrs.HTTP[0])
	c.must(http.MethodPost, "/api/v1/accounts", map[string]any{"username": "truc-ban", "password": testPassword, "role": "operator"}, http.StatusCreated, nil)
	c.addCamera("cam-1", "rtsp://ioc:m%E1%BA%ADt%20kh%E1%BA%A9u%401@"+l.Addr().String()+"/cam-1")
	device := c.station("tram-1", 106.58, 10.28, nil)
	c.must(http.MethodPost, "/api/v1/rules", map[string]any{
		"id": "man-4", "title": "Độ mặn vượt 4 g/l", "metric": "salinity", "scope": map[string]any{"devices": []string{"tram-1"}},
		"on": map[string]any{"above": 4}, "off": map[string]any{"below": 3.5}, "priority": "high",
	}, http.StatusCreated, nil)
	if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":6.25}}`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	alarm := theAlarm(t, c)
	c.must(http.MethodPost, "/api/v1/alarms/"+alarm.ID+"/ack", map[string]any{"comment": "đã gọi trực cống"}, http.StatusOK, nil)

	epoch := epochOf(t, c)

	const connections = 8
	logins := loadLogins(t, c, connections)
	ledger := filepath.Join(t.TempDir(), "ledger")
	load := field.LoadOptions{Broker: addrs.MQTT[0], Logins: logins, Connections: connections, QoS: 1, Version: 5, Batch: 5}
	before := load
	before.Messages, before.Ledger = 2000, ledger
	if r, err := field.Load(t.Context(), before); err != nil || r.Acked != before.Messages {
		t.Fatalf("%v %+v", err, r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	speaking := make(chan field.LoadResult, 1)
	load.Rate, load.Metrics = 500, []string{"battery"} // other datastreams than the ledger's
	go func() {
		r, _ := field.Load(ctx, load)
		speaking <- r
	}()
	eventually(t, "more comes in", func() bool { _, ok := c.latest(string(field.LoadDevice(0)), "battery"); return ok })
	m, err := backupOf(t.Context(), dir, dest, false)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if r := <-speaking; r.Acked == 0 {
		t.Errorf("nobody spoke while the backup was taken: %+v", r)
	}
	if m.Seq == 0 || m.DataVersion != "2" || len(m.Files) < 5 {
		t.Errorf("manifest %+v", m)
	}
	if _, err := os.Stat(dest + ".partial"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left over: %v", err)
	}
	stop()
	var said bytes.Buffer
	if err := verifyStore(t.Context(), dest, &said); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}

	elsewhere := filepath.Join(t.TempDir(), "data")
	if _, err := restore(t.Context(), dest, elsewhere, "", false); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(elsewhere, "keys", "cameras.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v %v", info, err)
	}
	addrs, stop = startHere(t, elsewhere, false, local)
	defer stop()
	c = login(t, addrs.HTTP[0])
	audit(t, c, ledger)
	if v, ok := c.latest("tram-1", "salinity"); !ok || v != 6.25 {
		t.Errorf("latest: %v %v", v, ok)
	}
	if got := theAlarm(t, c); got.ID != alarm.ID || got.State != "acknowledged" {
		t.Errorf("alarm %+v, was %+v", got, alarm)
	}
	// The journal's seqs are given again: who held some of the old server begins anew.
	if again := epochOf(t, c); again == "" || again == epoch {
		t.Errorf("the journal's epoch is %q, was %q", again, epoch)
	}
	c.must(http.MethodPost, "/api/v1/session", map[string]any{"username": "truc-ban", "password": testPassword}, http.StatusNoContent, nil)
	c = login(t, addrs.HTTP[0])
	if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":1}}`); err != nil {
		t.Errorf("the device's credentials: %v: %s", err, out)
	}
	eventually(t, "the alarm closes by its rule", func() bool {
		var alarms struct{ Items []struct{ ID string } }
		c.must(http.MethodGet, "/api/v1/alarms", nil, http.StatusOK, &alarms)
		return len(alarms.Items) == 0
	})
	eventually(t, "the camera's password is known", func() bool {
		var cam camera
		c.must(http.MethodGet, "/api/v1/cameras/cam-1", nil, http.StatusOK, &cam)
		return cam.Status.State == "live"
	})
}

// epochOf is that of the live topic of alarms.
func epochOf(t *testing.T, c *client) string {
	t.Helper()
	ws := c.live()
	defer ws.Close()
	if err := ws.WriteJSON(map[string]any{"op": "sub", "id": "a", "topic": "alarms"}); err != nil {
		t.Fatal(err)
	}
	return until(t, ws, "the alarms", func(f frame) bool { return f.Op == "snap" }).Ep
}

type alarmSeen struct{ ID, State string }

// theAlarm waits for the one alarm that is not closed.
func theAlarm(t *testing.T, c *client) alarmSeen {
	t.Helper()
	var alarms struct{ Items []alarmSeen }
	eventually(t, "an alarm", func() bool {
		c.must(http.MethodGet, "/api/v1/alarms", nil, http.StatusOK, &alarms)
		return len(alarms.Items) == 1
	})
	return alarms.Items[0]
}

// smallFolder makes a data folder with a station's values and a camera's key, and stops.
func smallFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	addrs, stop := startHere(t, dir, false)
	defer stop()
	c := login(t, addrs.HTTP[0])
	c.addCamera("cam-1", "rtsp://ioc:secret@192.0.2.1/cam-1")
	overwrite(t, filepath.Join(dir, sessionFile), []byte("ioc-AAAAAAAAAAAAAAAA\nprovince\n")) // as mqtt.external leaves it
	device := c.station("tram-1", 106.58, 10.28, nil)
	for _, v := range []string{"2.5", "2.75"} {
		if out, err := publish(addrs.MQTT[0], "5", device, "devices/tram-1/telemetry", `{"values":{"salinity":`+v+`}}`); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

// Every damage is found before anything is made, and its file named.
func TestRestoreRefusesADamagedBackup(t *testing.T) {
	dir, dest := smallFolder(t), filepath.Join(t.TempDir(), "backup")
	m, err := backupOf(t.Context(), dir, dest, false) // no server: the folder is copied as it lies
	if err != nil {
		t.Fatal(err)
	}
	if m.Seq != 0 {
		t.Errorf("a seq that nobody knows: %d", m.Seq)
	}
	into := filepath.Join(t.TempDir(), "data")
	refused := func(what, file string) {
		t.Helper()
		if _, err := restore(t.Context(), dest, into, "", false); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", what, err)
		}
		if err := verifyStore(t.Context(), dest, io.Discard); err == nil {
			t.Errorf("%s: not seen by verify-store", what)
		}
		if _, err := os.Stat(into); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: something was restored: %v", what, err)
		}
	}
	for _, f := range m.Files {
		file := filepath.Join(dest, f.Path)
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) > 0 {
			bad := bytes.Clone(whole)
			bad[len(bad)/2] ^= 0x10
			overwrite(t, file, bad)
			refused("a flipped bit", file)
			overwrite(t, file, whole[:len(whole)-1])
			refused("a byte less", file)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		refused("a file less", file)
		overwrite(t, file, whole)
	}
	file := filepath.Join(dest, manifestName)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, file, whole[:len(whole)/2])
	refused("half a manifest", file)
	overwrite(t, file, bytes.Replace(whole, []byte(`"data_version": "2"`), []byte(`"data_version": "3"`), 1))
	if _, err := restore(t.Context(), dest, into, "", false); err == nil || !strings.Contains(err.Error(), "newer ioc") {
		t.Errorf("a newer backup: %v", err)
	}
	overwrite(t, file, whole)

	// A folder that holds anything is left as it is.
	full := t.TempDir()
	overwrite(t, filepath.Join(full, "precious"), []byte("x"))
	if _, err := restore(t.Context(), dest, full, "", false); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("a folder with a file: %v", err)
	}
	// A restore that did not end is not taken for a province.
	half := t.TempDir()
	overwrite(t, filepath.Join(half, restoringFile), []byte("from somewhere\n"))
	if _, err := openDataDir(half); err == nil || !strings.Contains(err.Error(), restoringFile) {
		t.Errorf("half a restore: %v", err)
	}
	if _, err := restore(t.Context(), dest, into, "", false); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(into, sessionFile)); err != nil || !strings.HasSuffix(string(text), "\nprovince\n") {
		t.Errorf("session at an outside broker: %q, %v", text, err)
	}
	addrs := serveHere(t, into, false)
	if v, ok := login(t, addrs.HTTP[0]).latest("tram-1", "salinity"); !ok || v != 2.75 {
		t.Errorf("restored: %v %v", v, ok)
	}
}

// A data folder is verified where it lies: what is wrong is told by file and place.
func TestVerifyStoreTellsWhatIsWrong(t *testing.T) {
	dir := smallFolder(t)
	var said bytes.Buffer
	if err := verifyStore(t.Context(), dir, &said); err != nil || !strings.Contains(said.String(), "2 observations") || !strings.Contains(said.String(), "faults: 0") {
		t.Fatalf("%v: %s", err, said.String())
	}
	logs, err := filepath.Glob(filepath.Join(dir, "series", "log", "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%v %v", logs, err)
	}
	for what, file := range map[string]string{"log": logs[0], "records": filepath.Join(dir, recordsFile)} {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(whole)
		for i := len(bad) / 2; i < len(bad); i++ {
			bad[i] ^= 0xff
		}
		overwrite(t, file, bad)
		said.Reset()
		if err := verifyStore(t.Context(), dir, &said); err == nil || !strings.Contains(said.String(), file) {
			t.Errorf("%s: %v: %s", what, err, said.String())
		}
		overwrite(t, file, whole)
	}
	if err := verifyStore(t.Context(), dir, io.Discard); err != nil {
		t.Errorf("verifying changed it: %v", err)
	}
}

func overwrite(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Keys may lie elsewhere: then the restore wants the same ones, or is told to do without.
func TestKeysAreNamedApart(t *testing.T) {
	dir, dest := smallFolder(t), filepath.Join(t.TempDir(), "backup")
	if _, err := backupOf(t.Context(), dir, dest, true); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "keys", "cameras.key"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, key) {
			t.Errorf("%s holds the key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyStore(t.Context(), dest, t.Output()); err != nil {
		t.Error(err)
	}
	wrong := t.TempDir()
	overwrite(t, filepath.Join(wrong, "cameras.key"), bytes.Repeat([]byte{7}, len(key)))
	into := filepath.Join(t.TempDir(), "data")
	for keys, want := range map[string]string{"": "--keys", t.TempDir(): "cameras.key", wrong: "is damaged"} {
		if _, err := restore(t.Context(), dest, into, keys, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("keys in %q: %v", keys, err)
		}
	}
	if _, err := restore(t.Context(), dest, into, filepath.Join(dir, "keys"), false); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(into, "keys", "cameras.key")); err != nil || !bytes.Equal(got, key) {
		t.Errorf("the key: %v", err)
	}
	without := filepath.Join(t.TempDir(), "data")
	if _, err := restore(t.Context(), dest, without, "", true); err != nil {
		t.Error(err)
	}
	serveHere(t, without, false)
}

// What cannot end well is refused before it begins, and leaves nothing.
func TestBackupRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serveHere(t, dir, false)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, dir, dest, want string }{
		{"in it by a link", dir, filepath.Join(link, "backup"), "lies in the data folder"},
		{"in it, named by a link", link, filepath.Join(dir, "backup"), "lies in the data folder"},
		{"there already", dir, t.TempDir(), "is there already"},
		{"in the data folder", dir, filepath.Join(dir, "backup"), "lies in the data folder"},
		{"no such place", dir, filepath.Join(t.TempDir(), "a", "b"), "no such file"},
		{"no data folder", t.TempDir(), filepath.Join(t.TempDir(), "b"), "is not a data folder"},
	} {
		if _, err := backupOf(t.Context(), c.dir, c.dest, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
		if _, err := os.Stat(c.dest + ".partial"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left %s.partial", c.what, c.dest)
		}
	}
	sound := filepath.Join(t.TempDir(), "b")
	if _, err := backupOf(t.Context(), dir, sound, false); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t.Context(), sound, filepath.Join(sound, "a", "b"), "", false); err == nil || !strings.Contains(err.Error(), "lies in the backup") {
		t.Errorf("restore into the backup: %v", err)
	}
	// One that did not end is not written over.
	dest := filepath.Join(t.TempDir(), "b")
	if err := os.Mkdir(dest+".partial", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := backupOf(t.Context(), dir, dest, false); err == nil || !strings.Contains(err.Error(), "b.partial is there") {
		t.Errorf("beside another's remains: %v", err)
	}
	// Who gives up leaves nothing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dest = filepath.Join(t.TempDir(), "c")
	if _, err := backupOf(ctx, dir, dest, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// A store in use is verified by its backup; a folder locked by one that does not answer is said.
	if err := verifyStore(t.Context(), dir, io.Discard); err == nil || !strings.Contains(err.Error(), "ioc backup") {
		t.Errorf("verify-store in use: %v", err)
	}
	silent := filepath.Join(t.TempDir(), "data")
	d, err := openDataDir(silent)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	overwrite(t, filepath.Join(silent, recordsFile), nil)
	if _, err := backupOf(t.Context(), silent, filepath.Join(t.TempDir(), "d"), false); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a server that does not answer: %v", err)
	}
}

// A socket's address is short; a data folder's path need not be. What a killed
// server left is no hindrance, and only the owner may open the socket.
func TestControlSocketInADeepFolder(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), strings.Repeat("sâu/", 30), "data")} {
		socket := filepath.Join(dir, controlFolder, controlSocket)
		if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
			t.Fatal(err)
		}
		overwrite(t, socket, nil)
		_, stop := startHere(t, dir, false, func(_ *Config, o *runOptions) { o.logger = quiet() })
		info, err := os.Stat(socket)
		if err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("socket: %v, %v", info.Mode(), err)
		}
		if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("its folder: %v, %v", info.Mode(), err)
		}
		m, err := backupOf(t.Context(), dir, filepath.Join(t.TempDir(), "backup"), false)
		if err != nil || !slices.ContainsFunc(m.Files, func(f manifestFile) bool { return f.Path == "records/records.db" }) {
			t.Errorf("%d bytes of path: %v", len(socket), err)
		}
		stop()
		if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
	}
}

// On another disk, too, a backup is whole, and nothing stays beside the data.
func TestBackupOntoAnotherDisk(t *testing.T) {
	other, err := os.MkdirTemp("/dev/shm", "ioc-test-")
	if err != nil {
		other = t.TempDir() // a machine without: then it is the same disk
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	dir, dest := smallFolder(t), filepath.Join(other, "backup")
	stale := filepath.Join(dir, controlFolder, stageFolder)
	if err := os.MkdirAll(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	overwrite(t, filepath.Join(stale, "000001.sst"), []byte("of a server that was killed"))
	_, stop := startHere(t, dir, false)
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed server left: %v", err)
	}
	if _, err := backupOf(t.Context(), dir, dest, false); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, controlFolder)); err != nil || len(left) != 1 {
		t.Errorf("left beside the socket: %v %v", left, err)
	}
	stop()
	if err := verifyStore(t.Context(), dest, t.Output()); err != nil {
		t.Error(err)
	}
	into := filepath.Join(t.TempDir(), "data")
	if _, err := restore(t.Context(), dest, into, "", false); err != nil {
		t.Fatal(err)
	}
	addrs := serveHere(t, into, false)
	if v, ok := login(t, addrs.HTTP[0]).latest("tram-1", "salinity"); !ok || v != 2.75 {
		t.Errorf("restored: %v %v", v, ok)
	}
}

func FuzzManifest(f *testing.F) {
	m := manifest{Format: 1, DataVersion: "2", Files: []manifestFile{{Path: "records/records.db", SHA256: strings.Repeat("0", 64)}}}
	text, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.Replace(text, []byte("records/records.db"), []byte("log/../../../etc/passwd"), 1))
	f.Add([]byte(`{"format":1,"data_version":"1 to 2, copied: records.db.v1-x"}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			return
		}
		const base = "/backup"
		for _, file := range m.Files {
			if rel, err := filepath.Rel(base, filepath.Join(base, file.Path)); err != nil || !filepath.IsLocal(rel) || !strings.Contains(rel, string(filepath.Separator)) {
				t.Errorf("%q leads to %q", file.Path, rel)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseManifest(again); err != nil {
			t.Errorf("%s, made of %s: %v", again, text, err)
		}
	})
}
