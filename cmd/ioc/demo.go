package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"cuulong/alerts"
	"cuulong/cmd/fieldsim/field"
	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
	"cuulong/video"
)

// demoPast is how much history a new demo begins with.
const demoPast = 14 * 24 * time.Hour

// demoProvince is the simulated field that the demo brings along.
type demoProvince struct {
	logins map[devices.ID]field.Login
	begun  time.Time
}

// seedDemo registers the simulated province and writes its past before anybody
// judges or looks: two weeks in a new data folder, and what is missing since
// in one that was left, be it in the midst of this.
func seedDemo(ctx context.Context, registry *devices.Registry, atlas *geo.Atlas, latest *telemetry.Latest, series *tsdb.DB, now time.Time) (*demoProvince, error) {
	p := &demoProvince{logins: make(map[devices.ID]field.Login), begun: now}
	for _, d := range field.Province() {
		var login devices.Credentials
		_, login, err := registry.Create(ctx, d)
		if errors.Is(err, devices.ErrExists) {
			login, err = registry.ResetCredentials(ctx, d.ID) // known from an earlier demo in this folder
		}
		if err != nil {
			return nil, fmt.Errorf("demo device %s: %w", d.ID, err)
		}
		p.logins[d.ID] = login
	}
	if len(atlas.Zones()) == 0 {
		if err := seedZones(ctx, atlas); err != nil {
			return nil, err
		}
	}
	from := now.Add(-demoPast)
	for _, o := range latest.All() {
		if _, ours := p.logins[o.Device]; ours && o.At >= from.UnixMilli() {
			from = time.UnixMilli(o.At + 1) // chunks are whole instants in order of time, and each is kept or not
		}
	}
	past := telemetry.NewIngest(telemetry.Options{Log: series, Store: series, Latest: latest})
	var failed error
	field.History(from, now, func(obs []telemetry.Observation) bool {
		past.Submit(telemetry.Batch{Observations: obs}, func(err error) {
			if err != nil {
				failed = err
			}
		})
		return true
	})
	if err := errors.Join(past.Close(), failed); err != nil {
		return nil, fmt.Errorf("demo history: %w", err)
	}
	return p, nil
}

func seedZones(ctx context.Context, atlas *geo.Atlas) error {
	_, refused, err := atlas.PutZones(ctx, bytes.NewReader(field.Zones()))
	if err != nil {
		return fmt.Errorf("demo zones: %w", err)
	}
	if len(refused) > 0 {
		return fmt.Errorf("demo zone %s: %s", refused[0].ID, refused[0].Why)
	}
	return nil
}

// rules puts the demo's rules where they are not yet known.
func (p *demoProvince) rules(ctx context.Context, engine *alerts.Engine) error {
	for _, r := range field.Rules() {
		if _, err := engine.CreateRule(ctx, r); err != nil && !errors.Is(err, alerts.ErrExists) {
			return fmt.Errorf("demo rule %s: %w", r.ID, err)
		}
	}
	return nil
}

// film serves the demo's cameras on a port of their own and registers them as
// somebody else's would be. The func returned ends them.
func (p *demoProvince) film(ctx context.Context, log *slog.Logger, cameras *video.Cameras) (stop func(), err error) {
	server, err := field.NewCameraServer(field.CameraOptions{})
	if err != nil {
		return nil, fmt.Errorf("demo cameras: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo cameras: %w", err)
	}
	go func() {
		if err := server.Serve(l); err != nil {
			log.Error("the demo's cameras stopped", "err", err)
		}
	}()
	stop = func() { closing(log, "demo cameras", server.Close) }
	for _, c := range field.Cameras(l.Addr().String()) {
		_, err := cameras.Create(ctx, c)
		if errors.Is(err, video.ErrExists) {
			_, err = cameras.Update(ctx, c) // known from an earlier demo in this folder, on another port
		}
		if err != nil {
			stop()
			return nil, fmt.Errorf("demo camera %s: %w", c.ID, err)
		}
	}
	return stop, nil
}

// speak lets the field talk to our own broker until ctx ends.
func (p *demoProvince) speak(ctx context.Context, log *slog.Logger, broker string) {
	err := field.Run(ctx, field.Options{Broker: broker, Logins: p.logins, Start: p.begun, Tide: field.DemoTide, Logger: log})
	if err != nil && ctx.Err() == nil {
		log.Error("the simulated field stopped", "err", err)
	}
}
