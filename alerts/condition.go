package alerts

import (
	"cuulong/devices"
)

// Own is the subject of alarms about this server itself. It is no device, and stands nowhere.
const Own devices.ID = "ioc"

// Condition is something about this server that alarms when it holds. Its id is
// that of a rule that nobody made and nobody can delete.
type Condition struct {
	ID        string
	Title     string
	Priority  Priority
	Metric    string // what Value and Threshold are of
	Unit      string
	Threshold float64 // below which Value must not fall
}

// The conditions.
const (
	DiskLow   = "ioc.disk-low"   // the disk of the data folder fills up
	DiskFull  = "ioc.disk-full"  // nothing is taken in, for want of space
	LogFailed = "ioc.log-failed" // nothing is taken in until the server is started again
)

// ownRule tells the id of a condition from that of a rule.
func ownRule(id string) bool { return id == DiskLow || id == DiskFull || id == LogFailed }

// Condition tells the engine whether a condition holds, with the value at
// which it does, and a word on it for the journal. It may be told as often as
// the caller likes: what changes nothing is no transition. It never blocks; Run commits.
func (e *Engine) Condition(c Condition, holds bool, value float64, comment string) {
	j := &e.judges
	j.mu.Lock()
	defer j.mu.Unlock()
	if was, told := j.conditions[c.ID]; told && was == holds {
		return
	}
	if j.conditions == nil {
		j.conditions = map[string]bool{}
	}
	j.conditions[c.ID] = holds
	now := e.now().UnixMilli()
	r := &rule{Rule: Rule{ID: c.ID, Title: c.Title, Metric: c.Metric, Priority: c.Priority, On: Limit{Below: &c.Threshold}}, unit: c.Unit}
	// Told first after a start it may be what the board shows already: then recording finds that nothing changes.
	j.note(transition{rule: r, subject: Own, raised: holds, started: now, at: now, value: value, comment: comment})
	e.poke()
}
