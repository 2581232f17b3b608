package main

import (
	"context"
	"log/slog"

	"cuulong/devices/mqtt"
)

// outsideBroker is the client of the outside broker, or nothing.
type outsideBroker struct {
	client *mqtt.External
	log    *slog.Logger
}

// startOutsideBroker begins to take in from the broker that the configuration names,
// if it names one.
func startOutsideBroker(cfg Config, dir *dataDir, o mqtt.ExternalOptions) (*outsideBroker, error) {
	x := cfg.MQTT.External
	if x.URL == "" {
		return &outsideBroker{}, nil
	}
	var err error
	if o.ClientID, o.FormerShares, err = dir.brokerSession(x.Share); err != nil {
		return nil, err
	}
	o.URL, o.Username, o.Password, o.Share, o.CAFile = x.URL, x.Username, cfg.brokerPassword, x.Share, x.CA
	client, err := mqtt.StartExternal(o)
	if err != nil {
		return nil, err
	}
	return &outsideBroker{client, o.Log}, nil
}

// close drains it; a second time does nothing.
func (x *outsideBroker) close(ctx context.Context) {
	if x.client == nil {
		return
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), edgeDrain)
	defer cancel()
	if err := x.client.Close(stop); err != nil {
		x.log.Warn("the outside broker's messages did not drain", "err", err)
	}
}
