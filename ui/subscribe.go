package ui

import (
	"slices"
	"time"

	"cuulong/ui/access"
)

// handle does what the client asked.
func (w *writer) handle(in inbound) {
	m := in.m
	if in.err != nil {
		w.fail(m.id, "bad_message", in.err.Error())
		return
	}
	i := slices.IndexFunc(w.subs, func(s *sub) bool { return s.id == m.id })
	if m.op == "sub" {
		switch {
		case i >= 0:
			w.fail(m.id, "id_taken", "this id has a subscription; unsub first")
		case len(w.subs) >= maxSubs:
			w.fail(m.id, "too_many", "at most 16 subscriptions a connection")
		default:
			w.subscribe(m)
		}
		return
	}
	if i < 0 {
		w.fail(m.id, "unknown_id", "no subscription of this id")
		return
	}
	s := w.subs[i]
	switch m.op {
	case "unsub":
		w.subs = slices.Delete(w.subs, i, i+1)
	case "seen":
		w.seen(s, m.seq)
	case "view":
		if s.table == nil {
			w.fail(m.id, "bad_message", "view narrows a state topic")
			return
		}
		w.view(s, m)
	}
}

func (w *writer) subscribe(m message) {
	h := w.c.hub
	s := &sub{id: m.id, topic: m.topic}
	switch m.topic {
	case topicTelemetry:
		s.table = &h.telemetry
	case topicDevices:
		s.table = &h.devices
	case topicAlarms:
		if m.box != nil { // hz asks for no more than a log topic gives: it is let pass
			w.fail(m.id, "bad_message", "bbox narrows a state topic")
			return
		}
		w.subscribeLog(s, m.from)
		return
	case topicCameras:
		if !w.c.who.May(access.ViewCameras) {
			w.fail(m.id, "forbidden", "this log-in sees no cameras")
			return
		}
		s.table = &h.cameras
	case "incidents":
		w.fail(m.id, "not_available", "this topic is not available yet")
		return
	default:
		w.fail(m.id, "unknown_topic", "telemetry, devices, cameras or alarms")
		return
	}
	s.box = m.box
	s.every = flushEvery
	if m.hz > 0 {
		s.every = time.Duration(float64(time.Second) / m.hz)
	}
	// Registered from here on; seq is noted; then snapshot and deltas follow from it.
	h.mu.RLock()
	resume := m.from != nil && m.from.EP == h.ep && s.table.canResume(m.from.Seq)
	now := s.table.ver
	h.mu.RUnlock()
	if resume {
		s.seq = m.from.Seq
	} else {
		if m.from != nil {
			w.resync(m.id, m.from.EP == h.ep)
		}
		s.scan = &scan{snap: true, reach: reach{fresh: true, box: s.box, upto: now}}
	}
	w.subs = append(w.subs, s)
}

func (w *writer) subscribeLog(s *sub, from *position) {
	j := w.c.hub.journal
	open, err := j.snapshot()
	if err != nil {
		w.c.hub.log.Error("snapshot of alarms", "err", err)
		w.fail(s.id, "internal", "no snapshot can be had")
		return
	}
	if from != nil && from.EP == j.ep && from.Seq <= max(open.seq, j.seq()) {
		s.seq = from.Seq
	} else {
		if from != nil {
			w.resync(s.id, from.EP == j.ep)
		}
		s.open, s.seq = open, open.seq
	}
	w.subs = append(w.subs, s)
	w.journalMoved = true
}

// view changes the box: what came into sight is told, what left it deleted.
// While a scan is under way the change waits for its end; the last one counts.
func (w *writer) view(s *sub, m message) {
	if s.scan != nil {
		s.wanted = m.box
		return
	}
	s.scan = &scan{reach: reach{since: s.seq, was: s.box, box: m.box}}
	s.box = m.box
}

// scanned ends a scan, and begins the one that waited for it.
func (s *sub) scanned() {
	s.scan = nil
	if s.wanted != nil {
		s.scan = &scan{reach: reach{since: s.seq, was: s.box, box: s.wanted}}
		s.box, s.wanted = s.wanted, nil
	}
}

// seen measures how long the client took from a frame's sending to its drawing.
func (w *writer) seen(s *sub, seq uint64) {
	for _, f := range s.sent {
		if f.seq == seq && !f.at.IsZero() {
			w.c.hub.meters.render.Observe(time.Since(f.at).Seconds())
			return
		}
	}
}

func (w *writer) resync(id string, sameEpoch bool) {
	why := "epoch"
	if sameEpoch {
		why = "seq"
	}
	f := append([]byte(`{"op":"resync","id":`), quoted(id)...)
	f = append(f, `,"why":"`...)
	f = append(f, why...)
	w.c.send(append(f, `"}`...))
}

func (w *writer) fail(id, code, detail string) {
	f := []byte(`{"op":"err"`)
	if id != "" {
		f = append(append(f, `,"id":`...), quoted(id)...)
	}
	f = append(append(f, `,"code":"`...), code...)
	f = append(append(f, `","detail":`...), quoted(detail)...)
	w.c.send(append(f, '}'))
}
