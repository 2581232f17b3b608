package tsdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cuulong/devices"
	"cuulong/telemetry"
)

// t0 is 2026-03-01T00:00:00Z, Unix ms.
const t0 = 1_772_323_200_000

// numbered is the record that these tests append as their nth: it tells its number by its content.
func numbered(n int) *telemetry.Record {
	r := &telemetry.Record{Observations: []telemetry.Observation{
		{Device: "sal-1", Metric: "salinity", At: t0 + int64(n)*1000, Seen: t0 + int64(n)*1000 + 120, Value: float64(n) / 8, Flag: telemetry.Pass},
		{Device: "sal-1", Metric: "battery", At: t0 + int64(n)*1000, Seen: t0 + int64(n)*1000 + 120, Value: 12.5, Flag: telemetry.Fail, Test: "gross_range"},
		{Device: devices.ID(fmt.Sprint("air-", n)), Metric: "pm2_5", At: t0 - int64(n), Seen: t0, Value: 1.0 / 3, Flag: telemetry.NotEvaluated},
	}}
	if n%2 == 1 {
		r.SetAside = []telemetry.SetAside{{Source: "mqtt", Reason: "bad_json", Detail: fmt.Sprint(n), Payload: []byte("{\x00" + strings.Repeat("x", n)), Seen: t0, Count: 1}}
	}
	return r
}

func appendAll(t testing.TB, db *DB, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		r := numbered(n)
		if err := db.Append(r); err != nil {
			t.Fatal(err)
		}
		if r.Seq != uint64(n) {
			t.Fatalf("seq %d, want %d", r.Seq, n)
		}
		if err := db.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
}

// has checks that the log holds exactly the records of these seqs, whole, and the series what they say.
func has(t testing.TB, db *DB, seqs ...int) {
	t.Helper()
	var got []int
	err := db.Records(t.Context(), 0, func(r *telemetry.Record) bool {
		got = append(got, int(r.Seq))
		w := numbered(int(r.Seq))
		if !slices.Equal(r.Observations, w.Observations) {
			t.Errorf("record %d\n got %+v\nwant %+v", r.Seq, r.Observations, w.Observations)
		}
		if len(r.SetAside) != len(w.SetAside) || len(w.SetAside) > 0 && (r.SetAside[0].Detail != w.SetAside[0].Detail || !bytes.Equal(r.SetAside[0].Payload, w.SetAside[0].Payload)) {
			t.Errorf("record %d set aside %+v", r.Seq, r.SetAside)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, seqs) {
		t.Errorf("the log holds %v, want %v", got, seqs)
	}
	var at []int
	err = db.Points(t.Context(), "sal-1", "salinity", 0, 2*t0, func(p telemetry.Point) bool {
		n := int(p.At-t0) / 1000
		at = append(at, n)
		if p.Value != float64(n)/8 {
			t.Errorf("value %v of record %d", p.Value, n)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(at, seqs) {
		t.Errorf("the series hold %v, want %v", at, seqs)
	}
}

// lose makes a folder as a crash leaves it that took the series with it: the log alone.
func lose(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "log"), os.DirFS(filepath.Join(dir, "log"))); err != nil {
		t.Fatal(err)
	}
	return to
}

func onlySegment(t testing.TB, dir string) string {
	t.Helper()
	list, err := segments(filepath.Join(dir, "log"))
	if err != nil || len(list) != 1 {
		t.Fatalf("segments %v, %v", list, err)
	}
	return list[0].path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestTorn cuts the log at every byte of its last record: what was synced before is whole, the torn record is gone, loudly,
// and the log goes on.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	appendAll(t, db, 1, 3)
	before := db.segs.cur.size
	appendAll(t, db, 4, 4)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, onlySegment(t, dir))
	for size := before; size <= int64(len(whole)); size++ {
		crashed := lose(t, dir)
		seg := onlySegment(t, crashed)
		write(t, seg, whole[:size])
		var said bytes.Buffer
		db := openAt(t, crashed, Options{Logger: slog.New(slog.NewTextHandler(&said, nil)), fs: vfs.NewMem()})
		want := []int{1, 2, 3}
		if size == int64(len(whole)) {
			want = append(want, 4)
		}
		has(t, db, want...)
		torn := size > before && size < int64(len(whole))
		if torn != strings.Contains(said.String(), "torn") || torn != (db.recovered.torn > 0) || db.recovered.damages != 0 {
			t.Errorf("cut at %d of %d: %+v, said %s", size, len(whole), db.recovered, said.String())
		}
		if torn {
			tail := read(t, filepath.Join(crashed, "log", damagedDir, fmt.Sprintf("%s.%d.tail", filepath.Base(seg), before)))
			if !bytes.Equal(tail, whole[before:size]) {
				t.Errorf("cut at %d: the tail was not kept", size)
			}
		}
		appendAll(t, db, len(want)+1, 5)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = openAt(t, crashed, Options{fs: vfs.NewMem()})
		has(t, db, 1, 2, 3, 4, 5)
		_ = db.Close()
		if t.Failed() {
			return
		}
	}
}

// TestTornInBlocks: a power cut may keep later blocks of the last record and lose earlier ones.
func TestTornInBlocks(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	appendAll(t, db, 1, 3)
	before := db.segs.cur.size
	appendAll(t, db, 4, 4)
	_ = db.Close()
	whole := read(t, onlySegment(t, dir))
	for from := before; from < int64(len(whole)); from += 8 {
		b := bytes.Clone(whole)
		clear(b[from:min(from+8, int64(len(b)))])
		if bytes.Equal(b, whole) {
			continue
		}
		crashed := lose(t, dir)
		write(t, onlySegment(t, crashed), b)
		db := openAt(t, crashed, Options{fs: vfs.NewMem()})
		has(t, db, 1, 2, 3)
		_ = db.Close()
	}
}

// TestDamageInside turns bits in the middle: the records behind are used, a copy is kept, and it is said and counted.
func TestDamageInside(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	appendAll(t, db, 1, 1)
	start := db.segs.cur.size
	appendAll(t, db, 2, 2)
	end := db.segs.cur.size
	appendAll(t, db, 3, 4)
	_ = db.Close()
	whole := read(t, onlySegment(t, dir))
	for at := start; at < end; at++ {
		b := bytes.Clone(whole)
		b[at] ^= 0x41
		hurt := lose(t, dir)
		seg := onlySegment(t, hurt)
		write(t, seg, b)
		var said bytes.Buffer
		db := openAt(t, hurt, Options{fs: vfs.NewMem(), Logger: slog.New(slog.NewTextHandler(&said, nil))})
		has(t, db, 1, 3, 4)
		if db.recovered.damages != 1 || db.recovered.torn != 0 || !strings.Contains(said.String(), "level=ERROR") {
			t.Errorf("byte %d: %+v, said %s", at, db.recovered, said.String())
		}
		if !bytes.Equal(read(t, filepath.Join(hurt, "log", damagedDir, filepath.Base(seg))), b) {
			t.Errorf("byte %d: no true copy was kept", at)
		}
		_ = db.Close()
		if t.Failed() {
			return
		}
	}
}

// TestForgedRecord: a payload that holds a record to the byte is not one, even behind damage, where records are looked for.
func TestForgedRecord(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	var other header // a sender can know the format, not the salt
	forged := (&encoder{}).body(make([]byte, recordHeaderSize), numbered(9))
	other.seal(forged, 9)
	appendAll(t, db, 1, 1)
	start := db.segs.cur.size
	r := &telemetry.Record{SetAside: []telemetry.SetAside{{Source: "mqtt", Reason: "bad_json", Payload: forged, Seen: t0, Count: 1}}}
	if err := db.Append(r); err != nil {
		t.Fatal(err)
	}
	_ = db.Apply(r)
	_ = db.Close()
	hurt := lose(t, dir)
	b := read(t, onlySegment(t, hurt))
	b[start] ^= 1
	write(t, onlySegment(t, hurt), b)
	has(t, openAt(t, hurt, Options{}), 1)
}

// TestSegments: the log rolls, and what the series hold durably is deleted beyond what is kept.
func TestSegments(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentBytes: 2000, KeepBytes: 5000}
	db := openAt(t, dir, o)
	appendAll(t, db, 1, 200)
	if err := db.clean(); err != nil {
		t.Fatal(err)
	}
	list, err := segments(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, s := range list {
		total += s.size
		if s.size > 2000 {
			t.Errorf("%s has %d bytes", s.path, s.size)
		}
	}
	if total < 5000 || total > 5000+2*2000 {
		t.Errorf("the log keeps %d bytes in %d segments, want a little over 5,000", total, len(list))
	}
	first := int(list[0].first)
	var want []int
	for n := first; n <= 200; n++ {
		want = append(want, n)
	}
	var got []int
	if err := db.Records(t.Context(), 5, func(r *telemetry.Record) bool { got = append(got, int(r.Seq)); return true }); err != nil || !slices.Equal(got, want) {
		t.Errorf("replayed %v, %v; want %d to 200", got, err, first)
	}
	got = nil
	err = db.Records(t.Context(), 198, func(r *telemetry.Record) bool { got = append(got, int(r.Seq)); return len(got) < 2 })
	if err != nil || !slices.Equal(got, []int{198, 199}) {
		t.Errorf("replayed %v, %v; want 198 and 199", got, err)
	}
	_ = db.Close()
	db = openAt(t, dir, o)
	if db.recovered.records != 0 {
		t.Errorf("%d records were refilled after an orderly stop", db.recovered.records)
	}
	appendAll(t, db, 201, 210)
	n := 0
	if err := db.Points(t.Context(), "sal-1", "salinity", 0, 2*t0, func(telemetry.Point) bool { n++; return true }); err != nil || n != 210 {
		t.Errorf("%d points, want 210; %v", n, err)
	}
}

// TestLostSegment: a gap between segments is said and counted, and the rest is used.
func TestLostSegment(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{SegmentBytes: 2000})
	appendAll(t, db, 1, 60)
	_ = db.Close()
	for _, c := range []struct {
		name string
		hurt func(list []segment)
	}{
		{"deleted", func(list []segment) { _ = os.Remove(list[1].path) }},
		{"header damaged", func(list []segment) {
			b := read(t, list[1].path)
			b[21] ^= 1
			write(t, list[1].path, b)
		}},
		{"end of an older one cut", func(list []segment) {
			b := read(t, list[1].path)
			write(t, list[1].path, b[:len(b)-3])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hurt := lose(t, dir)
			list, _ := segments(filepath.Join(hurt, "log"))
			c.hurt(list)
			var said bytes.Buffer
			db := openAt(t, hurt, Options{SegmentBytes: 2000, Logger: slog.New(slog.NewTextHandler(&said, nil))})
			if db.recovered.damages == 0 || !strings.Contains(said.String(), "level=ERROR") {
				t.Errorf("%+v, said %s", db.recovered, said.String())
			}
			r := numbered(61)
			if err := db.Append(r); err != nil || r.Seq != 61 {
				t.Errorf("it does not go on: seq %d, %v", r.Seq, err)
			}
		})
	}
}

// TestUnfinishedSegment: the power failed while a segment was made.
func TestUnfinishedSegment(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	appendAll(t, db, 1, 3)
	_ = db.Close()
	for size := range headerSize {
		crashed := lose(t, dir)
		write(t, segmentPath(filepath.Join(crashed, "log"), 4), (header{firstSeq: 4}).append(nil)[:size])
		db := openAt(t, crashed, Options{fs: vfs.NewMem()})
		appendAll(t, db, 4, 4)
		has(t, db, 1, 2, 3, 4)
		_ = db.Close()
	}
}

// TestDamagedHeaderAfterAll: a damaged segment whose records the series hold is
// moved aside, loudly, and stands in no consumer's way.
func TestDamagedHeaderAfterAll(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{SegmentBytes: 100})
	appendAll(t, db, 1, 4)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for i, left := range [][]byte{nil, []byte("IOC"), make([]byte, 400)} {
		path := segmentPath(filepath.Join(dir, "log"), uint64(i+1))
		write(t, path, left)
		db = openAt(t, dir, Options{SegmentBytes: 100})
		if db.recovered.damages != 1 {
			t.Errorf("%+v", db.recovered)
		}
		var got []uint64
		err := db.Records(t.Context(), 0, func(r *telemetry.Record) bool { got = append(got, r.Seq); return true })
		if err != nil || len(got) != 3-i {
			t.Errorf("records %v, %v", got, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(t, segmentPath(filepath.Join(dir, "log"), 4), nil)
	db = openAt(t, dir, Options{})
	appendAll(t, db, 5, 6)
	has(t, openAt(t, lose(t, dir), Options{}), 5, 6)
}

// TestUnfinishedSegmentAfterAll: so it did while the series held all of the
// segments before: what comes then is found again after another crash.
func TestUnfinishedSegmentAfterAll(t *testing.T) {
	for label, left := range map[string][]byte{ // of the segment behind the third record
		"empty":          nil,
		"header cut":     (header{firstSeq: 4}).append(nil)[:headerSize-1],
		"header damaged": make([]byte, 500),
		"no record":      (header{firstSeq: 4}).append(nil),
	} {
		dir := t.TempDir()
		db := openAt(t, dir, Options{})
		appendAll(t, db, 1, 3)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		write(t, segmentPath(filepath.Join(dir, "log"), 4), left)
		db = openAt(t, dir, Options{})
		appendAll(t, db, 4, 5)
		has(t, db, 1, 2, 3, 4, 5)
		crashed := lose(t, dir) // without what is in memory
		again := openAt(t, crashed, Options{})
		has(t, again, 1, 2, 3, 4, 5)
		if again.recovered.torn != 0 || again.recovered.damages != 0 {
			t.Errorf("%s: %+v", label, again.recovered)
		}
	}
}

// TestNewerFormat: an engine refuses what a later one wrote, and touches nothing.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir, Options{})
	appendAll(t, db, 1, 1)
	_ = db.Close()
	later := lose(t, dir)
	seg := onlySegment(t, later)
	b := read(t, seg)
	b[8] = 2
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	write(t, seg, b)
	if db, err := Open(later, Options{Logger: quiet()}); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("opened %v, %v", db, err)
	}
	if !bytes.Equal(read(t, seg), b) {
		t.Error("it was changed")
	}
}

// TestSample reads a log that an earlier build wrote: the format stands as FORMAT.md has it.
func TestSample(t *testing.T) {
	dir := t.TempDir()
	b := read(t, "testdata/sample/00000000000000000001.log")
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o750); err != nil {
		t.Fatal(err)
	}
	write(t, segmentPath(filepath.Join(dir, "log"), 1), b)
	has(t, openAt(t, dir, Options{}), 1, 2, 3)
	// And by hand, by the page: the first record's first observation.
	body := b[headerSize+recordHeaderSize:]
	want := "\x03\x01" + "\x12" + "\x05sal-1" + "\x00\x08salinity" + "\xd0\xff\x8e\xeb\x94\x67" + "\xf0\x01" + "\xfa\x01"
	if !bytes.HasPrefix(body, []byte(want)) {
		t.Errorf("the body begins\n% x, want\n% x", body[:len(want)], want)
	}
}

// FuzzSegment: whatever a segment holds, it is read without a fault of ours and goes on.
func FuzzSegment(f *testing.F) {
	sample, err := os.ReadFile("testdata/sample/00000000000000000001.log")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample, uint16(40), byte(1))
	f.Add(sample[:len(sample)-5], uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip byte) {
		if len(b) > 0 {
			b[int(at)%len(b)] ^= flip
		}
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		var rec telemetry.Record
		last := headerSize
		torn, inside, err := h.walk(b, func(f frame) error {
			if f.start < last || f.end <= f.start || f.end > len(b) {
				t.Errorf("record from %d to %d of %d", f.start, f.end, len(b))
			}
			last = f.end
			_ = decodeBody(f.body, &rec)
			return nil
		})
		if err != nil || torn.end < torn.start || torn.end > max(len(b), headerSize) {
			t.Errorf("torn %v, inside %v, %v", torn, inside, err)
		}
	})
}

// FuzzBody: bodies that can be read are the ones that are written.
func FuzzBody(f *testing.F) {
	for n := range 3 {
		f.Add((&encoder{}).body(nil, numbered(n)))
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again telemetry.Record
		if decodeBody(b, &r) != nil {
			return
		}
		if err := decodeBody((&encoder{}).body(nil, &r), &again); err != nil {
			t.Fatalf("written and not read: %v", err)
		}
		if len(again.Observations) != len(r.Observations) || len(again.SetAside) != len(r.SetAside) {
			t.Errorf("got %+v, want %+v", again, r)
		}
		for i := range r.Observations {
			a, b := r.Observations[i], again.Observations[i]
			if a != b && a.Value == a.Value {
				t.Errorf("got %+v, want %+v", b, a)
			}
		}
	})
}
