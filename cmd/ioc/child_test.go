package main

import (
	"fmt"
	"os"
)

// These make the test binary play another process: a reference that the
// benchmarks measure beside ours.
const (
	childFlag = "IOC_TEST_CHILD"
	childArgs = "IOC_TEST_CHILD_ARGS"
)

// childRoles are what it can play.
var childRoles = map[string]func() error{}

// runAsChild plays the role asked for and says whether there was one.
func runAsChild() bool {
	role := os.Getenv(childFlag)
	if role == "" {
		return false
	}
	play, ok := childRoles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "no role %q\n", role)
		os.Exit(2)
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}
