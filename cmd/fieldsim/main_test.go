package main

import (
	"net"
	"net/url"
	"testing"

	"github.com/alecthomas/kong"
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
	for _, addr := range []string{c.Province.Broker, l.Load.Broker, host(t, c.Province.API), host(t, l.Load.API)} {
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
	for _, bad := range [][]string{{}, {"audit"}, {"load", "--qos", "two"}, {"province", "--tides", "2"}} {
		if _, err := parse(t, bad...); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := (provinceCmd{}).Run(t.Context()); err == nil {
		t.Error("registered without a token")
	}
	if err := (loadCmd{}).Run(t.Context()); err == nil {
		t.Error("loaded without credentials")
	}
}
