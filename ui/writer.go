package ui

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/geo"
	"cuulong/ui/access"
)

// writer is a client's own view: what it subscribed to and how far it was told.
// Owned by the client's writer goroutine.
type writer struct {
	c    *client
	subs []*sub // at most maxSubs
	beat time.Time
	ping time.Time
	// journalMoved: log subscriptions may have something to send.
	journalMoved bool
}

// sub is one subscription; table is nil for a log topic.
type sub struct {
	id    string
	topic string
	seq   uint64 // told up to here

	// State topics.
	table  *table
	box    *geo.Box
	scan   *scan    // a snapshot or a change of view under way
	wanted *geo.Box // the view asked for meanwhile
	every  time.Duration
	next   time.Time // not flushed before

	// Log topics: the snapshot under way and its next item.
	open *openAlarms
	at   int

	sent  [8]sent // the last frames, for the render lag
	nsent int
}

// scan walks a table from the beginning, a page at a time.
type scan struct {
	reach
	snap bool // as snap frames
}

type sent struct {
	seq uint64
	at  time.Time
}

// scratch is what a frame is built in; taken for a frame, so that an idle
// client holds none.
type scratch struct {
	page  page
	frame []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (w *writer) init(c *client) {
	now := time.Now()
	w.c, w.beat, w.ping = c, now.Add(beatEvery), now.Add(pingEvery)
}

// run does one thing after the other until the connection ends: what the client
// asks, alarms at once, states when they are due.
func (w *writer) run() {
	c := w.c
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		if w.step(time.Now()) {
			select {
			case <-c.ended:
				return
			case in := <-c.inbox:
				w.handle(in)
			case <-c.wake:
				w.journalMoved = true
			default:
			}
			continue
		}
		select {
		case <-c.ended:
			return
		case in := <-c.inbox:
			w.handle(in)
		case <-c.wake:
			w.journalMoved = true
		case <-tick.C:
		}
	}
}

// step sends at most one frame a subscription; false when nothing is left to do now.
func (w *writer) step(now time.Time) (busy bool) {
	if !now.Before(w.ping) {
		w.ping = now.Add(pingEvery)
		if err := w.c.conn.WriteControl(websocket.PingMessage, nil, now.Add(goodbye)); err != nil {
			w.c.finish(closeNobody, "")
			return false
		}
	}
	if w.journalMoved {
		w.journalMoved = false
		for _, s := range w.subs {
			if s.table == nil && w.stepLog(s) {
				w.journalMoved, busy = true, true
			}
		}
	}
	for _, s := range w.subs {
		if s.table != nil && (s.scan != nil || !now.Before(s.next)) && w.stepState(s, now) {
			busy = true
		}
	}
	if !now.Before(w.beat) {
		w.beat = now.Add(beatEvery)
		w.heartbeat()
	}
	return busy
}

// stepState sends the next page of a state topic; true when there is more at once.
func (w *writer) stepState(s *sub, now time.Time) bool {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	h, p := w.c.hub, &sc.page

	rc := reach{since: s.seq, cursor: s.seq, was: s.box, box: s.box}
	if s.scan != nil {
		rc = s.scan.reach
	}
	if s.scan == nil || s.scan.snap {
		h.mu.RLock()
		s.table.cut(p, rc)
		h.mu.RUnlock()
	} else {
		h.mu.Lock()
		s.table.cut(p, rc)
		if !p.more && !p.empty() {
			p.cursor = s.table.bump() // a seq of its own, so that seqs rise
		}
		h.mu.Unlock()
	}

	f := sc.frame[:0]
	switch {
	case s.scan == nil:
		s.seq = p.cursor
		if !p.more {
			s.next = now.Add(s.every - flushEvery/8) // or a tick that comes early would be missed
		}
		if p.empty() {
			return p.more
		}
		f = appendDelta(f, s, p)
	case s.scan.snap:
		s.scan.cursor = p.cursor
		s.seq = p.cursor
		f = append(f, `{"op":"snap","id":`...)
		f = append(f, quoted(s.id)...)
		f = append(f, `,"ep":"`...)
		f = append(f, h.ep...)
		f = append(f, `","seq":`...)
		f = strconv.AppendUint(f, s.seq, 10)
		f = append(f, `,"more":`...)
		f = strconv.AppendBool(f, p.more)
		f = append(f, `,"d":[`...)
		f = append(f, p.set...)
		f = append(f, "]}"...)
		if !p.more {
			s.scanned()
		}
	default: // a change of view; until its end the client is complete up to the old seq only
		s.scan.cursor = p.cursor
		if !p.more {
			s.seq = p.cursor
			s.scanned()
		}
		if p.empty() {
			return true
		}
		f = appendDelta(f, s, p)
	}
	sc.frame = f
	s.note(now)
	return w.c.send(f)
}

func appendDelta(f []byte, s *sub, p *page) []byte {
	f = append(f, `{"op":"d","id":`...)
	f = append(f, quoted(s.id)...)
	f = append(f, `,"seq":`...)
	f = strconv.AppendUint(f, s.seq, 10)
	f = append(f, `,"set":[`...)
	f = append(f, p.set...)
	f = append(f, `],"del":[`...)
	f = append(f, p.del...)
	return append(f, "]}"...)
}

// stepLog sends the next page of a log topic; true when there may be more.
func (w *writer) stepLog(s *sub) bool {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	j := w.c.hub.journal
	if s.open != nil {
		end := min(s.at+alarmsAtOnce, len(s.open.items))
		f := append(sc.frame[:0], `{"op":"snap","id":`...)
		f = append(f, quoted(s.id)...)
		f = append(f, `,"ep":"`...)
		f = append(f, j.ep...)
		f = append(f, `","seq":`...)
		f = strconv.AppendUint(f, s.open.seq, 10)
		f = append(f, `,"more":`...)
		f = strconv.AppendBool(f, end < len(s.open.items))
		f = append(f, `,"d":[`...)
		f = append(f, bytes.Join(s.open.items[s.at:end], []byte{','})...)
		f = append(f, "]}"...)
		s.seq, s.at = s.open.seq, end
		if end == len(s.open.items) {
			s.open = nil
		}
		sc.frame = f
		s.note(time.Now())
		return w.c.send(f)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	events, err := j.after(ctx, s.seq)
	if err != nil {
		w.c.hub.log.Error("read alarm journal", "err", err)
		w.c.finish(websocket.CloseInternalServerErr, "internal")
		return false
	}
	for _, e := range events {
		f := append(sc.frame[:0], `{"op":"ev","id":`...)
		f = append(f, quoted(s.id)...)
		f = append(f, `,"seq":`...)
		f = strconv.AppendUint(f, e.seq, 10)
		f = append(f, `,"e":`...)
		f = append(f, e.json...)
		f = append(f, '}')
		sc.frame = f
		s.seq = e.seq
		s.note(time.Now())
		if !w.c.send(f) {
			return false
		}
	}
	return len(events) > 0
}

// heartbeat says up to where each topic was told; where a topic is not
// subscribed, up to where there is something to tell.
func (w *writer) heartbeat() {
	h := w.c.hub
	// Each heartbeat is use of the session, and looks whether it still stands.
	if !w.c.renew(access.Read) {
		return
	}
	wm := h.watermarks()
	wm[topicAlarms] = h.journal.seq()
	if !w.c.who.May(access.ViewCameras) {
		delete(wm, topicCameras)
	}
	told := map[string]bool{}
	for _, s := range w.subs {
		if !told[s.topic] || s.seq < wm[s.topic] {
			wm[s.topic] = s.seq
		}
		told[s.topic] = true
	}
	f := []byte(`{"op":"hb","ts":`)
	f = strconv.AppendInt(f, h.now().UnixMilli(), 10)
	f = append(f, `,"wm":{`...)
	for i, t := range slices.Sorted(maps.Keys(wm)) {
		if i > 0 {
			f = append(f, ',')
		}
		f = append(f, '"')
		f = append(f, t...)
		f = append(f, `":`...)
		f = strconv.AppendUint(f, wm[t], 10)
	}
	w.c.send(append(f, "}}"...))
}

// note remembers when a seq was sent.
func (s *sub) note(now time.Time) {
	s.sent[s.nsent%len(s.sent)] = sent{s.seq, now}
	s.nsent++
}
