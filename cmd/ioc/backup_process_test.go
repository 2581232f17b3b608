//go:build process

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cuulong/cmd/fieldsim/field"
)

// Backups by command while 2,000 messages a second come in: each, restored by
// command and started, holds what the publishers' ledgers had acknowledged when
// it began. The server is killed in the midst of one, and the next is whole.
func TestProcessBackupsUnderLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, dir)
	c := login(t, p.Addrs.HTTP[0])
	const connections = 20
	logins := loadLogins(t, c, connections)
	ledger := filepath.Join(t.TempDir(), "ledger")
	load := startLoad(t, field.LoadOptions{
		Broker: p.Addrs.MQTT[0], Logins: logins, Connections: connections, Inflight: 64, Rate: 2000, QoS: 1, Version: 5,
		Batch:  len(field.LoadMetrics), // a message is a row, so that a copy of a ledger ends with whole ones
		Ledger: ledger, SyncEvery: 200 * time.Millisecond,
	})
	last := string(field.LoadDevice(connections - 1))
	eventually(t, "observations arrive", func() bool { _, ok := c.latest(last, field.LoadMetrics[0]); return ok })

	var taken []string // backups, each beside the ledger as it was before
	for i := range 3 {
		before, dest := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "backup")
		select {
		case <-time.After(time.Second): // the pace of the test
		case o := <-load.ended:
			t.Fatalf("the load ended: %+v", o)
		}
		if err := copyTree(t.Context(), ledger, before); err != nil {
			t.Fatal(err)
		}
		if out, err := runToEnd(t, nil, "backup", dest, "--data-dir", dir); err != nil || !contains(out, dest, "files") {
			t.Fatalf("%v: %s", err, out)
		}
		taken = append(taken, before, dest)
		if i == 1 {
			killWhileBackingUp(t, p, dir)
		}
	}
	load.stop()
	if o := <-load.ended; o.err != nil {
		t.Error(o.err)
	}
	p.kill()
	for i := 0; i < len(taken); i += 2 {
		before, dest := taken[i], taken[i+1]
		if out, err := runToEnd(t, nil, "verify-store", dest); err != nil || !contains(out, "faults: 0") {
			t.Errorf("%v: %s", err, out)
		}
		into := filepath.Join(t.TempDir(), "data")
		if out, err := runToEnd(t, nil, "restore", dest, "--data-dir", into); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		restored := startProcess(t, into)
		audit(t, login(t, restored.Addrs.HTTP[0]), before)
		if err := restored.stop(); err != nil {
			t.Errorf("orderly stop: %v", err)
		}
	}
}

// killWhileBackingUp ends the server with kill -9 when a backup has begun to
// write, and starts it again: what is left is no backup, and says so.
func killWhileBackingUp(t *testing.T, p *process, dir string) {
	t.Helper()
	dest := filepath.Join(t.TempDir(), "half")
	result := make(chan error, 1)
	go func() {
		out, err := runToEnd(t, nil, "backup", dest, "--data-dir", dir)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		result <- err
	}()
	eventually(t, "a backup begins", func() bool {
		_, begun := os.Stat(dest + ".partial")
		_, whole := os.Stat(dest)
		return begun == nil || whole == nil
	})
	p.kill()
	err := <-result
	p.start()
	_, whole := os.Stat(dest)
	t.Logf("killed while backing up: %v; whole: %v", err, whole == nil)
	if err == nil && whole != nil {
		t.Error("the backup was told to be taken and is not there")
	}
	if whole == nil {
		return // it had been named before the kill
	}
	if out, err := runToEnd(t, nil, "restore", dest, "--data-dir", filepath.Join(t.TempDir(), "data")); err == nil {
		t.Errorf("half a backup was restored: %s", out)
	}
	if out, err := runToEnd(t, nil, "backup", dest, "--data-dir", dir); err == nil || !contains(out, ".partial", "remove it") {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.RemoveAll(dest + ".partial"); err != nil {
		t.Fatal(err)
	}
	if out, err := runToEnd(t, nil, "backup", dest, "--data-dir", dir); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// A disk that is too small for the backup is told before it is filled.
func TestProcessBackupOntoASmallDisk(t *testing.T) {
	disk, dir := smallDisk(t, "64m"), filepath.Join(t.TempDir(), "data")
	startProcess(t, dir)
	if out, err := runToEnd(t, nil, "backup", filepath.Join(disk, "backup"), "--data-dir", dir); err == nil || !contains(out, disk, "MiB free") {
		t.Errorf("%v: %s", err, out)
	}
	if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
