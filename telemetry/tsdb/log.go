package tsdb

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"cuulong/telemetry"
)

// damagedDir is the folder, in the log's, of what could not be read.
const damagedDir = "damaged"

// file is what the log needs of an open segment; tests put faults in between.
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// seglog is the log's files. One goroutine at a time appends; the caller sees to it.
type seglog struct {
	dir      string
	roll     int64 // size that a segment is not appended to beyond
	openFile func(path string, flag int) (file, error)
	log      *slog.Logger

	sealed []segment
	cur    segment
	h      header // of cur
	f      file
	next   uint64
	buf    []byte
	enc    encoder
}

// recovery is what opening the log found.
type recovery struct {
	records int // given to visit
	torn    int // bytes cut off the newest segment's end
	damages int // stretches, whole segments and gaps that should hold records and do not
}

// openLog opens the segments of dir, cuts a torn end, and gives visit every
// whole record after seq applied. Of segments that hold only older ones the header is read.
func openLog(l *seglog, applied uint64, visit func(frame) error) (recovery, error) {
	var rec recovery
	list, err := segments(l.dir)
	if err != nil {
		return rec, err
	}
	l.next = applied + 1
	last := uint64(0) // seq of the record before; 0: not known
	for i, s := range list {
		newest := i == len(list)-1
		var keep bool
		if !newest && list[i+1].first <= applied+1 {
			keep, err = l.passBy(s, &rec)
		} else {
			keep, err = l.recover(&s, newest, &last, applied, &rec, visit)
		}
		if err != nil {
			return rec, err
		}
		if !keep {
			continue
		}
		l.sealed = append(l.sealed, s)
	}
	l.next = max(l.next, last+1)
	return rec, l.resume()
}

// passBy looks at a segment whose records the series hold: consumers may want it yet.
func (l *seglog) passBy(s segment, rec *recovery) (keep bool, err error) {
	h, err := readHeader(s.path)
	if errors.Is(err, errHeader) {
		return false, l.moveAside(s, rec)
	}
	l.h = h
	return err == nil, err
}

// recover reads one segment. It keeps a copy of what is damaged, so that
// nothing is thrown away unseen, and says so. keep is false where nothing of the segment can be used.
func (l *seglog) recover(s *segment, newest bool, last *uint64, applied uint64, rec *recovery, visit func(frame) error) (keep bool, err error) {
	b, err := os.ReadFile(s.path)
	if err != nil {
		return false, err
	}
	h, err := parseHeader(b)
	if errors.Is(err, errHeader) {
		if newest && len(b) <= headerSize { // the crash came while the segment was made: it never held a record
			l.log.Warn("log: a segment was left unfinished; removed", "segment", s.path, "bytes", len(b))
			return false, os.Remove(s.path)
		}
		return false, l.moveAside(*s, rec)
	}
	if err != nil {
		return false, err
	}
	if *last == 0 && s.first > applied+1 || *last > 0 && s.first > *last+1 {
		rec.damages++
		l.log.Error("log: records are missing", "before", s.path, "from", max(*last, applied)+1, "to", s.first-1)
	}
	seq := h.firstSeq - 1
	torn, inside, err := h.walk(b, func(f frame) error {
		seq = f.seq
		if f.seq <= applied {
			return nil
		}
		rec.records++
		return visit(f)
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.path, err)
	}
	*last = max(*last, seq)
	if len(inside) > 0 || torn.end > torn.start && !newest {
		rec.damages += len(inside)
		if !newest && torn.end > torn.start {
			rec.damages++
		}
		l.log.Error("log: a segment is damaged inside; whole records are used, a copy is kept",
			"segment", s.path, "copy", l.copyAside(filepath.Base(s.path), b), "stretches", len(inside), "first_byte", append(inside, torn)[0].start)
	}
	if newest && torn.end > torn.start {
		rec.torn = torn.end - torn.start
		l.log.Warn("log: the last record was torn by a crash; it was never acknowledged and is cut off", "segment", s.path,
			"byte", torn.start, "bytes", rec.torn, "copy", l.copyAside(fmt.Sprintf("%s.%d.tail", filepath.Base(s.path), torn.start), b[torn.start:]))
		if err := l.truncate(s.path, int64(torn.start)); err != nil {
			return false, err
		}
		s.size = int64(torn.start)
	}
	l.h = h
	return true, nil
}

func (l *seglog) truncate(path string, size int64) error {
	f, err := l.openFile(path, os.O_RDWR)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// copyAside keeps bytes for a person to look at and returns where. It is a
// courtesy: a full disk must not keep the server from starting.
func (l *seglog) copyAside(name string, b []byte) string {
	dir := filepath.Join(l.dir, damagedDir)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path // of an earlier start
	}
	err := os.MkdirAll(dir, 0o750)
	if err == nil {
		err = os.WriteFile(path, b, 0o640)
	}
	if err != nil {
		l.log.Error("log: no copy of the damage could be kept", "err", err)
		return ""
	}
	return path
}

// moveAside takes a segment out of the log whose header cannot be read.
func (l *seglog) moveAside(s segment, rec *recovery) error {
	rec.damages++
	l.log.Error("log: a segment cannot be read; moved aside", "segment", s.path, "bytes", s.size)
	dir := filepath.Join(l.dir, damagedDir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.Rename(s.path, filepath.Join(dir, filepath.Base(s.path))); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// resume makes the newest segment the one that is written, or begins one. The
// header is its own: a record sealed with another's salt could not be read.
func (l *seglog) resume() error {
	if n := len(l.sealed); n > 0 && l.sealed[n-1].size < l.roll && l.sealed[n-1].first == l.h.firstSeq {
		s := l.sealed[n-1]
		f, err := l.openFile(s.path, os.O_RDWR)
		if err != nil {
			return err
		}
		l.f, l.cur, l.sealed = f, s, l.sealed[:n-1]
		return nil
	}
	return l.begin()
}

// begin makes a new segment, durable with its name before the first record, and
// seals the one before. After ErrNoSpace nothing has changed.
func (l *seglog) begin() error {
	h := header{firstSeq: l.next}
	if _, err := rand.Read(h.salt[:]); err != nil {
		return err
	}
	path := segmentPath(l.dir, l.next)
	f, err := l.openFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return noSpace(err)
	}
	if _, err := f.WriteAt(h.append(nil), 0); err != nil {
		return errors.Join(noSpace(err), f.Close(), os.Remove(path))
	}
	if err := errors.Join(f.Sync(), syncDir(l.dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	if l.f != nil {
		if err := l.f.Close(); err != nil {
			return errors.Join(err, f.Close())
		}
		l.sealed = append(l.sealed, l.cur)
	}
	l.f, l.h, l.cur = f, h, segment{path: path, first: l.next, size: headerSize}
	return nil
}

// noSpace marks the error of a write that the disk had no room for.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", telemetry.ErrNoSpace, err)
	}
	return err
}

// append writes r as one record and syncs it. After ErrNoSpace the log is as
// before. After any other error the file's state is unknown: the caller must not
// append again (an fsync that failed once may "succeed" the next time, with the data lost).
func (l *seglog) append(r *telemetry.Record) (rolled bool, err error) {
	var head [recordHeaderSize]byte
	l.buf = l.enc.body(append(l.buf[:0], head[:]...), r)
	if len(l.buf)-recordHeaderSize > maxBody {
		return false, fmt.Errorf("record of %d bytes; at most %d", len(l.buf), maxBody)
	}
	if l.cur.size > headerSize && l.cur.size+int64(len(l.buf)) > l.roll {
		if err := l.begin(); err != nil {
			return false, err
		}
		rolled = true
	}
	r.Seq = l.next
	l.h.seal(l.buf, r.Seq)
	if _, err := l.f.WriteAt(l.buf, l.cur.size); err != nil {
		if err = noSpace(err); errors.Is(err, telemetry.ErrNoSpace) {
			// Nothing was promised of what is behind the last record: cut it off again.
			if cut := l.f.Truncate(l.cur.size); cut != nil {
				return rolled, fmt.Errorf("cut off a record that found no space: %w", cut)
			}
		}
		return rolled, err
	}
	if err := l.f.Sync(); err != nil {
		return rolled, err
	}
	l.cur.size += int64(len(l.buf))
	l.next++
	if cap(l.buf) > 16<<20 {
		l.buf = nil // one large batch must not hold its memory for ever
	}
	return rolled, nil
}

// bounds say how much of the log stays.
type bounds struct {
	durable  uint64    // the series hold records up to it whatever happens: none above is deleted
	needed   uint64    // the oldest record that a consumer has yet to read
	keep     int64     // bytes that stay in any case
	most     int64     // bytes beyond which consumers are not waited for
	youngest time.Time // nor for segments last written before this
}

// drop takes the sealed segments out of the list that may be deleted, oldest first.
func (l *seglog) drop(b bounds) (dropped []segment) {
	total := l.cur.size
	for _, s := range l.sealed {
		total += s.size
	}
	for len(l.sealed) > 0 {
		s := l.sealed[0]
		last := l.lastOf(0)
		if last > b.durable || total-s.size < b.keep {
			break
		}
		if last >= b.needed && total <= b.most && !s.before(b.youngest) {
			break
		}
		dropped = append(dropped, s)
		l.sealed = l.sealed[1:]
		total -= s.size
	}
	return dropped
}

// lastOf is the seq of a sealed segment's last record.
func (l *seglog) lastOf(i int) uint64 {
	if i+1 < len(l.sealed) {
		return l.sealed[i+1].first - 1
	}
	return l.cur.first - 1
}

// oldest is the seq of the oldest record that the log may still hold.
func (l *seglog) oldest() uint64 {
	if len(l.sealed) > 0 {
		return l.sealed[0].first
	}
	return l.cur.first
}
