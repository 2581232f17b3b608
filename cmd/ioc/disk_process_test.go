//go:build process

package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
)

// smallDisk mounts a file system of its own in memory.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("ioc-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted here (%v); it takes root with CAP_SYS_ADMIN, which CI has", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill leaves so many bytes free on the disk of dir, and returns the file that takes the rest.
func fill(t *testing.T, dir string, leave int64) string {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-leave); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// stored is how many observations the server says it has stored.
func (c *client) stored() string {
	c.t.Helper()
	status, text, err := c.call(http.MethodGet, "/metrics", nil)
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("metrics: %d, %v", status, err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, `ioc_observations_total{result="stored"} `); ok {
			return n
		}
	}
	c.t.Fatal("no count of what was stored")
	return ""
}

// The disk fills under load: nothing is acknowledged, the operators see why and
// go on working, and once there is space everything goes on by itself.
func TestProcessDiskFull(t *testing.T) {
	disk := smallDisk(t, "256m")
	p := startProcess(t, filepath.Join(disk, "data"))
	c := login(t, p.Addrs.HTTP[0])
	const connections, messages = 5, 6000
	logins := loadLogins(t, c, connections+1)
	ledger := filepath.Join(t.TempDir(), "ledger")
	ws := c.live()
	if err := ws.WriteJSON(map[string]any{"op": "sub", "id": "a", "topic": "alarms"}); err != nil {
		t.Fatal(err)
	}
	until(t, ws, "the alarms", func(f frame) bool { return f.Op == "snap" })

	load := startLoad(t, field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins[:connections], Connections: connections,
		Inflight: 16, Rate: 500, QoS: 1, Version: 5, Messages: messages, Ledger: ledger, Drain: time.Minute})
	heard, metric := string(field.LoadDevice(0)), field.LoadMetrics[0]
	eventually(t, "observations arrive", func() bool { _, ok := c.latest(heard, metric); return ok })
	if status, _, err := c.call(http.MethodGet, "/readyz", nil); status != http.StatusOK {
		t.Errorf("readyz before: %d, %v", status, err)
	}

	ballast := fill(t, disk, 60<<20) // of the reserve of 64 MiB
	raised := until(t, ws, "the alarm that the disk is full", func(f frame) bool {
		return f.Op == "ev" && f.E.Type == "raised" && f.E.Alarm.Rule == "ioc.disk-full"
	})
	if raised.E.Alarm.Subject != "ioc" || raised.E.Alarm.State != "active" {
		t.Errorf("%+v", raised.E)
	}
	var listed struct {
		Items []map[string]any
	}
	c.must(http.MethodGet, "/api/v1/alarms?priority=urgent", nil, http.StatusOK, &listed)
	if len(listed.Items) != 1 || listed.Items[0]["subject"] != "ioc" || listed.Items[0]["title"] != diskTexts["vi"].full || listed.Items[0]["position"] != nil {
		t.Errorf("alarms: %v", listed.Items)
	}
	if status, _, err := c.call(http.MethodGet, "/readyz", nil); status != http.StatusServiceUnavailable {
		t.Errorf("readyz while the disk is full: %d, %v", status, err)
	}
	eventually(t, "the log says why it is not ready", func() bool { return contains(p.tail(), "not ready", "are kept in reserve") })

	// Nothing is acknowledged, and nothing is stored.
	before := c.stored()
	one, err := field.Load(t.Context(), field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: logins[connections:], QoS: 1, Version: 5, Messages: 1, Drain: 2 * time.Second})
	if err != nil || one.Acked != 0 || one.Unacked != 1 {
		t.Errorf("a message while the disk is full: %+v, %v", one, err)
	}
	if after := c.stored(); after != before {
		t.Errorf("stored while the disk is full: %s, then %s", before, after)
	}
	// What is known is served, live too, and operators work.
	if _, ok := c.latest(heard, metric); !ok {
		t.Error("latest is not served")
	}
	if err := ws.WriteJSON(map[string]any{"op": "sub", "id": "t", "topic": "telemetry"}); err != nil {
		t.Fatal(err)
	}
	if f := until(t, ws, "live values", func(f frame) bool { return f.Op == "snap" && f.ID == "t" }); len(f.D) == 0 {
		t.Error("no live values")
	}
	c.must(http.MethodPost, "/api/v1/alarms/"+raised.E.Alarm.ID+"/ack", map[string]any{"comment": "Đang dọn đĩa"}, http.StatusOK, nil)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	eventually(t, "observations are stored again", func() bool { return c.stored() != before })
	took := time.Since(freed)
	t.Logf("stored again %v after there was space", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("it took %v, and was to take 10 s at most", took)
	}
	until(t, ws, "the alarm's end", func(f frame) bool {
		return f.Op == "ev" && f.E.Type == "closed" && f.E.Alarm.ID == raised.E.Alarm.ID
	})
	if status, text, err := c.call(http.MethodGet, "/readyz", nil); status != http.StatusOK {
		t.Errorf("readyz afterwards: %d %s, %v", status, text, err)
	}

	o := <-load.ended
	said, _ := json.Marshal(o.LoadResult)
	t.Logf("load: %s", said)
	if o.err != nil || o.Unacked != 0 || o.Strange != 0 || o.Acked != messages {
		t.Errorf("load: %+v", o)
	}
	audit(t, c, ledger)
	if err := p.stop(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
}

// Killed, or stopped in order, and begun again on a disk without a free byte, the server
// says why it cannot and ends; once there is space it starts, and has everything.
func TestProcessStartsNotOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, "256m")
	dir := filepath.Join(disk, "data")
	p := startProcess(t, dir)
	const connections = 4
	ledger := filepath.Join(t.TempDir(), "ledger")
	load := startLoad(t, field.LoadOptions{Broker: p.Addrs.MQTT[0], Logins: loadLogins(t, login(t, p.Addrs.HTTP[0]), connections), Connections: connections,
		Rate: 2000, QoS: 1, Ledger: ledger, Messages: 4000, Drain: time.Minute})
	if o := <-load.ended; o.err != nil || o.Acked != 4000 {
		t.Fatalf("load: %+v", o)
	}
	for _, end := range []func(){p.kill, func() { _ = p.stop() }} {
		end()
		ballast := fill(t, disk, 0)
		out, err := runToEnd(t, p.env, p.args...)
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 1 || !contains(out, "no space", dir, "needed to start") { // by itself, not when the test's patience was over
			t.Errorf("%v: %s", err, out)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		p.start()
	}
	audit(t, login(t, p.Addrs.HTTP[0]), ledger)
	if err := p.stop(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
}
