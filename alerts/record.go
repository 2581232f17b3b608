package alerts

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/pressly/goose/v3"

	"cuulong/geo"
	"cuulong/telemetry"
)

//go:embed migrations/*.sql
var migrations embed.FS

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithTableName("alerts_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// board is what has been committed: the alarms not closed, and the journal's
// seq they stand at. Written by who holds Engine.writing.
type board struct {
	mu    sync.RWMutex
	seq   uint64
	open  map[string]Alarm
	byKey map[alarmKey]string
}

func (b *board) load(ctx context.Context, db *sql.DB) error {
	b.open, b.byKey = map[string]Alarm{}, map[alarmKey]string{}
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM alerts_journal`).Scan(&b.seq); err != nil {
		return err
	}
	return eachAlarm(ctx, db, `WHERE state <> 'closed'`, nil, func(a Alarm) { b.put(a) })
}

// put is called with mu held, or before there is anybody else.
func (b *board) put(a Alarm) {
	key := alarmKey{a.Rule, a.Subject}
	if a.State == Closed {
		delete(b.open, a.ID)
		delete(b.byKey, key)
		return
	}
	b.open[a.ID] = a
	b.byKey[key] = a.ID
}

func (b *board) get(id string) (Alarm, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	a, ok := b.open[id]
	return a, ok
}

// record is one transaction of the writer: alarms and journal entries, shown
// on the board and told only once they are committed.
type record struct {
	ctx      context.Context
	tx       *sql.Tx
	board    *board
	seq      uint64
	put      map[string]Alarm
	prepared map[string]*sql.Stmt
	keys     map[alarmKey]string // open alarms this record made
	events   []Event
}

// write runs f as one record. Engine.writing is held.
func (e *Engine) write(ctx context.Context, f func(r *record) error) error {
	tx, err := e.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	r := &record{ctx: ctx, tx: tx, board: &e.board, seq: e.board.seq, put: map[string]Alarm{}, prepared: map[string]*sql.Stmt{}, keys: map[alarmKey]string{}}
	if err := f(r); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	e.board.mu.Lock()
	for _, a := range r.put {
		if a.State == Closed { // first, since another episode may have begun under the same key
			e.board.put(a)
		}
	}
	for _, a := range r.put {
		if a.State != Closed {
			e.board.put(a)
		}
	}
	e.board.seq = r.seq
	e.board.mu.Unlock()
	if e.o.OnEvent != nil {
		for _, ev := range r.events {
			e.o.OnEvent(ev)
		}
	}
	return nil
}

// exec prepares each statement once for the record: a flood of alarms is one transaction.
func (r *record) exec(query string, args ...any) (sql.Result, error) {
	st := r.prepared[query]
	if st == nil {
		var err error
		if st, err = r.tx.PrepareContext(r.ctx, query); err != nil { // the transaction's end closes it
			return nil, err
		}
		r.prepared[query] = st
	}
	return st.ExecContext(r.ctx, args...)
}

// openOf finds the open alarm of a (rule, subject), as this record sees it.
func (r *record) openOf(k alarmKey) (Alarm, bool) {
	id, ok := r.keys[k]
	if !ok {
		id, ok = r.board.byKey[k]
	}
	if !ok {
		return Alarm{}, false
	}
	a, ok := r.put[id]
	if !ok {
		a, ok = r.board.get(id)
	}
	return a, ok && a.State != Closed
}

// insert adds a new alarm under the id of its episode. Where that id is taken
// (the same episode judged once more, after its rule or scope had changed)
// the episode counts as begun a millisecond later.
func (r *record) insert(a Alarm) (Alarm, error) {
	lon, lat := columnsOf(a.Position)
	for {
		a.ID = alarmID(a.Rule, a.Subject, a.started)
		res, err := r.exec(`INSERT INTO alerts_alarms (`+alarmColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT (id) DO NOTHING`,
			a.ID, a.Rule, a.Title, a.Metric, a.Unit, string(a.Subject), string(a.State), string(a.Priority), a.started,
			a.Raised.UnixMilli(), a.Changed.UnixMilli(), a.Value, a.Threshold, lon, lat, a.Assignee, a.Agency, int64(a.cur.seq), a.cur.nth)
		if err != nil {
			return a, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return a, err
		}
		if n == 1 {
			break
		}
		a.started++
	}
	r.keep(a)
	return a, nil
}

// update writes what transitions change of an alarm.
func (r *record) update(a Alarm) error {
	lon, lat := columnsOf(a.Position)
	_, err := r.exec(`UPDATE alerts_alarms SET title = $2, state = $3, priority = $4, changed = $5, value = $6,
		threshold = $7, lon = $8, lat = $9, agency = $10, log_seq = $11, log_nth = $12 WHERE id = $1`,
		a.ID, a.Title, string(a.State), string(a.Priority), a.Changed.UnixMilli(), a.Value, a.Threshold, lon, lat, a.Agency, int64(a.cur.seq), a.cur.nth)
	r.keep(a)
	return err
}

func (r *record) keep(a Alarm) {
	r.put[a.ID] = a
	if a.State != Closed {
		r.keys[alarmKey{a.Rule, a.Subject}] = a.ID
	}
}

// journal adds an entry.
func (r *record) journal(kind string, at time.Time, actor, comment string, a Alarm) error {
	r.seq++
	ev := Event{Seq: r.seq, Type: kind, At: at, Actor: actor, Comment: comment, Alarm: a}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = r.exec(`INSERT INTO alerts_journal (seq, alarm, type, at, actor, comment, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		int64(r.seq), a.ID, kind, at.UnixMilli(), actor, comment, string(body))
	r.events = append(r.events, ev)
	return err
}

// committedAtOnce bounds a transaction, and so how long an operator's ack waits for it.
const committedAtOnce = 250

// commit writes what is pending. What fails stays pending, in its order.
func (e *Engine) commit(ctx context.Context) error { return e.commitAll(ctx, false) }

// checkpoint is commit, and records how far the log is judged.
func (e *Engine) checkpoint(ctx context.Context) error { return e.commitAll(ctx, true) }

func (e *Engine) commitAll(ctx context.Context, withPlace bool) error {
	for {
		more, err := e.commitSome(ctx, withPlace)
		if err != nil || !more {
			return err
		}
	}
}

func (e *Engine) commitSome(ctx context.Context, withPlace bool) (more bool, err error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	j := &e.judges
	j.mu.Lock()
	batch := j.pending[:min(len(j.pending), e.atOnce)]
	var late []transition
	var p *place
	if len(batch) == len(j.pending) { // late ones come after all that is pending
		for _, t := range j.late {
			late = append(late, t)
		}
		slices.SortFunc(late, func(a, b transition) int { return cmp.Compare(a.at, b.at) })
		if withPlace {
			p = j.takePlace()
		}
	}
	j.mu.Unlock()
	if len(batch)+len(late) == 0 && p == nil {
		return false, nil
	}
	err = e.write(ctx, func(r *record) error {
		for _, ts := range [][]transition{batch, late} {
			for _, t := range ts {
				if err := e.apply(r, t); err != nil {
					return err
				}
				if err := e.waitIsOver(r, t.key()); err != nil {
					return err
				}
			}
		}
		if p == nil {
			return nil
		}
		return p.write(r)
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		if p != nil {
			j.putBack(p)
		}
		return false, err
	}
	if p != nil {
		j.placed = p.seq
	}
	// Only this function takes from the front, under writing; others append.
	j.pending = j.pending[len(batch):]
	if len(j.pending) == 0 {
		j.pending = nil
	}
	for _, t := range late {
		if j.late[t.key()] == t {
			delete(j.late, t.key())
		}
	}
	return len(j.pending)+len(j.late) > 0, nil
}

// apply turns a transition of judging into one of an alarm. One that changes nothing is no event.
func (e *Engine) apply(r *record, t transition) error {
	now := time.UnixMilli(t.at).UTC()
	a, open := r.openOf(t.key())
	if open && !t.raised {
		a, kind, ok := a.back(now)
		if !ok {
			return nil
		}
		a.cur = t.cur
		if err := r.update(a); err != nil {
			return err
		}
		return r.journal(kind, now, System, t.comment, a)
	}
	if !t.raised {
		return nil
	}
	if open {
		a, kind, ok := a.again(now)
		if !ok {
			return nil
		}
		if err := r.update(e.fill(a, t)); err != nil {
			return err
		}
		return r.journal(kind, now, System, t.comment, e.fill(a, t))
	}
	a = e.fill(Alarm{Rule: t.rule.ID, Metric: t.rule.Metric, Subject: t.subject, State: Active,
		Raised: now, Changed: now, started: t.started}, t)
	if m, ok := telemetry.Lookup(a.Metric); ok {
		a.Unit = m.Unit
	} else {
		a.Unit = t.rule.unit
	}
	a, err := r.insert(a)
	if err != nil {
		return err
	}
	return r.journal(EventRaised, now, System, t.comment, a)
}

// fill gives an alarm what it takes from the moment it is raised, or raised again.
func (e *Engine) fill(a Alarm, t transition) Alarm {
	a.Title, a.Priority, a.Value, a.Threshold, a.cur = t.rule.Title, t.rule.Priority, t.value, t.rule.On.threshold(), t.cur
	return e.refreshed(a)
}

const alarmColumns = `id, rule, title, metric, unit, subject, state, priority, started, raised, changed, value, threshold, lon, lat, assignee, agency, log_seq, log_nth`

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// eachAlarm reads alarms; tail is what follows FROM.
func eachAlarm(ctx context.Context, q querier, tail string, args []any, f func(Alarm)) error {
	rows, err := q.QueryContext(ctx, `SELECT `+alarmColumns+` FROM alerts_alarms `+tail, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a Alarm
		var raised, changed, seq int64
		var lon, lat sql.NullFloat64
		if err := rows.Scan(&a.ID, &a.Rule, &a.Title, &a.Metric, &a.Unit, &a.Subject, &a.State, &a.Priority, &a.started,
			&raised, &changed, &a.Value, &a.Threshold, &lon, &lat, &a.Assignee, &a.Agency, &seq, &a.cur.nth); err != nil {
			return err
		}
		a.cur.seq = uint64(seq)
		a.Raised, a.Changed = time.UnixMilli(raised).UTC(), time.UnixMilli(changed).UTC()
		if lon.Valid && lat.Valid {
			a.Position = &geo.Point{Lon: lon.Float64, Lat: lat.Float64}
		}
		f(a)
	}
	return rows.Err()
}

// readAlarm finds an alarm, closed or not.
func readAlarm(ctx context.Context, q querier, id string) (Alarm, error) {
	found := false
	var a Alarm
	err := eachAlarm(ctx, q, `WHERE id = $1`, []any{id}, func(b Alarm) { a, found = b, true })
	if err == nil && !found {
		err = ErrNotFound
	}
	return a, err
}

func columnsOf(p *geo.Point) (lon, lat sql.NullFloat64) {
	if p == nil {
		return
	}
	return sql.NullFloat64{Float64: p.Lon, Valid: true}, sql.NullFloat64{Float64: p.Lat, Valid: true}
}

// wrap adds what was tried to a database's error; errors callers tell apart pass.
func wrap(what string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
