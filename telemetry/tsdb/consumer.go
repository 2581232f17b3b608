package tsdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/telemetry"
)

// The log's consumers. Each has a place, a small file beside the segments; see
// FORMAT.md. A segment is kept until every place has passed it, within
// Options.MaxBytes and MaxAge: beyond them it goes, and what a consumer has
// lost is logged and counted.

const (
	placeExt  = ".place"
	placeSize = 12 // seq 8, CRC 4
)

// places are the consumers' places.
type places struct {
	dir     string
	mu      sync.Mutex
	done    map[string]uint64 // guarded by mu; the last seq each has done with
	skipped *prometheus.CounterVec
}

func openPlaces(dir string) (*places, error) {
	p := &places{dir: dir, done: map[string]uint64{}, skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ioc_log_skipped_total", Help: "Records that the log's bounds deleted before a consumer had read them.",
	}, []string{"consumer"})}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), placeExt)
		if !ok {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		seq, ok := parsePlace(b)
		if !ok {
			seq = 0 // damaged: the consumer begins at the oldest record, which is harmless
		}
		p.done[name] = seq
	}
	return p, nil
}

func placeBytes(seq uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, seq)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parsePlace(b []byte) (seq uint64, ok bool) {
	if len(b) != placeSize || crc32.Checksum(b[:8], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

// needed is the seq of the oldest record that a consumer has not done with.
func (p *places) needed() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest := uint64(1<<64 - 1)
	for _, seq := range p.done {
		oldest = min(oldest, seq+1)
	}
	return oldest
}

// passOver moves every consumer behind seq, whose records are gone, and returns what each has lost.
func (p *places) passOver(seq uint64) map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := map[string]uint64{}
	for name, done := range p.done {
		if done < seq {
			lost[name] = seq - done
			p.skipped.WithLabelValues(name).Add(float64(seq - done))
			p.done[name] = seq
		}
	}
	return lost
}

// holdPlaces takes back the places that are ahead of the log, which has lost
// records to damage or was restored without them: others will have their seqs.
func (db *DB) holdPlaces() error {
	head := db.Head()
	for _, consumer := range db.Consumers() {
		place, _ := db.Place(consumer)
		if place <= head {
			continue
		}
		db.log.Warn("log: a consumer's place is ahead of the log; taken back", "consumer", consumer, "place", place, "head", head)
		// Durable before the next record: found again, the old place would pass that over.
		if err := errors.Join(db.SetPlace(consumer, head), syncDir(db.places.dir)); err != nil {
			return err
		}
	}
	return nil
}

// Await returns when a record with a seq above after is durable, or ctx or the engine ends.
func (db *DB) Await(ctx context.Context, after uint64) error {
	for db.appended.Load() <= after {
		db.mu.Lock()
		err, moved := db.err, db.moved
		db.waiting = true
		db.mu.Unlock()
		if db.appended.Load() > after {
			break
		}
		if errors.Is(err, errClosed) {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// Head is the seq of the newest durable record: what a consumer's place is behind of.
func (db *DB) Head() uint64 { return db.appended.Load() }

// Consumers are the names of those who have a place.
func (db *DB) Consumers() []string {
	db.places.mu.Lock()
	defer db.places.mu.Unlock()
	return slices.Sorted(maps.Keys(db.places.done))
}

// Place is the last seq that a consumer has done with; 0 where it has none.
func (db *DB) Place(consumer string) (uint64, error) {
	db.places.mu.Lock()
	defer db.places.mu.Unlock()
	return db.places.done[consumer], nil
}

// SetPlace notes, durably, that a consumer has done with the records up to seq;
// its segments are kept from the first call on. It costs an fsync: a consumer
// calls it after many records, not each.
func (db *DB) SetPlace(consumer string, seq uint64) error {
	if !telemetry.GoodMetric(consumer) {
		return fmt.Errorf("consumer %.64q: not a name of small letters, digits and _", consumer)
	}
	db.places.mu.Lock()
	defer db.places.mu.Unlock()
	if old, ok := db.places.done[consumer]; ok && old == seq {
		return nil
	}
	if err := writeSynced(filepath.Join(db.places.dir, consumer+placeExt), placeBytes(seq)); err != nil {
		return fmt.Errorf("place of %s: %w", consumer, err)
	}
	db.places.done[consumer] = seq
	select {
	case db.tidy <- struct{}{}:
	default:
	}
	return nil
}

// Forget ends a consumer, where there is one of that name: nothing is kept for it any more.
func (db *DB) Forget(consumer string) error {
	db.places.mu.Lock()
	defer db.places.mu.Unlock()
	if _, ok := db.places.done[consumer]; !ok {
		return nil
	}
	if err := os.Remove(filepath.Join(db.places.dir, consumer+placeExt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("place of %s: %w", consumer, err)
	}
	delete(db.places.done, consumer)
	return nil
}

// writeSynced writes a small file whole or not at all.
func writeSynced(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}

// hints remember where in a segment readers ended, so that one who goes on there need not scan to it.
type hints struct {
	mu   sync.Mutex
	ring [8]hint // guarded by mu
	next int     // guarded by mu
}

type hint struct {
	segment, after uint64 // behind the record after
	offset         int64
}

// find returns the best known offset to read a segment from seq from on; 0: from its beginning.
func (s *hints) find(segment, from uint64) (offset int64, after uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.ring {
		if h.segment == segment && h.after < from && h.offset > offset {
			offset, after = h.offset, h.after
		}
	}
	return offset, after
}

func (s *hints) put(segment, after uint64, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[s.next] = hint{segment, after, offset}
	s.next = (s.next + 1) % len(s.ring)
}

var _ telemetry.Feed = (*DB)(nil)
