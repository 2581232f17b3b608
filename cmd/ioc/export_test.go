package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// What export-data writes is what the API answers, whether a server runs or not.
func TestExportIsWhatTheAPIAnswers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addrs, stop := startHere(t, dir, false)
	c := login(t, addrs.HTTP[0])
	for i, id := range []string{"tram-2", "tram-1"} {
		device := c.station(id, 106.58, 10.28, nil)
		payload := fmt.Sprintf(`[{"ts":1780272000000,"values":{"salinity":2.%d,"pm2_5":12}},{"ts":1780272600000,"values":{"salinity":99}},{"ts":"2026-06-01T00:20:00Z","values":{"no_such":-1e-9}}]`, i)
		if out, err := publish(addrs.MQTT[0], "5", device, "devices/"+id+"/telemetry", payload); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+"/api/v1/observations?from=0&to=1800000000000", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/csv")
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || bytes.Count(want, []byte("\n")) != 9 {
		t.Fatalf("%v %s", err, want)
	}
	run := func(e exportCmd) string {
		t.Helper()
		if e.Format == "" {
			e.Format = "csv"
		}
		e.DataDir, e.Out = dir, filepath.Join(t.TempDir(), "out")
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(e.Out)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	online := run(exportCmd{})
	if online != string(want) {
		t.Errorf("exported\n%s\nthe API says\n%s", online, want)
	}
	protocol := run(exportCmd{Format: "lp"})
	for _, line := range []string{
		"observation,device=tram-1,metric=salinity value=99,flag=4i 1780272600000000000\n",
		"observation,device=tram-2,metric=pm2_5 value=12,flag=1i 1780272000000000000\n",
		"observation,device=tram-1,metric=no_such value=-1e-09,flag=2i 1780273200000000000\n",
	} {
		if !strings.Contains(protocol, line) {
			t.Errorf("not written: %s in\n%s", line, protocol)
		}
	}
	some := exportCmd{From: "2026-06-01T00:05:00Z", To: "1780272600001", Device: []string{"tram-2"}, Metric: []string{"salinity", "pm2_5"}}
	part := run(some)
	if part != "device,metric,t,value,unit,flag\ntram-2,salinity,1780272600000,99,g/l,4\n" {
		t.Errorf("a part: %s", part)
	}
	stop()
	if offline := run(exportCmd{}); offline != online {
		t.Errorf("without a server\n%s\nwith one\n%s", offline, online)
	}
	// A pipe is written into, and a link's file behind it; neither is replaced.
	odd := t.TempDir()
	fifo, file, link := filepath.Join(odd, "fifo"), filepath.Join(odd, "file"), filepath.Join(odd, "link")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	piped := make(chan string, 1)
	go func() { text, _ := os.ReadFile(fifo); piped <- string(text) }()
	for _, out := range []string{fifo, link} {
		if err := (exportCmd{Out: out, Format: "csv", whichData: whichData{DataDir: dir}}).Run(t.Context()); err != nil {
			t.Errorf("%s: %v", out, err)
		}
	}
	if got := <-piped; got != online {
		t.Errorf("through a pipe\n%s", got)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != online {
		t.Errorf("through a link %v\n%s", err, got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	for name, bad := range map[string]exportCmd{
		"time":    {From: "yesterday", Format: "csv"},
		"order":   {From: "2", To: "1", Format: "csv"},
		"device":  {Device: []string{"a/b"}, Format: "csv"},
		"metric":  {Metric: []string{"A"}, Format: "csv"},
		"format":  {Format: "xml"},
		"no data": {Format: "csv", whichData: whichData{DataDir: t.TempDir()}},
	} {
		bad.Out = filepath.Join(t.TempDir(), "out")
		if bad.DataDir == "" {
			bad.DataDir = dir
		}
		if err := bad.Run(t.Context()); err == nil {
			t.Errorf("%s: taken", name)
		}
		if left, err := os.ReadDir(filepath.Dir(bad.Out)); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v %v", name, left, err)
		}
	}
}

// An export does not grow with what it exports.
func TestExportAllocatesNothingARow(t *testing.T) {
	db, err := tsdb.Open(t.TempDir(), tsdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const rows = 20_000
	r := telemetry.Record{}
	for i := range int64(rows) {
		r.Observations = append(r.Observations, telemetry.Observation{Device: "tram-1", Metric: "level", At: 1780272000000 + i*60_000, Seen: 1780272000000 + i*60_000, Value: float64(i%300) / 100, Flag: telemetry.Pass})
	}
	if err := db.Append(&r); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(&r); err != nil {
		t.Fatal(err)
	}
	ask := exportRequest{From: math.MinInt64, To: math.MaxInt64, Format: "csv"}
	var text bytes.Buffer
	if err := export(t.Context(), db, ask, &text); err != nil {
		t.Fatal(err)
	}
	if all, err := csv.NewReader(&text).ReadAll(); err != nil || len(all) != rows+1 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	n := testing.AllocsPerRun(3, func() {
		if err := export(t.Context(), db, ask, io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	if n > rows/10 {
		t.Errorf("%.0f allocations for %d rows", n, rows)
	}
}
