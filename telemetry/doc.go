// Package telemetry takes observations in, once and durably, and gives them
// back: decoders, checks, Ingest, Latest, and the Log and Store seams.
package telemetry
