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
	Feed     telemetry.Feed  // the log that Observe is told of; nil: Latest alone is judged again at start
	Store    telemetry.Store // holds what the Feed does; with it, what came late before a crash is late after it
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

	wake   chan struct{} // one token: there is something for Run
	atOnce int           // transitions of one transaction; committedAtOnce, but in tests

	// writing is held over a transaction and the telling of its events, so that
	// there is one order of transitions. Whoever holds it may take the locks below.
	writing sync.Mutex
	board   board
	judges  judges
}

// Open migrates, and loads rules and alarms with their states. With a Feed, Run
// goes on from the checkpoint; without one the checkpoint is forgotten, and
// Latest judged again. What follows from that is committed by Run.
func Open(ctx context.Context, db *sql.DB, o Options) (*Engine, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, fmt.Errorf("alerts: migrate: %w", err)
	}
	e := &Engine{db: db, o: o, log: o.Logger, now: o.Now, wake: make(chan struct{}, 1), atOnce: committedAtOnce}
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
	if err := e.resume(ctx, rules); err != nil {
		return nil, fmt.Errorf("alerts: resume: %w", err)
	}
	return e, nil
}

// Delays of a committer whose database fails.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	lastCommit = 2 * time.Second // for what is pending when Run ends
)

// placeEvery is how often the log is told how far it is judged, which costs it
// an fsync and matters to nothing but what it may delete.
const placeEvery = 10 * time.Second

// Run catches up with the log, then commits pending transitions, and ticks and
// makes a checkpoint once a second, until ctx ends. What is pending then is
// committed before it returns.
func (e *Engine) Run(ctx context.Context) error {
	if e.o.Feed != nil {
		e.tellPlace()
		if err := e.catchUp(ctx); err != nil {
			return e.end(ctx)
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var retry <-chan time.Time // set while the database fails: nothing is tried before
	delay := firstRetry
	var nextPlace, nextTold time.Time
	for {
		write := e.commit
		select {
		case <-ctx.Done():
			return e.end(ctx)
		case <-e.wake:
		case <-retry:
			retry = nil
		case now := <-tick.C:
			e.Tick(e.now())
			if !now.Before(nextPlace) {
				write = e.checkpoint
			}
		}
		e.rescope()
		if retry != nil {
			continue
		}
		begun := time.Now()
		err := write(ctx)
		switch {
		case err == nil:
			if delay != firstRetry {
				e.log.Info("alarms are committed again")
			}
			delay = firstRetry
			// A large checkpoint on a slow disk comes less often.
			nextPlace = begun.Add(min(10*time.Since(begun), time.Minute))
			if !begun.Before(nextTold) {
				e.tellPlace()
				nextTold = begun.Add(placeEvery)
			}
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

// end commits what is left when Run ends.
func (e *Engine) end(ctx context.Context) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
	defer cancel()
	if err := e.checkpoint(last); err != nil {
		return fmt.Errorf("alerts: the last transitions were not committed: %w", err)
	}
	e.tellPlace()
	return nil
}

// tellPlace tells the log what it need not keep for us any more.
func (e *Engine) tellPlace() {
	if e.o.Feed == nil {
		return
	}
	e.judges.mu.Lock()
	seq := e.judges.placed
	e.judges.mu.Unlock()
	if err := e.o.Feed.SetPlace(Consumer, seq); err != nil {
		e.log.Warn("the log was not told how far alarms are; it keeps more than it must", "err", err)
	}
}

// poke wakes Run.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
