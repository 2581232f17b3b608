// Package alerts judges observations by rules and keeps the alarms that
// follow: on and off thresholds with delays, the states an operator works
// with, and a journal of every transition.
package alerts
