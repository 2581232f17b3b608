package access

import (
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// throttle slows guessing down. A key is charged for every attempt, before it
// is tried (so that attempts at once do not slip through together), and
// refunded when it succeeds. The first `free` cost nothing; each further one
// doubles the wait, from one second to max. One attempt is forgiven a minute.
//
// Memory: at most maxKeys keys; when full, forgiven ones go, else the one with
// the fewest attempts of a few.
type throttle struct {
	free    int
	max     time.Duration
	maxKeys int

	mu   sync.Mutex
	keys map[string]*attempts
}

type attempts struct {
	n     float64   // charged and not yet forgiven
	at    time.Time // when n was right
	until time.Time // refused before
}

const forgiveEvery = time.Minute

func newThrottle(free int, max time.Duration, maxKeys int) *throttle {
	return &throttle{free: free, max: max, maxKeys: maxKeys, keys: map[string]*attempts{}}
}

func (a *attempts) forgive(now time.Time) {
	if d := now.Sub(a.at); d > 0 {
		a.n = math.Max(0, a.n-float64(d)/float64(forgiveEvery))
	}
	a.at = now
}

// charge counts an attempt, or says how long to wait; then nothing is charged.
func (t *throttle) charge(key string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.keys[key]
	if a == nil {
		t.makeRoom(now)
		a = &attempts{at: now}
		t.keys[key] = a
	}
	if w := a.until.Sub(now); w > 0 {
		return w
	}
	a.forgive(now)
	a.n++
	if over := a.n - float64(t.free); over > 0 {
		w := time.Duration(float64(time.Second) * math.Exp2(math.Min(over-1, 30)))
		a.until = now.Add(min(w, t.max))
	}
	return 0
}

// refund takes a charge back: the attempt succeeded or was not tried.
func (t *throttle) refund(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.keys[key]; a != nil {
		a.n = math.Max(0, a.n-1)
		a.until = time.Time{}
	}
}

// forget clears a key: an account whose owner has come.
func (t *throttle) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, key)
}

// makeRoom is called with mu held.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.keys) < t.maxKeys {
		return
	}
	const look = 64 // at a time, so that a full table costs an attacker's guess, not our CPU
	var least string
	leastN, looked := math.Inf(1), 0
	for k, a := range t.keys {
		a.forgive(now)
		if a.n == 0 {
			delete(t.keys, k)
			continue
		}
		if a.n < leastN {
			least, leastN = k, a.n
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
