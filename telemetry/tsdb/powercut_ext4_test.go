package tsdb

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"cuulong/telemetry"
)

// ext4's own power cut (Linux, fs/ext4/ext4.h): nothing more reaches the disk,
// and with NOLOGFLUSH what the journal had not written is lost as well.
const (
	ext4Shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN
	ext4NoLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// smallDisk is a mounted ext4 of its own, 64 MB in a file.
type smallDisk struct {
	t       *testing.T
	image   string
	at      string // where it is mounted
	mounted bool
}

// newSmallDisk skips the test where loop mounts are not allowed, and there alone.
func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a loop mount wants root")
	}
	d := &smallDisk{t: t, image: filepath.Join(t.TempDir(), "disk"), at: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		mkfs = "/usr/sbin/mkfs.ext4" // not in everybody's path; .ci/deps installs it
	}
	if out, err := exec.Command(mkfs, "-q", d.image).CombinedOutput(); err != nil {
		t.Fatalf("no ext4 is made: %v %s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Skipf("loop mounts are not allowed here: %v %s", err, out)
	}
	t.Cleanup(d.umount)
	return d
}

// mount takes a loop device that goes with the mount.
func (d *smallDisk) mount() ([]byte, error) {
	out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput()
	d.mounted = err == nil
	return out, err
}

func (d *smallDisk) umount() {
	d.t.Helper()
	if !d.mounted {
		return
	}
	if out, err := exec.Command("umount", d.at).CombinedOutput(); err != nil {
		d.t.Fatalf("umount: %v %s", err, out)
	}
	d.mounted = false
}

// cut is the power cut.
func (d *smallDisk) cut() {
	d.t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	flags := uint32(ext4NoLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		d.t.Fatalf("the disk cannot be cut off: %v", errno)
	}
}

// again mounts what the power cut left; the journal is replayed.
func (d *smallDisk) again() {
	d.t.Helper()
	d.umount()
	if out, err := d.mount(); err != nil {
		d.t.Fatalf("mount after the power cut: %v %s", err, out)
	}
}

// The engine on the disk is another process, the test's own binary: with the
// power its process is gone too, and with it every open file.
const (
	appendIn   = "TSDB_TEST_APPEND_IN" // folder; set: TestMain appends there
	appendLazy = "TSDB_TEST_APPEND_LAZY"
)

// appendUntilKilled appends without pause and tells each acknowledgement by a
// line on its standard output, after it: number and time, Unix ns. The first
// refusal ends it.
func appendUntilKilled(dir string) error {
	o := Options{Logger: quiet(), ReserveBytes: -1, SegmentBytes: 20_000}
	if os.Getenv(appendLazy) != "" {
		o.openFile = unsynced
	}
	db, err := Open(dir, o)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		r := numbered(n)
		if err := db.Append(r); err != nil {
			return err
		}
		if _, err := fmt.Println(n, time.Now().UnixNano()); err != nil {
			return err
		}
		if err := db.Apply(r); err != nil {
			return err
		}
	}
}

// cutWhileAppending cuts the power once enough are acknowledged, while more
// are, and says how many were when the cut began. Who acknowledges after that
// would have no power to say so, and the shutdown is not of one instant: of an
// fsync caught in it success was seen and the record was not there.
func cutWhileAppending(t *testing.T, d *smallDisk, enough int, env ...string) (acked int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(append(os.Environ(), appendIn+"="+filepath.Join(d.at, "data")), env...)
	var said strings.Builder
	child.Stderr = &said
	pipe, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		d.again()
	}()
	began := int64(math.MaxInt64)
	for {
		var n int
		var at int64
		if _, err := fmt.Fscanln(out, &n, &at); err != nil {
			break
		}
		if at < began {
			acked = n
		}
		switch {
		case n == enough:
			began = time.Now().UnixNano()
			d.cut()
		case n > 50*enough+10_000: // a log that does not sync may not meet the end of its disk
			return acked
		}
	}
	if acked < enough {
		_ = child.Process.Kill()
		_ = child.Wait()
		t.Fatalf("it ended after %d of %d: %s", acked, enough, said.String())
	}
	return acked
}

// kept are the records that the disk holds after the power cut.
func kept(t *testing.T, d *smallDisk) []int {
	t.Helper()
	db := openAt(t, filepath.Join(d.at, "data"), Options{ReserveBytes: -1})
	var got []int
	if err := db.Records(t.Context(), 0, func(r *telemetry.Record) bool {
		got = append(got, int(r.Seq))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, upTo(len(got))) {
		t.Errorf("the log has gaps: %d records, the last %d", len(got), got[len(got)-1])
	}
	has(t, db, got...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// powerCutExt4 is one power cut of a real file system: all that was
// acknowledged is there, in the log and in the series.
func powerCutExt4(t *testing.T, enough int) {
	d := newSmallDisk(t)
	acked := cutWhileAppending(t, d, enough)
	got := kept(t, d)
	t.Logf("acknowledged %d, kept %d", acked, len(got))
	if len(got) < acked {
		t.Errorf("%d were acknowledged, %d are there", acked, len(got))
	}
	d.umount()
}

func TestPowerCutExt4(t *testing.T) { powerCutExt4(t, 100+rand.IntN(200)) }

// TestPowerCutExt4Control shows that the power cut is one: a log that says it
// is durable and is not loses what it acknowledged.
func TestPowerCutExt4Control(t *testing.T) {
	d := newSmallDisk(t)
	acked := cutWhileAppending(t, d, 200, appendLazy+"=1")
	db := openAt(t, filepath.Join(d.at, "data"), Options{ReserveBytes: -1})
	got := len(pointsOf(t, db, name{"sal-1", "salinity"}, 0, 2*t0)) // the series may have more than such a log
	t.Logf("acknowledged %d, kept %d", acked, got)
	if got >= acked {
		t.Errorf("without fsync nothing was lost: %d acknowledged, %d kept", acked, got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.umount()
}
