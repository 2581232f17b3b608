package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// logLines keeps a log for a test.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) contains(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), what)
}

// Renewed PEM files are served without a restart, over HTTPS and MQTTS; files
// that do not belong together never are, and connections that stand go on.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfMade(t, dir, "ioc", 1)
	var log logLines
	mqttAddr := freePort(t)
	addrs, stop := startHere(t, t.TempDir(), false, func(c *Config, o *runOptions) {
		c.HTTP.Cert, c.HTTP.Key = cert, key
		c.MQTT.Cert, c.MQTT.Key, c.MQTT.TLSAddr = cert, key, mqttAddr
		o.logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	defer stop()
	trust := func() *tls.Config {
		text, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		return &tls.Config{RootCAs: pool}
	}
	serial := func(addr string) int64 {
		// Which one is served is asked; whether it is trusted is tried below.
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	speaks := func() {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust()}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		resp, err := client.Get("https://" + addrs.HTTP[0] + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		out, err := publish(mqttAddr, "5", deviceLogin{"nobody", "x"}, "devices/nobody/telemetry", "{}", "--cafile", cert)
		if !strings.Contains(strings.ToLower(out), "not authorized") && !strings.Contains(strings.ToLower(out), "bad user") {
			t.Errorf("mosquitto_pub over TLS: %v: %s", err, out) // it got so far as to be refused by name
		}
	}
	speaks()
	standing, err := tls.Dial("tcp", mqttAddr, trust())
	if err != nil {
		t.Fatal(err)
	}
	defer standing.Close()

	// A new certificate whose key is not there yet.
	old, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	selfMade(t, dir, "ioc", 2)
	fresh, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		if err := os.WriteFile(key, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old)
	eventually(t, "the fault is told", func() bool {
		h, m := serial(addrs.HTTP[0]), serial(mqttAddr)
		if h != 1 || m != 1 {
			t.Fatalf("served half renewed: %d, %d", h, m)
		}
		return log.contains("not read again")
	})
	write(fresh)
	eventually(t, "both are renewed", func() bool { return serial(addrs.HTTP[0]) == 2 && serial(mqttAddr) == 2 })
	speaks()
	if _, err := standing.Write([]byte{0x10}); err != nil {
		t.Errorf("a connection that stood: %v", err)
	}

	// Files that are older than those in use, as a copy that keeps times.
	selfMade(t, dir, "ioc", 3)
	past := time.Now().Add(-24 * time.Hour)
	for _, f := range []string{cert, key} {
		if err := os.Chtimes(f, past, past); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the copy is read", func() bool { return serial(addrs.HTTP[0]) == 3 && serial(mqttAddr) == 3 })

	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if serial(addrs.HTTP[0]) != 3 {
		t.Error("without its files it serves none")
	}
}
