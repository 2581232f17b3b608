package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
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

// certificate is a PEM pair that is read again when its files change, so that
// a renewed certificate needs no restart. The last good one stays in use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger // told of what is read again; nil: nobody

	mu      sync.Mutex
	pair    *tls.Certificate
	seen    [2]fileStamp // of the files that were read last, well or not
	checked time.Time
}

// fileStamp tells whether a file was written since. An older time counts, too:
// a copy may keep the one of its original.
type fileStamp struct {
	modified time.Time
	size     int64
}

// lookAgain is how often, at most, the files are looked at.
const lookAgain = time.Second

func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.seen = c.stamps()
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.checked) < lookAgain {
		return c.pair, nil
	}
	c.checked = now
	stamps := c.stamps()
	if stamps == c.seen {
		return c.pair, nil
	}
	c.seen = stamps // before reading: what is written meanwhile is seen next time
	switch err := c.reload(); {
	case c.log == nil:
	case err != nil:
		// Between the writing of one file and the other this is usual.
		c.log.Warn("certificate not read again; the one before stays in use", "err", err)
	default:
		c.log.Info("certificate read again", "file", c.certFile)
	}
	return c.pair, nil
}

func (c *certificate) stamps() (s [2]fileStamp) {
	for i, f := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(f); err == nil {
			s[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read %s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair = &pair
	return nil
}
