// Package ui is the face: the HTTP API, the live WebSocket hub, and the pages
// embedded in the binary.
package ui
