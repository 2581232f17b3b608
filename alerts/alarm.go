package alerts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"cuulong/devices"
	"cuulong/geo"
)

// State of an alarm.
type State string

// The states of an alarm.
const (
	Active       State = "active"       // beyond its threshold, seen by nobody
	Acknowledged State = "acknowledged" // beyond its threshold, seen
	Returned     State = "returned"     // back to normal, seen by nobody
	Closed       State = "closed"
)

var states = []State{Active, Acknowledged, Returned, Closed}

// Valid says whether s is one of the states.
func (s State) Valid() bool { return slices.Contains(states, s) }

// Alarm is one episode of one rule at one subject; fields as in the contract.
// Title, priority, threshold and value are those of the moment it was raised,
// or last raised again.
type Alarm struct {
	ID        string     `json:"id"` // from (rule, subject, episode start)
	Rule      string     `json:"rule"`
	Title     string     `json:"title"` // of the rule
	Metric    string     `json:"metric"`
	Unit      string     `json:"unit,omitempty"`
	Subject   devices.ID `json:"subject"`
	State     State      `json:"state"`
	Priority  Priority   `json:"priority"`
	Raised    time.Time  `json:"raised"`  // first, by our clock
	Changed   time.Time  `json:"changed"` // of state, by our clock
	Value     float64    `json:"value"`
	Threshold float64    `json:"threshold"`
	Position  *geo.Point `json:"position,omitempty"`
	Assignee  string     `json:"assignee,omitempty"`
	Agency    string     `json:"agency,omitempty"`

	started int64  // phenomenon time at which the condition began to hold, Unix ms
	cur     cursor // in the log, of the newest transition that judging made
}

func (a Alarm) inAlarm() bool { return a.State == Active || a.State == Acknowledged }

// alarmID names an episode, the same each time.
func alarmID(rule string, subject devices.ID, started int64) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", rule, subject, started))
	return hex.EncodeToString(h[:12])
}

// Kinds of events. An event that closes an alarm is "closed", whoever closes it.
const (
	EventRaised       = "raised"
	EventReturned     = "returned"
	EventAcknowledged = "acknowledged"
	EventCommented    = "commented"
	EventClosed       = "closed"
)

// System is the actor of what no person did.
const System = "system"

// Event is one transition in the journal: e of the contract.
type Event struct {
	Seq     uint64    `json:"seq"` // dense, from 1
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"` // System or a user name
	Comment string    `json:"comment,omitempty"`
	Alarm   Alarm     `json:"alarm"` // as it was then
}

// The transitions of an alarm that exists. Each gives the alarm afterwards and
// the event it makes; ok is false where nothing changes.

// again is the condition holding once more.
func (a Alarm) again(now time.Time) (Alarm, string, bool) {
	if a.State != Returned {
		return a, "", false
	}
	a.State, a.Changed = Active, now
	return a, EventRaised, true
}

// back is the condition having ended.
func (a Alarm) back(now time.Time) (Alarm, string, bool) {
	switch a.State {
	case Active:
		a.State, a.Changed = Returned, now
		return a, EventReturned, true
	case Acknowledged:
		a.State, a.Changed = Closed, now
		return a, EventClosed, true
	}
	return a, "", false
}

// acknowledged is a person having seen it.
func (a Alarm) acknowledged(now time.Time) (Alarm, string, bool) {
	switch a.State {
	case Active:
		a.State, a.Changed = Acknowledged, now
		return a, EventAcknowledged, true
	case Returned:
		a.State, a.Changed = Closed, now
		return a, EventClosed, true
	}
	return a, "", false
}

// closed is the end of its rule.
func (a Alarm) closed(now time.Time) (Alarm, string, bool) {
	if a.State == Closed {
		return a, "", false
	}
	a.State, a.Changed = Closed, now
	return a, EventClosed, true
}
