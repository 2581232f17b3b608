package field

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"cuulong/devices"
)

// A ledger is the load generator's own memory of one device: what was sent and
// what was acknowledged, so that an audit can hold a store against it.
//
// File <device>.ledger, little endian:
//
//	8  bytes  "CLLEDG1\n"
//	4         length of the head
//	n         head: JSON {"device","seed","metrics"}
//	4         CRC-32C of the head
//	then records of 32 bytes:
//	0   kind: 1 sent, 2 acknowledged
//	1   sent: cell of the first observation; acknowledged: MQTT reason code
//	2   sent: number of observations (uint16)
//	4   CRC-32C of the record without this field (uint32)
//	8   sequence of the first observation (uint64)
//	16  sent: phenomenon time of the first cell's row, Unix ms (int64)
//	24  when, Unix µs (int64): sent or acknowledged
//
// A message fills cells: cell c is metric c mod M of row c div M; rows are 1 ms
// apart. So (metric, time) is unique and follows from the record, and the value
// follows from the sequence: LoadValue.
const (
	ledgerMagic  = "CLLEDG1\n"
	ledgerSuffix = ".ledger"
	recordSize   = 32
	headMost     = 1 << 16

	recordSent  = 1
	recordAcked = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// LoadValue is the value of a device's observation number seq: 6.0000 to
// 29.9999, which every metric of LoadMetrics takes for plausible.
func LoadValue(seed uint64, device devices.ID, seq uint64) float64 {
	return loadValue(key(seed, string(device), "load"), seq)
}

func loadValue(k, seq uint64) float64 { return float64(60_000+mix(k^mix(seq))%240_000) / 10_000 }

// LoadMetrics are what a load's observations are of, in the order of cells.
var LoadMetrics = []string{"salinity", "water_temperature", "turbidity", "discharge", "pm2_5", "pm10", "no2", "o3"}

type ledgerHead struct {
	Device  devices.ID `json:"device"`
	Seed    uint64     `json:"seed"`
	Metrics []string   `json:"metrics"`
}

type record struct {
	kind  byte
	extra byte // cell or reason
	n     uint16
	seq   uint64
	ts    int64
	us    int64
}

func (r record) put(b *[recordSize]byte) {
	b[0], b[1] = r.kind, r.extra
	binary.LittleEndian.PutUint16(b[2:], r.n)
	binary.LittleEndian.PutUint64(b[8:], r.seq)
	binary.LittleEndian.PutUint64(b[16:], uint64(r.ts))
	binary.LittleEndian.PutUint64(b[24:], uint64(r.us))
	binary.LittleEndian.PutUint32(b[4:], recordSum(b))
}

func recordSum(b *[recordSize]byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}

func getRecord(b *[recordSize]byte) (r record, ok bool) {
	r = record{kind: b[0], extra: b[1], n: binary.LittleEndian.Uint16(b[2:]),
		seq: binary.LittleEndian.Uint64(b[8:]), ts: int64(binary.LittleEndian.Uint64(b[16:])),
		us: int64(binary.LittleEndian.Uint64(b[24:]))}
	ok = recordSum(b) == binary.LittleEndian.Uint32(b[4:]) && (r.kind == recordSent || r.kind == recordAcked)
	return r, ok
}

// ErrLedgerDamaged means that a ledger is broken elsewhere than at its torn end.
var ErrLedgerDamaged = errors.New("ledger is damaged")

// readLedger gives the head and each whole record in the order written. A torn
// end, which a crash leaves, is no error; good is the length without it.
func readLedger(r io.Reader, each func(record) error) (h ledgerHead, good int64, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var start [len(ledgerMagic) + 4]byte
	if _, err := io.ReadFull(in, start[:]); err != nil || string(start[:8]) != ledgerMagic {
		return h, 0, fmt.Errorf("%w: no ledger's first bytes", ErrLedgerDamaged)
	}
	n := binary.LittleEndian.Uint32(start[8:])
	if n > headMost {
		return h, 0, fmt.Errorf("%w: head of %d bytes", ErrLedgerDamaged, n)
	}
	head := make([]byte, n+4)
	if _, err := io.ReadFull(in, head); err != nil ||
		crc32.Checksum(head[:n], castagnoli) != binary.LittleEndian.Uint32(head[n:]) {
		return h, 0, fmt.Errorf("%w: head", ErrLedgerDamaged)
	}
	if err := json.Unmarshal(head[:n], &h); err != nil {
		return h, 0, fmt.Errorf("%w: head: %v", ErrLedgerDamaged, err)
	}
	if id, err := devices.ParseID(string(h.Device)); err != nil || id == "" || len(h.Metrics) == 0 || len(h.Metrics) > 255 {
		return h, 0, fmt.Errorf("%w: head names no device or no metric", ErrLedgerDamaged)
	}
	good = int64(len(start) + len(head))
	torn := false
	for {
		var b [recordSize]byte
		if _, err := io.ReadFull(in, b[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return h, good, nil
		} else if err != nil {
			return h, good, err
		}
		rec, ok := getRecord(&b)
		switch {
		case ok && torn: // what a crash leaves has nothing good behind it
			return h, good, fmt.Errorf("%w: at byte %d", ErrLedgerDamaged, good)
		case !ok:
			torn = true
		default:
			if err := each(rec); err != nil {
				return h, good, err
			}
			good += recordSize
		}
	}
}

// ledger is one device's file, open for writing. Safe for concurrent use: the
// publisher's writer and reader share it. A nil ledger keeps nothing.
type ledger struct {
	mu    sync.Mutex
	file  *os.File
	out   *bufio.Writer
	dirty bool // written since the last fsync began

	syncing sync.Mutex // held through an fsync: who has nothing to add waits for it too
	each    bool       // settle is sync; set before the first write

	// Where the next message begins; owned by the publisher's writer after open.
	next uint64 // sequence
	row  int64  // Unix ms
	cell int
}

// openLedger begins a device's ledger or goes on with it: behind its torn end, if it has one.
func openLedger(dir string, h ledgerHead) (*ledger, error) {
	path := filepath.Join(dir, string(h.Device)+ledgerSuffix)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: f, out: bufio.NewWriter(f)}
	if err := l.begin(h); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func (l *ledger) begin(h ledgerHead) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		b := binary.LittleEndian.AppendUint32([]byte(ledgerMagic), uint32(len(text)))
		b = append(b, text...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(text, castagnoli))
		if _, err := l.file.Write(b); err != nil {
			return err
		}
		return l.file.Sync()
	}
	old, good, err := readLedger(l.file, func(r record) error {
		if r.kind == recordSent {
			l.next = r.seq + uint64(r.n)
			l.row, l.cell = advance(r.ts, int(r.extra), int(r.n), len(h.Metrics))
		}
		return nil
	})
	if err != nil {
		return err
	}
	was, _ := json.Marshal(old)
	is, _ := json.Marshal(h)
	if !bytes.Equal(was, is) {
		return errors.New("ledger of another device, seed or list of metrics")
	}
	if err := l.file.Truncate(good); err != nil {
		return err
	}
	_, err = l.file.Seek(good, io.SeekStart)
	return err
}

// advance is the place n cells after (row, cell).
func advance(row int64, cell, n, metrics int) (int64, int) {
	cell += n
	return row + int64(cell/metrics), cell % metrics
}

func (l *ledger) write(r record) {
	if l == nil {
		return
	}
	var b [recordSize]byte
	r.put(&b)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.out.Write(b[:]) // bufio keeps the error for flush
	l.dirty = true
}

// flush hands everything to the operating system.
func (l *ledger) flush() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Flush()
}

// settle is called before what was written may have consequences.
func (l *ledger) settle() error {
	if l != nil && l.each {
		return l.sync()
	}
	return l.flush()
}

// sync makes everything durable.
func (l *ledger) sync() error {
	if l == nil {
		return nil
	}
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = false
	err := l.out.Flush()
	l.mu.Unlock()
	if err != nil || !dirty {
		return err
	}
	return l.file.Sync() // outside mu: an fsync must not hold up who writes
}

func (l *ledger) close() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.sync(), l.file.Close())
}
