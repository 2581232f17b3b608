package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"cuulong/devices"
)

// wordsEvery is how often strings and booleans among a device's values are
// recorded at most.
const wordsEvery = time.Second

// words record the strings and booleans among values, as attributes of their
// devices, before the message is acknowledged. One that changes more often than
// once a second, such as a clock, waits for the second to be over: each costs a
// transaction, and all devices share one broker's reader.
type words struct {
	registry *devices.Registry
	log      *slog.Logger

	order   sync.Mutex // held while something is recorded: what is newer is so later
	mu      sync.Mutex
	written map[devices.ID]bool           // guarded by mu; within this second
	waiting map[devices.ID]map[string]any // guarded by mu; values of names that the registry knows
}

func newWords(registry *devices.Registry, log *slog.Logger) *words {
	return &words{registry: registry, log: log, written: map[devices.ID]bool{}, waiting: map[devices.ID]map[string]any{}}
}

// take has what a device said. why tells that it cannot be kept; err, that it
// could not be this time.
func (w *words) take(id devices.ID, said map[string]any) (why string, err error) {
	d, _ := w.registry.Get(id)
	w.mu.Lock()
	waiting := w.waiting[id]
	if repeats(d.Attributes, waiting, said) { // as most do, with each message
		w.mu.Unlock()
		return "", nil
	}
	if w.written[id] && onlyValues(d.Attributes, said) {
		if waiting == nil {
			waiting = make(map[string]any, len(said))
			w.waiting[id] = waiting
		}
		maps.Copy(waiting, said)
		w.mu.Unlock()
		return "", nil
	}
	w.written[id] = true
	w.mu.Unlock()
	return w.record(id, said)
}

// record has what a device said recorded now. why tells that it cannot be kept;
// err, that it could not be this time.
func (w *words) record(id devices.ID, said map[string]any) (why string, err error) {
	w.order.Lock()
	defer w.order.Unlock()
	w.mu.Lock()
	for name := range said {
		delete(w.waiting[id], name) // which is older
	}
	w.mu.Unlock()
	return w.set(id, said)
}

// longest is how long a text may be that waits: so short that it can be kept.
const longest = 256

// onlyValues tells whether what is said has new values of known names alone,
// which nothing but the total of their lengths can refuse.
func onlyValues(known, said map[string]any) bool {
	for name, v := range said {
		if _, ok := known[name]; !ok {
			return false
		}
		if text, ok := v.(string); ok && len(text) > longest {
			return false
		}
	}
	return true
}

// run records what waits each second, and once more when ctx ends.
func (w *words) run(ctx context.Context) {
	tick := time.NewTicker(wordsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.flush()
		case <-ctx.Done():
			w.flush()
			return
		}
	}
}

func (w *words) flush() {
	w.mu.Lock()
	clear(w.written)
	ids := slices.Collect(maps.Keys(w.waiting))
	for _, id := range ids {
		w.written[id] = true
	}
	w.mu.Unlock()
	for _, id := range ids {
		w.order.Lock()
		w.mu.Lock()
		said := w.waiting[id]
		delete(w.waiting, id)
		w.mu.Unlock()
		why, err := w.set(id, said)
		if why != "" {
			w.log.Warn("attributes among values not kept", "device", id, "why", why)
		}
		if err != nil { // to be tried again, under what has come meanwhile
			w.mu.Lock()
			maps.Copy(said, w.waiting[id])
			w.waiting[id] = said
			w.mu.Unlock()
		}
		w.order.Unlock()
	}
}

func (w *words) set(id devices.ID, said map[string]any) (why string, err error) {
	err = w.registry.SetAttributes(context.Background(), id, said)
	var invalid *devices.FieldError
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, devices.ErrNotFound), errors.As(err, &invalid):
		return err.Error(), nil
	}
	w.log.Error("attributes not recorded", "device", id, "err", err)
	return "", err
}

// repeats tells that strings and booleans are as they are known, or wait to be.
func repeats(known, waiting, said map[string]any) bool {
	for name, v := range said {
		if w, ok := waiting[name]; ok && w != v || !ok && known[name] != v {
			return false
		}
	}
	return true
}
