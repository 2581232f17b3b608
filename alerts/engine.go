package alerts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
)

// Options configure the engine.
type Options struct {
	Registry *devices.Registry
	Atlas    *geo.Atlas // nil: no zones
	Latest   *telemetry.Latest
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time // nil: time.Now
	// OnEvent is told each transition after it is committed, in journal order.
	// It must not block, nor call back what writes (Ack, Comment, rules).
	OnEvent func(Event)
}

// Engine judges and keeps. Safe for concurrent use.
type Engine struct {
	db  *sql.DB
	o   Options
	log *slog.Logger
	now func() time.Time

	wake chan struct{} // one token: there is something for Run

	// writing is held over a transaction and the telling of its events, so that
	// there is one order of transitions. Whoever holds it may take the locks below.
	writing sync.Mutex
	board   board
	judges  judges
}

// Open migrates, loads rules and alarms with their states, and judges Latest
// again. What follows from that is committed by Run.
func Open(ctx context.Context, db *sql.DB, o Options) (*Engine, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, fmt.Errorf("alerts: migrate: %w", err)
	}
	e := &Engine{db: db, o: o, log: o.Logger, now: o.Now, wake: make(chan struct{}, 1)}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	rules, err := loadRules(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("alerts: load rules: %w", err)
	}
	if err := e.board.load(ctx, db); err != nil {
		return nil, fmt.Errorf("alerts: load alarms: %w", err)
	}
	if o.Metrics != nil {
		coalesced := prometheus.NewCounter(prometheus.CounterOpts{Name: "ioc_alarm_transitions_coalesced_total",
			Help: "Transitions not recorded, since the database failed for long and a newer one of the same alarm took their place."})
		if err := errors.Join(o.Metrics.Register(newGauge(&e.board)), o.Metrics.Register(coalesced)); err != nil {
			return nil, fmt.Errorf("alerts: %w", err)
		}
		e.judges.coalesced = coalesced
	}
	e.resume(rules)
	return e, nil
}

// Delays of a committer whose database fails.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	lastCommit = 2 * time.Second // for what is pending when Run ends
)

// Run commits pending transitions and ticks once a second, until ctx ends.
// What is pending then is committed before it returns.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var retry <-chan time.Time // set while the database fails: nothing is tried before
	delay := firstRetry
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
			defer cancel()
			if err := e.commit(last); err != nil {
				return fmt.Errorf("alerts: the last transitions were not committed: %w", err)
			}
			return nil
		case <-e.wake:
		case <-retry:
			retry = nil
		case <-tick.C:
			e.Tick(e.now())
		}
		e.rescope()
		if retry != nil {
			continue
		}
		err := e.commit(ctx)
		switch {
		case err == nil:
			if delay != firstRetry {
				e.log.Info("alarms are committed again")
			}
			delay = firstRetry
		case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		default:
			if delay == firstRetry { // once per burst
				e.log.Error("alarms cannot be committed; kept and tried again", "err", err)
			}
			retry = time.After(delay)
			delay = min(2*delay, lastRetry)
		}
	}
}

// poke wakes Run.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
