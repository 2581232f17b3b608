package alerts

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/telemetry"
)

// Errors callers tell apart. A *FieldError (Field, Why) reports an invalid rule.
var (
	ErrNotFound = errors.New("no such rule or alarm")
	ErrExists   = errors.New("rule id is taken")
)

// Priority of a rule and its alarms.
type Priority string

// The priorities, lowest first.
const (
	Low    Priority = "low"
	Medium Priority = "medium"
	High   Priority = "high"
	Urgent Priority = "urgent"
)

// Scope says which datastreams a rule judges: fields AND, values OR, absent = all.
type Scope struct {
	Devices []devices.ID   `json:"devices,omitempty"`
	Kinds   []devices.Kind `json:"kinds,omitempty"`
	Zones   []string       `json:"zones,omitempty"`
	Tags    []string       `json:"tags,omitempty"`
}

// Limit is one side of a threshold; exactly one of Above and Below is set; both are strict.
type Limit struct {
	Above *float64 `json:"above,omitempty"`
	Below *float64 `json:"below,omitempty"`
	ForS  int      `json:"for_s,omitempty"`
}

// Rule raises an alarm per subject when On has held for On.ForS, and returns it when Off has held for Off.ForS.
type Rule struct {
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Metric   string           `json:"metric"`
	Scope    Scope            `json:"scope"`
	On       Limit            `json:"on"`
	Off      Limit            `json:"off"`
	Priority Priority         `json:"priority"`
	Flags    []telemetry.Flag `json:"flags,omitempty"` // default pass and not evaluated
	Public   bool             `json:"public,omitempty"`
	Created  time.Time        `json:"created"`
}

// State of an alarm.
type State string

// The states of an alarm.
const (
	Active       State = "active"
	Acknowledged State = "acknowledged"
	Returned     State = "returned"
	Closed       State = "closed"
)

// Alarm is one episode of one rule at one subject; fields as in the contract.
type Alarm struct {
	ID        string     `json:"id"` // from (rule, subject, episode start)
	Rule      string     `json:"rule"`
	Title     string     `json:"title"` // of the rule
	Metric    string     `json:"metric"`
	Unit      string     `json:"unit,omitempty"`
	Subject   devices.ID `json:"subject"`
	State     State      `json:"state"`
	Priority  Priority   `json:"priority"`
	Raised    time.Time  `json:"raised"`
	Changed   time.Time  `json:"changed"`
	Value     float64    `json:"value"`
	Threshold float64    `json:"threshold"`
	Position  *geo.Point `json:"position,omitempty"`
	Assignee  string     `json:"assignee,omitempty"`
	Agency    string     `json:"agency,omitempty"`
}

// Event is one transition in the journal: e of the contract.
type Event struct {
	Seq     uint64    `json:"seq"`
	Type    string    `json:"type"` // raised, returned, acknowledged, commented, closed
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"` // "system" or a user name
	Comment string    `json:"comment,omitempty"`
	Alarm   Alarm     `json:"alarm"`
}

// Options configure the engine.
type Options struct {
	Registry *devices.Registry
	Atlas    *geo.Atlas
	Latest   *telemetry.Latest
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	// OnEvent is told each transition after it is committed, in journal order. It must not block.
	OnEvent func(Event)
}

// Engine judges and keeps.
type Engine struct{}

// Open migrates, loads rules and alarms with their states, and judges Latest again.
func Open(ctx context.Context, db *sql.DB, o Options) (*Engine, error) { return &Engine{}, nil }

// Observe flips states in memory and marks pending transitions. It never blocks.
func (e *Engine) Observe(obs []telemetry.Observation) {}

// Tick does what passes with time alone.
func (e *Engine) Tick(now time.Time) {}

// Run commits pending transitions and ticks once a second, until ctx ends.
func (e *Engine) Run(ctx context.Context) error { return nil }

func (e *Engine) Rules() []Rule                                        { return nil }
func (e *Engine) Rule(id string) (Rule, bool)                          { return Rule{}, false }
func (e *Engine) CreateRule(ctx context.Context, r Rule) (Rule, error) { return r, nil }
func (e *Engine) UpdateRule(ctx context.Context, r Rule) (Rule, error) { return r, nil }

// DeleteRule deletes a rule; its open alarms close, by actor.
func (e *Engine) DeleteRule(ctx context.Context, id, actor string) error { return nil }

// Snapshot returns the alarms not closed, by priority then newest, and the journal's seq they stand at.
func (e *Engine) Snapshot() (seq uint64, open []Alarm) { return 0, nil }

// Alarms lists alarms, closed ones included when states says so; before is a cursor.
func (e *Engine) Alarms(ctx context.Context, f Filter) (alarms []Alarm, next string, err error) {
	return nil, "", nil
}
func (e *Engine) Alarm(ctx context.Context, id string) (Alarm, error) { return Alarm{}, nil }
func (e *Engine) Ack(ctx context.Context, id, actor, comment string) (Alarm, error) {
	return Alarm{}, nil
}
func (e *Engine) Comment(ctx context.Context, id, actor, text string) (Alarm, error) {
	return Alarm{}, nil
}
func (e *Engine) Journal(ctx context.Context, id string) ([]Event, error) { return nil, nil }

// Since lists the journal after seq, oldest first, at most limit.
func (e *Engine) Since(ctx context.Context, seq uint64, limit int) ([]Event, error) { return nil, nil }

// Filter narrows Alarms; the zero value means all that are not closed.
type Filter struct {
	States     []State
	Priorities []Priority
	Zone       string
	Limit      int
	Cursor     string
}
