// Package rtsp speaks RTSP 1.0 (RFC 2326) over TCP with cameras of any maker:
// a client that no camera can hurt, and a small server that serves access units
// again. RTP is interleaved; media are H.264 (RFC 6184) and AAC (RFC 3640).
package rtsp
