// Command fieldsim is the field in a box: a province that speaks, load with a
// ledger, the audit of a store against it, cameras, and viewers of them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Province provinceCmd `cmd:"" help:"Register a simulated province over the HTTP API and speak for it until interrupted."`
	Load     loadCmd     `cmd:"" help:"Publish as many observations as asked for and measure their acknowledgement."`
	Replay   replayCmd   `cmd:"" help:"Tell a CSV file of a station again."`
	Audit    auditCmd    `cmd:"" help:"Hold what a store holds against a load's ledger: acknowledged within stored within sent, equal values, none twice."`
	Cameras  camerasCmd  `cmd:"" help:"Serve simulated cameras over RTSP until interrupted."`
	Viewers  viewersCmd  `cmd:"" help:"Look at a camera over the live socket, many at once, and print what was seen as a line of JSON."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c,
		kong.Name("fieldsim"),
		kong.Description("A simulated province, load and audit for an operations centre. Positions and values are illustrative."),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	k.FatalIfErrorf(k.Run())
}
