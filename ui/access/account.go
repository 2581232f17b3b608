package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Account is a person who logs in.
type Account struct {
	Username string    `json:"username"`
	Role     Role      `json:"role"`
	Cameras  bool      `json:"cameras"` // may see pictures; an admin always may
	Created  time.Time `json:"created"`
}

// AccountChange is what an administrator changes; nil leaves a field as it is.
type AccountChange struct {
	Role     *Role
	Cameras  *bool
	Password *string
}

var usernamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CreateAccount makes an account; ErrExists where the name is taken in whatever case.
func (c *Control) CreateAccount(ctx context.Context, a Account, password string) (Account, error) {
	if !usernamePattern.MatchString(a.Username) {
		return Account{}, &FieldError{"username", "letters, digits, '.', '_' and '-', at most 64, a letter or digit first"}
	}
	if a.Role.rank() == 0 {
		return Account{}, &FieldError{"role", "admin, operator or viewer"}
	}
	if err := CheckPassword(a.Username, password); err != nil {
		return Account{}, err
	}
	for name := range c.copy.Load().accounts {
		if strings.EqualFold(name, a.Username) {
			return Account{}, ErrExists
		}
	}
	hash, err := c.hasher.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	a.Created = c.now().UTC().Truncate(time.Millisecond)
	err = c.change(ctx, func(tx *sql.Tx) error {
		var taken int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM access_accounts WHERE LOWER(username) = LOWER($1)`, a.Username).Scan(&taken); err != nil {
			return fmt.Errorf("create account: %w", err)
		}
		if taken > 0 {
			return ErrExists
		}
		return insertAccount(ctx, tx, a, hash)
	})
	if err != nil {
		return Account{}, err
	}
	a.Cameras = a.Cameras || a.Role == Admin // comes with the role, and goes with it
	return a, nil
}

func insertAccount(ctx context.Context, tx *sql.Tx, a Account, hash string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO access_accounts (username, role, cameras, password, created) VALUES ($1, $2, $3, $4, $5)`,
		a.Username, a.Role, a.Cameras, hash, a.Created.UnixMilli())
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	return nil
}

// Accounts lists all accounts by name.
func (c *Control) Accounts() []Account {
	r := c.copy.Load()
	out := make([]Account, 0, len(r.accounts))
	for _, a := range r.accounts {
		out = append(out, a.Account)
	}
	slices.SortFunc(out, func(a, b Account) int { return cmp.Compare(a.Username, b.Username) })
	return out
}

// Account finds an account.
func (c *Control) Account(username string) (Account, bool) {
	a, ok := c.copy.Load().accounts[username]
	return a.Account, ok
}

// UpdateAccount changes an account, at once; its live connections end. With a
// new password its sessions end too. ErrLastAdmin where no administrator would be left.
func (c *Control) UpdateAccount(ctx context.Context, username string, ch AccountChange) (Account, error) {
	if _, ok := c.Account(username); !ok {
		return Account{}, ErrNotFound
	}
	if ch.Role != nil && ch.Role.rank() == 0 {
		return Account{}, &FieldError{"role", "admin, operator or viewer"}
	}
	var hash string
	if ch.Password != nil {
		if err := CheckPassword(username, *ch.Password); err != nil {
			return Account{}, err
		}
		var err error
		if hash, err = c.hasher.hash(ctx, *ch.Password); err != nil {
			return Account{}, err
		}
	}
	err := c.change(ctx, func(tx *sql.Tx) error {
		var role Role
		var cameras bool
		err := tx.QueryRowContext(ctx, `SELECT role, cameras FROM access_accounts WHERE username = $1`, username).Scan(&role, &cameras)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("update account: %w", err)
		}
		was := role
		if ch.Role != nil {
			role = *ch.Role
		}
		if ch.Cameras != nil {
			cameras = *ch.Cameras
		}
		if was == Admin && role != Admin {
			if err := anotherAdmin(ctx, tx, username); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE access_accounts SET role = $1, cameras = $2 WHERE username = $3`, role, cameras, username); err != nil {
			return fmt.Errorf("update account: %w", err)
		}
		if hash != "" {
			return setPassword(ctx, tx, username, hash, "")
		}
		return nil
	})
	if err != nil {
		return Account{}, err
	}
	a, ok := c.Account(username)
	if !ok {
		return Account{}, ErrNotFound
	}
	return a, nil
}

// DeleteAccount deletes an account with its sessions and tokens.
func (c *Control) DeleteAccount(ctx context.Context, username string) error {
	return c.change(ctx, func(tx *sql.Tx) error {
		var role Role
		err := tx.QueryRowContext(ctx, `SELECT role FROM access_accounts WHERE username = $1`, username).Scan(&role)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("delete account: %w", err)
		}
		if role == Admin {
			if err := anotherAdmin(ctx, tx, username); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM access_accounts WHERE username = $1`, username); err != nil {
			return fmt.Errorf("delete account: %w", err)
		}
		return nil
	})
}

func anotherAdmin(ctx context.Context, tx *sql.Tx, username string) error {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM access_accounts WHERE role = 'admin' AND username <> $1`, username).Scan(&n)
	if err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if n == 0 {
		return ErrLastAdmin
	}
	return nil
}

// FirstAdmin makes account admin when there is no administrator yet: with the
// password given, or a random one that it returns. A password given here is the
// operator's own choice and may be short, but not the user name itself.
func (c *Control) FirstAdmin(ctx context.Context, password string) (made bool, random string, err error) {
	const username = "admin"
	for _, a := range c.Accounts() {
		if a.Role == Admin {
			return false, "", nil
		}
	}
	if password == "" {
		password = rand.Text() // 128 bits or more, base32
		random = password
	}
	if strings.EqualFold(password, username) || len(password) > maxPasswordBytes {
		return false, "", &FieldError{"password", "must differ from the user name and have at most 1024 bytes"}
	}
	hash, err := c.hasher.hash(ctx, password)
	if err != nil {
		return false, "", err
	}
	err = c.change(ctx, func(tx *sql.Tx) error {
		// An account of that name without the role can only be left over from a damaged table.
		if _, err := tx.ExecContext(ctx, `DELETE FROM access_accounts WHERE username = $1`, username); err != nil {
			return fmt.Errorf("first administrator: %w", err)
		}
		return insertAccount(ctx, tx, Account{Username: username, Role: Admin, Created: c.now()}, hash)
	})
	if err != nil {
		return false, "", err
	}
	return true, random, nil
}

// SetPassword sets an account's password and ends its sessions (ioc passwd);
// ErrNotFound for an unknown account. Its tokens, which are credentials of
// their own, stay.
func (c *Control) SetPassword(ctx context.Context, username, password string) error {
	_, err := c.UpdateAccount(ctx, username, AccountChange{Password: &password})
	return err
}

// ChangePassword is an account's owner changing the password: the session that
// does it stays, the others end, and all live connections have to come again. ErrBadLogin where old is wrong, *ThrottledError
// after too many such.
func (c *Control) ChangePassword(ctx context.Context, p Principal, old, password string) error {
	if !p.May(Self) {
		return ErrUnauthenticated
	}
	a, err := c.checkPassword(ctx, p.Username, old)
	if err != nil {
		return err
	}
	if err := CheckPassword(p.Username, password); err != nil {
		err.(*FieldError).Field = "new"
		return err
	}
	hash, err := c.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return c.change(ctx, func(tx *sql.Tx) error {
		if err := stillPassword(ctx, tx, a); err != nil {
			return err
		}
		return setPassword(ctx, tx, p.Username, hash, p.Session)
	})
}

// setPassword ends all sessions but keep.
func setPassword(ctx context.Context, tx *sql.Tx, username, hash, keep string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE access_accounts SET password = $1 WHERE username = $2`, hash, username); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM access_sessions WHERE username = $1 AND id <> $2`, username, keep); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// stillPassword fails when the password was changed since a was checked.
func stillPassword(ctx context.Context, tx *sql.Tx, a account) error {
	var stored string
	err := tx.QueryRowContext(ctx, `SELECT password FROM access_accounts WHERE username = $1`, a.Username).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) || err == nil && stored != a.password {
		return ErrBadLogin
	}
	if err != nil {
		return fmt.Errorf("read account: %w", err)
	}
	return nil
}
