// Package video knows the province's cameras, keeps one supervised connection
// to each, and relays their pictures: muxed once, the same bytes to all viewers.
package video
