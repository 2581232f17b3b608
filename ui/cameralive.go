package ui

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/websocket"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/ui/access"
	"cuulong/video"
)

// watcher is one live socket of a camera. It has no queue: what it sends next is
// the viewer's place in the camera's ring, and who is slow misses pictures there.
type watcher struct {
	*socket
	viewer *video.Viewer
	pinger *time.Timer
}

// maxWatcherMessage: a watcher has nothing to say.
const maxWatcherMessage = 1 << 10

const routeCameraLive = "GET /api/v1/cameras/{id}/live"

// serveCameraLive is routeCameraLive; the door has authenticated.
func (s *Server) serveCameraLive(w http.ResponseWriter, r *http.Request) {
	h := s.hub
	if !s.admit(w, r, h.watchers, "") {
		return
	}
	viewer, err := s.o.Cameras.Subscribe(devices.ID(r.PathValue("id")))
	if err != nil {
		reason := "internal"
		switch {
		case errors.Is(err, video.ErrNotFound):
			reason = "not_found"
		case errors.Is(err, video.ErrFull):
			reason = "full"
		case errors.Is(err, video.ErrClosed):
			reason = "closing"
		}
		s.refuseLive(w, reason, explain(r.Context(), s.log, err))
		return
	}
	defer viewer.Close()
	so := s.upgrade(w, r)
	if so == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	so.onEnd = cancel
	c := &watcher{socket: so, viewer: viewer}
	if !h.join(h.watchers, so) {
		so.turnAway()
		return
	}
	defer h.leave(h.watchers, so)
	c.renew(access.ViewCameras) // it may have ended between the door and join
	go c.write(ctx)
	c.read()
	<-c.gone
}

// read takes in pongs and the closing; nothing else is expected.
func (c *watcher) read() {
	defer close(c.unread)
	c.awaitReading(maxWatcherMessage)
	for said := 1; ; said++ {
		if _, _, err := c.conn.NextReader(); err != nil {
			if errors.Is(err, websocket.ErrReadLimit) {
				c.tooLarge()
			} else {
				c.finish(closeNobody, "")
			}
			return
		}
		c.heard()
		if said == maxBadMessages {
			c.hub.meters.refused.WithLabelValues("live", "bad_message").Inc()
			c.finish(websocket.ClosePolicyViolation, "bad_messages")
		}
	}
}

// write pumps until the viewer or the connection ends.
func (c *watcher) write(ctx context.Context) {
	defer close(c.gone)
	c.watch()
	defer c.watchdog.Stop()
	c.pinger = time.AfterFunc(time.Hour, c.ping)
	c.pinger.Reset(pingEvery)
	defer c.pinger.Stop()
	for c.step(ctx) {
	}
	<-c.ended // whatever ended the pumping ends the connection, by the watchdog a moment later
	c.sayGoodbye()
}

// streamText goes before an init segment.
type streamText struct {
	Codecs string `json:"codecs"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// step sends the next event; false when there is none.
func (c *watcher) step(ctx context.Context) bool {
	e, err := c.viewer.Next(ctx)
	switch {
	case ctx.Err() != nil:
		return false // finish has said why
	case errors.Is(err, video.ErrNotFound):
		c.tell(deleted(c.hub.now()))
		c.finish(websocket.CloseNormalClosure, "")
		return false
	case errors.Is(err, video.ErrClosed):
		c.finish(closeGoingAway, "")
		return false
	case err != nil:
		c.hub.log.Error("pictures for a viewer", "err", err)
		c.finish(websocket.CloseInternalServerErr, "internal")
		return false
	case e.Stream != nil:
		return c.tell(streamText{e.Stream.Codecs, e.Stream.Width, e.Stream.Height}) && c.put(websocket.BinaryMessage, e.Stream.Init)
	case e.Lost != nil:
		return c.tell(shown(*e.Lost))
	}
	return c.put(websocket.BinaryMessage, e.Fragment)
}

// tell sends an object as text.
func (c *watcher) tell(v any) bool {
	text, err := json.Marshal(v)
	if err != nil { // of texts, numbers and a time: a mistake in the source
		c.hub.log.Error("text for a viewer", "err", err)
		c.finish(websocket.CloseInternalServerErr, "internal")
		return false
	}
	return c.put(websocket.TextMessage, text)
}

// ping keeps the connection alive and looks whether the log-in still stands. It
// runs beside the writer, which may wait for a picture for hours.
func (c *watcher) ping() {
	if !c.renew(access.ViewCameras) {
		return
	}
	// Where a slow write is under way the ping is left out: that one is watched.
	_ = c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(goodbye))
	select {
	case <-c.ended:
	default:
		c.pinger.Reset(pingEvery)
	}
}

// shown is a status as it is sent: whole milliseconds, as in /live; UTC.
func shown(st video.Status) video.Status {
	st.Since = st.Since.UTC().Truncate(time.Millisecond)
	return st
}

// deleted is the status of a camera that is no more.
func deleted(now time.Time) video.Status {
	return shown(video.Status{State: video.Off, Since: now, Why: "deleted", Code: "deleted"})
}

// documentCameraLive tells of the socket in the OpenAPI document, which huma
// does not serve.
func (s *Server) documentCameraLive() {
	s.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "get-cameras-id-live", Method: http.MethodGet, Path: "/api/v1/cameras/{id}/live", Tags: []string{"cameras"},
		Summary: "A camera's pictures, as they come",
		Description: "A WebSocket; Origin, if sent, is this host, without one a bearer token is needed. " +
			`The server says: text {"codecs","width","height"}, binary init segment (fragmented MP4), then one moof and mdat a message, beginning with a key frame. ` +
			"A change of codec: text and init segment again. Camera lost, or not there yet: text {\"state\",\"since\",\"why\",\"code\"}; the socket stays open, and text and init segment come again with the picture. " +
			`Deleted: text {"state":"off","code":"deleted"}, then 1000. Closed with 4008: too slow; 4001: log-in ended; 1001: server stops.`,
		Parameters: []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}},
		Responses:  map[string]*huma.Response{"101": {Description: "Switching Protocols"}, "default": {Description: "Error"}},
		Security:   []map[string][]string{{"session": {}}, {"token": {}}},
		Extensions: map[string]any{"x-permission": s.routes.need[routeCameraLive].String()},
	})
}

// viewLocked takes up a camera that is new, may have moved, or changed its
// state. Called with mu held.
func (h *hub) viewLocked(c video.Camera) {
	at := geo.Point(c.Position)
	p := h.views[c.ID]
	if p == nil {
		p = &place{pos: &at}
		p.state = h.cameras.add(strconv.Quote(string(c.ID)), p)
		h.views[c.ID] = p
	} else if *p.pos != at {
		p.pos = &at
		h.cameras.move(p.state)
	}
	st, _ := h.pictures.Status(c.ID)
	if r, since := p.state, st.Since.UnixMilli(); r.ver == 0 || r.gone || r.text != string(st.State) || r.t != since {
		r.text, r.t, r.q = string(st.State), since, uint8(telemetry.Pass)
		h.cameras.touch(r)
	}
}

// CameraChanged follows the cameras.
func (h *hub) CameraChanged(ch video.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Asked with mu held: what is told later is later.
	c, ok := h.pictures.Get(ch.ID)
	if p := h.views[ch.ID]; p != nil && (ch.Deleted || !ok) {
		delete(h.views, ch.ID)
		h.cameras.remove(p.state)
	}
	if ok {
		h.viewLocked(c)
	}
}
