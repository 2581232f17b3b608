package alerts

import (
	"errors"
	"fmt"
	"strings"
)

// Errors callers tell apart. Invalid input is FieldErrors, in which errors.As finds a *FieldError.
var (
	ErrNotFound = errors.New("no such rule or alarm")
	ErrExists   = errors.New("rule id is taken")
)

// FieldError says what is wrong with one field of the input.
type FieldError struct {
	Field string // as in JSON: "on.above", "scope.zones[2]"
	Why   string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Why }

// FieldErrors are all faults of one input.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap gives the single faults to errors.As.
func (e FieldErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, f := range e {
		errs[i] = f
	}
	return errs
}

func (e *FieldErrors) add(field, why string, args ...any) {
	*e = append(*e, &FieldError{Field: field, Why: fmt.Sprintf(why, args...)})
}

func (e FieldErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
