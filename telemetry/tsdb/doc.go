// Package tsdb is the embedded engine: a durable log in segment files with
// group commit, and series on Pebble that are refilled from it. FORMAT.md
// gives both to the byte.
package tsdb
