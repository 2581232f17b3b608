// Package alerts judges observations by rules and keeps the alarms that
// follow: on and off thresholds with delays, the states an operator works
// with, and a journal of every transition.
//
// It has two halves. Judging (judge.go, scope.go) lives in memory, never waits
// and only notes transitions. Recording (record.go) is the one writer: it
// commits transitions and what people do in one order, each alarm with its
// journal entry in one transaction, and then tells it.
package alerts
