package tsdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Segment files, see FORMAT.md: a header, then records, each written and
// synced as a whole, so that only the last of the newest segment can be torn.

const (
	segmentMagic  = "IOCLOG\r\n"
	formatVersion = 1
	headerSize    = 32 // magic 8, version 4, first seq 8, salt 8, CRC 4

	recordMarker     = 0x4c43_9d0e // little endian: 0e 9d 43 4c
	recordHeaderSize = 20          // marker 4, body length 4, seq 8, CRC 4
	maxBody          = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is a segment's first bytes. salt goes into every record's CRC: a
// payload that was set aside may hold bytes that look like a record, but its
// sender does not know the salt, so that they never are one.
type header struct {
	firstSeq uint64
	salt     [8]byte
}

func (h header) append(b []byte) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint64(b, h.firstSeq)
	b = append(b, h.salt[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

var errHeader = errors.New("damaged segment header")

func parseHeader(b []byte) (header, error) {
	var h header
	if len(b) < headerSize || string(b[:8]) != segmentMagic {
		return h, errHeader
	}
	if crc32.Checksum(b[:28], castagnoli) != binary.LittleEndian.Uint32(b[28:]) {
		return h, errHeader
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return h, fmt.Errorf("log segment of format %d; this ioc knows %d", v, formatVersion)
	}
	h.firstSeq = binary.LittleEndian.Uint64(b[12:])
	copy(h.salt[:], b[20:])
	return h, nil
}

func readHeader(path string) (header, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	var b [headerSize]byte
	if _, err := io.ReadFull(f, b[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
		return header{}, errHeader
	} else if err != nil {
		return header{}, err
	}
	return parseHeader(b[:])
}

// sum is a record's CRC: over the salt, the body's length, the seq and the body.
func (h header) sum(head, body []byte) uint32 {
	c := crc32.Update(0, castagnoli, h.salt[:])
	c = crc32.Update(c, castagnoli, head[4:16])
	return crc32.Update(c, castagnoli, body)
}

// seal fills in the header of a record, whose body stands at b[recordHeaderSize:].
func (h header) seal(b []byte, seq uint64) {
	binary.LittleEndian.PutUint32(b, recordMarker)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-recordHeaderSize))
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint32(b[16:], h.sum(b, b[recordHeaderSize:]))
}

// frame is one whole record of a segment.
type frame struct {
	seq        uint64
	body       []byte
	start, end int   // where it stands in what was read
	offset     int64 // and, where scan has read it, in the segment
}

// at reads the record at offset; ok is false where none stands whole.
func (h header) at(b []byte, offset int) (f frame, ok bool) {
	if len(b)-offset < recordHeaderSize || binary.LittleEndian.Uint32(b[offset:]) != recordMarker {
		return f, false
	}
	n := binary.LittleEndian.Uint32(b[offset+4:])
	if n > maxBody || int(n) > len(b)-offset-recordHeaderSize {
		return f, false
	}
	body := b[offset+recordHeaderSize:][:n]
	if h.sum(b[offset:], body) != binary.LittleEndian.Uint32(b[offset+16:]) {
		return f, false
	}
	return frame{
		seq: binary.LittleEndian.Uint64(b[offset+8:]), body: body, start: offset, end: offset + recordHeaderSize + int(n),
	}, true
}

// next finds the next whole record behind damage at offset, by its marker.
func (h header) next(b []byte, offset int, after uint64) (f frame, ok bool) {
	var marker [4]byte
	binary.LittleEndian.PutUint32(marker[:], recordMarker)
	for offset < len(b) {
		i := bytes.Index(b[offset:], marker[:])
		if i < 0 {
			return f, false
		}
		if f, ok = h.at(b, offset+i); ok && f.seq > after {
			return f, true
		}
		offset += i + 1
	}
	return f, false
}

// damage is a stretch of a segment that holds no whole record. Behind a torn
// one there is nothing; behind another there are records.
type damage struct{ start, end int }

// walk calls visit with each whole record of a segment and returns the damage between and behind them.
func (h header) walk(b []byte, visit func(frame) error) (torn damage, inside []damage, err error) {
	offset, seq := headerSize, h.firstSeq-1
	for offset < len(b) {
		f, ok := h.at(b, offset)
		if !ok || f.seq <= seq {
			if f, ok = h.next(b, offset+1, seq); !ok {
				return damage{offset, len(b)}, inside, nil
			}
			inside = append(inside, damage{offset, f.start})
		}
		if err := visit(f); err != nil {
			return damage{}, inside, err
		}
		offset, seq = f.end, f.seq
	}
	return damage{offset, offset}, inside, nil
}

// segment is one file of the log.
type segment struct {
	path  string
	first uint64 // seq of its first record
	size  int64
}

// before tells whether a segment was last written before t; one that cannot be asked was not.
func (s segment) before(t time.Time) bool {
	info, err := os.Stat(s.path)
	return err == nil && info.ModTime().Before(t)
}

const segmentExt = ".log"

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentExt))
}

// segments lists a folder's segments in order.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir) // sorted by name, which is by seq
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentExt)
		if !ok || len(name) != 20 {
			continue
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, segment{filepath.Join(dir, e.Name()), first, info.Size()})
	}
	return list, nil
}

// syncDir makes a folder's entries durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}
