package influxtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who may do everything there.
const (
	user     = "cuulong"
	password = "nine-dragons"
)

// Token is what a client of version 2's interface gives to a server of 1.8.
const Token = user + ":" + password

// startWithin bounds a start and a stop; both take a second on an idle machine.
const startWithin = 60 * time.Second

// Server is one influxd with log-in and Flux, on a loopback port of its own,
// its data in a folder of the test. It ends with the test.
type Server struct {
	URL string // http://127.0.0.1:port, the same after Start again

	dir  string
	tls  *TLS
	http *http.Client
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// TLS makes the server speak it.
type TLS struct {
	CertFile, KeyFile string
	Client            *tls.Config // that trusts it
}

// Start starts a server; host is a loopback address, without brackets.
func Start(t testing.TB, host string, secure *TLS) *Server {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "http://" + addr, dir: t.TempDir(), tls: secure}
	transport := &http.Transport{DisableKeepAlives: true}
	if secure != nil {
		s.URL, transport.TLSClientConfig = "https://"+addr, secure.Client
	}
	s.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	if err := os.WriteFile(filepath.Join(s.dir, "influxd.toml"), []byte(s.config(addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	s.Start(t)
	s.Do(t, fmt.Sprintf("CREATE USER %s WITH PASSWORD '%s' WITH ALL PRIVILEGES", user, password))
	return s
}

// binary is where .ci/tools puts influxd.
func binary() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache")
	}
	path := filepath.Join(cache, "cuulong", "influxd-1.8.10", "influxd")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no influxd: make deps builds it: %w", err)
	}
	return path, nil
}

func (s *Server) config(addr string) string {
	tlsLines := ""
	if s.tls != nil {
		tlsLines = fmt.Sprintf("https-enabled = true\nhttps-certificate = %q\nhttps-private-key = %q\n", s.tls.CertFile, s.tls.KeyFile)
	}
	return fmt.Sprintf(`
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
query-log-enabled = false
cache-snapshot-write-cold-duration = "2s"
compact-full-write-cold-duration = "3s"
[http]
enabled = true
bind-address = %q
auth-enabled = true
flux-enabled = true
log-enabled = false
%s
[monitor]
store-enabled = false
[continuous_queries]
enabled = false
[logging]
level = "warn"
`, filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "data"), filepath.Join(s.dir, "wal"), addr, tlsLines)
}

// Start starts it again, on the same port and data, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.OpenFile(filepath.Join(s.dir, "said"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command(path, "-config", filepath.Join(s.dir, "influxd.toml"))
	cmd.Env = append(os.Environ(), "INFLUXDB_CONFIG_PATH=")
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // by a signal, mostly
	}()
	s.cmd, s.done = cmd, done
	deadline := time.NewTimer(startWithin)
	defer deadline.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		resp, err := s.http.Get(s.URL + "/ping")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-every.C:
		case <-done:
			t.Fatalf("influxd ended: %s", s.said())
		case <-deadline.C:
			t.Fatalf("influxd does not answer: %v: %s", err, s.said())
		}
	}
}

func (s *Server) said() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "said"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// Kill ends it as kill -9 does.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends it in order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	_ = s.cmd.Process.Signal(signal) // it may have ended
	<-s.done
}

// Pid is the process, for measuring it.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// DataDir is where its series stand, for measuring them.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// Create makes a database and returns its bucket, "db/autogen", which keeps everything.
func (s *Server) Create(t testing.TB, db string) (bucket string) {
	t.Helper()
	s.Do(t, fmt.Sprintf("CREATE DATABASE %q", db))
	return db + "/autogen"
}

// Do runs a statement of InfluxQL and returns the answer's JSON.
func (s *Server) Do(t testing.TB, statement string) string {
	t.Helper()
	body, err := s.post(t.Context(), "/query?u="+user+"&p="+password, "application/x-www-form-urlencoded", url.Values{"q": {statement}}.Encode())
	if err != nil || strings.Contains(body, `"error"`) {
		t.Fatalf("%s: %s %v", statement, body, err)
	}
	return body
}

// Write writes lines with times in ms, as somebody else than us might.
func (s *Server) Write(t testing.TB, db, lines string) {
	t.Helper()
	if _, err := s.post(t.Context(), "/write?precision=ms&db="+url.QueryEscape(db)+"&u="+user+"&p="+password, "text/plain", lines); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) post(ctx context.Context, path, kind, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := s.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode >= 300 {
		return "", errors.New(resp.Status + ": " + b.String())
	}
	return b.String(), nil
}
