package alerts

import (
	"errors"

	"cuulong/devices"
)

// Errors callers tell apart. Invalid input is FieldErrors, in which errors.As finds a *FieldError.
var (
	ErrNotFound = errors.New("no such rule or alarm")
	ErrExists   = errors.New("rule id is taken")
)

// A rule's faults are told as a device's are; fields as in JSON: "on.above", "scope.zones[2]".
type (
	FieldError  = devices.FieldError
	FieldErrors = devices.FieldErrors
)
