package access

import (
	"errors"
	"fmt"
	"time"
)

// Errors callers tell apart.
var (
	ErrNotFound        = errors.New("no such account or token")
	ErrExists          = errors.New("user name is taken")
	ErrLastAdmin       = errors.New("the last administrator can neither be deleted nor lose the role")
	ErrBadLogin        = errors.New("wrong user name or password")
	ErrUnauthenticated = errors.New("not logged in")
	ErrForbidden       = errors.New("not allowed")
	ErrBusy            = errors.New("too many log-ins at once")
)

// FieldError reports invalid input. Why never repeats the value.
type FieldError struct {
	Field string
	Why   string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Why }

// ThrottledError says that log-in was refused unseen, and how long to wait.
type ThrottledError struct{ Wait time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed log-ins, wait %s", e.Wait.Round(time.Second))
}
