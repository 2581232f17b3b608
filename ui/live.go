package ui

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/ui/access"
)

// Times of /live.
const (
	flushEvery = time.Second / maxHz
	beatEvery  = 2 * time.Second
)

// client is one connection of /live. Its reader (the request's goroutine) decodes
// and hands over; its writer owns the subscriptions and is alone in writing.
type client struct {
	*socket
	inbox chan inbound // bound 8; the reader waits, which holds TCP back
	w     writer       // owned by the writer goroutine
}

type inbound struct {
	m   message
	err error
}

// serveLive is GET /live; the door has authenticated.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	h := s.hub
	if !s.admit(w, r, h.live, "ioc.v1") {
		return
	}
	so := s.upgrade(w, r)
	if so == nil {
		return
	}
	so.wake = make(chan struct{}, 1)
	c := &client{socket: so, inbox: make(chan inbound, 8)}
	if !h.join(h.live, so) {
		so.turnAway()
		return
	}
	defer h.leave(h.live, so)
	h.meters.clients.Inc()
	defer h.meters.clients.Dec()
	c.renew(access.Read) // it may have ended between the door and join: asked again, now that revoke reaches us
	go c.write()
	c.read()
	<-c.gone
}

// read decodes what the client says until the connection ends.
func (c *client) read() {
	c.awaitReading(maxMessageBytes)
	defer close(c.unread)
	bad := 0
	for {
		kind, data, err := c.conn.ReadMessage()
		if err != nil {
			switch {
			case errors.Is(err, websocket.ErrReadLimit):
				c.tooLarge()
			default:
				c.finish(closeNobody, "")
			}
			return
		}
		c.heard()
		var in inbound
		if kind != websocket.TextMessage {
			in.err = errors.New("text messages only")
		} else {
			in.m, in.err = decodeMessage(data)
		}
		if in.err != nil {
			c.hub.meters.refused.WithLabelValues("live", "bad_message").Inc()
			if errors.Is(in.err, errNotUTF8) {
				c.finish(websocket.CloseInvalidFramePayloadData, "not_utf8")
			}
			if bad++; bad > maxBadMessages {
				c.finish(websocket.ClosePolicyViolation, "bad_messages")
			}
		}
		select {
		case c.inbox <- in:
		case <-c.ended: // read on, for the answer to our close frame
		}
	}
}

// send writes one frame.
func (c *client) send(frame []byte) bool { return c.put(websocket.TextMessage, frame) }

// write is the writer: one step after the other, until ended.
func (c *client) write() {
	defer close(c.gone)
	c.watch()
	defer c.watchdog.Stop()
	c.w.init(c)
	c.w.run()
	c.sayGoodbye()
}

// quoted is s as a JSON string.
func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}
