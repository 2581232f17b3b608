package devices

import (
	"fmt"
	"strings"
)

// FieldError says what is wrong with one field of the input.
type FieldError struct {
	Field string // as in JSON: "position.lat", "metrics[2].every_s"
	Why   string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Why }

// FieldErrors are all faults of one input. errors.As finds the single
// *FieldError in it, too.
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

// Add notes a fault of a field.
func (e *FieldErrors) Add(field, why string, args ...any) {
	*e = append(*e, &FieldError{Field: field, Why: fmt.Sprintf(why, args...)})
}

// Err is nil where no fault was added.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
