package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// exportCmd writes the raw observations of the embedded engine, as they are kept, in constant memory.
type exportCmd struct {
	From   string   `help:"Inclusive: Unix milliseconds or RFC 3339; default: the first." placeholder:"TIME"`
	To     string   `help:"Exclusive; default: all." placeholder:"TIME"`
	Device []string `help:"Of these devices; default: all." sep:"," placeholder:"ID"`
	Metric []string `help:"Of these metrics; default: all." sep:"," placeholder:"NAME"`
	Format string   `help:"csv, as the API's, or lp: InfluxDB line protocol." enum:"csv,lp" default:"csv"`
	Out    string   `help:"File to write, whole or not at all; default: standard output." short:"o" placeholder:"FILE"`
	whichData
}

func (c exportCmd) Run(ctx context.Context) error {
	ask, err := c.request()
	if err != nil {
		return fmt.Errorf("export-data: %w", err)
	}
	dir, err := c.dir()
	if err != nil {
		return err
	}
	if c.Out == "" {
		return c.said(exportOf(ctx, dir, ask, os.Stdout))
	}
	target := c.Out
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	// Over a file we rename; a pipe or device is written into, never replaced.
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return c.said(err)
		}
		return c.said(errors.Join(exportOf(ctx, dir, ask, f), f.Close()))
	}
	partial := target + ".partial"
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return c.said(err)
	}
	if err = exportOf(ctx, dir, ask, f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return c.said(errors.Join(err, os.Remove(partial)))
	}
	if err := os.Rename(partial, target); err != nil {
		return c.said(err)
	}
	return c.said(syncDir(filepath.Dir(target)))
}

func (exportCmd) said(err error) error {
	if err != nil {
		return fmt.Errorf("export-data: %w", err)
	}
	return nil
}

func (c exportCmd) request() (exportRequest, error) {
	ask := exportRequest{From: math.MinInt64, To: math.MaxInt64, Devices: c.Device, Metrics: c.Metric, Format: c.Format}
	for _, t := range []struct {
		name, text string
		into       *int64
	}{{"--from", c.From, &ask.From}, {"--to", c.To, &ask.To}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.into, err = parseMoment(t.text); err != nil {
			return ask, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return ask, ask.check()
}

// parseMoment reads a time as the API does, to Unix milliseconds.
func parseMoment(s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("%.40q is neither Unix milliseconds nor RFC 3339", s)
	}
	return t.UnixMilli(), nil
}

// exportRequest is what to export; an empty list stands for all.
type exportRequest struct {
	From    int64    `json:"from"` // Unix ms, inclusive
	To      int64    `json:"to"`   // exclusive
	Devices []string `json:"devices,omitempty"`
	Metrics []string `json:"metrics,omitempty"`
	Format  string   `json:"format"`
}

func (e *exportRequest) check() error {
	if e.From > e.To {
		return errors.New("from lies after to")
	}
	for _, d := range e.Devices {
		if _, err := devices.ParseID(d); err != nil {
			return fmt.Errorf("device %.80q: %w", d, err)
		}
	}
	for _, m := range e.Metrics {
		if !telemetry.GoodMetric(m) {
			return fmt.Errorf("%.80q is not the name of a metric", m)
		}
	}
	if e.Format != "csv" && e.Format != "lp" {
		return fmt.Errorf("format %.20q is neither csv nor lp", e.Format)
	}
	return nil
}

// exportOf asks the server that runs on dir, or opens the engine itself where none does.
func exportOf(ctx context.Context, dir string, ask exportRequest, w io.Writer) error {
	if err := isDataDir(dir); err != nil {
		return err
	}
	err := askServer(ctx, dir, "/export", ask, func(r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	})
	if !errors.Is(err, errNoServer) {
		return err
	}
	d, err := lockDataDir(dir)
	if err != nil {
		return err
	}
	defer d.close()
	if err := sameVersion(d.was, dir); err != nil {
		return err
	}
	db, err := tsdb.Open(d.series(), tsdb.Options{})
	if err != nil {
		return err
	}
	return errors.Join(export(ctx, db, ask, w), db.Close())
}

func (o *operator) export(w http.ResponseWriter, r *http.Request) error {
	var ask exportRequest
	if err := decodeRequest(w, r, &ask); err != nil {
		return err
	}
	if err := ask.check(); err != nil {
		return err
	}
	return export(r.Context(), o.series, ask, w)
}

// export writes datastream by datastream, by device and metric, in rising time.
func export(ctx context.Context, store telemetry.Store, ask exportRequest, w io.Writer) error {
	type stream struct {
		device devices.ID
		metric string
	}
	var all []stream
	named := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	err := store.Newest(ctx, func(o telemetry.Observation) bool {
		if named(ask.Devices, string(o.Device)) && named(ask.Metrics, o.Metric) {
			all = append(all, stream{o.Device, o.Metric})
		}
		return true
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b stream) int { return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.metric, b.metric)) })
	out := bufio.NewWriterSize(w, 64<<10)
	if ask.Format == "csv" {
		if _, err := out.WriteString("device,metric,t,value,unit,flag\n"); err != nil {
			return err
		}
	}
	var line []byte
	for _, s := range all {
		line := line[:0]
		write := csvLine(string(s.device), s.metric)
		if ask.Format == "lp" {
			write = protocolLine(string(s.device), s.metric)
		}
		var bad error
		err := store.Points(ctx, s.device, s.metric, ask.From, ask.To, func(p telemetry.Point) bool {
			line = write(line[:0], p)
			_, bad = out.Write(line)
			return bad == nil
		})
		if err := errors.Join(bad, err); err != nil {
			return err
		}
	}
	return out.Flush()
}

// csvLine is a row as /api/v1/observations has it. No name or unit wants quotes.
func csvLine(device, metric string) func([]byte, telemetry.Point) []byte {
	head := device + "," + metric + ","
	m, _ := telemetry.Lookup(metric) // no unit where it is unknown
	unit := "," + m.Unit + ","
	return func(b []byte, p telemetry.Point) []byte {
		b = strconv.AppendInt(append(b, head...), p.At, 10)
		b = strconv.AppendFloat(append(b, ','), p.Value, 'g', -1, 64)
		b = strconv.AppendUint(append(b, unit...), uint64(p.Flag), 10)
		return append(b, '\n')
	}
}

// protocolLine is InfluxDB's, with the measurement, tags and fields of
// telemetry/influx, times in nanoseconds. No name wants escaping.
func protocolLine(device, metric string) func([]byte, telemetry.Point) []byte {
	head := "observation,device=" + device + ",metric=" + metric + " value="
	return func(b []byte, p telemetry.Point) []byte {
		b = strconv.AppendFloat(append(b, head...), p.Value, 'g', -1, 64)
		b = strconv.AppendUint(append(b, ",flag="...), uint64(p.Flag), 10)
		b = strconv.AppendInt(append(b, "i "...), p.At, 10)
		return append(b, "000000\n"...) // milliseconds; a time before 1970 keeps its sign
	}
}
