package field

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuulong/devices"
)

// row is one stored value under the tamperer's hand.
type row struct {
	at    int64
	value float64
}

const ledgerStart = 1_800_000_000_000

// held is what a store holds of someLedger when all went well: five messages,
// 10 ms apart, of two salinities with a level between them.
func held() map[string][]row {
	m := map[string][]row{}
	for i := range int64(5) {
		seq, at := uint64(3*i), ledgerStart+10*i
		m["salinity"] = append(m["salinity"], row{at, LoadValue(3, "load-0001", seq)}, row{at + 1, LoadValue(3, "load-0001", seq+2)})
		m["level"] = append(m["level"], row{at, LoadValue(3, "load-0001", seq+1)})
	}
	return m
}

func storing(m map[string][]row) Stored {
	return func(_ context.Context, d devices.ID, metric string, from, to int64, yield func(int64, float64) bool) error {
		for _, r := range m[metric] {
			if d == "load-0001" && r.at >= from && r.at < to && !yield(r.at, r.value) {
				return nil
			}
		}
		return nil
	}
}

func TestAuditFindsWhatWasPlanted(t *testing.T) {
	dir := t.TempDir()
	someLedger(t, dir)
	for name, c := range map[string]struct {
		change func([]row) []row // of the salinities; the last two are unacknowledged
		want   AuditResult
	}{
		"nothing":                   {func(r []row) []row { return r }, AuditResult{}},
		"unacknowledged not stored": {func(r []row) []row { return r[:8] }, AuditResult{}},
		"first lost":                {func(r []row) []row { return r[1:] }, AuditResult{Lost: 1}},
		"last two lost":             {func(r []row) []row { return append(r[:6:6], r[8:]...) }, AuditResult{Lost: 2}},
		"middle lost":               {func(r []row) []row { return append(r[:3:3], r[4:]...) }, AuditResult{Lost: 1}},
		"all lost":                  {func(r []row) []row { return nil }, AuditResult{Lost: 8}},
		"doubled":                   {func(r []row) []row { return append(r[:4:4], r[3:]...) }, AuditResult{Doubled: 1}},
		"last doubled":              {func(r []row) []row { return append(r, r[9]) }, AuditResult{Doubled: 1}},
		"altered":                   {func(r []row) []row { r[5].value += 1e-9; return r }, AuditResult{Altered: 1}},
		"unacknowledged altered":    {func(r []row) []row { r[9].value += 1e-9; return r }, AuditResult{Altered: 1}},
		"alien":                     {func(r []row) []row { return append(append(r[:4:4], row{r[3].at + 1, 3}), r[4:]...) }, AuditResult{Alien: 1}},
		"moved by 1 ms":             {func(r []row) []row { r[3].at++; return r }, AuditResult{Lost: 1, Alien: 1}},
	} {
		m := held()
		m["salinity"] = c.change(m["salinity"])
		r, err := Audit(t.Context(), dir, storing(m))
		if err != nil {
			t.Fatal(err)
		}
		if r.Lost != c.want.Lost || r.Doubled != c.want.Doubled || r.Altered != c.want.Altered || r.Alien != c.want.Alien ||
			r.Sent != 15 || r.Acked != 12 || r.Stored != int64(len(m["salinity"])+5) {
			t.Errorf("%s: %+v", name, r)
		}
		if wrong := !c.want.OK(); r.OK() == wrong || wrong == (len(r.Examples) == 0) {
			t.Errorf("%s: OK %v, examples %v", name, r.OK(), r.Examples)
		}
	}
	m := held()
	m["level"][0], m["level"][1] = m["level"][1], m["level"][0]
	if _, err := Audit(t.Context(), dir, storing(m)); err == nil {
		t.Error("rows out of order were taken")
	}
	if _, err := Audit(t.Context(), t.TempDir(), storing(held())); err == nil {
		t.Error("an empty folder was audited")
	}
}

// someLedger writes messages and leaves one unacknowledged.
func someLedger(t *testing.T, dir string) (path string, h ledgerHead) {
	t.Helper()
	h = ledgerHead{Device: "load-0001", Seed: 3, Metrics: []string{"salinity", "level"}}
	l, err := openLedger(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) {
		l.write(record{kind: recordSent, n: 3, seq: 3 * i, ts: ledgerStart + 10*int64(i), us: 0x1122334455667788})
		if i < 4 {
			l.write(record{kind: recordAcked, seq: 3 * i, us: 2})
		}
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "load-0001.ledger"), h
}

func TestLedgerGoesOnBehindATornEnd(t *testing.T) {
	whole := func() []byte {
		path, _ := someLedger(t, t.TempDir())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}()
	for _, cut := range []int{0, 1, 9, recordSize - 1, recordSize, recordSize + 1, 2*recordSize - 1} {
		for _, tail := range []string{"", "\x01", strings.Repeat("\x00", 100), strings.Repeat("\xff", recordSize)} {
			dir := t.TempDir()
			path, h := someLedger(t, dir)
			if err := os.WriteFile(path, append(append([]byte(nil), whole[:len(whole)-cut]...), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			left := 5 // messages sent: the last record is the fifth's sending, the one before the fourth's acknowledgement
			if cut > 0 {
				left = 4
			}
			l, err := openLedger(dir, h)
			if err != nil {
				t.Fatalf("cut %d tail %q: %v", cut, tail, err)
			}
			if l.next != uint64(3*left) || l.row != ledgerStart+10*int64(left-1)+1 || l.cell != 1 {
				t.Fatalf("cut %d: goes on at %d, row %d, cell %d", cut, l.next, l.row, l.cell)
			}
			l.write(record{kind: recordSent, n: 1, seq: l.next, ts: l.row + 5, us: 3})
			if err := l.close(); err != nil {
				t.Fatal(err)
			}
			_, messages, err := readMessages(path)
			if err != nil || len(messages) != left+1 || messages[left].seq != uint64(3*left) {
				t.Fatalf("cut %d tail %q: %v, %v", cut, tail, messages, err)
			}
		}
	}
}

func TestLedgerDamageIsNoTornEnd(t *testing.T) {
	path, h := someLedger(t, t.TempDir())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range len(whole) - recordSize { // in all but the last record
		b := append([]byte(nil), whole...)
		b[at] ^= 0x40
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readMessages(path); err == nil {
			t.Fatalf("a bit turned at byte %d of %d was not seen", at, len(whole))
		}
		if l, err := openLedger(filepath.Dir(path), h); err == nil {
			_ = l.close()
			t.Fatalf("a ledger damaged at byte %d was gone on with", at)
		}
	}
}

func FuzzReadLedger(f *testing.F) {
	dir, err := os.MkdirTemp(f.TempDir(), "l")
	if err != nil {
		f.Fatal(err)
	}
	l, err := openLedger(dir, ledgerHead{Device: "d", Metrics: []string{"salinity"}})
	if err != nil {
		f.Fatal(err)
	}
	l.write(record{kind: recordSent, n: 2, seq: 0, ts: 5, us: 1})
	l.write(record{kind: recordAcked, seq: 0, us: 1})
	if err := l.close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "d.ledger"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-9])
	f.Add([]byte(ledgerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := int64(0)
		_, good, err := readLedger(strings.NewReader(string(b)), func(r record) error {
			if r.kind != recordSent && r.kind != recordAcked {
				t.Fatalf("%+v", r)
			}
			n++
			return nil
		})
		if err == nil && (good > int64(len(b)) || good < n*recordSize) {
			t.Fatalf("%d good bytes of %d with %d records", good, len(b), n)
		}
		if err != nil {
			return
		}
		// What was read is read again from the good part, with no torn end.
		m := int64(0)
		_, again, err := readLedger(strings.NewReader(string(b[:good])), func(record) error { m++; return nil })
		if err != nil || again != good || m != n {
			t.Fatalf("%d records in %d bytes, then %d in %d: %v", n, good, m, again, err)
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	f.Add("device,metric,t,value,unit,flag\r\nload-0001,salinity,1800000000000,3.25,g/l,1\r\n")
	f.Add("device,metric,t,value,unit,flag,test\nx,level,2026-03-20T09:00:00.125Z,-0.5,m,4,gross_range\n")
	f.Add("device,metric,t,value,unit,flag\nx,level,,NaN,m,1\n")
	f.Add("device,metric\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := readCSV(strings.NewReader(text), func(r csvRow) bool {
			n++
			if r.value != r.value || r.value-r.value != 0 {
				t.Fatalf("%v is not finite", r.value)
			}
			return true
		})
		if err == nil && n > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
			t.Fatalf("%d rows of %q", n, text)
		}
	})
}

func TestReadCSV(t *testing.T) {
	const head = "device,metric,t,value,unit,flag\n"
	var got []csvRow
	err := readCSV(strings.NewReader(head+"a,salinity,1800000000123,3.25,g/l,1\na,salinity,2027-01-15T08:00:00.124Z,4,g/l,1\n"),
		func(r csvRow) bool { got = append(got, r); return true })
	if err != nil || len(got) != 2 || got[0] != (csvRow{"a", "salinity", 1800000000123, 3.25}) || got[1].at != 1800000000124 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "device,t\n", head + "a,salinity,soon,1,g/l,1\n", head + "a,salinity,1,one,g/l,1\n",
		head + "a,salinity,1,Inf,g/l,1\n", head + "a,salinity,1\n", "metric,device,t,value,unit,flag\n"} {
		if err := readCSV(strings.NewReader(bad), func(csvRow) bool { return true }); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
