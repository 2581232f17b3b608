package tsdb

import (
	"encoding/binary"
	"errors"
	"math"

	"cuulong/telemetry"
)

// migrate turns series of format 1, a key an observation, into chunks. What it
// has written when a crash comes is written again; the old keys go, and the
// version rises, in the last batch.
func (s *series) migrate() error {
	w := batchWriter{db: s.db}
	defer w.close()
	if err := s.beginChunks(&w); err != nil {
		return err
	}
	var list []sample
	number := uint32(0)
	put := func() error {
		if len(list) == 0 {
			return nil
		}
		err := s.writeChunks(&w, number, list, s.tests.list)
		if err == nil {
			err = w.set(numberKey(nil, keyNewest, number), appendNewest(nil, s.newest[number], s.tests.list))
		}
		list = list[:0]
		return err
	}
	err := s.eachKey(keyOld, func(k, v []byte) error {
		if len(k) != 13 || keyNumber(k) >= uint32(len(s.names)) {
			return errKey
		}
		n, at := keyNumber(k), int64(binary.BigEndian.Uint64(k[5:])^1<<63)
		if n != number || len(list) > 0 && dayOf(list[0].at) != dayOf(at) {
			if err := put(); err != nil {
				return err
			}
			number = n
		}
		o, err := parseOld(at, v)
		if err != nil {
			return err
		}
		test := s.tests.of(o.Test)
		list = append(list, sample{at: at, value: o.Value, delay: wholeSeconds(o.Seen - at), flag: o.Flag, test: test})
		s.newest[n] = newest{at, o.Seen, o.Value, o.Flag, test}
		return nil
	})
	if err = errors.Join(err, put()); err != nil {
		return err
	}
	b := w.batch()
	err = errors.Join(
		b.DeleteRange([]byte{keyOld}, []byte{keyOld + 1}, nil),
		b.Set(metaVersion, binary.BigEndian.AppendUint64(nil, seriesVersion), nil))
	if err = errors.Join(err, w.commit()); err != nil {
		return err
	}
	return s.db.Flush()
}

// parseOld reads a value of format 1: value 8, flag 1, varint Seen less At, test.
func parseOld(at int64, v []byte) (o telemetry.Observation, err error) {
	d := decoder{b: v}
	head := d.take(9)
	delay := d.varint()
	if d.bad {
		return o, errValue
	}
	return telemetry.Observation{
		At: at, Seen: at + delay, Value: math.Float64frombits(binary.LittleEndian.Uint64(head)), Flag: telemetry.Flag(head[8]), Test: string(d.b),
	}, nil
}
