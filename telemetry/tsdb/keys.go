package tsdb

import (
	"encoding/binary"
	"errors"
	"math"

	"cuulong/telemetry"
)

// Keys of the series, see FORMAT.md. Pebble's own WAL is off: our log is the
// truth, and what is written carries the seq it brings the series to, so that
// what a crash leaves of Pebble says itself where the refill begins.
const (
	keyMeta   = 'm' // "m" name → value
	keyName   = 's' // "s" device 0x00 metric → series number, 4 bytes big endian
	keyNewest = 'n' // "n" number → the newest observation
	keyChunk  = 'c' // "c" number day generation → chunk
	keyOpen   = 'd' // "d" number day → nothing: the day has chunks that are not compacted
	keyRollup = 'r' // "r" number day → roll-ups of the day
	keyOld    = 'v' // of format 1

	numberKeySize = 5
	dayKeySize    = 9
	chunkKeySize  = 17
)

var (
	metaVersion = []byte("mversion")
	metaApplied = []byte("mapplied")
	metaNames   = []byte("mnames")      // how many names are written
	metaGen     = []byte("mgeneration") // the newest generation of chunks, or a newer one

	errKey   = errors.New("series: malformed key")
	errValue = errors.New("series: malformed value")
)

func numberKey(k []byte, kind byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(k, kind), n)
}

func dayKey(k []byte, kind byte, n uint32, day int32) []byte {
	return binary.BigEndian.AppendUint32(numberKey(k, kind, n), uint32(day)^1<<31)
}

func chunkKey(k []byte, n uint32, day int32, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(dayKey(k, keyChunk, n, day), generation)
}

func keyNumber(k []byte) uint32     { return binary.BigEndian.Uint32(k[1:]) }
func keyDay(k []byte) int32         { return int32(binary.BigEndian.Uint32(k[5:]) ^ 1<<31) }
func keyGeneration(k []byte) uint64 { return binary.BigEndian.Uint64(k[9:]) }

// appendNewest is the value of a newest observation: At, Seen, value, flag, test.
func appendNewest(b []byte, w newest, tests []string) []byte {
	b = binary.AppendVarint(b, w.at)
	b = binary.AppendVarint(b, w.seen-w.at)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(w.value))
	return append(append(b, byte(w.flag)), tests[w.test]...)
}

func parseNewest(b []byte, tests names) (w newest, err error) {
	d := decoder{b: b}
	w.at = d.varint()
	w.seen = w.at + d.varint()
	v := d.take(9)
	if d.bad {
		return w, errValue
	}
	w.value, w.flag = math.Float64frombits(binary.LittleEndian.Uint64(v)), telemetry.Flag(v[8])
	if len(d.b) > 0 {
		w.test = tests.number(d.b)
	}
	return w, nil
}
