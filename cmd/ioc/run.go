package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/devices/mqtt"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
	"cuulong/ui"
	"cuulong/ui/access"
	"cuulong/video"
)

// An orderly stop takes less than 5 s, whoever is connected: the edge and the
// face drain at the same time, and then their connections are cut. A request
// takes milliseconds, and a browser keeps sockets open that it never used.
const (
	edgeDrain = 2500 * time.Millisecond
	faceDrain = time.Second
)

// Addrs are the addresses that a running ioc listens on.
type Addrs struct {
	HTTP, MQTT []string
}

// runOptions are what run needs beside its configuration.
type runOptions struct {
	demo   bool
	logger *slog.Logger
	out    io.Writer   // what a person must read once: first password, login link
	ready  func(Addrs) // nil: nobody waits
}

// run is the whole server, in the order in which it starts; its defers are the
// order in which it stops: listeners, edge, ingest, engine, hub, stores, records.
func run(ctx context.Context, cfg Config, o runOptions) error {
	log := o.logger
	for _, w := range cfg.warnings {
		log.Warn(w)
	}
	for _, err := range cfg.outdated {
		log.Error("certificate", "err", err)
	}

	// What it stands on.
	dir, err := openDataDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	if err := tsdb.CheckRoom(dir.path); err != nil { // before the records', which would not name the disk
		return err
	}
	if err := dir.beforeMigration(ctx, log); err != nil {
		return err
	}
	db, err := openRecords(dir.path)
	if err != nil {
		return err
	}
	defer db.Close()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// Records.
	control, err := access.Open(ctx, db)
	if err != nil {
		return err
	}
	atlas, err := geo.Open(ctx, db)
	if err != nil {
		return err
	}
	const onRiverM = 3000 // a station farther from every centre line stands on no river
	registry, err := devices.Open(ctx, db, func(p geo.Point) (geo.Chainage, bool) { return atlas.Snap(p, onRiverM) })
	if err != nil {
		return err
	}
	// Judgement, cameras and face come below: each tells the face, and the face asks them.
	var face *ui.Server
	cameras, err := video.Open(ctx, db, video.Options{
		Keys: dir.keys(), Allow: cfg.videoAllow(), Logger: log, Metrics: metrics,
		OnChange: func(c video.Change) { face.CameraChanged(c) },
	})
	if err != nil {
		return err
	}

	// Series.
	series, err := tsdb.Open(dir.series(), tsdb.Options{Logger: log, Metrics: metrics, Retention: cfg.Retention.policy()})
	if err != nil {
		return err
	}
	defer closing(log, "series", series.Close)
	elsewhere, err := openOutside(cfg, series, log, metrics)
	if err != nil {
		return err
	}
	defer closing(log, "series elsewhere", elsewhere.close)
	latest, clocks := telemetry.NewLatest(), telemetry.NewClocks()
	if err := latest.Load(ctx, series); err != nil {
		return err
	}
	var province *demoProvince
	if o.demo {
		if province, err = seedDemo(ctx, registry, atlas, latest, series, time.Now()); err != nil {
			return err
		}
	}
	for _, ob := range latest.All() {
		registry.Heard(ob.Device, time.UnixMilli(ob.Seen))
	}

	// Judgement and face.
	judging := alerts.Options{
		Registry: registry, Atlas: atlas, Latest: latest, Logger: log, Metrics: metrics,
		OnEvent: func(e alerts.Event) { face.Event(e) },
	}
	if cfg.Alerts.Enabled {
		judging.Feed, judging.Store = series, series
	} else if err := series.Forget(alerts.Consumer); err != nil {
		return err
	}
	engine, err := alerts.Open(ctx, db, judging)
	if err != nil {
		return err
	}
	if o.demo {
		if err := province.rules(ctx, engine); err != nil {
			return err
		}
	}
	space := &disk{log: log, dir: dir.path, space: series.Space, tell: engine.Condition, text: diskTexts[cfg.Locale]}
	httpListeners, err := listen("http.addr", cfg.HTTP.Addr)
	if err != nil {
		return err
	}
	defer closeAll(httpListeners)
	mqttListeners, err := listenMQTT(cfg.MQTT, log)
	if err != nil {
		return err
	}
	defer closeAll(mqttListeners)
	// Not before: a password that is shown once is not shown by a start that fails.
	if err := firstAdmin(ctx, control, cfg.adminPassword, o.out); err != nil {
		return err
	}
	face, err = ui.New(ui.Options{
		Access: control, Registry: registry, Atlas: atlas, Latest: latest, Store: elsewhere.series(), Quarantine: series, Clocks: clocks, Alerts: engine, Cameras: cameras,
		DB: db, Logger: log, Metrics: metrics, Ready: space.ready, Version: versionText(), Demo: o.demo,
		MQTTAddr: mqttListeners[0].Addr().String(), Locale: cfg.Locale,
	})
	if err != nil {
		return err
	}
	defer closing(log, "live hub", face.Close)
	if err := dir.migrated(log); err != nil {
		return err
	}
	desk := serveOperator(dir, series, log)
	defer closing(log, "control socket", desk.close)

	// What changes on one side is told to the others.
	registry.OnChange(func(c devices.Change) { face.DeviceChanged(c); engine.DeviceChanged(c.ID) })
	atlas.OnChange(func() { registry.Resnap(); engine.Rescope() })

	// From here on things run.
	var running sync.WaitGroup
	defer running.Wait()
	late, stopLate := context.WithCancel(context.WithoutCancel(ctx)) // ends after the edge is drained
	defer stopLate()
	running.Go(func() { _ = control.Run(late) })
	if o.demo {
		stopFilming, err := province.film(ctx, log, cameras)
		if err != nil {
			return err
		}
		defer stopFilming()
	}
	running.Go(func() { _ = cameras.Run(late) })
	if cfg.Alerts.Enabled {
		running.Go(func() {
			if err := engine.Run(late); err != nil && !errors.Is(err, context.Canceled) {
				log.Error("alarm engine stopped", "err", err)
			}
		})
	}
	words := newWords(registry, log)
	running.Go(func() { words.run(late) })
	var edge *mqtt.Broker
	ingest := telemetry.NewIngest(telemetry.Options{
		Limits: limitsOf(registry), Clocks: clocks,
		Attributes: words.take,
		Log:        series, Store: series, Latest: latest, Logger: log, Metrics: metrics,
		OnStored: func(r *telemetry.Record) {
			heard(registry, r.Observations)
			if cfg.Alerts.Enabled {
				engine.Observe(r)
			}
			face.Mark(r.Observations)
		},
		OnCommit: func() { edge.Flush() },
	})
	defer closing(log, "ingest", ingest.Close)
	registry.OnChange(func(devices.Change) { ingest.LimitsChanged() })
	space.err = func() error { return cmp.Or(ingest.Err(), series.Err()) }
	if cfg.Alerts.Enabled {
		running.Go(func() { space.run(late) })
	}
	forward, err := elsewhere.forward(late, ingest, latest, registry)
	if err != nil {
		return err
	}
	running.Go(forward)
	handle := (&intake{registry: registry, ingest: ingest, words: words}).handle
	edge, err = mqtt.New(mqtt.Options{Registry: registry, Log: log, Metrics: metrics, Handle: handle})
	if err != nil {
		return err
	}
	closeEdge := func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), edgeDrain)
		defer cancel()
		if err := edge.Close(stop); err != nil {
			log.Warn("edge did not drain", "err", err)
		}
	}
	defer closeEdge() // unless it was closed with the listeners
	broker, err := startOutsideBroker(cfg, dir, mqtt.ExternalOptions{Registry: registry, Log: log, Metrics: metrics, Handle: handle})
	if err != nil {
		return err
	}
	defer broker.close(ctx)

	// Listeners last.
	failed := make(chan error, len(httpListeners)+len(mqttListeners))
	for _, l := range mqttListeners {
		running.Go(func() {
			if err := edge.Serve(l); err != nil {
				failed <- fmt.Errorf("mqtt listener %s: %w", l.Addr(), err)
			}
		})
	}
	server := &http.Server{
		Handler:           face,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	scheme := "http"
	if cfg.HTTP.Cert != "" {
		cert, err := loadCertificate(cfg.HTTP.Cert, cfg.HTTP.Key, log)
		if err != nil {
			return fmt.Errorf("http.cert: %w", err)
		}
		tlsConfig := cert.config()
		tlsConfig.NextProtos = []string{"http/1.1"} // the live socket upgrades HTTP/1.1
		for i, l := range httpListeners {
			httpListeners[i] = tls.NewListener(l, tlsConfig)
		}
		scheme = "https"
	}
	for _, l := range httpListeners {
		running.Go(func() {
			if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("http listener %s: %w", l.Addr(), err)
			}
		})
	}
	defer func() {
		var draining sync.WaitGroup
		draining.Go(closeEdge)
		draining.Go(func() { broker.close(ctx) })
		draining.Go(func() {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), faceDrain)
			defer cancel()
			if err := server.Shutdown(stop); err != nil {
				server.Close()
			}
		})
		face.Close() // hijacked sockets are the hub's to end; Shutdown does not know them
		draining.Wait()
	}()

	addrs := Addrs{HTTP: addrsOf(httpListeners), MQTT: addrsOf(mqttListeners)}
	log.Info("listening", "http", addrs.HTTP, "mqtt", addrs.MQTT, "data", dir.path, "version", versionText())
	if o.demo {
		link, err := control.LoginLink("admin")
		if err != nil {
			return err
		}
		fmt.Fprintf(o.out, "\n  Cửu Long: %s://%s\n  log in once: %s://%s/#login=%s\n\n", scheme, addrs.HTTP[0], scheme, addrs.HTTP[0], link)
		running.Go(func() { province.speak(ctx, log, addrs.MQTT[0]) })
	}
	if o.ready != nil {
		o.ready(addrs)
	}
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-failed:
		return err
	}
}

// firstAdmin makes the first administrator and prints a random password once.
func firstAdmin(ctx context.Context, control *access.Control, password string, out io.Writer) error {
	made, random, err := control.FirstAdmin(ctx, password)
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	if made && random != "" {
		fmt.Fprintf(out, "\n  user: admin\n  password: %s   (shown this once)\n", random)
	}
	return nil
}

// listenMQTT opens the plain and, where asked, the TLS listeners; the plain ones come first.
func listenMQTT(c MQTTConfig, log *slog.Logger) ([]net.Listener, error) {
	plain, err := listen("mqtt.addr", c.Addr)
	if err != nil || c.TLSAddr == "" {
		return plain, err
	}
	cert, err := loadCertificate(c.Cert, c.Key, log)
	if err != nil {
		closeAll(plain)
		return nil, fmt.Errorf("mqtt.cert: %w", err)
	}
	secure, err := listen("mqtt.tls_addr", c.TLSAddr)
	if err != nil {
		closeAll(plain)
		return nil, err
	}
	for _, l := range secure {
		plain = append(plain, tls.NewListener(l, cert.config()))
	}
	return plain, nil
}

func closing(log *slog.Logger, what string, f func() error) {
	if err := f(); err != nil {
		log.Error("closing "+what, "err", err)
	}
}
