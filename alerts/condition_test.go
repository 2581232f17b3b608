package alerts

import (
	"errors"
	"testing"
)

// What holds about the server itself is an alarm as any other, but that it is of no device and no rule.
func TestCondition(t *testing.T) {
	w := newWorld(t, "s1")
	full := Condition{ID: DiskFull, Title: "Đĩa đầy", Priority: Urgent, Metric: "disk_free", Unit: "MiB", Threshold: 64}
	tell := func(holds bool, value float64, want string) {
		t.Helper()
		for range 2 { // a second telling is no news
			w.Condition(full, holds, value, "")
		}
		w.settle()
		if got := words(w.takeEvents()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	tell(false, 900, "")
	tell(true, 63, "raised:active")
	a := w.only()
	if a.Rule != DiskFull || a.Subject != Own || a.Title != "Đĩa đầy" || a.Priority != Urgent || a.Value != 63 || a.Threshold != 64 ||
		a.Metric != "disk_free" || a.Unit != "MiB" || a.Position != nil || a.Agency != "" {
		t.Errorf("%+v", a)
	}
	// A new process finds it as it was, and goes on from there.
	w.restart()
	w.settle()
	tell(true, 60, "")
	if got := w.only(); got.ID != a.ID {
		t.Errorf("another episode: %+v", got)
	}
	w.to(10)
	tell(false, 100, "returned:returned")
	w.to(20)
	tell(true, 50, "raised:active")
	if _, err := w.Ack(t.Context(), a.ID, "lan", ""); err != nil {
		t.Fatal(err)
	}
	w.to(30)
	tell(false, 100, "acknowledged:acknowledged closed:closed")
	w.to(40)
	tell(true, 10, "raised:active")
	if b := w.only(); b.ID == a.ID {
		t.Error("a closed episode goes on")
	}
	w.restart() // and holds no more when it begins
	tell(false, 500, "returned:returned")
	w.checkJournal()
}

func TestConditionsAreNobodysRules(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{DiskLow, DiskFull, LogFailed} {
		r := fourGrams()
		r.ID = id
		if err := r.Validate(); err != nil {
			t.Errorf("%s is no identifier: %v", id, err)
		}
		if _, err := w.CreateRule(t.Context(), r); !errors.Is(err, ErrExists) {
			t.Errorf("create %s: %v", id, err)
		}
		if err := w.DeleteRule(t.Context(), id, "lan"); !errors.Is(err, ErrNotFound) {
			t.Errorf("delete %s: %v", id, err)
		}
	}
}
