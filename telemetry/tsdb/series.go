package tsdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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

// Keys of the series, see FORMAT.md. Pebble's own WAL is off: our log is the
// truth, and every batch carries the seq it brings the series to, so that what
// a crash leaves of Pebble says itself where the refill begins.
const (
	keyMeta  = 'm' // "m" name → value
	keyName  = 's' // "s" device 0x00 metric → series number, 4 bytes big endian
	keyValue = 'v' // "v" number 4 bytes big endian, At 8 bytes big endian with the sign bit turned → value

	valueKeySize = 13
)

var (
	metaVersion = []byte("mversion")
	metaApplied = []byte("mapplied")
)

// series is the Pebble side of the engine.
type series struct {
	db    *pebble.DB
	cache *pebble.Cache

	applied atomic.Uint64 // written by apply
	failing chan struct{} // closed when a flush or compaction has failed

	mu      sync.RWMutex
	numbers map[devices.ID]map[string]uint32 // guarded by mu; written by apply alone
	names   []name                           // by number; guarded by mu
}

type name struct {
	device devices.ID
	metric string
}

// Sizes that suit a machine which also relays video: a memtable is also what a
// restart has to refill from the log. Pebble takes memtables out of the cache's
// size: two of them leave half of it for blocks.
const (
	memTableSize = 16 << 20
	cacheSize    = 64 << 20

	retryPause = 100 * time.Millisecond
)

// logger hands Pebble's words on. Fatalf must not end the process (the default
// is os.Exit): it marks the engine failed, and the acknowledgement, which rests on our log, stops.
type logger struct {
	info func(string)
	errs func(string)
	fail func(error)
}

func (l logger) Infof(format string, args ...any)  { l.info(fmt.Sprintf(format, args...)) }
func (l logger) Errorf(format string, args ...any) { l.errs(fmt.Sprintf(format, args...)) }
func (l logger) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf("series: "+format, args...))
}

func openSeries(dir string, fs vfs.FS, l logger) (*series, error) {
	s := &series{cache: pebble.NewCache(cacheSize), numbers: map[devices.ID]map[string]uint32{}, failing: make(chan struct{})}
	var once sync.Once
	o := &pebble.Options{
		FS: fs, Cache: s.cache, Logger: l, DisableWAL: true,
		MemTableSize: memTableSize, MemTableStopWritesThreshold: 4,
		L0CompactionThreshold: 4, L0StopWritesThreshold: 24,
		FormatMajorVersion: pebble.FormatNewest,
		EventListener: &pebble.EventListener{BackgroundError: func(err error) {
			l.fail(fmt.Errorf("series: %w", err))
			once.Do(func() { close(s.failing) })
			// Pebble tries again at once and for ever: a dead disk must not cost a core as well.
			time.Sleep(retryPause)
		}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	var err error
	if s.db, err = pebble.Open(dir, o); err != nil {
		s.cache.Unref()
		return nil, fmt.Errorf("open the series: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// load reads the version, the applied seq and the names.
func (s *series) load() error {
	version, ok, err := s.meta(metaVersion)
	if err != nil {
		return err
	}
	if !ok {
		if err := s.db.Set(metaVersion, binary.BigEndian.AppendUint64(nil, formatVersion), pebble.NoSync); err != nil {
			return err
		}
	} else if version != formatVersion {
		return fmt.Errorf("series of format %d; this ioc knows %d", version, formatVersion)
	}
	applied, _, err := s.meta(metaApplied)
	if err != nil {
		return err
	}
	s.applied.Store(applied)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyName}, UpperBound: []byte{keyName + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()[1:]
		i := slices.Index(k, 0)
		v, err := it.ValueAndErr()
		if err != nil || i < 0 || len(v) != 4 {
			return errors.Join(fmt.Errorf("series: malformed name %q", k), err, it.Close())
		}
		s.put(binary.BigEndian.Uint32(v), name{devices.ID(k[:i]), string(k[i+1:])})
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

// put notes a series under its number.
func (s *series) put(n uint32, of name) {
	for uint32(len(s.names)) <= n {
		s.names = append(s.names, name{})
	}
	s.names[n] = of
	m := s.numbers[of.device]
	if m == nil {
		m = map[string]uint32{}
		s.numbers[of.device] = m
	}
	m[of.metric] = n
}

func (s *series) find(id devices.ID, metric string) (uint32, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.numbers[id][metric]
	return n, ok
}

func valueKey(k []byte, n uint32, at int64) []byte {
	k = append(k, keyValue)
	k = binary.BigEndian.AppendUint32(k, n)
	return binary.BigEndian.AppendUint64(k, uint64(at)^1<<63)
}

func keyTime(k []byte) int64 { return int64(binary.BigEndian.Uint64(k[5:]) ^ 1<<63) }

func appendValue(b []byte, o *telemetry.Observation) []byte {
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(o.Value))
	b = append(b, byte(o.Flag))
	b = binary.AppendVarint(b, o.Seen-o.At)
	return append(b, o.Test...)
}

var errValue = errors.New("series: malformed value")

func parsePoint(at int64, v []byte) (telemetry.Point, error) {
	if len(v) < 10 {
		return telemetry.Point{}, errValue
	}
	return telemetry.Point{At: at, Value: math.Float64frombits(binary.LittleEndian.Uint64(v)), Flag: telemetry.Flag(v[8])}, nil
}

// apply writes what a record stored and that it has; one caller at a time.
func (s *series) apply(seq uint64, obs []telemetry.Observation) error {
	b := s.db.NewBatchWithSize(len(obs)*40 + 64)
	defer b.Close()
	var (
		key, value []byte
		device     devices.ID
		numbers    map[string]uint32
	)
	for i := range obs {
		o := &obs[i]
		if i == 0 || o.Device != device {
			device, numbers = o.Device, s.numbers[o.Device] // apply alone writes it: no lock to read
		}
		n, ok := numbers[o.Metric]
		if !ok {
			n = uint32(len(s.names))
			s.mu.Lock()
			s.put(n, name{o.Device, o.Metric})
			s.mu.Unlock()
			numbers = s.numbers[o.Device]
			key = append(append(append(append(key[:0], keyName), o.Device...), 0), o.Metric...)
			if err := b.Set(key, binary.BigEndian.AppendUint32(nil, n), nil); err != nil {
				return err
			}
		}
		key = valueKey(key[:0], n, o.At)
		value = appendValue(value[:0], o)
		if err := b.Set(key, value, nil); err != nil {
			return err
		}
	}
	if err := b.Set(metaApplied, binary.BigEndian.AppendUint64(value[:0], seq), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	s.applied.Store(seq)
	return nil
}

// points yields a series between two times.
func (s *series) points(ctx context.Context, n uint32, from, to int64, yield func(telemetry.Point) bool) error {
	if from >= to {
		return nil
	}
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: valueKey(nil, n, from), UpperBound: valueKey(nil, n, to)})
	if err != nil {
		return err
	}
	for i, ok := 1, it.First(); ok; i, ok = i+1, it.Next() {
		if i%256 == 0 && ctx.Err() != nil {
			return errors.Join(ctx.Err(), it.Close())
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		p, err := parsePoint(keyTime(it.Key()), v)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !yield(p) {
			break
		}
	}
	return it.Close()
}

func (s *series) at(n uint32, at int64) (p telemetry.Point, ok bool, err error) {
	var buf [valueKeySize]byte
	v, closer, err := s.db.Get(valueKey(buf[:0], n, at))
	if errors.Is(err, pebble.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	p, err = parsePoint(at, v)
	return p, err == nil, errors.Join(err, closer.Close())
}

// newest yields the last observation of each series: one seek each, backwards.
func (s *series) newest(ctx context.Context, yield func(telemetry.Observation) bool) error {
	s.mu.RLock()
	names := s.names[:len(s.names):len(s.names)]
	s.mu.RUnlock()
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{keyValue}, UpperBound: []byte{keyValue + 1}})
	if err != nil {
		return err
	}
	var key []byte
	for n, of := range names {
		if n%256 == 255 && ctx.Err() != nil {
			return errors.Join(ctx.Err(), it.Close())
		}
		key = binary.BigEndian.AppendUint32(append(key[:0], keyValue), uint32(n)+1)
		if !it.SeekLT(key) {
			continue
		}
		k := it.Key()
		if len(k) != valueKeySize || binary.BigEndian.Uint32(k[1:]) != uint32(n) {
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		p, err := parsePoint(keyTime(k), v)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		seen, size := binary.Varint(v[9:])
		if size <= 0 {
			return errors.Join(errValue, it.Close())
		}
		if !yield(telemetry.Observation{
			Device: of.device, Metric: of.metric, At: p.At, Seen: p.At + seen, Value: p.Value, Flag: p.Flag, Test: string(v[9+size:]),
		}) {
			break
		}
	}
	return it.Close()
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
	flushed, err := s.db.AsyncFlush()
	if err == nil {
		select {
		case <-flushed:
		case <-s.failing:
			err = errors.New("series: not flushed; the next start refills them from the log")
		}
	}
	err = errors.Join(err, s.db.Close())
	s.cache.Unref()
	return err
}
