package field

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// fragmentOf is a movie fragment as far as a viewer reads it.
func fragmentOf(n uint32, stamp []byte, size int) []byte {
	b := append([]byte("\x00\x00\x00\x18moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00"), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[20:], n)
	b = append(append(b, "\x00\x00\x00\x00mdat"...), stamp...)
	return append(b, make([]byte, size)...)
}

// liveSocket is a live socket as the contract has it, with a script to play.
func liveSocket(t *testing.T, script func(c *websocket.Conn)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/cameras/cam-1/live" {
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("Authorization") != "Bearer t" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		script(c)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestViewersCount(t *testing.T) {
	api := liveSocket(t, func(c *websocket.Conn) {
		begin := func() {
			c.WriteMessage(websocket.TextMessage, []byte(`{"codecs":"avc1.64001e","width":640,"height":360}`))
			c.WriteMessage(websocket.BinaryMessage, []byte("init"))
		}
		old := appendStamp(nil, 1, time.Now().Add(-time.Hour))
		c.WriteMessage(websocket.TextMessage, []byte(`{"state":"connecting"}`))
		begin()
		c.WriteMessage(websocket.BinaryMessage, fragmentOf(7, old, 10)) // from the cache
		for _, n := range []uint32{8, 11} {
			c.WriteMessage(websocket.BinaryMessage, fragmentOf(n, appendStamp(nil, uint64(n), time.Now()), 20_000))
		}
		begin()
		c.WriteMessage(websocket.BinaryMessage, fragmentOf(1, appendStamp(nil, 12, time.Now()), 0))
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4008, ""), time.Now().Add(time.Second))
		c.ReadMessage() // until the viewer has closed
	})
	v, err := View(t.Context(), ViewOptions{API: api, Token: "t", Camera: "cam-1", Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	if v.Viewers != 3 || v.Connected != 3 || v.Pictured != 3 || v.Streams != 6 || v.Lost != 3 || v.Fragments != 12 ||
		v.Dropped != 6 || v.Stamped != 9 || v.Closed["4008"] != 3 || len(v.Closed) != 1 {
		t.Errorf("%+v", v)
	}
	if v.Bytes < 3*40_000 || v.FirstP50 <= 0 || v.FirstP95 < v.FirstP50 || v.DelayP50 <= 0 || v.DelayMax < v.DelayP99 {
		t.Errorf("%+v", v)
	}
}

// Viewers whose time is over have not been thrown out.
func TestViewersEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looking.Add(2)
	api := liveSocket(t, func(c *websocket.Conn) {
		c.SetPongHandler(func(string) error { looking.Done(); return nil })
		c.WriteControl(websocket.PingMessage, nil, time.Now().Add(10*time.Second))
		c.ReadMessage()
	})
	go func() { looking.Wait(); cancel() }()
	v, err := View(ctx, ViewOptions{API: api, Token: "t", Camera: "cam-1", Count: 2, Duration: time.Hour})
	if err != nil || v.Connected != 2 || v.Pictured != 0 || len(v.Closed) != 0 || v.FirstP50 != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestViewersNotLetIn(t *testing.T) {
	api := liveSocket(t, nil)
	for _, c := range []struct {
		o    ViewOptions
		want string
	}{
		{ViewOptions{API: api, Token: "geheim", Camera: "cam-1"}, "401"},
		{ViewOptions{API: api, Token: "t", Camera: "cam-2"}, "404"},
		{ViewOptions{API: "http://127.0.0.1:1", Token: "geheim", Camera: "cam-1"}, "not_connected"},
	} {
		v, err := View(t.Context(), c.o)
		if err == nil || v.Closed[c.want] != 1 || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: %+v, %v", c.o, v, err)
		}
	}
	for _, bad := range []string{"", "ftp://h", "::"} {
		if _, err := View(t.Context(), ViewOptions{API: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
