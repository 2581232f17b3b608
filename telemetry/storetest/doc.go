// Package storetest is the one suite that every telemetry.Store passes, so
// that an engine can be swapped without the province noticing.
package storetest
