package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// certificate is a PEM pair that is read again when its files change, so that
// a renewed certificate needs no restart. The last good one stays in use: while
// one file is new and the other old, or half of one is written, the two do not
// fit each other. What counts is what the files say, not when they were written,
// since a link may be turned to an older file.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger // nil: nothing is said

	mu      sync.Mutex
	pair    *tls.Certificate
	used    pemPair
	refused pemPair   // what was read last and could not be used
	checked time.Time // when the files were last looked at
}

// pemPair is what the two files say.
type pemPair struct{ cert, key []byte }

func (p pemPair) equal(q pemPair) bool {
	return bytes.Equal(p.cert, q.cert) && bytes.Equal(p.key, q.key)
}

const (
	lookAgain = time.Second // how often the files are looked at, at most
	maxPEM    = 1 << 20     // bytes of a file; a long chain has ten thousand
)

func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	now, err := c.read()
	if err != nil {
		return nil, err
	}
	if c.pair, err = c.parse(now); err != nil {
		return nil, err
	}
	c.used = now
	return c, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= lookAgain || now.Before(c.checked) {
		c.checked = now
		c.look()
	}
	return c.pair, nil
}

// look takes up what the files say now, if it can be used. mu is held.
func (c *certificate) look() {
	now, err := c.read()
	if err == nil && (now.equal(c.used) || now.equal(c.refused)) {
		return
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = c.parse(now)
	}
	if err != nil {
		if c.log != nil && (c.refused.cert == nil || !now.equal(c.refused)) {
			c.log.Warn("certificate not read again; the one before stays in use", "err", err)
		}
		c.refused = pemPair{append([]byte{}, now.cert...), now.key}
		return
	}
	c.pair, c.used, c.refused = pair, now, pemPair{}
	if c.log != nil {
		c.log.Info("certificate read again", "cert", c.certFile, "expires", pair.Leaf.NotAfter)
	}
}

func (c *certificate) read() (p pemPair, err error) {
	if p.cert, err = readPEM(c.certFile); err == nil {
		p.key, err = readPEM(c.keyFile)
	}
	if err != nil {
		return pemPair{}, err
	}
	return p, nil
}

func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s is larger than a PEM file can be", file)
	}
	return text, nil
}

// parse says which of the two files is at fault. The leaf is parsed with the pair.
func (c *certificate) parse(p pemPair) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(p.cert, p.key)
	switch {
	case err == nil:
		return &pair, nil
	case strings.Contains(err.Error(), "does not match"):
		return nil, fmt.Errorf("%s is not the key of the certificate in %s", c.keyFile, c.certFile)
	default:
		return nil, fmt.Errorf("read %s and %s: %w", c.certFile, c.keyFile, err)
	}
}

// expirySoon is how long before its end a certificate is talked of: those of
// Let's Encrypt are renewed 30 days before.
const expirySoon = 14 * 24 * time.Hour

// validity says that the certificate is not valid at a time (err), or not for long (note).
func (c *certificate) validity(now time.Time) (note string, err error) {
	leaf := c.pair.Leaf
	switch {
	case now.Before(leaf.NotBefore):
		return "", fmt.Errorf("%s is not valid before %s", c.certFile, leaf.NotBefore.Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return "", fmt.Errorf("%s expired on %s", c.certFile, leaf.NotAfter.Format(time.RFC3339))
	case leaf.NotAfter.Sub(now) < expirySoon:
		return fmt.Sprintf("%s expires on %s", c.certFile, leaf.NotAfter.Format(time.RFC3339)), nil
	}
	return "", nil
}
