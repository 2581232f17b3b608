package ui

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/pressly/goose/v3"

	"cuulong/alerts"
)

//go:embed migrations/*.sql
var migrations embed.FS

// openEpoch migrates the face's own table and returns the epoch of a log topic:
// made once for a data folder, since the journal's seq survives restarts.
func openEpoch(ctx context.Context, db *sql.DB, topic string) (string, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return "", err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithTableName("ui_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return "", fmt.Errorf("ui migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return "", fmt.Errorf("migrate ui: %w", err)
	}
	var ep string
	err = db.QueryRowContext(ctx, `SELECT ep FROM ui_epochs WHERE topic = $1`, topic).Scan(&ep)
	if errors.Is(err, sql.ErrNoRows) {
		ep = rand.Text()
		_, err = db.ExecContext(ctx, `INSERT INTO ui_epochs (topic, ep) VALUES ($1, $2)`, topic, ep)
	}
	if err != nil {
		return "", fmt.Errorf("epoch of %s: %w", topic, err)
	}
	return ep, nil
}

// EndEpochs is for records that were put back to an earlier state: their
// journals' seqs will be given again, to other events. A client that holds one
// is told to begin anew.
func EndEpochs(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `DELETE FROM ui_epochs`)
	return err
}

const (
	recentEvents = 1024 // kept encoded in memory; older ones are read from the journal
	eventsAtOnce = 64
	alarmsAtOnce = 64
)

// journal is the alarm log as the hub serves it: the newest events encoded once
// for all clients, the older ones from the engine. A client costs a number here.
type journal struct {
	engine *alerts.Engine
	log    *slog.Logger
	ep     string
	keep   int // recent has at most twice as many

	mu     sync.Mutex
	recent []logged // by rising seq
	from   uint64   // recent holds all that came after this seq
	last   uint64   // newest seq known
	open   *openAlarms
}

// logged is one event, encoded.
type logged struct {
	seq  uint64
	json []byte
}

// openAlarms are the alarms not closed at seq, encoded. Never changed, so shared.
type openAlarms struct {
	seq   uint64
	items [][]byte
}

func newJournal(e *alerts.Engine, ep string, log *slog.Logger) *journal {
	seq, _ := e.Snapshot()
	return &journal{engine: e, ep: ep, keep: recentEvents, log: log, from: seq, last: seq}
}

// add takes a committed event; false when it is not new.
func (j *journal) add(e alerts.Event) bool {
	b, err := json.Marshal(e)
	if err != nil { // a value that is no number; the rule engine refuses those
		j.log.Error("encode alarm event", "seq", e.Seq, "err", err)
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Seq <= j.last {
		return false
	}
	if e.Seq != j.last+1 { // what lies between was told to nobody: it is in the journal
		j.recent, j.from = nil, e.Seq-1
	}
	if len(j.recent) >= 2*j.keep {
		n := len(j.recent) - j.keep
		j.from = j.recent[n-1].seq
		j.recent = append([]logged(nil), j.recent[n:]...)
	}
	j.recent = append(j.recent, logged{e.Seq, b})
	j.last = e.Seq
	return true
}

func (j *journal) seq() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// after returns the next events after seq, oldest first, none when there are none.
func (j *journal) after(ctx context.Context, seq uint64) ([]logged, error) {
	j.mu.Lock()
	last := j.last
	if seq >= j.from {
		i := len(j.recent)
		for i > 0 && j.recent[i-1].seq > seq {
			i--
		}
		out := j.recent[i:min(len(j.recent), i+eventsAtOnce)]
		j.mu.Unlock()
		return out, nil // recent is only appended to or replaced
	}
	j.mu.Unlock()
	events, err := j.engine.Since(ctx, seq, eventsAtOnce)
	if err != nil {
		return nil, err
	}
	out := make([]logged, 0, len(events))
	for _, e := range events {
		if e.Seq > last {
			break // committed, but not told yet: it will come by add, in its turn
		}
		b, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode alarm event %d: %w", e.Seq, err)
		}
		out = append(out, logged{e.Seq, b})
	}
	return out, nil
}

// snapshot returns the alarms not closed and the seq they stand at.
func (j *journal) snapshot() (*openAlarms, error) {
	seq, open := j.engine.Snapshot()
	j.mu.Lock()
	o := j.open
	j.mu.Unlock()
	if o != nil && o.seq == seq {
		return o, nil
	}
	o = &openAlarms{seq: seq, items: make([][]byte, 0, len(open))}
	for _, a := range open {
		b, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("encode alarm %s: %w", a.ID, err)
		}
		o.items = append(o.items, b)
	}
	j.mu.Lock()
	if j.open == nil || j.open.seq < seq {
		j.open = o
	}
	j.mu.Unlock()
	return o, nil
}
