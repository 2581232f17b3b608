package rtsp

import (
	"net/url"
	"strings"
	"sync"
	"testing"
)

// locked makes a camera want a log-in for everything, and renew its nonce after
// every so many requests.
func locked(s *scriptedCamera, g *guard, forget func(n int) bool) {
	do, n, mu := s.on, 0, sync.Mutex{}
	s.on = map[string]func(*wire, *request){}
	for _, method := range []string{"OPTIONS", "DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER"} {
		s.on[method] = func(w *wire, r *request) {
			mu.Lock()
			n++
			_, v := g.verify(r)
			if v == granted && forget(n) {
				v = stale
			}
			mu.Unlock()
			if v != granted {
				var h header
				g.challenge(&h, v)
				lines := []string{}
				for _, value := range h.values("WWW-Authenticate") {
					lines = append(lines, "WWW-Authenticate: "+value)
				}
				w.answer(r, 401, lines...)
				return
			}
			if do[method] != nil {
				do[method](w, r)
			} else {
				s.usual(w, r)
			}
		}
	}
}

func TestLogin(t *testing.T) {
	never := func(int) bool { return false }
	known := func(user string) (string, bool) { return "p@ss:wörd", user == "op" }
	t.Run("right", func(t *testing.T) {
		camera := &scriptedCamera{play: (*wire).stream}
		locked(camera, newGuard("cam", true, known), never)
		log := logged(camera)
		u := camera.start(t)
		u.User = url.UserPassword("op", "p@ss:wörd")
		readPicture(t, open(t, u, quick))
		if v := log.all[1].header.get("Authorization"); !strings.Contains(v, "algorithm=SHA-256") {
			t.Errorf("logs in by %q, though SHA-256 is offered", v)
		}
	})
	t.Run("stale nonces", func(t *testing.T) {
		camera := &scriptedCamera{play: (*wire).stream}
		locked(camera, newGuard("cam", false, known), func(n int) bool { return n%3 == 0 })
		u := camera.start(t)
		u.User = url.UserPassword("op", "p@ss:wörd")
		readPicture(t, open(t, u, quick))
	})
	t.Run("always stale", func(t *testing.T) {
		camera := &scriptedCamera{}
		locked(camera, newGuard("cam", false, known), func(int) bool { return true })
		log := logged(camera)
		u := camera.start(t)
		u.User = url.UserPassword("op", "p@ss:wörd")
		_, err := Dial(t.Context(), u, quick)
		checkFault(t, "always stale", err, Unauthorized)
		if n := len(log.all); n > 3 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("wrong password is sent once", func(t *testing.T) {
		camera := &scriptedCamera{}
		locked(camera, newGuard("cam", true, known), never)
		log := logged(camera)
		u := camera.start(t)
		u.User = url.UserPassword("op", secret)
		_, err := Dial(t.Context(), u, quick)
		checkFault(t, "wrong password", err, Unauthorized)
		if n := len(log.all); n != 2 {
			t.Errorf("%d requests, want one without and one with the password", n)
		}
	})
}
