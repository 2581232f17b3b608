package tsdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cuulong/devices"
	"cuulong/telemetry"
)

// someDays fills an engine with days of everything: late, corrected, compacted, rolled up, open.
func someDays(t testing.TB, db *DB) model {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 9))
	want := model{}
	add := func(obs ...telemetry.Observation) {
		t.Helper()
		r := &telemetry.Record{Observations: obs}
		if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
			t.Fatal(err)
		}
		want.apply(obs)
	}
	for d := range int64(3) {
		for i := range int64(1440) {
			at := int64(t0) + d*dayMillis + i*60_000
			o := telemetry.Observation{Device: devices.ID(fmt.Sprint("tram-", i%2)), Metric: "level", At: at, Seen: at + 700, Value: float64(rng.IntN(500)) / 100, Flag: 1}
			if i%100 == 0 {
				o.Flag, o.Test = 3, "spike"
			}
			add(o, telemetry.Observation{Device: "ap-1", Metric: "ap_rx_bytes", At: at, Seen: at, Value: float64(d*1440+i) * 1500, Flag: 1})
		}
		if err := db.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Compact(t.Context(), time.UnixMilli(t0+2*dayMillis)); err != nil {
		t.Fatal(err)
	}
	add(telemetry.Observation{Device: "tram-0", Metric: "level", At: t0 + 77_000, Seen: t0 + 3*dayMillis, Value: 1.25, Flag: 2, Test: "clock_skew"})
	return want
}

// faultsOf verifies a folder.
func faultsOf(t testing.TB, dir string) (Stats, []string) {
	t.Helper()
	var faults []string
	stats, err := Verify(dir, func(f Fault) { faults = append(faults, f.String()) })
	if err != nil {
		t.Fatal(err)
	}
	if stats.Faults != len(faults) {
		t.Errorf("%d faults counted, %d reported", stats.Faults, len(faults))
	}
	return stats, faults
}

// TestVerify: a sound store has no fault; each kind of damage is found and said where.
func TestVerify(t *testing.T) {
	sound := t.TempDir()
	db := openAt(t, sound, Options{SegmentBytes: 60_000})
	someDays(t, db)
	if err := errors.Join(db.SetPlace("influx", 5), db.Close()); err != nil {
		t.Fatal(err)
	}
	stats, faults := faultsOf(t, sound)
	if len(faults) > 0 {
		t.Fatalf("a sound store: %v", faults)
	}
	if stats.Records != 3*1440+1 || stats.Series != 3 || stats.Samples != 2*3*1440+1 || stats.RolledUpDays == 0 || stats.Segments < 3 {
		t.Errorf("seen %+v", stats)
	}
	last := func(kind byte) func(*pebble.DB) ([]byte, []byte) {
		return func(p *pebble.DB) (k, v []byte) {
			if err := eachKey(p, []byte{kind}, []byte{kind + 1}, func(key, val []byte) error {
				k, v = append(k[:0], key...), append(v[:0], val...)
				return nil
			}); err != nil || k == nil {
				t.Fatal("no key of the kind", err)
			}
			return k, v
		}
	}
	for what, hurt := range map[string]func(p *pebble.DB) error{
		"malformed chunk": func(p *pebble.DB) error {
			k, v := last(keyChunk)(p)
			return p.Set(k, v[:len(v)/2], pebble.NoSync)
		},
		"not those of its samples": func(p *pebble.DB) error {
			k, v := last(keyRollup)(p)
			v[len(v)-1] ^= 2
			return p.Set(k, v, pebble.NoSync)
		},
		"newest is": func(p *pebble.DB) error {
			k, _ := last(keyNewest)(p)
			return p.Delete(k, pebble.NoSync)
		},
		"says 3 names": func(p *pebble.DB) error {
			k, _ := last(keyName)(p)
			return p.Delete(k, pebble.NoSync)
		},
		"the log ends with": func(p *pebble.DB) error {
			return p.Set(metaApplied, binary.BigEndian.AppendUint64(nil, 1<<40), pebble.NoSync)
		},
		"younger than the youngest": func(p *pebble.DB) error {
			return p.Set(metaGen, binary.BigEndian.AppendUint64(nil, 0), pebble.NoSync)
		},
		"no mark that the day is open": func(p *pebble.DB) error {
			return p.DeleteRange([]byte{keyOpen}, []byte{keyOpen + 1}, pebble.NoSync)
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := copyOf(t, sound)
			o := pebbleOptions(nil, nil, logger{info: func(string) {}, errs: func(string) {}, fail: func(err error) { t.Error(err) }})
			p, err := pebble.Open(filepath.Join(dir, "series"), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(hurt(p), p.Flush(), p.Close()); err != nil {
				t.Fatal(err)
			}
			if _, faults := faultsOf(t, dir); len(faults) == 0 || !strings.Contains(strings.Join(faults, "\n"), what) {
				t.Errorf("found %q", faults)
			}
		})
	}
	t.Run("a place", func(t *testing.T) {
		dir := copyOf(t, sound)
		path := filepath.Join(dir, "log", "influx"+placeExt)
		b := read(t, path)
		b[3] ^= 4
		write(t, path, b)
		if _, faults := faultsOf(t, dir); len(faults) != 1 || !strings.Contains(faults[0], path) {
			t.Errorf("found %q", faults)
		}
	})
	t.Run("bits of the log", func(t *testing.T) {
		dir := copyOf(t, sound)
		list, err := segments(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		whole := read(t, list[1].path)
		for range 40 {
			b := append([]byte(nil), whole...)
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			write(t, list[1].path, b)
			if _, faults := faultsOf(t, dir); len(faults) == 0 {
				t.Error("a flipped bit is silent")
			}
		}
	})
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestBackup: taken while values come, it holds all that was durable before it
// began, is sound, and opens as a store of its own.
func TestBackup(t *testing.T) {
	db := openAt(t, t.TempDir(), Options{SegmentBytes: 40_000})
	want := someDays(t, db)
	to := filepath.Join(t.TempDir(), "backup")
	if err := os.Mkdir(to, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := db.SetPlace("forward", 17); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			at := t0 + 9*dayMillis + i
			r := &telemetry.Record{Observations: []telemetry.Observation{{Device: "meanwhile", Metric: "ph", At: at, Seen: at, Value: 7, Flag: 1}}}
			if err := errors.Join(db.Append(r), db.Apply(r)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	err := db.Backup(to)
	close(stop)
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := faultsOf(t, to); len(faults) > 0 {
		t.Errorf("the backup: %v", faults)
	}
	again := openAt(t, to, Options{})
	for of := range want {
		if got, want := pointsOf(t, again, of, 0, 2*t0), want.points(of, 0, 2*t0); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %d points, want %d", of, len(got), len(want))
		}
	}
	if seq, _ := again.Place("forward"); seq != 17 {
		t.Errorf("the consumer's place is %d", seq)
	}
	meanwhile := name{"meanwhile", "ph"}
	for i, p := range pointsOf(t, again, meanwhile, 0, 2*t0) {
		if p.At != t0+9*dayMillis+int64(i) {
			t.Fatalf("the backup has a hole before %d", p.At)
		}
	}
}

// TestVerifyHugeValues: a day whose sum no float64 holds is sound, and its windows are its samples'.
func TestVerifyHugeValues(t *testing.T) {
	for label, keep := range map[string]Keep{"values kept": {}, "roll-ups alone": {Raw: 24 * time.Hour}} {
		dir := t.TempDir()
		db := openAt(t, dir, Options{Retention: func(string) Keep { return keep }})
		midnight := midnightOf(dayOf(t0))
		end := midnight + 10*dayMillis
		r, want := &telemetry.Record{}, model{}
		for i := range int64(600) {
			v := float64(i)
			if i > 300 && i < 304 {
				v = 1.7e308
			}
			r.Observations = append(r.Observations, telemetry.Observation{Device: "a", Metric: "level", At: midnight + i*60_000, Seen: end, Value: v, Flag: telemetry.Fail})
		}
		want.apply(r.Observations)
		if err := errors.Join(db.Append(r), db.Apply(r), db.Compact(t.Context(), time.UnixMilli(end))); err != nil {
			t.Fatal(err)
		}
		level := name{"a", "level"}
		for _, width := range levels {
			every := telemetry.Every{Millis: width}
			got := windowsOf(t, db, level, 0, end, every)
			if keep.Raw > 0 {
				for _, w := range got {
					if math.IsInf(w.Mean, 0) || math.IsNaN(w.Mean) {
						t.Errorf("%s: %+v", label, w)
					}
				}
			} else if want := want.windows(level, 0, end, every); !sameWindows(got, want) {
				t.Errorf("%s: windows of %d ms are\n%v\nwant\n%v", label, width, got, want)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, faults := faultsOf(t, dir); len(faults) != 0 {
			t.Errorf("%s: %v", label, faults)
		}
	}
}

// TestSeriesBitFlips: a flipped bit in the series' files is an error that tells,
// or changes nothing; it is never another value.
func TestSeriesBitFlips(t *testing.T) {
	sound := t.TempDir()
	db := openAt(t, sound, Options{})
	want := someDays(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	loud := 0
	for range 25 {
		dir := copyOf(t, sound)
		files, err := filepath.Glob(filepath.Join(dir, "series", "*.sst"))
		if err != nil || len(files) == 0 {
			t.Fatal("no tables", err)
		}
		file := files[rng.IntN(len(files))]
		b := read(t, file)
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		write(t, file, b)
		if flipped(t, dir, want) {
			loud++
		}
	}
	if loud == 0 {
		t.Error("none of 25 flipped bits was noticed")
	}
	t.Logf("%d of 25 were told, the others are in bytes that nothing rests on", loud)
}

// flipped opens a hurt store and reads all of it; true when it says that it is hurt.
func flipped(t *testing.T, dir string, want model) bool {
	t.Helper()
	db, err := Open(dir, Options{Logger: quiet()})
	if err != nil {
		if !strings.Contains(err.Error(), "ioc restore") {
			t.Errorf("it does not open, and nothing says what to do: %v", err)
		}
		return true
	}
	defer db.Close()
	for of := range want {
		var got []telemetry.Point
		err := db.Points(t.Context(), of.device, of.metric, 0, 2*t0, func(p telemetry.Point) bool { got = append(got, p); return true })
		if err != nil {
			// Who reads it is told; intake has nothing to do with it, also where it asks for what comes late.
			if err := db.Find(t.Context(), of.device, of.metric, slices.Sorted(maps.Keys(want[of])), func(telemetry.Point) {}); !errors.Is(err, telemetry.ErrDamaged) {
				t.Errorf("a look for what came late: %v", err)
			}
			r := &telemetry.Record{Observations: []telemetry.Observation{{Device: "new", Metric: "level", At: 2 * t0, Seen: 2 * t0, Value: 1, Flag: 1}}}
			if err := errors.Join(db.Err(), db.Append(r), db.Apply(r), db.flush()); err != nil {
				t.Errorf("intake after a read of a damaged block: %v", err)
			}
			return true
		}
		if want := want.points(of, 0, 2*t0); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %d points that nobody wrote, want %d; silently", of, len(got), len(want))
		}
	}
	return false
}
