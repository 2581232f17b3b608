package main

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"cuulong/cmd/fieldsim/field"
)

func parse(t *testing.T, args ...string) (commands, error) {
	t.Helper()
	t.Setenv("IOC_TOKEN", "")
	var c commands
	k, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(args)
	return c, err
}

// Whoever starts it without thinking talks to this machine alone.
func TestDefaultsAreLoopback(t *testing.T) {
	c, err := parse(t, "province")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parse(t, "load")
	if err != nil {
		t.Fatal(err)
	}
	cams, err := parse(t, "cameras")
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{c.Province.Broker, l.Load.Broker, host(t, c.Province.API), host(t, l.Load.API), cams.Cameras.Addr} {
		h, _, err := net.SplitHostPort(addr)
		if err != nil || !net.ParseIP(h).IsLoopback() {
			t.Errorf("%q: %v", addr, err)
		}
	}
	if c.Province.Tide != 1 || !c.Province.Propose || c.Province.Reset || l.Load.QoS != 1 {
		t.Errorf("%+v\n%+v", c.Province, l.Load)
	}
}

func host(t *testing.T, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestFlags(t *testing.T) {
	c, err := parse(t, "province", "--tide", "60", "--fault-late", "0.1", "--no-propose")
	if err != nil || c.Province.Tide != 60 || c.Province.Faults.Late != 0.1 || c.Province.Propose {
		t.Errorf("%+v, %v", c.Province, err)
	}
	c, err = parse(t, "cameras", "--count", "50", "--fault-jump", "1h", "--fault-sdp", "lone", "--faulty", "cam-1,cam-2", "--stamp")
	if err != nil || c.Cameras.Count != 50 || c.Cameras.Faults != (field.CameraFaults{Jump: time.Hour, SDP: "lone"}) ||
		len(c.Cameras.Faulty) != 2 || !c.Cameras.Stamp {
		t.Errorf("%+v, %v", c.Cameras, err)
	}
	c, err = parse(t, "viewers", "--camera", "cam-1", "--count", "200", "--for", "5s")
	if err != nil || c.Viewers.Camera != "cam-1" || c.Viewers.Count != 200 || c.Viewers.For != 5*time.Second {
		t.Errorf("%+v, %v", c.Viewers, err)
	}
	for _, bad := range [][]string{{}, {"audit"}, {"load", "--qos", "two"}, {"province", "--tides", "2"}, {"viewers"},
		{"cameras", "--fault-sdp", "none"}, {"cameras", "--clip", "not-there.h264"}} {
		if _, err := parse(t, bad...); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := (provinceCmd{}).Run(t.Context()); err == nil {
		t.Error("registered without a token")
	}
	if err := (viewersCmd{}).Run(t.Context()); err == nil {
		t.Error("looked without a token")
	}
	if err := (loadCmd{}).Run(t.Context()); err == nil {
		t.Error("loaded without credentials")
	}
}

// Cameras serve until they are interrupted, and then leave nothing behind.
func TestCamerasServeUntilInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := (camerasCmd{Addr: "127.0.0.1:0"}).Run(ctx); err != nil {
		t.Error(err)
	}
	if err := (camerasCmd{Addr: "127.0.0.1:0", Clip: "main.go", FPS: 25}).Run(t.Context()); err == nil {
		t.Error("a text was played")
	}
}

// A broker's address is host:port or a URL, IPv6 as well as IPv4; what it is
// not is told without repeating it.
func TestBrokerAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"127.0.0.1:1883":           "127.0.0.1:1883",
		"[::1]:1884":               "[::1]:1884",
		"mqtt://broker.example.vn": "broker.example.vn:1883",
		"mqtts://[2001:db8::1]":    "[2001:db8::1]:8883 2001:db8::1",
		"mqtts://b.example.vn:88":  "b.example.vn:88 b.example.vn",
	} {
		got, secure, err := speech{Broker: raw}.broker()
		if secure != nil {
			got += " " + secure.ServerName
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "http://a", "mqtt://u:geheim@a", "a:b", "::1:1883", "mqtt://a/b"} {
		if _, _, err := (speech{Broker: raw}).broker(); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if _, _, err := (speech{Broker: "mqtts://a", server: server{CA: "testdata/none.pem"}}).broker(); err == nil {
		t.Error("authorities that are not there")
	}
}

// The authorities of --ca are trusted wherever the API is asked, and no others.
func TestAPITrustsItsAuthorities(t *testing.T) {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusTeapot) }))
	defer api.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{true, false} {
		c := auditCmd{server: server{API: api.URL, Token: "t"}}
		if trusted {
			c.CA = ca
		}
		stored, err := c.stored()
		if err != nil {
			t.Fatal(err)
		}
		err = stored(t.Context(), "a", "salinity", 0, 1, func(int64, float64) bool { return true })
		var heard *field.StatusError
		if errors.As(err, &heard) != trusted {
			t.Errorf("trusted %v: %v", trusted, err)
		}
	}
}
