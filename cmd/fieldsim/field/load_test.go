package field

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestLoadIsStoredAndAudited(t *testing.T) {
	for _, version := range []byte{4, 5} {
		for _, batch := range []int{1, 8, 13, 200} {
			t.Run(fmt.Sprintf("v%d batch %d", version, batch), func(t *testing.T) {
				f := newFar(t)
				dir := t.TempDir()
				const messages = 300
				r, err := Load(t.Context(), LoadOptions{Broker: f.addr, Connections: 3, Inflight: 16, Batch: batch, QoS: 1,
					Version: version, Messages: messages, Ledger: dir, Seed: 7})
				if err != nil {
					t.Fatal(err)
				}
				want := int64(messages * batch)
				if r.Sent != messages || r.Acked != messages || r.Observations != want || r.Unacked+r.Resent+r.Reconnects+r.Strange != 0 {
					t.Errorf("%+v", r)
				}
				if r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 || r.Elapsed <= 0 || r.Rate() <= 0 {
					t.Errorf("latencies: %+v", r)
				}
				if got := f.observations(); int64(got) != want || f.again+f.other+f.bad != 0 {
					t.Errorf("%d of %d observations at the far end, %d again, %d altered, %d unreadable", got, want, f.again, f.other, f.bad)
				}
				a, err := Audit(t.Context(), dir, f.stored)
				if err != nil || !a.OK() || a.Devices != 3 || a.Sent != want || a.Acked != want || a.Stored != want {
					t.Errorf("%+v, %v", a, err)
				}
			})
		}
	}
}

func TestLoadAtQoS0(t *testing.T) {
	f := newFar(t)
	dir := t.TempDir()
	all := make(chan struct{})
	n := 0
	f.heard = func(string, []byte) {
		if n++; n == 500 {
			close(all)
		}
	}
	r, err := Load(t.Context(), LoadOptions{Broker: f.addr, Connections: 2, Messages: 500, Ledger: dir, Rate: 5000})
	if err != nil || r.Sent != 500 || r.Acked != 0 || r.Unacked != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		t.Fatalf("%d of 500 came", f.observations())
	}
	a, err := Audit(t.Context(), dir, f.stored)
	if err != nil || !a.OK() || a.Acked != 0 || a.Stored != 500 {
		t.Errorf("%+v, %v", a, err)
	}
}

// A broker that takes messages without acknowledging them and then dies gets
// them again, with DUP and the same times, and no acknowledgement is lost.
func TestLoadSurvivesARestart(t *testing.T) {
	for _, version := range []byte{4, 5} {
		f := newFar(t)
		dir := t.TempDir()
		const inflight, messages = 8, 400
		stuck := make(chan struct{})
		kept, held, dups := 0, 0, 0
		f.judge = func(pk packets.Packet) error {
			if pk.FixedHeader.Dup {
				dups++
			}
			if kept < 100 {
				kept++
				return nil
			}
			if held++; held == inflight {
				close(stuck)
			}
			if held%2 == 0 { // stored, but the acknowledgement never goes out
				f.keep(pk.TopicName, pk.Payload)
			}
			return packets.ErrRejectPacket
		}
		type outcome struct {
			r   LoadResult
			err error
		}
		done := make(chan outcome, 1)
		go func() {
			r, err := Load(t.Context(), LoadOptions{Broker: f.addr, Inflight: inflight, Batch: 3, QoS: 1, Version: version,
				Messages: messages, Ledger: dir})
			done <- outcome{r, err}
		}()
		<-stuck
		f.cut()
		f.with(func() { f.judge = func(pk packets.Packet) error { dups += b2i(pk.FixedHeader.Dup); return nil } })
		f.start(f.addr)
		o := <-done
		if o.err != nil || o.r.Acked != messages || o.r.Unacked != 0 || o.r.Reconnects < 1 || o.r.Resent < inflight {
			t.Fatalf("%+v, %v", o.r, o.err)
		}
		if dups < inflight || f.again == 0 || f.other != 0 {
			t.Errorf("v%d: %d with DUP, %d observations again, %d altered", version, dups, f.again, f.other)
		}
		a, err := Audit(t.Context(), dir, f.stored)
		if err != nil || !a.OK() || a.Acked != messages*3 {
			t.Errorf("%+v, %v", a, err)
		}
		f.cut()
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A load speaks TLS, over IPv4 and IPv6, comes again over it, keeps its ledger
// at least as durable as asked, and ends at once where the certificate cannot
// be trusted.
func TestLoadOverTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which is of 127.0.0.1 and ::1
	defer web.Close()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		f := newFarAt(t, addr, web.TLS)
		dir := t.TempDir()
		const messages = 600
		half := make(chan struct{})
		n := 0
		f.judge = func(packets.Packet) error {
			if n++; n == messages/2 {
				close(half)
			}
			return nil
		}
		var again sync.WaitGroup
		again.Go(func() {
			<-half
			f.cut()
			f.start(f.addr)
		})
		o := LoadOptions{Broker: f.addr, TLS: web.Client().Transport.(*http.Transport).TLSClientConfig, Connections: 3, QoS: 1,
			Messages: messages, Ledger: dir, SyncEach: true}
		r, err := Load(t.Context(), o)
		again.Wait()
		if err != nil || r.Acked != messages || r.Unacked != 0 || r.Reconnects < 1 {
			t.Fatalf("%s: %+v, %v", addr, r, err)
		}
		if a, err := Audit(t.Context(), dir, f.stored); err != nil || !a.OK() || a.Acked != messages {
			t.Errorf("%s: %+v, %v", addr, a, err)
		}
		o.TLS, o.Ledger = &tls.Config{RootCAs: x509.NewCertPool()}, ""
		var untrusted *tls.CertificateVerificationError
		if _, err := Load(t.Context(), o); !errors.As(err, &untrusted) {
			t.Errorf("%s: a stranger's certificate gave %v", addr, err)
		}
	}
}

// What a v5 broker acknowledges with a reason counts apart and need not be stored.
func TestLoadRecordsReasons(t *testing.T) {
	f := newFar(t)
	dir := t.TempDir()
	n := 0
	f.judge = func(packets.Packet) error {
		if n++; n%10 == 0 {
			return packets.ErrPayloadFormatInvalid
		}
		return nil
	}
	r, err := Load(t.Context(), LoadOptions{Broker: f.addr, QoS: 1, Version: 5, Messages: 100, Ledger: dir})
	if err != nil || r.Acked != 90 || r.Refused[0x99] != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	a, err := Audit(t.Context(), dir, f.stored)
	if err != nil || !a.OK() || a.Refused != 10 || a.Stored != 90 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestLoadGoesOnWithItsLedger(t *testing.T) {
	f := newFar(t)
	o := LoadOptions{Broker: f.addr, Connections: 2, QoS: 1, Batch: 5, Messages: 60, Ledger: t.TempDir()}
	for range 3 {
		if r, err := Load(t.Context(), o); err != nil || r.Acked != 60 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	a, err := Audit(t.Context(), o.Ledger, f.stored)
	if err != nil || !a.OK() || a.Acked != 900 || f.again+f.other != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	o.Seed = 1
	if _, err := Load(t.Context(), o); err == nil {
		t.Error("went on with a ledger of another seed")
	}
}

func TestLoadIsRefused(t *testing.T) {
	f := newFar(t)
	for _, version := range []byte{4, 5} {
		_, err := Load(t.Context(), LoadOptions{Broker: f.addr, QoS: 1, Version: version,
			Logins: []Login{{Username: "load-0001", Password: "wrong"}}})
		if !errors.Is(err, errRefused) {
			t.Errorf("v%d: %v", version, err)
		}
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	f := newFar(t)
	stuck := make(chan struct{})
	n := 0
	f.judge = func(packets.Packet) error {
		if n++; n == 4 {
			close(stuck)
		}
		return packets.ErrRejectPacket // never acknowledged
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-stuck; cancel() }()
	r, err := Load(ctx, LoadOptions{Broker: f.addr, QoS: 1, Inflight: 4})
	if err != nil || r.Sent != 4 || r.Unacked != 4 || r.Acked != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	// And where nobody listens.
	f.cut()
	r, err = Load(t.Context(), LoadOptions{Broker: f.addr, QoS: 1, Duration: 50 * time.Millisecond, Drain: 50 * time.Millisecond})
	if err != nil || r.Sent != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestLoadOptionsAreChecked(t *testing.T) {
	good := LoadOptions{Broker: "127.0.0.1:1"}
	for name, spoil := range map[string]func(*LoadOptions){
		"no broker":    func(o *LoadOptions) { o.Broker = "" },
		"QoS 2":        func(o *LoadOptions) { o.QoS = 2 },
		"version 3":    func(o *LoadOptions) { o.Version = 3 },
		"window":       func(o *LoadOptions) { o.Inflight = 65_536 },
		"batch":        func(o *LoadOptions) { o.Batch = 10_001 },
		"few logins":   func(o *LoadOptions) { o.Connections = 2; o.Logins = []Login{{Username: "a"}} },
		"bad id":       func(o *LoadOptions) { o.Logins = []Login{{Username: "a/b"}} },
		"minus a rate": func(o *LoadOptions) { o.Rate = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := Load(t.Context(), o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A paced connection keeps its rate, does not catch up on what it missed, and
// holds its timestamps near the clock.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{every: 10 * time.Millisecond, due: time.Now(), out: bufio.NewWriter(io.Discard)}
		took := func(n int) time.Duration {
			t.Helper()
			before := time.Now()
			for range n {
				if err := p.pace(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(before)
		}
		if d := took(101); d != time.Second {
			t.Errorf("101 messages at 100/s took %v", d)
		}
		time.Sleep(time.Minute) // away
		if d := took(101); d != time.Second {
			t.Errorf("after a minute away 101 messages took %v", d)
		}
		p.row = time.Now().Add(clockLead + 3*time.Second).UnixMilli()
		if d := took(1); d < 3*time.Second || d > 3*time.Second+time.Millisecond {
			t.Errorf("waited %v for the clock", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.due = time.Now().Add(time.Hour)
		if err := p.pace(ctx, nil); err != nil {
			t.Error(err)
		}
		lost := make(chan error, 1)
		lost <- io.EOF
		if err := p.pace(t.Context(), lost); err != io.EOF {
			t.Errorf("a lost connection gave %v", err)
		}
	})
}

func TestLatencyBuckets(t *testing.T) {
	var l latencies
	if l.quantile(.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for us := uint64(0); us < 1<<40; us = us*33/32 + 1 {
		i := bucket(us)
		if top := bucketTop(i); top < us || float64(top) > float64(us)*1.035+1 || bucket(top) != i || bucket(top+1) != i+1 {
			t.Fatalf("%d µs in bucket %d up to %d", us, i, top)
		}
	}
	for us := range 1000 {
		l.add(time.Duration(us+1) * time.Microsecond)
	}
	if p := l.quantile(.5); p < 500*time.Microsecond || p > 520*time.Microsecond {
		t.Errorf("p50 %v", p)
	}
	if p := l.quantile(.99); p < 990*time.Microsecond || p > time.Millisecond {
		t.Errorf("p99 %v", p)
	}
}
