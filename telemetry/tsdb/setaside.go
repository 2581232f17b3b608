package tsdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"cuulong/telemetry"
)

// SetAside yields what was set aside in records from seq from on, until yield says false.
func (db *DB) SetAside(ctx context.Context, from uint64, yield func(seq uint64, a telemetry.SetAside) bool) error {
	return db.Records(ctx, from, func(r *telemetry.Record) bool {
		for _, a := range r.SetAside {
			if !yield(r.Seq, a) {
				return false
			}
		}
		return true
	})
}

// SetAsideBefore yields what was set aside in records before seq before, as far
// as the log still holds it, the newest first, until yield says false. i counts
// within a record. It reads whole segments, none that was last written before
// since, and after most bytes of them (0: no bound) ends with the before to go on
// with; that is 0 where nothing is left.
func (db *DB) SetAsideBefore(ctx context.Context, before uint64, since time.Time, most int64, yield func(seq uint64, i int, a telemetry.SetAside) bool) (rest uint64, err error) {
	db.appendMu.Lock()
	list := append(append([]segment(nil), db.segs.sealed...), db.segs.cur)
	db.appendMu.Unlock()
	read := int64(0)
	for k := len(list) - 1; k >= 0; k-- {
		if list[k].first >= before {
			continue
		}
		if list[k].before(since) {
			return 0, nil
		}
		more, err := setAsideIn(ctx, list[k], before, yield)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil // deleted meanwhile, and all older ones before it
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", list[k].path, err)
		}
		if read += list[k].size; !more || k == 0 {
			return 0, nil
		}
		if most > 0 && read >= most {
			return list[k].first, nil
		}
	}
	return 0, nil
}

// setAsideIn first notes where such records stand, and then reads them from the
// end: most records set nothing aside, and their two counts tell it.
func setAsideIn(ctx context.Context, s segment, before uint64, yield func(seq uint64, i int, a telemetry.SetAside) bool) (more bool, err error) {
	f, err := os.Open(s.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [headerSize]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return false, err
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return false, err
	}
	type stretch struct{ start, end int64 }
	var at []stretch // of the records, in the file
	_, _, err = h.scan(f, 0, s.size, 0, func(fr frame) error {
		_, n := binary.Uvarint(fr.body)
		if n > 0 && fr.seq < before {
			if aside, _ := binary.Uvarint(fr.body[n:]); aside > 0 {
				at = append(at, stretch{fr.offset, fr.offset + int64(fr.end-fr.start)})
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return false, err
	}
	for k := len(at) - 1; k >= 0; k-- {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if more, err := h.setAsideAt(f, at[k].start, at[k].end, yield); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// setAsideAt yields what the record between two offsets of a segment has set aside, the last first.
func (h header) setAsideAt(f *os.File, start, end int64, yield func(seq uint64, i int, a telemetry.SetAside) bool) (more bool, err error) {
	more = true
	_, _, err = h.scan(f, start, end, 0, func(fr frame) error {
		var r telemetry.Record
		if err := decodeBody(fr.body, &r); err != nil {
			return fmt.Errorf("record %d: %w", fr.seq, err)
		}
		for i := len(r.SetAside) - 1; i >= 0 && more; i-- {
			more = yield(fr.seq, i, r.SetAside[i])
		}
		return nil
	})
	return more, err
}
