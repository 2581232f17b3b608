package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// brokerRules and brokerLimits are what the README tells to configure at an
// outside mosquitto; a test holds the two together.
const (
	brokerRules  = "pattern write devices/%u/#\npattern write gateways/%u/telemetry\n\nuser ioc\ntopic read devices/#\ntopic read gateways/#\n"
	brokerLimits = "allow_anonymous false\npersistence true\nautosave_interval 60\nmax_inflight_messages 1000\nmax_queued_messages 0\n"
)

// mosquitto is a real one with TLS for us, and without for the devices of a
// load, under the README's rules. Everybody's password is brokerPassword.
type mosquitto struct {
	t          testing.TB
	tls, plain string // addresses
	ca         string // PEM file
	dir        string
	cmd        *exec.Cmd
}

const brokerPassword = "mật-khẩu-của-broker"

func startMosquitto(t testing.TB, users ...string) *mosquitto {
	t.Helper()
	m := &mosquitto{t: t, dir: t.TempDir()}
	m.tls, m.plain = freePort(t), freePort(t)
	cert, key := selfMade(t, m.dir, "broker", 1)
	m.ca = cert
	m.write("acl", brokerRules)
	passwords := m.write("passwords", "")
	for _, u := range append(users, "ioc") {
		if out, err := exec.Command("mosquitto_passwd", "-b", passwords, u, brokerPassword).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v %s", err, out)
		}
	}
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	conf := brokerLimits + fmt.Sprintf("acl_file %s/acl\npassword_file %s\npersistence_location %s/\nlog_dest file %s/log\n"+
		"listener %s 127.0.0.1\nlistener %s 127.0.0.1\ncertfile %s\nkeyfile %s\n",
		m.dir, passwords, m.dir, m.dir, port(m.plain), port(m.tls), cert, key)
	if os.Getuid() == 0 {
		conf += "user root\n" // the folder is ours
	}
	m.write("conf", conf)
	m.start()
	t.Cleanup(func() {
		if m.cmd != nil {
			_ = m.cmd.Process.Kill()
			_ = m.cmd.Wait()
		}
	})
	return m
}

func (m *mosquitto) write(name, text string) string {
	m.t.Helper()
	file := filepath.Join(m.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return file
}

func (m *mosquitto) start() {
	m.t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not in everybody's path; .ci/deps installs it
	}
	m.cmd = exec.Command(path, "-c", filepath.Join(m.dir, "conf"))
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, "mosquitto listens", func() bool {
		c, err := net.DialTimeout("tcp", m.tls, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// selfMade writes a certificate for the loopbacks, which is its own authority,
// and its key.
func selfMade(t testing.TB, dir, name string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		file = filepath.Join(dir, file)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write(name+".pem", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", secret)
}

func TestReadmeTellsTheRulesThatAreTested(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{brokerRules, brokerLimits} {
		if !strings.Contains(string(text), want) {
			t.Errorf("README.md does not say\n%s", want)
		}
	}
}
