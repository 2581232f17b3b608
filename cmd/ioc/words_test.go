package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"cuulong/devices"
)

// TestWords: what a device says of itself among its values is recorded at once,
// what changes again within the second at its end; what is newer stays.
func TestWords(t *testing.T) {
	dir := t.TempDir()
	db, err := openRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	registry, err := devices.Open(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := registry.Create(t.Context(), devices.Device{ID: "a", Name: "a", Kind: devices.Station}); err != nil {
		t.Fatal(err)
	}
	w := newWords(registry, slog.New(slog.DiscardHandler))
	changes := 0
	registry.OnChange(func(devices.Change) { changes++ })
	say := func(name string, v any) {
		t.Helper()
		if why, err := w.take("a", map[string]any{name: v}); why != "" || err != nil {
			t.Fatal(why, err)
		}
	}
	has := func(when, name string, want any) {
		t.Helper()
		if d, _ := registry.Get("a"); d.Attributes[name] != want {
			t.Errorf("%s: %s is %v, want %v", when, name, d.Attributes[name], want)
		}
	}
	say("time", "0")
	has("at once", "time", "0")
	for i := range 1000 {
		say("time", fmt.Sprint(i))
	}
	say("door", true)
	has("a new name at once", "door", true)
	has("a changing one waits", "time", "0")
	w.flush()
	has("the second is over", "time", "999")
	if changes != 3 {
		t.Errorf("%d changes, want 3", changes)
	}
	say("time", "1000")
	say("time", "999")
	w.flush()
	has("back again", "time", "999")

	say("time", "waits")
	long := strings.Repeat("x", longest+1)
	say("time", long)
	has("a long text at once", "time", long)
	w.flush()
	has("and is not overwritten", "time", long)
	say("time", "waits")
	if why, err := w.record("a", map[string]any{"time": nil, "other": 1.5}); why != "" || err != nil {
		t.Fatal(why, err)
	}
	w.flush()
	has("removed by the device", "time", nil)

	if why, err := w.take("nobody", map[string]any{"x": "y"}); why == "" || err != nil {
		t.Errorf("of nobody: %q, %v", why, err)
	}
	if why, err := w.take("a", map[string]any{"x": strings.Repeat("y", 1<<20)}); why == "" || err != nil {
		t.Errorf("too long: %q, %v", why, err)
	}

	// The end of the server is the end of the second.
	ctx, cancel := context.WithCancel(t.Context())
	say("door", false)
	say("door", true)
	say("door", false)
	done := make(chan struct{})
	go func() { w.run(ctx); close(done) }()
	cancel()
	<-done
	has("stopped", "door", false)
}
