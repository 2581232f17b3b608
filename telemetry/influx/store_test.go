package influx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

var databases atomic.Int64

// open opens a store on a new database of the server.
func open(t testing.TB, server *influxtest.Server, o Options) *Store {
	t.Helper()
	o.URL, o.Token, o.Logger = server.URL, influxtest.Token, quiet()
	if o.Bucket == "" {
		o.Bucket = server.Create(t, fmt.Sprintf("province%d", databases.Add(1)))
	}
	if o.minWait == 0 {
		o.minWait, o.maxWait = 5*time.Millisecond, 100*time.Millisecond
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { _ = s.Close() }) })
	return s
}

func TestStore(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	storetest.Run(t, func(t *testing.T) storetest.Engine {
		s := open(t, server, Options{})
		return storetest.Engine{Store: s, Reopen: func(t *testing.T) telemetry.Store {
			server.Kill()
			server.Start(t)
			return open(t, server, Options{Bucket: s.o.Bucket})
		}}
	})
	t.Run("odd names", func(t *testing.T) { oddNames(t, open(t, server, Options{})) })
	t.Run("a test that is replaced", func(t *testing.T) { replacedTest(t, open(t, server, Options{})) })
}

// oddNames: names that telemetry would not let in neither break a line nor a
// query, and what a line cannot carry is refused before it is sent.
func oddNames(t *testing.T, s *Store) {
	names := []string{`a"b`, `a b,c=d`, `${1+1}`, `a\b`, `\"`, "Cửu Long", `") |> drop() //`, `'`, `#`, `a\,b`}
	var list []telemetry.Observation
	for i, name := range names {
		list = append(list, telemetry.Observation{Device: devices.ID(name), Metric: name, At: storetest.T0, Value: float64(i), Flag: telemetry.Fail, Test: name})
	}
	if err := s.Apply(&telemetry.Record{Seq: 1, Observations: list}); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if got := pointsOf(t, s, devices.ID(name), name, 0, maxTime); len(got) != 1 || got[0].Value != float64(i) || got[0].Flag != telemetry.Fail {
			t.Errorf("%s: %v", name, got)
		}
	}
	newest := map[devices.ID]telemetry.Observation{}
	if err := s.Newest(t.Context(), func(o telemetry.Observation) bool { newest[o.Device] = o; return true }); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if newest[devices.ID(name)] != list[i] {
			t.Errorf("newest of %s: %+v", name, newest[devices.ID(name)])
		}
	}
	bad := []telemetry.Observation{at("level", 1e12, math.NaN()), at("level", 1e12, math.Inf(-1)), at("a\nb,c=d e=1i", 1e12, 1), at("", 1e12, 1), at(`a\`, 1e12, 1)}
	err := s.Apply(&telemetry.Record{Seq: 2, Observations: append(bad, at("ph", 1e12, 7))})
	var refused *RefusedError
	if !errors.As(err, &refused) || len(refused.List) != len(bad) || refused.List[0].Reason != StoreRefused {
		t.Errorf("refused %v", err)
	}
	if got := pointsOf(t, s, "sal-1", "ph", 0, maxTime); len(got) != 1 {
		t.Errorf("what stood beside them: %v", got)
	}
}

// replacedTest: a value that passes replaces one that failed, its test and all.
func replacedTest(t *testing.T, s *Store) {
	bad, good := at("level", 1e12, 99), at("level", 1e12, 1)
	bad.Flag, bad.Test = telemetry.Fail, telemetry.TestGrossRange
	shorter := at("ph", 1e12, 1)
	shorter.Flag, shorter.Test = telemetry.Suspect, "spike"
	longer := shorter
	longer.Test = ""
	for seq, o := range []telemetry.Observation{bad, good, shorter, longer} {
		if err := s.Apply(&telemetry.Record{Seq: uint64(seq + 1), Observations: []telemetry.Observation{o}}); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]telemetry.Observation{}
	if err := s.Newest(t.Context(), func(o telemetry.Observation) bool { got[o.Metric] = o; return true }); err != nil {
		t.Fatal(err)
	}
	if got["level"] != good || got["ph"] != longer {
		t.Errorf("newest %+v", got)
	}
}

// TestTLS: over TLS and IPv6, and not past a certificate that nobody vouches for.
func TestTLS(t *testing.T) {
	secure := certificate(t, "::1")
	server := influxtest.Start(t, "::1", secure)
	if !strings.HasPrefix(server.URL, "https://[::1]:") {
		t.Fatal(server.URL)
	}
	bucket := server.Create(t, "tls")
	s := open(t, server, Options{Bucket: bucket, TLS: secure.Client})
	r := &telemetry.Record{Seq: 1, Observations: []telemetry.Observation{at("level", 1e12, 1)}}
	if err := s.Apply(r); err != nil {
		t.Fatal(err)
	}
	if got := pointsOf(t, s, "sal-1", "level", 0, maxTime); len(got) != 1 {
		t.Errorf("points %v", got)
	}
	stranger := open(t, server, Options{Bucket: bucket})
	if err := stranger.Apply(r); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

// certificate makes one for a loopback address.
func certificate(t *testing.T, ip string) *influxtest.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.ParseIP(ip)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := &influxtest.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := errors.Join(os.WriteFile(out.CertFile, certPEM, 0o600), os.WriteFile(out.KeyFile, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	out.Client = &tls.Config{RootCAs: pool}
	return out
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []Options{
		{}, {URL: "http://h:8086"}, {URL: "h:8086", Bucket: "b"}, {URL: "ftp://h", Bucket: "b"}, {URL: "http://u:secret@h", Bucket: "b"}, {URL: "http://[::1", Bucket: "b"},
	} {
		if s, err := Open(o); err == nil || s != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
