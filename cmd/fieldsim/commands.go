package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"cuulong/cmd/fieldsim/field"
	"cuulong/devices"
	"cuulong/devices/mqtt"
)

// server says where the operations centre is; both sides default to this machine.
type server struct {
	API   string `name:"api" default:"http://127.0.0.1:8080" help:"Base URL of the HTTP API." placeholder:"URL"`
	Token string `env:"IOC_TOKEN" help:"API token; better given by the environment than on the command line." placeholder:"TOKEN"`
	CA    string `name:"ca" help:"PEM file of the authorities that certificates of API and broker lead to; default: the system's." type:"existingfile" placeholder:"FILE"`
}

func (s server) open() (*field.API, error) {
	if s.Token == "" {
		return nil, errors.New("an API token is needed: --token or IOC_TOKEN")
	}
	api := &field.API{URL: s.API, Token: s.Token}
	if s.CA != "" {
		pool, err := mqtt.ReadCA(s.CA)
		if err != nil {
			return nil, err
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
		api.Client = &http.Client{Transport: transport}
	}
	return api, nil
}

// speech is a side that also speaks to a broker.
type speech struct {
	server
	Broker string `default:"127.0.0.1:1883" help:"MQTT broker: host:port, mqtt://host or mqtts://host; IPv6 in brackets." placeholder:"ADDRESS"`
}

// broker is its address, and how TLS is spoken with it: nil for not at all.
func (s speech) broker() (addr string, secure *tls.Config, err error) {
	raw := s.Broker
	if !strings.Contains(raw, "://") {
		raw = "mqtt://" + raw
	}
	at, err := mqtt.ParseBroker(raw)
	if err != nil {
		return "", nil, fmt.Errorf("--broker %w", err)
	}
	if !at.TLS {
		return at.Addr, nil, nil
	}
	secure = &tls.Config{ServerName: at.Host}
	if s.CA != "" {
		secure.RootCAs, err = mqtt.ReadCA(s.CA)
	}
	return at.Addr, secure, err
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

type provinceCmd struct {
	speech
	Credentials string        `default:"fieldsim-credentials.json" help:"File that keeps the devices' credentials (mode 0600), so that a later run goes on with them." type:"path"`
	Reset       bool          `name:"reset-credentials" help:"Give new credentials to devices that are registered but not in the file."`
	Tide        float64       `default:"1" help:"Speed of the water's clock; timestamps stay real."`
	Every       time.Duration `default:"5s" help:"Interval of the salinity stations; the others are slower in proportion."`
	Seed        uint64        `default:"0" help:"Another seed is another weather."`
	Propose     bool          `default:"true" negatable:"" help:"Post the demo's zones and rules as well."`
	Faults      field.Faults  `embed:"" prefix:"fault-"`
}

func (c provinceCmd) Run(ctx context.Context) error {
	broker, secure, err := c.broker()
	if err != nil {
		return err
	}
	api, err := c.open()
	if err != nil {
		return err
	}
	logins, err := api.Register(ctx, field.Province(), c.Credentials, c.Reset)
	if err != nil {
		return err
	}
	if c.Propose {
		if err := api.Propose(ctx, field.Zones(), field.Rules()); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "speaking for %d devices to %s; interrupt to end\n", len(logins), broker)
	return field.Run(ctx, field.Options{Broker: broker, TLS: secure, Logins: logins, Tide: c.Tide, Seed: c.Seed, Every: c.Every,
		Faults: c.Faults, Logger: logger()})
}

type loadCmd struct {
	speech
	Connections int           `default:"10" help:"Connections, a device each."`
	Inflight    int           `default:"16" help:"Unacknowledged messages a connection."`
	Rate        float64       `default:"0" help:"Messages a second in all; 0 is as fast as it goes."`
	Batch       int           `default:"1" help:"Observations a message."`
	QoS         byte          `name:"qos" default:"1" help:"0 or 1."`
	MQTT        byte          `name:"mqtt" default:"4" help:"Protocol: 4 is MQTT 3.1.1, 5 is MQTT 5."`
	Duration    time.Duration `default:"30s" help:"How long to send; 0 until interrupted."`
	Messages    int64         `default:"0" help:"How many to send in all; 0 is no bound."`
	Drain       time.Duration `default:"15s" help:"Patience for the last acknowledgements."`
	Ledger      string        `help:"Folder for the ledger of what was sent and acknowledged; a second run goes on with it." type:"path"`
	SyncEach    bool          `name:"sync-each" help:"Make the ledger durable before each write to the network, not every 2 s: it then outlives a power cut of this machine."`
	Seed        uint64        `default:"0" help:"Seed of the values."`
	Credentials string        `help:"Credentials file; the first --connections of its load devices speak. With a token, missing devices are registered and kept in it." type:"path"`
	Open        bool          `help:"The broker asks for no credentials."`
}

func (c loadCmd) Run(ctx context.Context) error {
	broker, secure, err := c.broker()
	if err != nil {
		return err
	}
	logins, err := c.logins(ctx)
	if err != nil {
		return err
	}
	r, err := field.Load(ctx, field.LoadOptions{Broker: broker, TLS: secure, Logins: logins, Connections: c.Connections,
		Inflight: c.Inflight, Rate: c.Rate, Batch: c.Batch, QoS: c.QoS, Version: c.MQTT, Duration: c.Duration,
		Messages: c.Messages, Drain: c.Drain, Ledger: c.Ledger, SyncEach: c.SyncEach, Seed: c.Seed, Logger: logger()})
	if r.Sent > 0 {
		fmt.Fprintf(os.Stderr, "%.0f messages/s, acknowledged after p50 %v, p99 %v, most %v\n", r.Rate(), r.P50, r.P99, r.Max)
		err = errors.Join(err, printJSON(r))
	}
	return err
}

// logins come from the API (registering what is missing), a file, or are none.
func (c loadCmd) logins(ctx context.Context) ([]field.Login, error) {
	var known map[devices.ID]field.Login
	var err error
	switch {
	case c.Open:
		return nil, nil
	case c.Token != "":
		if c.Credentials == "" {
			c.Credentials = "fieldsim-credentials.json"
		}
		api, apiErr := c.open()
		if apiErr != nil {
			return nil, apiErr
		}
		known, err = api.Register(ctx, field.LoadDevices(c.Connections), c.Credentials, true)
	case c.Credentials != "":
		known, err = field.ReadLogins(c.Credentials)
	default:
		return nil, errors.New("give --credentials, or a token to register load devices, or --open")
	}
	if err != nil {
		return nil, err
	}
	ids := make([]devices.ID, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids) // the same devices each time, so that a ledger goes on
	isLoad := func(id devices.ID) bool { return strings.HasPrefix(string(id), "load-") }
	if slices.ContainsFunc(ids, isLoad) { // never speak for a province's stations beside them
		ids = slices.DeleteFunc(ids, func(id devices.ID) bool { return !isLoad(id) })
	}
	logins := make([]field.Login, len(ids))
	for i, id := range ids {
		logins[i] = known[id]
	}
	return logins, nil
}

type replayCmd struct {
	speech
	File        string            `arg:"" help:"CSV file with a head." type:"existingfile"`
	Device      string            `default:"replay" help:"Id of the station that speaks; registered where it is new."`
	Credentials string            `default:"fieldsim-credentials.json" help:"Credentials file." type:"path"`
	Time        string            `help:"Column of the time; default: t, ts, time, timestamp, DateTimeStamp, ..." placeholder:"COLUMN"`
	Map         map[string]string `help:"Metric of a column, such as Temp=water_temperature; may be repeated. Default: as estuary stations call them." placeholder:"COLUMN=METRIC"`
	Offset      time.Duration     `name:"utc-offset" help:"Of times that tell none, such as 7h."`
	Shift       bool              `help:"Move all times so that the newest is now."`
	Speed       float64           `default:"0" help:"Times as fast as it was; 0 is as fast as it is acknowledged."`
}

func (c replayCmd) Run(ctx context.Context) error {
	broker, secure, err := c.broker()
	if err != nil {
		return err
	}
	api, err := c.open()
	if err != nil {
		return err
	}
	id, err := devices.ParseID(c.Device)
	if err != nil {
		return err
	}
	station := devices.Device{ID: id, Name: c.Device, Kind: devices.Station}
	logins, err := api.Register(ctx, []devices.Device{station}, c.Credentials, true)
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := field.Replay(ctx, file, field.ReplayOptions{
		Broker: broker, TLS: secure, Login: logins[id], Time: c.Time, Map: c.Map, Zone: time.FixedZone("", int(c.Offset.Seconds())), Shift: c.Shift, Speed: c.Speed,
		Bad: func(line int, why string) { fmt.Fprintf(os.Stderr, "%s:%d: %s\n", c.File, line, why) },
	})
	if err == nil && r.Refused > 0 {
		err = fmt.Errorf("%d rows were set aside by the server, which tells why (Quarantine)", r.Refused)
	}
	return errors.Join(err, printJSON(r))
}

type auditCmd struct {
	server
	Also   []string `help:"More servers behind one broker, whose stores count together; their tokens follow in IOC_TOKEN, comma between." placeholder:"URL"`
	Influx string   `help:"An InfluxDB in place of a server; its token in INFLUX_TOKEN." placeholder:"URL"`
	Bucket string   `default:"ioc/autogen" help:"Its database/retention policy."`
	Ledger string   `required:"" help:"Folder that a load has written." type:"existingdir"`
}

// stored is the store that is audited.
func (c auditCmd) stored() (field.Stored, error) {
	if c.Influx != "" {
		return field.Influx{URL: c.Influx, Bucket: c.Bucket, Token: os.Getenv("INFLUX_TOKEN")}.Stored, nil
	}
	tokens := strings.Split(c.Token, ",")
	urls := append([]string{c.API}, c.Also...)
	if len(tokens) != len(urls) {
		return nil, fmt.Errorf("%d servers and %d tokens: each wants its own in IOC_TOKEN, comma between", len(urls), len(tokens))
	}
	var stores []field.Stored
	for i, url := range urls {
		one := c.server
		one.API, one.Token = url, tokens[i]
		api, err := one.open()
		if err != nil {
			return nil, err
		}
		stores = append(stores, api.Stored)
	}
	if len(stores) == 1 {
		return stores[0], nil
	}
	return field.Union(stores, new(int)), nil
}

func (c auditCmd) Run(ctx context.Context) error {
	stored, err := c.stored()
	if err != nil {
		return err
	}
	r, err := field.Audit(ctx, c.Ledger, stored)
	if err != nil {
		return err
	}
	if err := printJSON(r); err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("the store does not hold what was acknowledged: %d lost, %d doubled, %d altered, %d alien",
			r.Lost, r.Doubled, r.Altered, r.Alien)
	}
	return nil
}

func printJSON(v any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
