// Package tsdb is the embedded engine: a durable log in segment files with
// group commit and consumers, and series that are refilled from it: a head in
// memory, chunks and roll-ups of local days on Pebble. FORMAT.md gives all of
// it to the byte.
package tsdb
