package tsdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"cuulong/telemetry"
)

// Records yields the log's records from seq from on, in order, until yield says
// false: what a consumer replays. Older ones may have been deleted (KeepBytes); then it
// begins with the oldest there is, which the record's Seq tells. The record is yield's only until it returns.
func (db *DB) Records(ctx context.Context, from uint64, yield func(*telemetry.Record) bool) error {
	db.appendMu.Lock()
	list := append(append([]segment(nil), db.segs.sealed...), db.segs.cur)
	db.appendMu.Unlock()
	var rec telemetry.Record
	for i, s := range list {
		if i+1 < len(list) && list[i+1].first <= from {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := os.ReadFile(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile: the series hold it
		}
		if err != nil {
			return err
		}
		b = b[:min(int64(len(b)), s.size)] // what is being written now is not durable yet
		more, err := eachRecord(ctx, b, from, &rec, yield)
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

// eachRecord yields the whole records of one segment.
func eachRecord(ctx context.Context, b []byte, from uint64, rec *telemetry.Record, yield func(*telemetry.Record) bool) (more bool, err error) {
	h, err := parseHeader(b)
	if err != nil {
		return false, err
	}
	_, _, err = h.walk(b, func(f frame) error {
		if f.seq < from {
			return nil
		}
		if err := decodeBody(f.body, rec); err != nil {
			return fmt.Errorf("record %d: %w", f.seq, err)
		}
		rec.Seq = f.seq
		if !yield(rec) {
			return errStop
		}
		return ctx.Err()
	})
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil, err
}

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
