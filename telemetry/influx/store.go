package influx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"
	"github.com/prometheus/client_golang/prometheus"

	"cuulong/telemetry"
)

// Options name an InfluxDB.
type Options struct {
	URL    string // http or https; IPv6 addresses in brackets
	Token  string // 1.8: "user:password"
	Org    string // 1.8: empty
	Bucket string // 1.8: "database/retention policy"

	TLS     *tls.Config // nil: the machine's authorities
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	// SetAside gets the points that the database refuses, with the reasons below,
	// and returns when they are kept. Without it Apply returns a *RefusedError.
	// What was in flight when the process ended may come again.
	SetAside func(ctx context.Context, list []telemetry.SetAside) error

	BatchPoints int // of one write, 5,000 by default
	BatchBytes  int // of one write, 1 MiB by default

	minWait, maxWait time.Duration // between attempts; tests shorten them
}

// The bounds of a write, and the waits between attempts while the database is away.
const (
	defaultBatchPoints = 5000
	defaultBatchBytes  = 1 << 20

	minWait = 250 * time.Millisecond
	maxWait = 15 * time.Second

	writeWithin  = 30 * time.Second // one attempt to write
	answerWithin = 60 * time.Second // until a query's answer begins
	applyTries   = 5                // attempts of Apply; the Forwarder's are not counted
)

// Store is series in an InfluxDB: a telemetry.Store. A value
// is readable once its write was answered, in the order in which they were written.
// Safe for concurrent use, but that Apply has one caller at a time.
type Store struct {
	o         Options
	log       *slog.Logger
	client    influxdb2.Client
	transport *http.Transport
	write     api.WriteAPIBlocking
	query     api.QueryAPI
	count     counters
	others    others

	mu      sync.Mutex
	applied uint64 // guarded by mu; the newest record that Apply brought in
}

// Open checks the options. It dials nothing: a database that is away answers later.
func Open(o Options) (*Store, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("influx: the address is not an http or https one")
	}
	if u.User != nil {
		return nil, errors.New("influx: the address holds a user; use the token")
	}
	if o.Bucket == "" {
		return nil, errors.New("influx: no bucket")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.BatchPoints <= 0 {
		o.BatchPoints = defaultBatchPoints
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = defaultBatchBytes
	}
	if o.minWait <= 0 {
		o.minWait, o.maxWait = minWait, maxWait
	}
	s := &Store{o: o, log: o.Logger, count: newCounters()}
	if o.Metrics != nil {
		if err := s.count.register(o.Metrics); err != nil {
			return nil, err
		}
	}
	s.transport = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       o.TLS,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: answerWithin,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		DisableCompression:    true, // the database stands near, and its processor is the bottleneck
	}
	// No overall timeout, which the library would set to 20 s: a year of CSV is read as slowly as its reader reads.
	opts := influxdb2.DefaultOptions().
		SetHTTPClient(&http.Client{Transport: identity{s.transport}}).
		SetPrecision(time.Millisecond).
		SetApplicationName("cuulong")
	s.client = influxdb2.NewClientWithOptions(o.URL, o.Token, opts)
	s.write = s.client.WriteAPIBlocking(o.Org, o.Bucket)
	s.query = s.client.QueryAPI(o.Org)
	return s, nil
}

// identity takes back the library's wish for gzip: it would close the
// decompressor but not the body under it, and so lose a connection a query.
type identity struct{ next *http.Transport }

func (i identity) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Accept-Encoding") != "" {
		req = req.Clone(req.Context())
		req.Header.Del("Accept-Encoding")
	}
	return i.next.RoundTrip(req)
}

// Close lets go of the connections. Nothing may run beside it.
func (s *Store) Close() error {
	s.client.Close()
	s.transport.CloseIdleConnections()
	return nil
}

// Apply writes a record's observations; one that was applied before changes nothing.
// It tries a few times. What the database refuses goes to SetAside, or is a
// *RefusedError once the rest was written. After a restart the order is the
// caller's: records come again from its place on, up to the newest.
func (s *Store) Apply(r *telemetry.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Seq <= s.applied {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), applyTries*writeWithin)
	defer cancel()
	var b batch
	for i := range r.Observations {
		b.add(&r.Observations[i])
	}
	if err := s.deliver(ctx, &b, applyTries); err != nil {
		var refused *RefusedError
		if errors.As(err, &refused) {
			s.applied = r.Seq
		}
		return fmt.Errorf("influx: record %d: %w", r.Seq, err)
	}
	s.applied = r.Seq
	return nil
}

var _ telemetry.Store = (*Store)(nil)
