package influxtest

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// Victoria starts a real VictoriaMetrics with its data in dir and returns its
// address; it ends with the test.
func Victoria(t testing.TB, dir string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("victoria-metrics", "-storageDataPath="+dir, "-httpListenAddr="+addr, "-retentionPeriod=100y", "-loggerLevel=ERROR", "-memory.allowedBytes=64MB")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make deps installs it)", err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	deadline := time.NewTimer(startWithin)
	defer deadline.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		resp, err := client.Get("http://" + addr + "/health")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + addr
			}
		}
		select {
		case <-every.C:
		case <-done:
			t.Fatalf("victoria-metrics ended: %s", said.String())
		case <-deadline.C:
			t.Fatal("victoria-metrics does not answer")
		}
	}
}
