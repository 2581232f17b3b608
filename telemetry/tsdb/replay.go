package tsdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"cuulong/telemetry"
)

// Records yields the log's records from seq from on, in order, until yield says
// false: what a consumer replays. Older ones may have been deleted; then it
// begins with the oldest there is, which the record's Seq tells. The record is
// yield's only until it returns. Who reads on where the last call ended, as
// consumers do, does not read a segment from its beginning again.
func (db *DB) Records(ctx context.Context, from uint64, yield func(*telemetry.Record) bool) error {
	db.appendMu.Lock()
	list := append(append([]segment(nil), db.segs.sealed...), db.segs.cur)
	db.appendMu.Unlock()
	var rec telemetry.Record
	for i, s := range list {
		if i+1 < len(list) && list[i+1].first <= from {
			continue
		}
		more, err := db.segmentRecords(ctx, s, from, &rec, yield)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile: the series hold it
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

var errStop = errors.New("stop")

// segmentRecords yields what of a segment was durable when its size was taken.
func (db *DB) segmentRecords(ctx context.Context, s segment, from uint64, rec *telemetry.Record, yield func(*telemetry.Record) bool) (more bool, err error) {
	f, err := os.Open(s.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [headerSize]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return false, err
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return false, err
	}
	start, after := db.hints.find(s.first, from)
	end, last, err := h.scan(f, start, s.size, after, func(fr frame) error {
		if fr.seq < from {
			return nil
		}
		if err := decodeBody(fr.body, rec); err != nil {
			return fmt.Errorf("record %d: %w", fr.seq, err)
		}
		rec.Seq = fr.seq
		if !yield(rec) {
			return errStop
		}
		return ctx.Err()
	})
	db.hints.put(s.first, last, end)
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil, err
}

const scanBytes = 1 << 20 // read at a time; more where a record is larger

// scan visits the whole records of a segment between two offsets, the first of
// which is a record's begin, in bounded memory. It returns behind which record,
// and at which offset, it ended; after an error of visit, behind the record visited.
func (h header) scan(r io.ReaderAt, offset, size int64, after uint64, visit func(frame) error) (end int64, last uint64, err error) {
	if offset == 0 {
		offset, after = headerSize, h.firstSeq-1
	}
	want := int64(scanBytes)
	var buf []byte
	for offset < size {
		n := min(want, size-offset)
		if int64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		b := buf[:n]
		if _, err := r.ReadAt(b, offset); err != nil {
			return offset, after, err
		}
		at := 0
		for at < len(b) {
			f, ok := h.at(b, at)
			if ok = ok && f.seq > after; !ok {
				break
			}
			f.offset = offset + int64(f.start)
			at, after = f.end, f.seq
			if err := visit(f); err != nil {
				return offset + int64(at), after, err
			}
		}
		offset += int64(at)
		switch {
		case at > 0:
			want = scanBytes
		case n < size-offset && want < maxBody+recordHeaderSize:
			want *= 2 // a record longer than what was read, or damage
		default: // damage: go on behind it
			f, ok := h.next(b, 1, after)
			if !ok && n == size-offset {
				return size, after, nil
			}
			if ok {
				offset += int64(f.start)
			} else {
				offset += n - recordHeaderSize // nothing in all of this; a marker may be cut by its end
			}
		}
	}
	return offset, after, nil
}
