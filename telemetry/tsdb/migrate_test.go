package tsdb

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cuulong/devices"
	"cuulong/telemetry"
)

// writeFormat1 writes series as format 1 had them, a key an observation.
func writeFormat1(t *testing.T, fs vfs.FS, dir string, seq uint64, obs []telemetry.Observation) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, DisableWAL: true, FormatMajorVersion: pebble.FormatNewest, Logger: logger{info: func(string) {}, errs: func(string) {}, fail: func(error) {}}})
	if err != nil {
		t.Fatal(err)
	}
	set := func(k, v []byte) { err = errors.Join(err, db.Set(k, v, pebble.NoSync)) }
	set([]byte("mversion"), binary.BigEndian.AppendUint64(nil, 1))
	set([]byte("mapplied"), binary.BigEndian.AppendUint64(nil, seq))
	numbers := map[name]uint32{}
	for _, o := range obs {
		of := name{o.Device, o.Metric}
		n, ok := numbers[of]
		if !ok {
			n = uint32(len(numbers))
			numbers[of] = n
			set([]byte("s"+string(o.Device)+"\x00"+o.Metric), binary.BigEndian.AppendUint32(nil, n))
		}
		k := binary.BigEndian.AppendUint32([]byte{'v'}, n)
		k = binary.BigEndian.AppendUint64(k, uint64(o.At)^1<<63)
		v := binary.LittleEndian.AppendUint64(nil, math.Float64bits(o.Value))
		v = binary.AppendVarint(append(v, byte(o.Flag)), o.Seen-o.At)
		set(k, append(v, o.Test...))
	}
	if err = errors.Join(err, db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestMigrate: a store of format 1 is the same in format 2, also when the power fails on the way.
func TestMigrate(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	want := model{}
	var obs []telemetry.Observation
	for i := range 4000 {
		at := int64(t0 + i*97_000)
		o := telemetry.Observation{
			Device: devices.ID([]string{"a", "b", "c"}[i%3]), Metric: []string{"level", "ph"}[i%2], At: at, Seen: at + int64(rng.IntN(5000)), Value: float64(rng.IntN(900)) / 100, Flag: 1,
		}
		if i%50 == 0 {
			o.Flag, o.Test = 4, telemetry.TestGrossRange
		}
		obs = append(obs, o)
	}
	want.apply(obs)
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("series", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFormat1(t, fs, "series", 7, obs)
	quietLogger := logger{info: func(string) {}, errs: func(string) {}, fail: func(err error) { t.Error(err) }}
	check := func(s *series) {
		t.Helper()
		db := &DB{series: s, o: Options{}}
		db.appended.Store(7)
		modelCheck(t, db, want, rng, t0+4000*97_000)
	}
	s, err := openSeries("series", fs, defaultDense, quietLogger)
	if err != nil {
		t.Fatal(err)
	}
	check(s)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	for _, fs := range []vfs.FS{fs, crashed} {
		if s, err = openSeries("series", fs, defaultDense, quietLogger); err != nil {
			t.Fatal(err)
		}
		if v, _, err := s.meta(metaVersion); v != seriesVersion || err != nil {
			t.Errorf("version %d, %v", v, err)
		}
		old := 0
		if err := s.eachKey(keyOld, func(_, _ []byte) error { old++; return nil }); err != nil || old > 0 {
			t.Errorf("%d old keys are left, %v", old, err)
		}
		check(s)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}
