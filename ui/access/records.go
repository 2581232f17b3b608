package access

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"
)

// records is the copy of the database in memory. Only `seen` changes once it is made.
type records struct {
	version  int64
	accounts map[string]account
	sessions map[string]*session
	tokens   map[string]token
}

type account struct {
	Account
	password string // PHC string
}

type session struct {
	id       string
	username string
	created  int64
	noted    int64        // last use, as the database knows it
	seen     atomic.Int64 // last use
}

type token struct {
	Token
	hash   string
	parent string
}

func readRecords(ctx context.Context, db *sql.DB) (*records, error) {
	// One transaction, so that the version is that of the rows.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	r := &records{accounts: map[string]account{}, sessions: map[string]*session{}, tokens: map[string]token{}}
	if err := tx.QueryRowContext(ctx, `SELECT n FROM access_version WHERE id = 1`).Scan(&r.version); err != nil {
		return nil, err
	}
	err = each(ctx, tx, `SELECT username, role, cameras, password, created FROM access_accounts`, func(rows *sql.Rows) error {
		var a account
		var created int64
		if err := rows.Scan(&a.Username, &a.Role, &a.Cameras, &a.password, &created); err != nil {
			return err
		}
		a.Created = time.UnixMilli(created).UTC()
		a.Cameras = a.Cameras || a.Role == Admin
		r.accounts[a.Username] = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, tx, `SELECT id, username, created, seen FROM access_sessions`, func(rows *sql.Rows) error {
		s := &session{}
		if err := rows.Scan(&s.id, &s.username, &s.created, &s.noted); err != nil {
			return err
		}
		s.seen.Store(s.noted)
		r.sessions[s.id] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, tx, `SELECT id, username, COALESCE(parent, ''), name, role, cameras, hash, created, expires FROM access_tokens`, func(rows *sql.Rows) error {
		var t token
		var created int64
		var expires sql.NullInt64
		if err := rows.Scan(&t.ID, &t.Username, &t.parent, &t.Name, &t.Role, &t.Cameras, &t.hash, &created, &expires); err != nil {
			return err
		}
		t.Created = time.UnixMilli(created).UTC()
		if expires.Valid {
			e := time.UnixMilli(expires.Int64).UTC()
			t.Expires = &e
		}
		r.tokens[t.ID] = t
		return nil
	})
	return r, err
}

func each(ctx context.Context, tx *sql.Tx, query string, f func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// keepUse carries over when sessions were last used, which the database learns late.
func (r *records) keepUse(old *records) {
	if old == nil {
		return
	}
	for id, s := range r.sessions {
		if o := old.sessions[id]; o != nil {
			// The old copy's session is kept, so that a use noted on it while we reload is not lost.
			o.noted = s.noted
			r.sessions[id] = o
		}
	}
}

// lostIn lists whose connections end when r gives way to fresh: accounts that
// changed or went, sessions and tokens that went.
func (r *records) lostIn(fresh *records) []Revoked {
	var out []Revoked
	if r == nil {
		return nil
	}
	for name, a := range r.accounts {
		b, ok := fresh.accounts[name]
		if !ok || a.Role != b.Role || a.Cameras != b.Cameras || !a.Created.Equal(b.Created) || a.password != b.password {
			out = append(out, Revoked{Username: name})
		}
	}
	for id := range r.sessions {
		if fresh.sessions[id] == nil {
			out = append(out, Revoked{Session: id})
		}
	}
	for id := range r.tokens {
		if _, ok := fresh.tokens[id]; !ok {
			out = append(out, Revoked{Token: id})
		}
	}
	return out
}

// expired lists the sessions and tokens that ended with time in (after, until].
func (r *records) expired(after, until time.Time) []Revoked {
	var out []Revoked
	for id, s := range r.sessions {
		if e := s.ends(); e > after.UnixMilli() && e <= until.UnixMilli() {
			out = append(out, Revoked{Session: id})
		}
	}
	for id, t := range r.tokens {
		if t.Expires != nil && t.Expires.After(after) && !t.Expires.After(until) {
			out = append(out, Revoked{Token: id})
		}
	}
	return out
}

// bySession answers who a session is now.
func (r *records) bySession(id string, now time.Time) (Principal, bool) {
	s := r.sessions[id]
	if s == nil || now.UnixMilli() >= s.ends() {
		return Principal{}, false
	}
	a, ok := r.accounts[s.username]
	if !ok {
		return Principal{}, false
	}
	for ms := now.UnixMilli(); ; {
		old := s.seen.Load()
		if old >= ms || s.seen.CompareAndSwap(old, ms) {
			break
		}
	}
	return Principal{Username: a.Username, Role: a.Role, Cameras: a.Cameras, Session: id}, true
}

// byToken answers who a token is now: never more than its account.
func (r *records) byToken(id string, now time.Time) (Principal, bool) {
	t, ok := r.tokens[id]
	if !ok || t.Expires != nil && !now.Before(*t.Expires) {
		return Principal{}, false
	}
	a, ok := r.accounts[t.Username]
	if !ok {
		return Principal{}, false
	}
	return Principal{Username: a.Username, Role: lower(a.Role, t.Role), Cameras: a.Cameras && t.Cameras, Token: id}, true
}
