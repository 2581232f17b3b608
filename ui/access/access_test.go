package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const goodPassword = "nước-mặn-4-gam"

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// openDB opens a real file, as cmd does but for the fsync: no test here cuts the power.
func openDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// open gives a Control on a database file with one administrator.
func open(t *testing.T, path string, c *clock) *Control {
	t.Helper()
	ctl, err := Open(t.Context(), openDB(t, path))
	if err != nil {
		t.Fatal(err)
	}
	ctl.now = c.now
	ctl.hasher.cost.memoryKiB, ctl.hasher.cost.time = 64, 1 // tests log in often
	return ctl
}

func newControl(t *testing.T) (*Control, *clock) {
	t.Helper()
	clk := newClock()
	c := open(t, filepath.Join(t.TempDir(), "records.db"), clk)
	if made, _, err := c.FirstAdmin(t.Context(), goodPassword); err != nil || !made {
		t.Fatalf("first administrator: %v, %v", made, err)
	}
	return c, clk
}

func mustCreate(t *testing.T, c *Control, name string, role Role, cameras bool) {
	t.Helper()
	if _, err := c.CreateAccount(t.Context(), Account{Username: name, Role: role, Cameras: cameras}, goodPassword); err != nil {
		t.Fatal(err)
	}
}

func mustLogin(t *testing.T, c *Control, name string) (string, Principal) {
	t.Helper()
	cookie, p, err := c.Login(t.Context(), name, goodPassword, "192.0.2.7:5000")
	if err != nil {
		t.Fatal(err)
	}
	return cookie, p
}

// same says whether err is want, or of want's kind: a field, a throttle.
func same(err, want error) bool {
	var f, wf *FieldError
	if errors.As(want, &wf) {
		return errors.As(err, &f) && f.Field == wf.Field
	}
	var th *ThrottledError
	if errors.As(want, new(*ThrottledError)) {
		return errors.As(err, &th) && th.Wait > 0
	}
	return errors.Is(err, want) && (want != nil || err == nil)
}

func TestPermissions(t *testing.T) {
	who := map[string]Principal{
		"nobody":          {},
		"role only":       {Role: Admin, Cameras: true},
		"unknown role":    {Username: "x", Role: "root", Cameras: true},
		"viewer":          {Username: "v", Role: Viewer},
		"viewer, cameras": {Username: "v", Role: Viewer, Cameras: true},
		"operator":        {Username: "o", Role: Operator},
		"admin":           {Username: "a", Role: Admin, Cameras: true},
	}
	granted := map[Permission][]string{
		0:              nil,
		Public:         {"nobody", "role only", "unknown role", "viewer", "viewer, cameras", "operator", "admin"},
		Self:           {"viewer", "viewer, cameras", "operator", "admin"},
		Read:           {"viewer", "viewer, cameras", "operator", "admin"},
		ViewCameras:    {"viewer, cameras", "admin"},
		Acknowledge:    {"operator", "admin"},
		Administer:     {"admin"},
		Administer + 1: nil,
		255:            nil,
	}
	for perm, names := range granted {
		yes := map[string]bool{}
		for _, n := range names {
			yes[n] = true
		}
		for name, p := range who {
			if got := p.May(perm); got != yes[name] {
				t.Errorf("%s may %s: %v", name, perm, got)
			}
		}
		if perm.Valid() != (len(names) > 0) {
			t.Errorf("%s valid: %v", perm, perm.Valid())
		}
	}
}

func TestAccounts(t *testing.T) {
	c, _ := newControl(t)
	viewer, admin, bad, no := Viewer, Admin, Role("root"), false
	short := "short"
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"name pattern", func() error { return create(t, c, "../x", Viewer, goodPassword) }, &FieldError{Field: "username"}},
		{"no role", func() error { return create(t, c, "lan", "", goodPassword) }, &FieldError{Field: "role"}},
		{"short password", func() error { return create(t, c, "lan", Viewer, "123456789") }, &FieldError{Field: "password"}},
		{"runes are counted", func() error { return create(t, c, "lan", Viewer, "ướướướướư") }, &FieldError{Field: "password"}},
		{"password is the name", func() error { return create(t, c, "nguyen-thi-lan", Viewer, "Nguyen-Thi-Lan") }, &FieldError{Field: "password"}},
		{"huge password", func() error { return create(t, c, "lan", Viewer, strings.Repeat("x", 1025)) }, &FieldError{Field: "password"}},
		{"good", func() error { return create(t, c, "lan", Operator, goodPassword) }, nil},
		{"taken", func() error { return create(t, c, "lan", Viewer, goodPassword) }, ErrExists},
		{"taken in other case", func() error { return create(t, c, "LAN", Viewer, goodPassword) }, ErrExists},
		{"update unknown", func() error { return update(t, c, "ba", AccountChange{Role: &viewer}) }, ErrNotFound},
		{"update bad role", func() error { return update(t, c, "lan", AccountChange{Role: &bad}) }, &FieldError{Field: "role"}},
		{"update short password", func() error { return update(t, c, "lan", AccountChange{Password: &short}) }, &FieldError{Field: "password"}},
		{"last admin demoted", func() error { return update(t, c, "admin", AccountChange{Role: &viewer}) }, ErrLastAdmin},
		{"last admin deleted", func() error { return c.DeleteAccount(t.Context(), "admin") }, ErrLastAdmin},
		{"admin without cameras has them", func() error { return update(t, c, "admin", AccountChange{Cameras: &no}) }, nil},
		{"second admin", func() error { return update(t, c, "lan", AccountChange{Role: &admin}) }, nil},
		{"first demoted", func() error { return update(t, c, "admin", AccountChange{Role: &viewer}) }, nil},
		{"first deleted", func() error { return c.DeleteAccount(t.Context(), "admin") }, nil},
		{"again", func() error { return c.DeleteAccount(t.Context(), "admin") }, ErrNotFound},
		{"the second is the last now", func() error { return c.DeleteAccount(t.Context(), "lan") }, ErrLastAdmin},
		{"password of unknown", func() error { return c.SetPassword(t.Context(), "ba", goodPassword) }, ErrNotFound},
	}
	for _, s := range steps {
		if err := s.do(); !same(err, s.want) {
			t.Errorf("%s: %v, want %v", s.name, err, s.want)
		}
	}
	all := c.Accounts()
	if len(all) != 1 || all[0].Username != "lan" || all[0].Role != Admin || !all[0].Cameras {
		t.Errorf("accounts: %+v", all)
	}
	made, random, err := c.FirstAdmin(t.Context(), "")
	if made || random != "" || err != nil {
		t.Errorf("a second first administrator: %v %q %v", made, random, err)
	}
}

func create(t *testing.T, c *Control, name string, role Role, password string) error {
	_, err := c.CreateAccount(t.Context(), Account{Username: name, Role: role}, password)
	return err
}

func update(t *testing.T, c *Control, name string, ch AccountChange) error {
	_, err := c.UpdateAccount(t.Context(), name, ch)
	return err
}

func TestFirstAdmin(t *testing.T) {
	for _, tc := range []struct {
		name, given string
		want        error
	}{
		{"random", "", nil},
		{"given", "tám-chữ", nil},
		{"the name", "Admin", &FieldError{Field: "password"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := open(t, filepath.Join(t.TempDir(), "records.db"), newClock())
			made, random, err := c.FirstAdmin(t.Context(), tc.given)
			if !same(err, tc.want) || made != (tc.want == nil) || (random != "") != (tc.given == "") {
				t.Fatalf("%v %q %v", made, random, err)
			}
			if err != nil {
				return
			}
			password := tc.given + random
			if _, p, err := c.Login(t.Context(), "admin", password, "[::1]:9"); err != nil || !p.May(Administer) || !p.May(ViewCameras) {
				t.Errorf("log-in: %+v, %v", p, err)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	c, _ := newControl(t)
	mustCreate(t, c, "lan", Operator, true)
	for _, tc := range []struct {
		name, user, password string
		want                 error
	}{
		{"good", "lan", goodPassword, nil},
		{"wrong password", "lan", goodPassword + "x", ErrBadLogin},
		{"empty password", "lan", "", ErrBadLogin},
		{"huge password", "lan", strings.Repeat("x", 1<<20), ErrBadLogin},
		{"other case", "Lan", goodPassword, ErrBadLogin},
		{"unknown", "ba", goodPassword, ErrBadLogin},
		{"empty name", "", "", ErrBadLogin},
		{"huge name", strings.Repeat("a", 1<<20), goodPassword, ErrBadLogin},
	} {
		cookie, p, err := c.Login(t.Context(), tc.user, tc.password, "192.0.2.1:80")
		if !same(err, tc.want) || (cookie != "") != (tc.want == nil) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err == nil && (p.Username != "lan" || p.Role != Operator || !p.Cameras || p.Session == "" || p.Token != "") {
			t.Errorf("%s: %+v", tc.name, p)
		}
	}
}

// A stranger's name is hashed like a known one: both wait for the hasher.
func TestUnknownUserIsHashedToo(t *testing.T) {
	c, _ := newControl(t)
	if cost := newHasher().cost; cost.memoryKiB < 19*1024 || cost.time < 2 {
		t.Errorf("hashing costs %+v", cost)
	}
	for range hashingAtOnce {
		c.hasher.running <- struct{}{}
	}
	// The look at the database wants a live context; the next is due a second later.
	if _, err := c.BySession(t.Context(), "x"); err != ErrUnauthenticated {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, user := range []string{"admin", "nobody", "not a name at all!"} {
		if _, _, err := c.Login(ctx, user, goodPassword, "192.0.2.1:80"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestHasherIsBounded(t *testing.T) {
	c, _ := newControl(t)
	for range hashingWaiting {
		c.hasher.waiting <- struct{}{}
	}
	if _, _, err := c.Login(t.Context(), "admin", goodPassword, "192.0.2.1:80"); err != ErrBusy {
		t.Errorf("full queue: %v", err)
	}
	<-c.hasher.waiting
	if _, _, err := c.Login(t.Context(), "admin", goodPassword, "192.0.2.1:80"); err != nil {
		t.Errorf("a place free: %v", err)
	}
}

func TestNoSecretIsStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	c := open(t, path, newClock())
	if _, _, err := c.FirstAdmin(t.Context(), goodPassword); err != nil {
		t.Fatal(err)
	}
	cookie, p := mustLogin(t, c, "admin")
	_, bearer, err := c.CreateToken(t.Context(), p, NewToken{Name: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(bearer, ".")
	if !strings.Contains(string(raw), p.Session) {
		t.Fatal("the session's digest is not in the file: this test looks at the wrong file")
	}
	for _, s := range []string{cookie, secret, goodPassword} {
		if strings.Contains(string(raw), s) {
			t.Errorf("the database holds %q", s)
		}
	}
}

func TestChangePassword(t *testing.T) {
	c, _ := newControl(t)
	mustCreate(t, c, "lan", Operator, false)
	mine, p := mustLogin(t, c, "lan")
	other, _ := mustLogin(t, c, "lan")
	_, bearer, err := c.CreateToken(t.Context(), p, NewToken{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	const fresh = "một-mật-khẩu-mới"
	for _, tc := range []struct {
		name, old, new string
		who            Principal
		want           error
	}{
		{"nobody", goodPassword, fresh, Principal{}, ErrUnauthenticated},
		{"wrong old", "x" + goodPassword, fresh, p, ErrBadLogin},
		{"short new", goodPassword, "short", p, &FieldError{Field: "new"}},
		{"good", goodPassword, fresh, p, nil},
		{"old no more", goodPassword, fresh, p, ErrBadLogin},
	} {
		if err := c.ChangePassword(t.Context(), tc.who, tc.old, tc.new); !same(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := c.BySession(t.Context(), mine); err != nil {
		t.Errorf("the session that changed it: %v", err)
	}
	if _, err := c.BySession(t.Context(), other); err != ErrUnauthenticated {
		t.Errorf("the other session: %v", err)
	}
	if _, err := c.ByToken(t.Context(), bearer); err != nil {
		t.Errorf("a token is a credential of its own: %v", err)
	}
	if _, _, err := c.Login(t.Context(), "lan", fresh, "192.0.2.1:1"); err != nil {
		t.Errorf("log-in with the new: %v", err)
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if h.memoryKiB > 1<<20 || len(h.key) < 16 {
			t.Errorf("%q: accepted %+v", s, h)
		}
		again, err := parsePHC(h.String())
		if err != nil || again.String() != h.String() {
			t.Errorf("%q: written as %q: %v", s, h, err)
		}
	})
}

func TestStoredHashIsRead(t *testing.T) {
	h := newHasher()
	cheap := phc{memoryKiB: 64, time: 1, threads: 1, salt: []byte("saltsalt")}
	key, err := h.key(t.Context(), "old cost", cheap, 32)
	if err != nil {
		t.Fatal(err)
	}
	cheap.key = key
	for _, tc := range []struct {
		password, stored string
		ok, fails        bool
	}{
		{"old cost", cheap.String(), true, false},
		{"other", cheap.String(), false, false},
		{"old cost", "old cost", false, true},
		{"", "", false, false},
	} {
		ok, err := h.verify(t.Context(), tc.password, tc.stored)
		if ok != tc.ok || (err != nil) != tc.fails {
			t.Errorf("%+v: %v, %v", tc, ok, err)
		}
	}
}

// A room full of screens logs in at once, from one address as one account.
func TestManyLogInAtOnce(t *testing.T) {
	c, _ := newControl(t)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, _, err := c.Login(t.Context(), "admin", goodPassword, "192.0.2.1:80"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(c.copy.Load().sessions); n != 30 {
		t.Errorf("%d sessions", n)
	}
}

// Everything at once, for the race detector; and whoever is answered has a role of theirs.
func TestConcurrentUse(t *testing.T) {
	c, _ := newControl(t)
	mustCreate(t, c, "lan", Operator, false)
	cookie, p := mustLogin(t, c, "lan")
	var heard sync.Map
	c.OnRevoke(func(r Revoked) { heard.Store(r, true) })
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 200 {
				if q, err := c.BySession(t.Context(), cookie); err != nil || q.Role != Operator && q.Role != Viewer {
					t.Errorf("%+v %v", q, err)
				}
				c.Renew(p)
				c.Tokens(p)
			}
		})
		wg.Go(func() {
			role := []Role{Viewer, Operator}[i%2]
			for range 5 {
				if err := update(t, c, "lan", AccountChange{Role: &role}); err != nil {
					t.Error(err)
				}
				tok, _, err := c.CreateToken(t.Context(), Principal{Username: "lan", Role: Viewer}, NewToken{Name: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
				} else if err := c.DeleteToken(t.Context(), p, tok.ID); err != nil {
					t.Error(err)
				}
				c.noteUse(t.Context())
			}
		})
	}
	wg.Wait()
	if _, ok := heard.Load(Revoked{Username: "lan"}); !ok {
		t.Error("no word of the changed role")
	}
}
