package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

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

// ioFault says what became of a connection that was read or written. where is a
// clause of ours: "in the head of a message".
func ioFault(err error, where string) *Error {
	var known *Error
	var timeout net.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fault(TimedOut, err, "no answer in time, %s", where)
	}
	return fault(Ended, err, "connection ended %s", where)
}

// dialFault says why no connection came about.
func dialFault(err error) *Error {
	var known *Error
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault(NoSuchHost, err, "the host's name does not resolve")
	case errors.As(err, &dns):
		return fault(NoSuchHost, err, "the host's name cannot be resolved now")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault(Refused, err, "nobody listens on the port")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ENETDOWN):
		return fault(NoRoute, err, "no route to the address")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.As(err, &timeout) && timeout.Timeout():
		return fault(TimedOut, err, "no answer to the connection in time")
	}
	return fault(NoRoute, err, "the connection could not be made")
}
