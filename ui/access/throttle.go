package access

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// throttle slows guessing down. The first `free` failures of a key cost
// nothing; each further one doubles the wait, from one second to max. One
// failure is forgiven a minute.
//
// Attempts at once do not slip through together: as many run as could fail
// without a wait, the others stand until one of those is done. So a room full
// of screens that logs in rightly is served, if in turn.
//
// Memory: at most maxKeys keys; when full, forgiven ones go, else the one with
// the fewest failures of a few.
type throttle struct {
	free    int
	max     time.Duration
	maxKeys int

	mu   sync.Mutex
	keys map[string]*attempts
	done chan struct{} // closed, and made anew, when an attempt is done
}

type attempts struct {
	failed  float64   // and not yet forgiven
	at      time.Time // when failed was right
	until   time.Time // refused before
	running int
}

const forgiveEvery = time.Minute

func newThrottle(free int, max time.Duration, maxKeys int) *throttle {
	return &throttle{free: free, max: max, maxKeys: maxKeys, keys: map[string]*attempts{}, done: make(chan struct{})}
}

func (a *attempts) forgive(now time.Time) {
	if d := now.Sub(a.at); d > 0 {
		a.failed = math.Max(0, a.failed-float64(d)/float64(forgiveEvery))
	}
	a.at = now
}

// begin lets an attempt run, which must call end; or says how long to wait
// (*ThrottledError). It stands while too many of the same key run, until ctx ends.
func (t *throttle) begin(ctx context.Context, key string, now func() time.Time) error {
	for {
		stand, err := t.tryBegin(key, now())
		if stand == nil {
			return err
		}
		select {
		case <-stand:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryBegin returns what to stand for when too many run.
func (t *throttle) tryBegin(key string, now time.Time) (stand <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.keys[key]
	if a == nil {
		t.makeRoom(now)
		a = &attempts{at: now}
		t.keys[key] = a
	}
	if wait := a.until.Sub(now); wait > 0 {
		return nil, &ThrottledError{wait}
	}
	a.forgive(now)
	if a.running > 0 && a.failed+float64(a.running) > float64(t.free) {
		return t.done, nil
	}
	a.running++
	return nil, nil
}

// outcome of an attempt.
type outcome int

const (
	untried outcome = iota // nothing is known
	failed                 // a wrong guess
	proved                 // who they said they are: their failures are forgotten
)

// end tells what became of an attempt.
func (t *throttle) end(key string, now time.Time, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.keys[key]
	a.running--
	a.forgive(now)
	switch o {
	case failed:
		a.failed++
		if over := a.failed - float64(t.free); over > 0 {
			w := time.Duration(float64(time.Second) * math.Exp2(math.Min(over-1, 30)))
			a.until = now.Add(min(w, t.max))
		}
	case proved:
		a.failed, a.until = 0, time.Time{}
	}
	if a.failed == 0 && a.running == 0 {
		delete(t.keys, key)
	}
	close(t.done)
	t.done = make(chan struct{})
}

// makeRoom is called with mu held.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.keys) < t.maxKeys {
		return
	}
	const look = 64 // at a time, so that a full table costs an attacker's guess, not our CPU
	var least string
	fewest, looked := math.Inf(1), 0
	for k, a := range t.keys {
		if a.running > 0 {
			continue // there are no more of these than log-ins at once
		}
		a.forgive(now)
		if a.failed == 0 {
			delete(t.keys, k)
			continue
		}
		if a.failed < fewest {
			least, fewest = k, a.failed
		}
		if looked++; looked == look {
			break
		}
	}
	if len(t.keys) >= t.maxKeys {
		delete(t.keys, least)
	}
}

// addressKey is what an address is throttled under: an IPv4 address, the /64
// of an IPv6 one (a household or server has that many). remote is host:port or a host.
func addressKey(remote string) string {
	addr, err := netip.ParseAddr(strings.Trim(remote, "[]"))
	if ap, e := netip.ParseAddrPort(remote); e == nil {
		addr, err = ap.Addr(), nil
	}
	if err != nil {
		return "?" // what cannot be told apart shares one key
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	p, _ := addr.Prefix(64)
	return p.String()
}
