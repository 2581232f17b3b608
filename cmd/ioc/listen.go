package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// listen opens addr for the configuration key. localhost means both loopbacks,
// an empty host all addresses of both families; a taken port is named.
func listen(key, addr string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	addrs := []string{addr}
	if host == "localhost" {
		addrs = []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
	}
	var out []net.Listener
	for _, a := range addrs {
		l, err := net.Listen("tcp", a)
		switch {
		case err == nil:
			out = append(out, l)
		case len(addrs) > 1 && strings.HasPrefix(a, "[") &&
			(errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)):
			// A machine without IPv6 still has its other loopback.
		default:
			closeAll(out)
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fmt.Errorf("%s: %s is in use by another program", key, a)
			}
			return nil, fmt.Errorf("%s: cannot listen on %s: %w", key, a, err)
		}
	}
	return out, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}

func addrsOf(ls []net.Listener) []string {
	out := make([]string, len(ls))
	for i, l := range ls {
		out[i] = l.Addr().String()
	}
	return out
}
