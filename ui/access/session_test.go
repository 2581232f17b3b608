package access

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSessionEnds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		every time.Duration // between uses
		uses  int
		live  bool // after the last wait
	}{
		{"used", time.Hour, 1, true},
		{"just in time", sessionIdle - time.Millisecond, 3, true},
		{"idle", sessionIdle, 1, false},
		{"used to its end", 10 * time.Hour, 16, true}, // 160 h of 168
		{"beyond its end", 10 * time.Hour, 17, false}, // 170 h
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, clk := newControl(t)
			cookie, p := mustLogin(t, c, "admin")
			for i := range tc.uses {
				clk.add(tc.every)
				_, err := c.BySession(t.Context(), cookie)
				if last := i == tc.uses-1; (err == nil) != (tc.live || !last) {
					t.Fatalf("use %d: %v", i+1, err)
				}
			}
			if _, ok := c.Renew(p); ok != tc.live {
				t.Errorf("renew: %v", ok)
			}
		})
	}
}

func TestRestartKeepsSessionsAndTheirUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	clk := newClock()
	a := open(t, path, clk)
	if _, _, err := a.FirstAdmin(t.Context(), goodPassword); err != nil {
		t.Fatal(err)
	}
	cookie, p := mustLogin(t, a, "admin")
	clk.add(11 * time.Hour)
	if _, ok := a.Renew(p); !ok { // what a heartbeat of the wall does
		t.Fatal("ended")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(stopped); err != nil {
		t.Fatal(err)
	}
	a.db.Close()

	clk.add(11 * time.Hour)
	b := open(t, path, clk)
	if q, err := b.BySession(t.Context(), cookie); err != nil || q != p {
		t.Errorf("after the restart: %+v, %v", q, err)
	}
}

func TestLogout(t *testing.T) {
	c, _ := newControl(t)
	mine, p := mustLogin(t, c, "admin")
	other, _ := mustLogin(t, c, "admin")
	if err := c.Logout(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := c.BySession(t.Context(), mine); err != ErrUnauthenticated {
		t.Errorf("after log-out: %v", err)
	}
	if _, err := c.BySession(t.Context(), other); err != nil {
		t.Errorf("another session: %v", err)
	}
	for _, cookie := range []string{"", "x", p.Session} {
		if _, err := c.BySession(t.Context(), cookie); err != ErrUnauthenticated {
			t.Errorf("%q: %v", cookie, err)
		}
	}
}

func TestSessionsOfAnAccountAreBounded(t *testing.T) {
	c, clk := newControl(t)
	a := c.copy.Load().accounts["admin"]
	var cookies []string
	for range sessionsMax + 1 {
		cookie, _, err := c.begin(t.Context(), a) // Login without the hashing
		if err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, cookie)
		clk.add(time.Second)
	}
	if n := len(c.copy.Load().sessions); n != sessionsMax {
		t.Errorf("%d sessions", n)
	}
	if _, err := c.BySession(t.Context(), cookies[0]); err != ErrUnauthenticated {
		t.Errorf("the longest unused: %v", err)
	}
	if _, err := c.BySession(t.Context(), cookies[1]); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// What a change ends is told before the change returns, and nothing else is.
func TestRevoked(t *testing.T) {
	c, _ := newControl(t)
	mustCreate(t, c, "lan", Operator, false)
	_, sess := mustLogin(t, c, "lan")
	_, sess2 := mustLogin(t, c, "lan")
	_, admin := mustLogin(t, c, "admin")
	tok, bearer, err := c.CreateToken(t.Context(), sess, NewToken{Name: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	byTok, err := c.ByToken(t.Context(), bearer)
	if err != nil {
		t.Fatal(err)
	}
	var told []Revoked
	c.OnRevoke(func(r Revoked) { told = append(told, r) })

	viewer, yes := Viewer, true
	everyone := []Principal{sess, sess2, byTok, admin}
	for _, tc := range []struct {
		name string
		do   func() error
		hits []Principal
	}{
		{"no change", func() error { return update(t, c, "lan", AccountChange{}) }, nil},
		{"another account", func() error { return create(t, c, "ba", Viewer, goodPassword) }, nil},
		{"role", func() error { return update(t, c, "lan", AccountChange{Role: &viewer}) }, []Principal{sess, sess2, byTok}},
		{"cameras", func() error { return update(t, c, "lan", AccountChange{Cameras: &yes}) }, []Principal{sess, sess2, byTok}},
		{"own password", func() error { // whose session stays, but connects again
			return c.ChangePassword(t.Context(), sess, goodPassword, goodPassword+"2")
		}, []Principal{sess, sess2, byTok}},
		{"token", func() error { return c.DeleteToken(t.Context(), admin, tok.ID) }, []Principal{byTok}},
		{"password by another", func() error { return c.SetPassword(t.Context(), "lan", goodPassword) }, []Principal{sess, sess2, byTok}},
		{"account", func() error { return c.DeleteAccount(t.Context(), "lan") }, everyone[:3]},
		{"log-out", func() error { return c.Logout(t.Context(), admin) }, []Principal{admin}},
	} {
		told = nil
		if err := tc.do(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		for _, p := range everyone {
			hit := slices.ContainsFunc(told, func(r Revoked) bool { return r.Hits(p) })
			if hit != slices.Contains(tc.hits, p) {
				t.Errorf("%s: %+v hit: %v (told %+v)", tc.name, p, hit, told)
			}
		}
	}
	if (Revoked{}).Hits(Principal{}) {
		t.Error("an empty word hits")
	}
}

func TestRoleChangesAtOnce(t *testing.T) {
	c, _ := newControl(t)
	mustCreate(t, c, "lan", Admin, false)
	cookie, p := mustLogin(t, c, "lan")
	_, bearer, err := c.CreateToken(t.Context(), p, NewToken{Name: "all", Role: Admin})
	if err != nil {
		t.Fatal(err)
	}
	viewer := Viewer
	if err := update(t, c, "lan", AccountChange{Role: &viewer}); err != nil {
		t.Fatal(err)
	}
	s, err := c.BySession(t.Context(), cookie)
	if err != nil || s.Role != Viewer {
		t.Errorf("session: %+v, %v", s, err)
	}
	k, err := c.ByToken(t.Context(), bearer)
	if err != nil || k.Role != Viewer || k.Cameras {
		t.Errorf("token: %+v, %v", k, err)
	}
}

// `ioc passwd` is another process on the same file.
func TestChangeByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	clk := newClock()
	server := open(t, path, clk)
	if _, _, err := server.FirstAdmin(t.Context(), goodPassword); err != nil {
		t.Fatal(err)
	}
	cookie, p := mustLogin(t, server, "admin")
	var told []Revoked
	server.OnRevoke(func(r Revoked) { told = append(told, r) })

	passwd := open(t, path, clk)
	const fresh = "một-mật-khẩu-mới"
	if err := passwd.SetPassword(t.Context(), "admin", fresh); err != nil {
		t.Fatal(err)
	}
	// A log-in sees the change at once; a session may last a moment longer.
	if _, _, err := server.Login(t.Context(), "admin", goodPassword, "192.0.2.1:1"); err != ErrBadLogin {
		t.Errorf("the old password: %v", err)
	}
	if _, _, err := server.Login(t.Context(), "admin", fresh, "192.0.2.1:1"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if len(told) == 0 || !told[0].Hits(p) {
		t.Errorf("told %+v", told)
	}
	if err := passwd.SetPassword(t.Context(), "admin", goodPassword); err != nil {
		t.Fatal(err)
	}
	clk.add(lookEvery)
	if _, err := server.BySession(t.Context(), cookie); err != ErrUnauthenticated {
		t.Errorf("the session: %v", err)
	}
}

// Run ends live connections whose time is up, and deletes the sessions.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	synctest.Test(t, func(t *testing.T) {
		db := openDB(t, path)
		c, err := Open(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.FirstAdmin(t.Context(), goodPassword); err != nil {
			t.Fatal(err)
		}
		_, p := mustLogin(t, c, "admin")
		in := time.Now().Add(90 * time.Second)
		tok, _, err := c.CreateToken(t.Context(), p, NewToken{Name: "short", Expires: &in})
		if err != nil {
			t.Fatal(err)
		}
		// Two minutes are left of the session, too, so that Run need not tick for twelve hours.
		c.copy.Load().sessions[p.Session].seen.Store(time.Now().Add(2*time.Minute - sessionIdle).UnixMilli())
		told := make(chan Revoked, 10)
		c.OnRevoke(func(r Revoked) { told <- r })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()

		time.Sleep(89 * time.Second)
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("too early: %+v", <-told)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(told) != 1 || <-told != (Revoked{Token: tok.ID}) {
			t.Error("the token's end was not told, or more was")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(told) == 0 || <-told != (Revoked{Session: p.Session}) {
			t.Error("the session's end was not told")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(c.copy.Load().sessions); n != 0 {
			t.Errorf("%d sessions left", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		db.Close()
	})
}

func TestLinks(t *testing.T) {
	c, clk := newControl(t)
	if _, err := c.LoginLink("nobody"); err != ErrNotFound {
		t.Errorf("unknown account: %v", err)
	}
	link := func() string {
		s, err := c.LoginLink("admin")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	once := link()
	cookie, p, err := c.ExchangeLink(t.Context(), once, "127.0.0.1:1")
	if err != nil || !p.May(Administer) {
		t.Fatalf("first use: %+v, %v", p, err)
	}
	if q, err := c.BySession(t.Context(), cookie); err != nil || q != p {
		t.Errorf("its session: %+v, %v", q, err)
	}
	late := link()
	clk.add(linkLife)
	first := link()
	for range linksMax {
		link()
	}
	if n := len(c.links.open); n > linksMax {
		t.Errorf("%d links open", n)
	}
	_ = first
	for name, s := range map[string]string{"second use": once, "late": late, "empty": "", "unknown": "x"} {
		if _, _, err := c.ExchangeLink(t.Context(), s, "127.0.0.1:1"); err != ErrBadLogin {
			t.Errorf("%s: %v", name, err)
		}
	}
}
