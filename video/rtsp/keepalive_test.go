package rtsp

import (
	"net/url"
	"slices"
	"testing"
)

// keepAliveCamera lives for a second without a sign, and plays until the signs
// that are awaited have come.
func keepAliveCamera(public string, answer func(w *wire, r *request), until func(seen []*request) bool) (*scriptedCamera, *requestLog) {
	log := &requestLog{}
	camera := &scriptedCamera{}
	camera.on = map[string]func(*wire, *request){
		"OPTIONS": func(w *wire, r *request) { w.answer(r, 200, "Public: "+public) },
		"SETUP": func(w *wire, r *request) {
			w.answer(r, 200, "Session: 1;timeout=1", "Transport: "+r.header.get("Transport"))
		},
	}
	camera.play = func(w *wire) {
		w.write(w.picture(0) + w.picture(0))
		for {
			r := w.read()
			if r == nil || r.method == "TEARDOWN" {
				return
			}
			log.add(r)
			w.write(w.picture(0)) // the answer comes amid frames
			answer(w, r)
			w.write(w.picture(0))
			if until(log.all) {
				w.write("TEARDOWN rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
			}
		}
	}
	return camera, log
}

func TestKeepAlive(t *testing.T) {
	right := func(w *wire, r *request) { w.answer(r, 200) }
	refuse := func(status int, methods ...string) func(*wire, *request) {
		return func(w *wire, r *request) {
			if slices.Contains(methods, r.method) {
				w.answer(r, status)
				return
			}
			w.answer(r, 200)
		}
	}
	for _, c := range []struct {
		name, public string
		answer       func(*wire, *request)
		want         []string
	}{
		{"best", "OPTIONS, SET_PARAMETER,get_parameter", right, []string{"GET_PARAMETER", "GET_PARAMETER"}},
		{"second", "OPTIONS, SET_PARAMETER", right, []string{"SET_PARAMETER", "SET_PARAMETER"}},
		{"nothing offered", "", right, []string{"OPTIONS", "OPTIONS"}},
		{"a name that only begins alike", "GET_PARAMETERS", right, []string{"OPTIONS"}},
		{"refused", "GET_PARAMETER, SET_PARAMETER", refuse(451, "GET_PARAMETER"), []string{"GET_PARAMETER", "SET_PARAMETER", "SET_PARAMETER"}},
		{"all refused", "GET_PARAMETER", refuse(500, "GET_PARAMETER", "OPTIONS"), []string{"GET_PARAMETER", "OPTIONS", "OPTIONS"}},
		{"never answered", "GET_PARAMETER", func(*wire, *request) {}, []string{"GET_PARAMETER", "OPTIONS", "OPTIONS"}},
		{"answered with a body", "GET_PARAMETER", func(w *wire, r *request) { w.answer(r, 200, "Content-Length: 4", "", "$\x00\x00\x01") },
			[]string{"GET_PARAMETER", "GET_PARAMETER"}},
		{"answered without a number", "GET_PARAMETER", func(w *wire, r *request) { w.write("RTSP/1.0 200 OK\r\n\r\n") },
			[]string{"GET_PARAMETER", "GET_PARAMETER"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			camera, log := keepAliveCamera(c.public, c.answer, func(seen []*request) bool { return len(seen) == len(c.want) })
			readFault(t, open(t, camera.start(t), quick), Ended)
			if got := log.methods(); !slices.Equal(got, c.want) {
				t.Errorf("signs of life %v, want %v", got, c.want)
			}
			for _, r := range log.all {
				if r.header.get("Session") != "1" {
					t.Errorf("%s without the session", r.method)
				}
			}
		})
	}
	t.Run("a length below nothing", func(t *testing.T) {
		t.Parallel()
		camera, _ := keepAliveCamera("GET_PARAMETER", func(w *wire, r *request) { w.answer(r, 200, "Content-Length: -5") },
			func([]*request) bool { return false })
		readFault(t, open(t, camera.start(t), quick), Protocol)
	})
	t.Run("a new nonce", func(t *testing.T) {
		t.Parallel()
		g := newGuard("cam", false, func(string) (string, bool) { return "p", true })
		first := true
		var h header
		g.challenge(&h, stale)
		camera, log := keepAliveCamera("GET_PARAMETER", func(w *wire, r *request) {
			if first {
				first = false
				w.answer(r, 401, "WWW-Authenticate: "+h.get("WWW-Authenticate"))
				return
			}
			if _, v := g.verify(r); v != granted {
				w.answer(r, 401)
				return
			}
			w.answer(r, 200)
		}, func(seen []*request) bool { return len(seen) == 3 })
		u := camera.start(t)
		u.User = url.UserPassword("u", "p")
		readFault(t, open(t, u, quick), Ended)
		if got := log.methods(); !slices.Equal(got, []string{"GET_PARAMETER", "GET_PARAMETER", "GET_PARAMETER"}) {
			t.Errorf("signs of life %v", got)
		}
		if log.all[1].header.get("Authorization") == "" {
			t.Error("a new nonce was not answered")
		}
	})
}
