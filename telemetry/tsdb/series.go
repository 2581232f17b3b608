package tsdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cuulong/devices"
	"cuulong/telemetry"
)

// series are the head in memory and its chunks on Pebble.
type series struct {
	*head
	db    *pebble.DB
	cache *pebble.Cache
	dense int // samples of a day beyond which it is read in parts

	applied atomic.Uint64 // seq of the last record in the head; written by apply
	failing chan struct{} // closed when a flush or compaction has failed
	full    chan struct{} // capacity 1: one found no space

	// write is held by who writes chunks: a flush, or the compaction of one day.
	write      sync.Mutex
	generation uint64        // guarded by write; of the newest chunks
	named      uint64        // guarded by write; names that are written: a flush reads nothing
	encoder    chunkEncoder  // guarded by write
	flushed    atomic.Uint64 // rises with each flush
	rewritten  atomic.Uint64 // rises with each change of chunks that were written
	decoded    chunkCache
	corrupt    atomic.Uint64 // reads of damaged blocks
	passed     atomic.Uint64 // late samples that final roll-ups could not take
	log        logger
}

// Sizes that suit a machine which also relays video. Pebble takes memtables out
// of the cache's size: two of them leave half of it for blocks.
const (
	memTableSize = 16 << 20
	cacheSize    = 64 << 20

	retryPause = 100 * time.Millisecond

	seriesVersion = 2
)

func openSeries(dir string, fs vfs.FS, dense int, l logger) (*series, error) {
	s := &series{dense: dense, log: l, head: newHead(), cache: pebble.NewCache(cacheSize), failing: make(chan struct{}), full: make(chan struct{}, 1)}
	var once sync.Once
	o := pebbleOptions(fs, s.cache, l)
	// A damaged block fails who reads it, and no one else: what comes in goes elsewhere.
	damaged := func(info pebble.DataCorruptionInfo) {
		s.corrupt.Add(1)
		l.errs(fmt.Sprintf("a block is damaged, and what it holds cannot be read (verify-store tells all of it): %s", info))
	}
	o.EventListener = &pebble.EventListener{DataCorruption: damaged, BackgroundError: func(err error) {
		switch {
		case noSpace(err) != err:
			l.errs("no space: " + err.Error()) // which passes; Pebble tries again
			select {
			case s.full <- struct{}{}:
			default:
			}
		case pebble.IsCorruptionError(err): // of what it compacts; it then leaves that be for a while
			l.errs("not compacted: " + err.Error())
		default:
			l.fail(fmt.Errorf("series: %w", err))
			once.Do(func() { close(s.failing) })
		}
		// Pebble tries again at once and for ever: a dead disk must not cost a core as well.
		time.Sleep(retryPause)
	}}
	var err error
	if s.db, err = pebble.Open(dir, o); err != nil {
		s.cache.Unref()
		return nil, fmt.Errorf("open the series: %w", s.wayOut(dir, err))
	}
	if err := s.load(); err != nil {
		return nil, s.wayOut(dir, errors.Join(err, s.close()))
	}
	return s, nil
}

// wayOut adds to damage what a person can do about it.
func (*series) wayOut(dir string, err error) error {
	if !damaged(err) {
		return err
	}
	return fmt.Errorf("%w\n%s is damaged where it must not be; nothing was changed. Restore the last backup (ioc restore) into a new folder and keep this one: its log holds the newest records", err, dir)
}

func pebbleOptions(fs vfs.FS, cache *pebble.Cache, l logger) *pebble.Options {
	o := &pebble.Options{
		FS: fs, Cache: cache, Logger: l, DisableWAL: true,
		MemTableSize: memTableSize, MemTableStopWritesThreshold: 4,
		L0CompactionThreshold: 4, L0StopWritesThreshold: 24,
		FormatMajorVersion: pebble.FormatNewest,
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// load reads the version, the applied seq, the names and the newest observations.
func (s *series) load() error {
	version, ok, err := s.meta(metaVersion)
	if err != nil {
		return err
	}
	if !ok {
		if err := s.db.Set(metaVersion, binary.BigEndian.AppendUint64(nil, seriesVersion), pebble.NoSync); err != nil {
			return err
		}
	} else if version > seriesVersion || version == 0 {
		return fmt.Errorf("series of format %d; this ioc knows %d", version, seriesVersion)
	}
	applied, _, err := s.meta(metaApplied)
	if err != nil {
		return err
	}
	s.applied.Store(applied)
	if s.generation, _, err = s.meta(metaGen); err != nil {
		return err
	}
	if s.named, _, err = s.meta(metaNames); err != nil {
		return err
	}
	err = s.eachKey(keyName, func(k, v []byte) error {
		k = k[1:]
		i := slices.Index(k, 0)
		if i < 0 || len(v) != 4 {
			return fmt.Errorf("series: malformed name %q", k)
		}
		n := binary.BigEndian.Uint32(v)
		if n > 1<<26 {
			return fmt.Errorf("series: number %d of %q", n, k)
		}
		s.put(n, name{devices.ID(k[:i]), string(k[i+1:])})
		return nil
	})
	if err != nil {
		return err
	}
	if version == 1 {
		return s.migrate()
	}
	return s.eachKey(keyNewest, func(k, v []byte) error {
		if len(k) != numberKeySize || keyNumber(k) >= uint32(len(s.names)) {
			return errKey
		}
		w, err := parseNewest(v, &s.tests)
		s.newest[keyNumber(k)] = w
		return err
	})
}

// eachKey visits all keys of a kind, in order.
func (s *series) eachKey(kind byte, visit func(k, v []byte) error) error {
	return eachKey(s.db, []byte{kind}, []byte{kind + 1}, visit)
}

func eachKey(db pebble.Reader, from, to []byte, visit func(k, v []byte) error) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = visit(it.Key(), v)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}

func (s *series) meta(key []byte) (v uint64, ok bool, err error) {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if len(b) == 8 {
		v, ok = binary.BigEndian.Uint64(b), true
	}
	return v, ok, closer.Close()
}

// apply takes what a record stored into the head; one caller at a time.
func (s *series) apply(seq uint64, obs []telemetry.Observation) {
	s.add(obs)
	s.applied.Store(seq)
}

// flush writes the head's samples as chunks, one a series and day, with the seq
// that they bring the series to. The last batch carries that seq: what a crash
// leaves of the others is written again by the refill, to the same effect.
func (s *series) flush() error {
	s.write.Lock()
	defer s.write.Unlock()
	// Read before freezing: the head may hold more than this seq says, never less.
	seq := s.applied.Load()
	if !s.freeze() {
		return nil
	}
	err := s.writeFrozen(seq)
	s.flushed.Add(1) // before the head lets go: who finds nothing there looks at the chunks anew
	s.thaw(err == nil)
	if err == nil {
		_, err = s.db.AsyncFlush() // to the disk, so that a restart need not refill it
	}
	return err
}

func (s *series) writeFrozen(seq uint64) error {
	w := batchWriter{db: s.db}
	defer w.close()
	if err := s.beginChunks(&w); err != nil {
		return err
	}
	s.mu.RLock()
	frozen, tests := s.frozen, s.tests.list
	s.mu.RUnlock()
	for n := range frozen {
		list := frozen[n].all()
		if len(list) == 0 {
			continue
		}
		s.mu.RLock()
		last := s.newest[n]
		if int(last.test) >= len(tests) {
			tests = s.tests.list
		}
		s.mu.RUnlock()
		if err := w.set(numberKey(nil, keyNewest, uint32(n)), appendNewest(nil, last, tests)); err != nil {
			return err
		}
		if err := s.writeChunks(&w, uint32(n), list, tests); err != nil {
			return err
		}
	}
	if err := w.set(metaApplied, binary.BigEndian.AppendUint64(nil, seq)); err != nil {
		return err
	}
	return w.commit()
}

// beginChunks begins a generation of chunks: of two that tell of one time, the
// younger is right. It writes the names that the disk does not have yet.
func (s *series) beginChunks(w *batchWriter) error {
	s.mu.RLock()
	names := s.names[:len(s.names):len(s.names)]
	s.mu.RUnlock()
	for n := s.named; n < uint64(len(names)); n++ {
		key := append(append(append([]byte{keyName}, names[n].device...), 0), names[n].metric...)
		if err := w.set(key, binary.BigEndian.AppendUint32(nil, uint32(n))); err != nil {
			return err
		}
	}
	if err := w.set(metaNames, binary.BigEndian.AppendUint64(nil, uint64(len(names)))); err != nil {
		return err
	}
	s.generation += generations
	if err := w.set(metaGen, binary.BigEndian.AppendUint64(nil, s.generation)); err != nil {
		return err
	}
	if err := w.commit(); err != nil { // before any chunk: no number is used without its name, no generation twice
		return err
	}
	s.named = uint64(len(names))
	return nil
}

// writeChunks writes samples of a series as a chunk a day, or several where they
// are many, and marks the days.
func (s *series) writeChunks(w *batchWriter, n uint32, list []sample, tests []string) error {
	for len(list) > 0 {
		day := dayOf(list[0].at)
		part := between(list, list[0].at, midnightOf(day)+dayMillis)
		list = list[len(part):]
		generation := s.generation - generations
		for piece := range slices.Chunk(part, maxPiece) {
			generation++
			s.encoder.buf = s.encoder.chunk(s.encoder.buf[:0], midnightOf(day), piece, tests)
			if err := w.set(chunkKey(nil, n, day, generation), s.encoder.buf); err != nil {
				return err
			}
		}
		if err := w.set(dayKey(nil, keyOpen, n, day), nil); err != nil {
			return err
		}
	}
	return nil
}

// batchWriter gathers writes into batches that Pebble takes without a stop.
type batchWriter struct {
	db *pebble.DB
	b  *pebble.Batch
}

const batchBytes = 4 << 20

func (w *batchWriter) batch() *pebble.Batch {
	if w.b == nil {
		w.b = w.db.NewBatch()
	}
	return w.b
}

func (w *batchWriter) set(k, v []byte) error {
	if err := w.batch().Set(k, v, nil); err != nil {
		return err
	}
	if w.b.Len() < batchBytes {
		return nil
	}
	return w.commit()
}

func (w *batchWriter) commit() error {
	if w.b == nil {
		return nil
	}
	err := errors.Join(w.b.Commit(pebble.NoSync), w.b.Close())
	w.b = nil
	return err
}

func (w *batchWriter) close() {
	if w.b != nil {
		_ = w.b.Close() // after an error: what it holds is not wanted
	}
}

// durable is the seq that the series hold whatever happens: that of the last flushed memtable.
func (s *series) durable() (uint64, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyMeta}, UpperBound: []byte{keyMeta + 1}, OnlyReadGuaranteedDurable: true})
	if err != nil {
		return 0, err
	}
	var seq uint64
	if it.SeekGE(metaApplied) && string(it.Key()) == string(metaApplied) {
		v, err := it.ValueAndErr()
		if err != nil || len(v) != 8 {
			return 0, errors.Join(errValue, err, it.Close())
		}
		seq = binary.BigEndian.Uint64(v)
	}
	return seq, it.Close()
}

// close flushes, so that the next start need not refill. A flush that fails is
// tried by Pebble without end: then it is left, since the log holds everything.
func (s *series) close() error {
	err := s.flush()
	if err == nil {
		err = s.toDisk()
	}
	if err != nil {
		err = fmt.Errorf("series: not flushed; the next start refills them from the log: %w", err)
	}
	err = errors.Join(err, s.db.Close())
	s.cache.Unref()
	return err
}

// toDisk waits until Pebble has written what it holds in memory, or cannot.
func (s *series) toDisk() error {
	select {
	case <-s.full: // of earlier: there may be space now
	default:
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return nil
	case <-s.full:
		return telemetry.ErrNoSpace
	case <-s.failing:
		return errors.New("the disk fails")
	}
}
