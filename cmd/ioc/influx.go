package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/devices/mqtt"
	"cuulong/telemetry"
	"cuulong/telemetry/influx"
	"cuulong/telemetry/tsdb"
)

// influxFaults lists what is wrong with store.influx; bad names a key. The
// variable's name is not repeated: it may be the token, put in the wrong place.
func (c *Config) influxFaults(bad func(key, format string, args ...any)) {
	in := c.Store.Influx
	switch u, err := url.Parse(in.URL); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("store.influx.url", "is not an http or https address such as http://10.0.0.5:8086 or https://[fd00::5]:8086")
	case u.User != nil:
		bad("store.influx.url", "holds a user; the token goes into the variable that store.influx.token_env names")
	}
	if in.CA != "" {
		if _, err := mqtt.ReadCA(in.CA); err != nil {
			bad("store.influx.ca", "%v", err)
		}
		if !strings.HasPrefix(in.URL, "https:") {
			bad("store.influx.ca", "is for https; the url is without TLS")
		}
	}
	if in.Bucket == "" {
		bad("store.influx.bucket", "is empty; for InfluxDB 1.8 it is database/retention policy, such as ioc/autogen")
	}
	switch {
	case in.TokenEnv == "":
		c.warnings = append(c.warnings, "store.influx.token_env is not set: InfluxDB is spoken to without log-in")
	case c.influxToken == "":
		bad("store.influx.token_env", "the environment has no variable of that name, or it is empty")
	}
}

// outside is the series elsewhere, where there are any: the engine that answers
// queries while the embedded one stays in front, with the log that feeds it.
type outside struct {
	embedded *tsdb.DB
	influx   *influx.Store     // nil: the embedded engine answers
	ingest   *telemetry.Ingest // keeps what the other engine refuses; set by forward
	shared   bool              // others feed that engine from the same subscription
	log      *slog.Logger
	metrics  prometheus.Registerer
}

func openOutside(cfg Config, embedded *tsdb.DB, log *slog.Logger, metrics prometheus.Registerer) (*outside, error) {
	o := &outside{embedded: embedded, log: log, metrics: metrics, shared: cfg.MQTT.External.Share != ""}
	switch cfg.Store.Engine {
	case "influx":
		in := cfg.Store.Influx
		var secure *tls.Config
		if in.CA != "" {
			authorities, err := mqtt.ReadCA(in.CA)
			if err != nil {
				return nil, fmt.Errorf("store.influx.ca: %w", err)
			}
			secure = &tls.Config{RootCAs: authorities}
		}
		var err error
		o.influx, err = influx.Open(influx.Options{
			URL: in.URL, Token: cfg.influxToken, Org: in.Org, Bucket: in.Bucket, TLS: secure,
			Logger: log, Metrics: metrics, SetAside: o.setAside,
		})
		if err != nil {
			return o, err
		}
	}
	return o, o.forgetOthers()
}

// forgetOthers ends the places of databases that were: the log need not wait for them.
func (o *outside) forgetOthers() error {
	var errs []error
	for _, name := range o.embedded.Consumers() {
		if !influx.IsConsumer(name) || o.influx != nil && name == o.influx.Consumer() {
			continue
		}
		if o.influx != nil {
			o.log.Warn("no place in the log is known for this InfluxDB: what the log still holds is written to it; export-data writes what is older")
		}
		errs = append(errs, o.embedded.Forget(name))
	}
	return errors.Join(errs...)
}

// series answers queries.
func (o *outside) series() telemetry.Store {
	if o.influx != nil {
		return o.influx
	}
	return o.embedded
}

// forward feeds the other engine from the log until ctx ends, and brings in what
// others have fed to it where they share a subscription with us.
func (o *outside) forward(ctx context.Context, ingest *telemetry.Ingest, latest *telemetry.Latest, registry *devices.Registry) (run func(), err error) {
	if o.influx == nil {
		return func() {}, nil
	}
	o.ingest = ingest
	f, err := influx.NewForwarder(o.influx, influx.Forwarding{Feed: o.embedded, Head: o.embedded.Head, Logger: o.log, Metrics: o.metrics})
	if err != nil {
		return nil, err
	}
	return func() {
		var running sync.WaitGroup
		defer running.Wait()
		running.Go(func() { o.ended("forwarding to InfluxDB", f.Run(ctx)) })
		if o.shared {
			running.Go(func() {
				known := func(id devices.ID) bool { _, ok := registry.Get(id); return ok }
				o.ended("following InfluxDB", o.influx.Follow(ctx, influx.Following{Latest: latest, Known: known, Logger: o.log, Metrics: o.metrics, Take: o.take}))
			})
		}
	}, nil
}

func (o *outside) ended(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		o.log.Error(what+" has ended", "err", err)
	}
}

func (o *outside) take(ctx context.Context, list []telemetry.Observation) error {
	return o.ingest.Write(ctx, telemetry.Batch{Observations: list})
}

func (o *outside) setAside(ctx context.Context, list []telemetry.SetAside) error {
	err := o.ingest.Write(ctx, telemetry.Batch{SetAside: list})
	if errors.Is(err, telemetry.ErrSetAside) {
		return nil // kept, which is all that was asked
	}
	return err
}

func (o *outside) close() error {
	if o.influx == nil {
		return nil
	}
	return o.influx.Close()
}
