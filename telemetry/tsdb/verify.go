package tsdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cuulong/devices"
	"cuulong/telemetry"
)

// Fault is something that a store does not hold as FORMAT.md has it.
type Fault struct {
	Where string // file of the log and byte, or key of the series
	What  string
}

func (f Fault) String() string { return f.Where + ": " + f.What }

// Stats are what Verify has seen.
type Stats struct {
	Segments, Records, LogObservations, SetAside int
	Series, Chunks, Samples, RolledUpDays        int
	Faults                                       int
}

// Verify reads the store in dir, which no engine may have open, to its last
// byte, changes nothing, and reports every fault. The error is that of a store
// that cannot be read at all.
func Verify(dir string, report func(Fault)) (Stats, error) {
	v := verifier{report: report}
	last, err := v.log(filepath.Join(dir, "log"))
	if err == nil {
		err = v.places(filepath.Join(dir, "log"))
	}
	if err != nil {
		return v.Stats, err
	}
	return v.Stats, v.series(filepath.Join(dir, "series"), vfs.Default, last)
}

type verifier struct {
	Stats
	report func(Fault)
	names  []name
	newest map[uint32]newest // by the chunks
	marked map[day]bool
}

func (v *verifier) fault(where, format string, args ...any) {
	v.Faults++
	v.report(Fault{where, fmt.Sprintf(format, args...)})
}

// log checks headers, CRCs, bodies and the order of seqs.
func (v *verifier) log(dir string) (last uint64, err error) {
	list, err := segments(dir)
	if err != nil {
		return 0, fmt.Errorf("log: %w", err)
	}
	var rec telemetry.Record
	for i, s := range list {
		v.Segments++
		b, err := os.ReadFile(s.path)
		if err != nil {
			return last, err
		}
		h, err := parseHeader(b)
		if err != nil {
			v.fault(s.path, "%v", err)
			continue
		}
		if h.firstSeq != s.first {
			v.fault(s.path, "its header says that it begins with record %d", h.firstSeq)
		}
		if i > 0 && s.first != last+1 {
			v.fault(s.path, "begins with record %d behind record %d", s.first, last)
		}
		torn, inside, _ := h.walk(b, func(f frame) error {
			v.record(s.path, f, last, &rec)
			last = f.seq
			return nil
		})
		for _, d := range inside {
			v.fault(fmt.Sprintf("%s byte %d", s.path, d.start), "%d bytes that are no record", d.end-d.start)
		}
		if torn.end > torn.start {
			v.fault(fmt.Sprintf("%s byte %d", s.path, torn.start), "%d bytes at the end that are no record", torn.end-torn.start)
		}
	}
	return last, nil
}

// places reads those of consumers.
func (v *verifier) places(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+placeExt))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, ok := parsePlace(b); !ok {
			v.fault(path, "no place of a consumer, which will begin at the oldest record")
		}
	}
	return err
}

func (v *verifier) record(path string, f frame, last uint64, rec *telemetry.Record) {
	v.Records++
	where := fmt.Sprintf("%s byte %d", path, f.start)
	if last > 0 && f.seq != last+1 {
		v.fault(where, "record %d follows record %d", f.seq, last)
	}
	if err := decodeBody(f.body, rec); err != nil {
		v.fault(where, "record %d: %v", f.seq, err)
		return
	}
	v.LogObservations += len(rec.Observations)
	v.SetAside += len(rec.SetAside)
	for i := range rec.Observations {
		if o := &rec.Observations[i]; !telemetry.GoodMetric(o.Metric) || o.Device == "" || math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
			v.fault(where, "record %d: observation %d of %.64q/%.64q is none", f.seq, i, o.Device, o.Metric)
		}
	}
}

func (v *verifier) series(dir string, fs vfs.FS, last uint64) error {
	l := logger{info: func(string) {}, errs: func(string) {}, fail: func(err error) { v.fault(dir, "%v", err) }}
	o := pebbleOptions(fs, nil, l)
	o.ReadOnly = true
	db, err := pebble.Open(dir, o)
	if err != nil {
		return fmt.Errorf("series: %w", err)
	}
	err = v.keys(&series{head: newHead(), db: db, dense: defaultDense}, last)
	return errors.Join(err, db.Close())
}

func (v *verifier) keys(s *series, last uint64) error {
	version, ok, err := s.meta(metaVersion)
	if err != nil {
		return err
	}
	if !ok && last == 0 {
		return nil // made, and never written
	}
	if version != seriesVersion {
		v.fault("mversion", "format %d; verified is format %d", version, seriesVersion)
		return nil
	}
	applied, _, err := s.meta(metaApplied)
	if err != nil {
		return err
	}
	if applied > last {
		v.fault("mapplied", "the series hold record %d, the log ends with %d", applied, last)
	}
	if err := v.seriesNames(s); err != nil {
		return err
	}
	if err := v.chunks(s); err != nil {
		return err
	}
	return errors.Join(v.newestKeys(s), v.rollupsLeft(s))
}

func (v *verifier) seriesNames(s *series) error {
	v.names = nil
	err := s.eachKey(keyName, func(k, val []byte) error {
		i := slices.Index(k, 0)
		if i < 0 || len(val) != 4 || !telemetry.GoodMetric(string(k[i+1:])) {
			v.fault(fmt.Sprintf("%q", k), "no name of a series")
			return nil
		}
		n := binary.BigEndian.Uint32(val)
		for uint32(len(v.names)) <= n && n < 1<<26 {
			v.names = append(v.names, name{})
		}
		of := name{devices.ID(k[1:i]), string(k[i+1:])}
		if n >= uint32(len(v.names)) || v.names[n] != (name{}) {
			v.fault(fmt.Sprintf("%q", k), "number %d is taken or out of bounds", n)
			return nil
		}
		v.names[n] = of
		return nil
	})
	for n, of := range v.names {
		if of == (name{}) {
			v.fault("s", "no series has number %d", n)
		}
	}
	v.Series = len(v.names)
	written, _, metaErr := s.meta(metaNames)
	if int(written) != len(v.names) {
		v.fault("mnames", "says %d names; there are %d", written, len(v.names))
	}
	return errors.Join(err, metaErr)
}

// where names a key for a person.
func (v *verifier) where(k []byte) string {
	if len(k) < dayKeySize || keyNumber(k) >= uint32(len(v.names)) {
		return fmt.Sprintf("key %x", k)
	}
	of := v.names[keyNumber(k)]
	return fmt.Sprintf("%c %s/%s day %d", k[0], of.device, of.metric, keyDay(k))
}

// chunks reads all chunks, and holds each day's roll-ups against its samples.
func (v *verifier) chunks(s *series) error {
	v.newest, v.marked = map[uint32]newest{}, map[day]bool{}
	err := s.eachKey(keyOpen, func(k, _ []byte) error {
		if len(k) != dayKeySize {
			v.fault(fmt.Sprintf("key %x", k), "malformed")
			return nil
		}
		v.marked[day{keyNumber(k), keyDay(k)}] = true
		return nil
	})
	if err != nil {
		return err
	}
	generation, _, err := s.meta(metaGen)
	if err != nil {
		return err
	}
	var open day
	var list []sample // of the open day, unless it is dense
	var tests testTable
	count, samples := 0, 0
	done := func() error {
		if count == 0 {
			return nil
		}
		if count > 1 && !v.marked[open] && samples <= s.dense {
			v.fault(v.where(dayKey(nil, keyChunk, open.n, open.day)), "%d chunks, and no mark that the day is open", count)
		}
		rolled := newRollers(midnightOf(open.day))
		see := func(list []sample, _ []piece, _ bool) error {
			rolled.add(list)
			if len(list) > 0 {
				end := list[len(list)-1]
				if w := v.newest[open.n]; w.flag == 0 || end.at >= w.at {
					v.newest[open.n] = newest{at: end.at, value: end.value, flag: end.flag}
				}
			}
			return nil
		}
		if samples <= s.dense {
			_ = see(merged(list), nil, false)
		} else if err := s.ofDay(open, nil, see); err != nil {
			if !damaged(err) { // what is has been told
				return err
			}
			return nil
		}
		v.Samples += rolled.count
		return v.rolledUp(s, open, rolled)
	}
	err = s.eachKey(keyChunk, func(k, b []byte) error {
		if len(k) != chunkKeySize || keyNumber(k) >= uint32(len(v.names)) {
			v.fault(fmt.Sprintf("key %x", k), "malformed, or of no series")
			return nil
		}
		if at := (day{keyNumber(k), keyDay(k)}); at != open || count == 0 {
			if err := done(); err != nil {
				return err
			}
			open, list, count, samples, tests = at, list[:0], 0, 0, testTable{[]string{""}}
		}
		v.Chunks++
		count++
		if keyGeneration(k) > generation {
			v.fault(v.where(k), "generation %d is younger than the youngest, %d", keyGeneration(k), generation)
		}
		if samples > s.dense {
			list = list[:0]
		}
		var bad error
		before := len(list)
		if list, bad = decodeChunk(b, midnightOf(open.day), list, &tests); bad != nil {
			v.fault(v.where(k), "%v", bad)
		}
		samples += len(list) - before
		return nil
	})
	return errors.Join(err, done())
}

// rolledUp holds a day's roll-ups against its samples', where they say that they are of these.
func (v *verifier) rolledUp(s *series, m day, rolled *rollers) error {
	key := dayKey(nil, keyRollup, m.n, m.day)
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	midnight := midnightOf(m.day)
	bad := parseRollups(b, midnight, func(level int, parts []telemetry.Part) bool {
		if !v.marked[m] && !slices.Equal(parts, rolled.of[level].parts) {
			v.fault(v.where(key), "the roll-ups of level %d are not those of its samples", level)
		}
		return true
	})
	if bad != nil {
		v.fault(v.where(key), "%v", bad)
	}
	return nil
}

// newestKeys: each series tells its newest observation, which is not older than its chunks.
func (v *verifier) newestKeys(s *series) error {
	tests := testTable{[]string{""}}
	told := map[uint32]newest{}
	err := s.eachKey(keyNewest, func(k, b []byte) error {
		w, bad := parseNewest(b, &tests)
		if len(k) != numberKeySize || bad != nil || keyNumber(k) >= uint32(len(v.names)) {
			v.fault(fmt.Sprintf("key %x", k), "no newest observation of a series")
			return nil
		}
		told[keyNumber(k)] = w
		return nil
	})
	for n, w := range v.newest {
		of := v.names[n]
		if got := told[n]; got.at < w.at || got.at == w.at && got.value != w.value {
			v.fault(fmt.Sprintf("n %s/%s", of.device, of.metric), "newest is %v at %d; its chunks end with %v at %d", got.value, got.at, w.value, w.at)
		}
	}
	return err
}

// rollupsLeft counts roll-ups, and reads those whose samples have gone.
func (v *verifier) rollupsLeft(s *series) error {
	return s.eachKey(keyRollup, func(k, b []byte) error {
		v.RolledUpDays++
		if len(k) != dayKeySize || keyNumber(k) >= uint32(len(v.names)) {
			v.fault(fmt.Sprintf("key %x", k), "malformed, or of no series")
			return nil
		}
		if bad := parseRollups(b, midnightOf(keyDay(k)), func(int, []telemetry.Part) bool { return true }); bad != nil {
			v.fault(v.where(k), "%v", bad)
		}
		return nil
	})
}
