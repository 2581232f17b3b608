package rtsp

import "fmt"

// Code is the machine's word for what is wrong with a camera; people are told
// in their own language by it.
type Code string

// What can be wrong, from the network inwards.
const (
	NoSuchHost       Code = "no_such_host"      // the name does not resolve
	AddressRefused   Code = "address_refused"   // on a network where no camera may stand
	NoRoute          Code = "no_route"          // no way to the address
	Refused          Code = "refused"           // nobody listens on the port
	TimedOut         Code = "timeout"           // no answer in time
	NotRTSP          Code = "not_rtsp"          // something else listens there
	Unauthorized     Code = "unauthorized"      // wrong user or password, or none
	Forbidden        Code = "forbidden"         // this user may not
	NotFound         Code = "not_found"         // no such path
	Redirected       Code = "redirected"        // to another host, or in a circle
	UnsupportedCodec Code = "unsupported_codec" // no video that we and browsers can play
	NoVideo          Code = "no_video"          // no video at all
	BadStatus        Code = "bad_status"        // any other answer than 200
	BadDescription   Code = "bad_description"   // SDP that cannot be read
	Protocol         Code = "protocol"          // an answer that breaks RTSP or RTP
	TooLarge         Code = "too_large"         // a length beyond every bound
	Silent           Code = "silent"            // connected, but nothing comes
	NoKeyFrame       Code = "no_key_frame"      // pictures come, but none to begin with
	Ended            Code = "ended"             // the camera closed the connection
)

// Error says what went wrong with a camera. Its text holds nothing that the
// camera said but numbers and checked names, and no part of the URL: neither a
// secret nor a forged line gets into a log by it.
type Error struct {
	Code   Code
	Detail string // English, one clause: "401 Unauthorized after digest authentication"
	cause  error
}

func (e *Error) Error() string { return e.Detail }

func (e *Error) Unwrap() error { return e.cause }

func fault(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), cause: cause}
}
