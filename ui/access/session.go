package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

const (
	sessionIdle = 12 * time.Hour     // ends when unused for so long
	sessionLife = 7 * 24 * time.Hour // ends in any case
	sessionsMax = 200                // of an account; the longest unused gives way
)

// ends is when the session ends if it is not used again, Unix ms.
func (s *session) ends() int64 {
	return min(s.seen.Load()+sessionIdle.Milliseconds(), s.created+sessionLife.Milliseconds())
}

// newSecret has 256 bits.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is how a secret is stored. It is random and long, so a plain hash suffices.
func digest(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

// Login exchanges user name and password for a session; cookie is its secret,
// for ioc_session. remoteAddr is the peer's host:port.
// Errors: ErrBadLogin, *ThrottledError, ErrBusy, or the database's.
func (c *Control) Login(ctx context.Context, username, password, remoteAddr string) (cookie string, p Principal, err error) {
	addr := addressKey(remoteAddr)
	if err := c.byAddress.begin(ctx, addr, c.now); err != nil {
		return "", Principal{}, err
	}
	// Also what `ioc passwd` has set a moment ago; beside a hash, a look costs nothing.
	err = c.lookAfter(ctx, 0)
	var a account
	if err == nil {
		a, err = c.checkPassword(ctx, username, password)
	}
	// A right password does not prove an address: others may sit behind it, or guess besides.
	c.byAddress.end(addr, c.now(), guess(err, untried))
	if err != nil {
		return "", Principal{}, err
	}
	return c.begin(ctx, a)
}

// guess is what an attempt's error says of who made it.
func guess(err error, good outcome) outcome {
	switch err {
	case nil:
		return good
	case ErrBadLogin:
		return failed
	}
	return untried
}

// checkPassword finds the account that username and password name. An unknown
// account takes the same time and is throttled alike.
func (c *Control) checkPassword(ctx context.Context, username, password string) (account, error) {
	// A name that nobody can have needs no memory of its own in the throttle.
	key := ""
	if usernamePattern.MatchString(username) {
		key = strings.ToLower(username)
	}
	if err := c.byAccount.begin(ctx, key, c.now); err != nil {
		return account{}, err
	}
	a, err := c.compare(ctx, username, password)
	c.byAccount.end(key, c.now(), guess(err, proved))
	return a, err
}

func (c *Control) compare(ctx context.Context, username, password string) (account, error) {
	a := c.copy.Load().accounts[username]
	if len(password) > maxPasswordBytes {
		password = "" // nobody's; hashed all the same
	}
	ok, err := c.hasher.verify(ctx, password, a.password)
	if err == nil && !ok {
		err = ErrBadLogin
	}
	if err != nil {
		return account{}, err
	}
	return a, nil
}

// begin makes a session for an account whose password (or link) was good.
func (c *Control) begin(ctx context.Context, a account) (cookie string, p Principal, err error) {
	cookie = newSecret()
	id, now := digest(cookie), c.now()
	err = c.change(ctx, func(tx *sql.Tx) error {
		if err := stillPassword(ctx, tx, a); err != nil {
			return err
		}
		if err := c.makeRoom(ctx, tx, a.Username); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO access_sessions (id, username, created, seen) VALUES ($1, $2, $3, $3)`,
			id, a.Username, now.UnixMilli())
		return err
	})
	if err != nil {
		return "", Principal{}, err
	}
	p, ok := c.copy.Load().bySession(id, now)
	if !ok { // deleted between commit and here
		return "", Principal{}, ErrBadLogin
	}
	return cookie, p, nil
}

// makeRoom ends the longest unused session of an account that has too many.
func (c *Control) makeRoom(ctx context.Context, tx *sql.Tx, username string) error {
	var oldest *session
	n := 0
	for _, s := range c.copy.Load().sessions {
		if s.username != username {
			continue
		}
		n++
		if oldest == nil || s.seen.Load() < oldest.seen.Load() {
			oldest = s
		}
	}
	if n < sessionsMax {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM access_sessions WHERE id = $1`, oldest.id)
	return err
}

// BySession answers who a session cookie is, and counts as use of the session.
// ErrUnauthenticated where it is nobody's or has ended.
func (c *Control) BySession(ctx context.Context, cookie string) (Principal, error) {
	if cookie == "" || len(cookie) > 256 {
		return Principal{}, ErrUnauthenticated
	}
	if err := c.look(ctx); err != nil {
		return Principal{}, err
	}
	p, ok := c.copy.Load().bySession(digest(cookie), c.now())
	if !ok {
		return Principal{}, ErrUnauthenticated
	}
	return p, nil
}

// Renew says whether a principal's session or token still stands, and who it is
// now. It counts as use of the session, so a live connection that calls it with
// each heartbeat keeps the wall logged in. In memory; never blocks.
func (c *Control) Renew(p Principal) (Principal, bool) {
	r := c.copy.Load()
	switch {
	case p.Session != "":
		return r.bySession(p.Session, c.now())
	case p.Token != "":
		return r.byToken(p.Token, c.now())
	}
	return Principal{}, false
}

// Logout ends the principal's session. A token is not ended by it.
func (c *Control) Logout(ctx context.Context, p Principal) error {
	if p.Session == "" {
		return nil
	}
	return c.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM access_sessions WHERE id = $1`, p.Session)
		return err
	})
}

// noteUse writes down when sessions were last used. A failure is made good a minute later.
func (c *Control) noteUse(ctx context.Context) {
	c.writing.Lock()
	defer c.writing.Unlock()
	used := map[*session]int64{}
	for _, s := range c.copy.Load().sessions {
		if seen := s.seen.Load(); seen > s.noted {
			used[s] = seen
		}
	}
	if len(used) == 0 {
		return
	}
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	defer tx.Rollback()
	for s, seen := range used {
		if _, err := tx.ExecContext(ctx, `UPDATE access_sessions SET seen = $1 WHERE id = $2 AND seen < $1`, seen, s.id); err != nil {
			return
		}
	}
	if tx.Commit() != nil {
		return
	}
	for s, seen := range used {
		s.noted = seen
	}
}

// sweep deletes the sessions that have ended.
func (c *Control) sweep(ctx context.Context) {
	now := c.now().UnixMilli()
	var ended []string
	for id, s := range c.copy.Load().sessions {
		if now >= s.ends() {
			ended = append(ended, id)
		}
	}
	if len(ended) == 0 {
		return
	}
	// An ended session is refused whether or not it is deleted; the next sweep tries again.
	_ = c.change(ctx, func(tx *sql.Tx) error {
		for _, id := range ended {
			if _, err := tx.ExecContext(ctx, `DELETE FROM access_sessions WHERE id = $1`, id); err != nil {
				return fmt.Errorf("end sessions: %w", err)
			}
		}
		return nil
	})
}
