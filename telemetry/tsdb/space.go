package tsdb

import (
	"fmt"
	"syscall"

	"cuulong/telemetry"
)

// roomToOpen is what Pebble may want to write before it is open.
const roomToOpen = memTableSize

// CheckRoom says whether the disk of dir has room for an engine to be opened.
// Without, Pebble would wait in its Open until it has, and nobody could end it.
func CheckRoom(dir string) error {
	free, err := freeBytes(dir)
	if err != nil || free >= roomToOpen {
		return nil // or cannot tell: writing will
	}
	return fmt.Errorf("%s: %w: %d MiB are free on its disk, %d MiB are needed to start", dir, telemetry.ErrNoSpace, free>>20, roomToOpen>>20)
}

// freeBytes is what an ordinary user may still write on dir's file system.
func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
