package tsdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cuulong/telemetry"
)

// What waits in memory is written when there is much of it, and otherwise when
// it has waited flushEvery, so that a restart has little to refill.
const (
	flushEvery   = 15 * time.Minute
	compactEvery = 10 * time.Minute
)

// makeRoom asks for the head to be written when it is full, and waits when it is
// full twice: the applier then holds up the committer.
func (db *DB) makeRoom() error {
	size := db.series.size()
	if size < db.o.HeadSamples {
		return nil
	}
	select {
	case db.fullUp <- struct{}{}:
	default:
	}
	if size < 2*db.o.HeadSamples {
		return nil
	}
	return db.flush()
}

// flush writes the head. With a full disk what is in memory stays there until the next try.
func (db *DB) flush() error {
	err := noSpace(db.series.flush())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, telemetry.ErrNoSpace):
		db.log.Error("series: no space; what is in memory stays there", "err", err)
		return nil
	}
	return db.fail(fmt.Errorf("series: %w", err))
}

// flusher writes the head as chunks.
func (db *DB) flusher() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-db.stopped.Done():
			return
		case <-db.fullUp:
		case <-tick.C:
		}
		if db.Err() != nil {
			return
		}
		if db.flush() != nil {
			return
		}
	}
}

// compactor compacts days that are over and lets go what retention does not keep.
func (db *DB) compactor() {
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	for {
		select {
		case <-db.stopped.Done():
			return
		case now := <-tick.C:
			if err := db.Compact(db.stopped, now); err != nil && !errors.Is(err, context.Canceled) {
				db.log.Error("series: days that are over stay as they are", "err", err)
			}
		}
	}
}
