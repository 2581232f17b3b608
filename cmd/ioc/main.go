// Command ioc is the operations centre of a province in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build; a plain `go build` takes the commit it knows.
var version = ""

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the centre. Without a file: defaults and environment."`
	Demo    demoCmd    `cmd:"" help:"Run the centre with a simulated province, on loopback, in a temporary data folder."`
	Check   checkCmd   `cmd:"" help:"Say all that is wrong with a configuration file."`
	Passwd  passwdCmd  `cmd:"" help:"Set an account's password in the data folder."`
	Backup  backupCmd  `cmd:"" help:"Take a backup of the whole data folder, also while the server runs."`
	Restore restoreCmd `cmd:"" help:"Put a backup into an empty data folder."`
	Verify  verifyCmd  `cmd:"" name:"verify-store" help:"Check every invariant of a data folder that is not in use, or of a backup."`
	Export  exportCmd  `cmd:"" name:"export-data" help:"Write raw observations as CSV or line protocol, also while the server runs."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

type serveCmd struct {
	Config string `help:"Configuration file (YAML)." placeholder:"FILE"`
}

func (c serveCmd) Run(ctx context.Context) error {
	cfg, err := loadConfig(c.Config, false, os.Getenv)
	if err != nil {
		return err
	}
	return runHere(ctx, cfg, false)
}

type demoCmd struct{}

func (demoCmd) Run(ctx context.Context) error {
	cfg, err := loadConfig("", true, os.Getenv)
	if err != nil {
		return err
	}
	if cfg.DataDir == "" {
		dir, err := os.MkdirTemp("", "ioc-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		cfg.DataDir = dir
	}
	return runHere(ctx, cfg, true)
}

func runHere(ctx context.Context, cfg Config, demo bool) error {
	err := run(ctx, cfg, runOptions{demo: demo, logger: newLogger(os.Stderr, cfg.Log), out: os.Stdout})
	if errors.Is(err, context.Canceled) {
		return nil // told to stop while it started
	}
	return err
}

// untilSignal is the context of the commands that ask for one: SIGINT or
// SIGTERM ends them in order, a second one at once.
func untilSignal() (context.Context, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, nil
}

type checkCmd struct {
	File string `arg:"" help:"Configuration file (YAML)."`
}

func (c checkCmd) Run() error {
	cfg, err := loadConfig(c.File, false, os.Getenv)
	if err != nil {
		return err
	}
	for _, w := range cfg.warnings {
		fmt.Println("note:", w)
	}
	if err := errors.Join(cfg.outdated...); err != nil {
		return err
	}
	fmt.Printf("%s: nothing wrong\n", c.File)
	return nil
}

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("ioc", versionText())
	return nil
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return "unknown"
}

func newLogger(w io.Writer, c LogConfig) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func main() {
	var c cli
	ctx := kong.Parse(&c,
		kong.Name("ioc"),
		kong.Description("Cửu Long: the operations centre of a delta province."),
		kong.UsageOnError())
	if err := ctx.BindToProvider(untilSignal); err != nil {
		panic(err) // its signature is wrong
	}
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
