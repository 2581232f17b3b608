package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemFor makes a self-signed pair for 127.0.0.1, told apart by its serial.
func pemFor(t *testing.T, serial int64, from, to time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// pemFolder holds pairs as Kubernetes and certbot lay them: the names that are
// configured are links through one that is turned from folder to folder.
type pemFolder struct {
	t         *testing.T
	path      string
	cert, key string
}

func newPEMFolder(t *testing.T) *pemFolder {
	p := &pemFolder{t: t, path: t.TempDir()}
	p.cert, p.key = filepath.Join(p.path, "tls.crt"), filepath.Join(p.path, "tls.key")
	for _, link := range []string{p.cert, p.key} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(link)), link); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// lay writes a version whose files were written at a time.
func (p *pemFolder) lay(version string, serial int64, written time.Time) {
	p.t.Helper()
	dir := filepath.Join(p.path, version)
	if err := os.Mkdir(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	cert, key := pemFor(p.t, serial, time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour))
	for name, text := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		overwrite(p.t, filepath.Join(dir, name), text)
		if err := os.Chtimes(filepath.Join(dir, name), written, written); err != nil {
			p.t.Fatal(err)
		}
	}
}

// turn makes a version the one in use, at once.
func (p *pemFolder) turn(version string) {
	p.t.Helper()
	tmp := filepath.Join(p.path, "..tmp")
	if err := os.Symlink(version, tmp); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(p.path, "..data")); err != nil {
		p.t.Fatal(err)
	}
}

// served is the serial of the certificate that a listener shows.
func served(t *testing.T, addr string) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// Kubernetes and certbot turn a link: the new files may be older than those in
// use and of the same size and time as any other.
func TestCertificateLinksAreTurned(t *testing.T) {
	folder := newPEMFolder(t)
	written := time.Now().Add(-time.Hour)
	folder.lay("v1", 1, written)
	folder.lay("v2", 2, written)
	folder.turn("v1")
	addrs, stop := startHere(t, filepath.Join(t.TempDir(), "data"), false, func(c *Config, o *runOptions) {
		c.HTTP.Cert, c.HTTP.Key = folder.cert, folder.key
		c.MQTT.Cert, c.MQTT.Key, c.MQTT.TLSAddr = folder.cert, folder.key, "127.0.0.1:0"
		o.logger = quiet()
	})
	defer stop()
	for _, turn := range []struct {
		version string
		serial  int64
	}{{"v1", 1}, {"v2", 2}, {"v1", 1}} {
		folder.turn(turn.version)
		for name, addr := range map[string]string{"https": addrs.HTTP[0], "mqtts": addrs.MQTT[1]} {
			eventually(t, fmt.Sprintf("%s shows certificate %d", name, turn.serial), func() bool { return served(t, addr) == turn.serial })
		}
	}
}

// ioc check names the file at fault; a server starts with a certificate that has
// expired, and says so.
func TestCheckJudgesCertificates(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		overwrite(t, path, text)
		return path
	}
	write := func(name string, from, to time.Time) (cert, key string) {
		c, k := pemFor(t, 1, from, to)
		return file(name+".crt", c), file(name+".key", k)
	}
	good, goodKey := write("good", now.Add(-time.Hour), now.Add(90*24*time.Hour))
	old, oldKey := write("old", now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	early, earlyKey := write("early", now.Add(24*time.Hour), now.Add(48*time.Hour))
	soon, soonKey := write("soon", now.Add(-time.Hour), now.Add(48*time.Hour))
	for _, c := range []struct {
		what, cert, key, want string
		starts                bool
	}{
		{"good", good, goodKey, "", true},
		{"soon over", soon, soonKey, "", true},
		{"expired", old, oldKey, old + " expired on " + now.Add(-24*time.Hour).UTC().Format("2006-01-02"), true},
		{"not yet", early, earlyKey, early + " is not valid before", true},
		{"another's key", good, oldKey, oldKey + " is not the key of the certificate in " + good, false},
		{"no file", good, filepath.Join(dir, "none"), "none", false},
		{"swapped", goodKey, good, "may have been switched", false},
		{"rubbish", file("rubbish", []byte("hello")), goodKey, "rubbish", false},
		{"too large", file("large", make([]byte, maxPEM+1)), goodKey, "large is larger", false},
	} {
		conf := writeConfig(t, fmt.Sprintf("http: {cert: %q, key: %q}\nmqtt: {cert: %q, key: %q}\n", c.cert, c.key, c.cert, c.key))
		err := checkCmd{File: conf}.Run()
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if c.want != "" && (err == nil || strings.Count(err.Error(), c.want) < 2 || !strings.Contains(err.Error(), "http.cert: ") || !strings.Contains(err.Error(), "mqtt.cert: ")) {
			t.Errorf("%s: %v", c.what, err)
		}
		cfg, err := loadConfig(conf, false, noEnv)
		if (err == nil) != c.starts {
			t.Errorf("%s: a server's start: %v", c.what, err)
		}
		if c.what == "soon over" && (len(cfg.warnings) != 2 || !strings.Contains(cfg.warnings[0], "expires on")) {
			t.Errorf("soon over: %v", cfg.warnings)
		}
	}
}
