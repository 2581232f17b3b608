package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Token is a credential of a program that acts for an account; its secret is shown once.
type Token struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Username string     `json:"username"`
	Role     Role       `json:"role"`
	Cameras  bool       `json:"cameras"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
}

// NewToken is what is asked for: Role "" and Cameras nil mean as the maker's.
type NewToken struct {
	Name    string
	Role    Role
	Cameras *bool
	Expires *time.Time
}

const tokensMax = 1000 // of an account

// CreateToken makes a token for p's own account and returns the bearer string,
// once. It never may more than p: a higher role is ErrForbidden. A token made
// by a token lives no longer than that one and goes with it.
func (c *Control) CreateToken(ctx context.Context, p Principal, n NewToken) (Token, string, error) {
	if !p.May(Self) {
		return Token{}, "", ErrUnauthenticated
	}
	t := Token{Name: strings.TrimSpace(n.Name), Username: p.Username, Role: n.Role, Cameras: p.Cameras,
		Created: c.now().UTC().Truncate(time.Millisecond)}
	if t.Name == "" || len(t.Name) > 200 || !utf8.ValidString(t.Name) || strings.ContainsFunc(t.Name, unicode.IsControl) {
		return Token{}, "", &FieldError{"name", "1 to 200 bytes of text"}
	}
	if t.Role == "" {
		t.Role = p.Role
	}
	if t.Role.rank() == 0 {
		return Token{}, "", &FieldError{"role", "admin, operator or viewer"}
	}
	if t.Role.rank() > p.Role.rank() {
		return Token{}, "", ErrForbidden
	}
	if n.Cameras != nil {
		t.Cameras = t.Cameras && *n.Cameras
	}
	if n.Expires != nil {
		if !n.Expires.After(c.now()) {
			return Token{}, "", &FieldError{"expires", "lies in the past"}
		}
		e := n.Expires.UTC().Truncate(time.Millisecond)
		t.Expires = &e
	}
	var id [8]byte
	rand.Read(id[:])
	t.ID = hex.EncodeToString(id[:])
	secret := newSecret()
	err := c.change(ctx, func(tx *sql.Tx) error { return c.insertToken(ctx, tx, p, &t, digest(secret)) })
	if err != nil {
		return Token{}, "", err
	}
	return t, t.ID + "." + secret, nil
}

func (c *Control) insertToken(ctx context.Context, tx *sql.Tx, p Principal, t *Token, hash string) error {
	r := c.copy.Load()
	// Asked again under the lock: the maker may have gone since it was authenticated.
	if _, ok := r.accounts[p.Username]; !ok {
		return ErrUnauthenticated
	}
	n := 0
	for _, o := range r.tokens {
		if o.Username == p.Username {
			n++
		}
	}
	if n >= tokensMax {
		return &FieldError{"name", fmt.Sprintf("the account has %d tokens already", tokensMax)}
	}
	var parent sql.NullString
	if p.Token != "" {
		maker, ok := r.tokens[p.Token]
		if !ok {
			return ErrUnauthenticated
		}
		parent = sql.NullString{String: p.Token, Valid: true}
		if maker.Expires != nil && (t.Expires == nil || t.Expires.After(*maker.Expires)) {
			t.Expires = maker.Expires
		}
	}
	var expires sql.NullInt64
	if t.Expires != nil {
		expires = sql.NullInt64{Int64: t.Expires.UnixMilli(), Valid: true}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO access_tokens (id, username, parent, name, role, cameras, hash, created, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.ID, t.Username, parent, t.Name, t.Role, t.Cameras, hash, t.Created.UnixMilli(), expires)
	if err != nil {
		return fmt.Errorf("create token: %w", err)
	}
	return nil
}

// ByToken answers who a bearer token is. ErrUnauthenticated where it is
// nobody's or has expired.
func (c *Control) ByToken(ctx context.Context, bearer string) (Principal, error) {
	id, secret, ok := strings.Cut(bearer, ".")
	if !ok || len(bearer) > 256 {
		return Principal{}, ErrUnauthenticated
	}
	if err := c.look(ctx); err != nil {
		return Principal{}, err
	}
	r := c.copy.Load()
	if subtle.ConstantTimeCompare([]byte(digest(secret)), []byte(r.tokens[id].hash)) != 1 {
		return Principal{}, ErrUnauthenticated
	}
	p, ok := r.byToken(id, c.now())
	if !ok {
		return Principal{}, ErrUnauthenticated
	}
	return p, nil
}

// Tokens lists the tokens p may see, by creation: their own, all for an administrator.
func (c *Control) Tokens(p Principal) []Token {
	var out []Token
	for _, t := range c.copy.Load().tokens {
		if p.sees(t.Token) {
			out = append(out, t.Token)
		}
	}
	slices.SortFunc(out, func(a, b Token) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Token finds a token that p may see.
func (c *Control) Token(p Principal, id string) (Token, bool) {
	t, ok := c.copy.Load().tokens[id]
	if !ok || !p.sees(t.Token) {
		return Token{}, false
	}
	return t.Token, true
}

func (p Principal) sees(t Token) bool {
	return p.May(Self) && t.Username == p.Username || p.May(Administer)
}

// DeleteToken ends a token and those it made; ErrNotFound where p may not see it.
func (c *Control) DeleteToken(ctx context.Context, p Principal, id string) error {
	if _, ok := c.Token(p, id); !ok {
		return ErrNotFound
	}
	return c.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM access_tokens WHERE id = $1`, id); err != nil {
			return fmt.Errorf("delete token: %w", err)
		}
		return nil
	})
}
