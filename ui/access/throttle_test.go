package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// attempt makes one attempt that ends as o, or says how long to wait.
func attempt(t *testing.T, th *throttle, key string, now time.Time, o outcome) (wait time.Duration) {
	t.Helper()
	err := th.begin(t.Context(), key, func() time.Time { return now })
	var throttled *ThrottledError
	switch {
	case errors.As(err, &throttled):
		return throttled.Wait
	case err != nil:
		t.Fatal(err)
	}
	th.end(key, now, o)
	return 0
}

func TestThrottle(t *testing.T) {
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	type step struct {
		after time.Duration // since the step before
		o     outcome
		wait  time.Duration // instead
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"free failures", []step{{0, failed, 0}, {0, failed, 0}, {0, failed, 0}, {0, failed, s(1)}}},
		{"doubling", []step{{0, failed, 0}, {0, failed, 0}, {0, failed, 0}, {s(1), failed, 0}, {s(1), failed, s(1)}, {s(1), failed, 0}, {s(1), failed, s(3)}}},
		{"asking during the wait costs nothing", []step{{0, failed, 0}, {0, failed, 0}, {0, failed, 0}, {s(0.5), failed, s(0.5)}, {s(0.5), failed, 0}}},
		{"success costs nothing", []step{{0, untried, 0}, {0, proved, 0}, {0, untried, 0}, {0, untried, 0}, {0, untried, 0}}},
		{"success does not excuse an address", []step{{0, failed, 0}, {0, failed, 0}, {0, untried, 0}, {0, failed, 0}, {0, failed, s(1)}}},
		{"but it does an account", []step{{0, failed, 0}, {0, failed, 0}, {0, proved, 0}, {0, failed, 0}, {0, failed, 0}, {0, failed, 0}, {0, failed, s(1)}}},
		{"forgiven with time", []step{{0, failed, 0}, {0, failed, 0}, {0, failed, 0}, {4 * forgiveEvery, failed, 0}, {0, failed, 0}, {0, failed, 0}, {0, failed, s(1)}}},
	} {
		th := newThrottle(2, 8*time.Second, 100)
		now := newClock().now()
		for i, st := range tc.steps {
			now = now.Add(st.after)
			got := attempt(t, th, "k", now, st.o)
			// What is forgiven meanwhile shortens a wait a little.
			if got > st.wait || got < st.wait-s(0.2) || (got == 0) != (st.wait == 0) {
				t.Errorf("%s, step %d: wait %v, want about %v", tc.name, i, got, st.wait)
			}
		}
	}
}

func TestThrottleNeverWaitsLongerThanItsMost(t *testing.T) {
	th := newThrottle(0, time.Minute, 10)
	now := newClock().now()
	longest := time.Duration(0)
	for range 200 {
		wait := attempt(t, th, "k", now, failed)
		longest = max(longest, wait)
		now = now.Add(wait)
	}
	if longest > time.Minute || longest < 30*time.Second {
		t.Errorf("longest wait %v", longest)
	}
	if wait := attempt(t, th, "other", now, failed); wait != 0 {
		t.Errorf("another key waits %v", wait)
	}
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	th := newThrottle(2, time.Minute, 50)
	now := newClock().now()
	for range 4 {
		attempt(t, th, "guesser", now, failed)
		now = now.Add(2 * time.Second)
	}
	for i := range 5000 {
		attempt(t, th, fmt.Sprint(i), now, failed)
		if len(th.keys) > 50 {
			t.Fatalf("%d keys", len(th.keys))
		}
	}
	if th.keys["guesser"] == nil {
		t.Error("a flood of single failures has washed the guesser out")
	}
	attempt(t, th, "good", now, proved)
	if th.keys["good"] != nil {
		t.Error("a success is remembered")
	}
}

// Wrong guesses at once get no further than one after the other would.
func TestThrottleOfAttemptsAtOnce(t *testing.T) {
	for _, tc := range []struct {
		o    outcome
		want int32
	}{{failed, 4}, {proved, 50}} { // three free failures and the one that starts the wait; all who are right
		synctest.Test(t, func(t *testing.T) {
			th := newThrottle(3, time.Minute, 50)
			var through, at, most atomic.Int32
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if th.begin(t.Context(), "k", time.Now) != nil {
						return
					}
					most.Store(max(most.Load(), at.Add(1)))
					through.Add(1)
					time.Sleep(50 * time.Millisecond) // hashing
					at.Add(-1)
					th.end("k", time.Now(), tc.o)
				})
			}
			wg.Wait()
			if through.Load() != tc.want || most.Load() > 4 {
				t.Errorf("outcome %d: %d went through, %d at once", tc.o, through.Load(), most.Load())
			}
			if len(th.keys) > 1 {
				t.Errorf("%d keys left", len(th.keys))
			}
		})
	}
}

func TestThrottleStandsNoLongerThanItsCaller(t *testing.T) {
	th := newThrottle(0, time.Minute, 50)
	if err := th.begin(t.Context(), "k", time.Now); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := th.begin(ctx, "k", time.Now); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAddressKey(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.1", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:2", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"[2001:db8::1]", "2001:db8::1", true},
		{"garbage", "", true},
	} {
		if a, b := addressKey(tc.a), addressKey(tc.b); (a == b) != tc.same {
			t.Errorf("%s → %s, %s → %s", tc.a, a, tc.b, b)
		}
	}
}

func TestLoginIsThrottled(t *testing.T) {
	c, clk := newControl(t)
	// By account, from ever new addresses.
	var err error
	tries := 0
	for ; tries < 20; tries++ {
		_, _, err = c.Login(t.Context(), "admin", "wrong password", fmt.Sprintf("198.51.100.%d:1", tries))
		if err != ErrBadLogin {
			break
		}
	}
	if !same(err, &ThrottledError{}) || tries != 6 {
		t.Errorf("by account: %v after %d tries", err, tries)
	}
	if _, _, err := c.Login(t.Context(), "admin", goodPassword, "203.0.113.1:1"); !same(err, &ThrottledError{}) {
		t.Errorf("the right password during the wait: %v", err)
	}
	clk.add(time.Minute)
	if _, _, err := c.Login(t.Context(), "admin", goodPassword, "203.0.113.1:1"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	// By address, with ever new names; the names share the throttle with real ones.
	tries = 0
	for ; tries < 40; tries++ {
		_, _, err = c.ExchangeLink(t.Context(), "guess", fmt.Sprintf("[2001:db8::%x]:1", tries))
		if err != ErrBadLogin {
			break
		}
	}
	if !same(err, &ThrottledError{}) || tries != 21 {
		t.Errorf("by address: %v after %d tries", err, tries)
	}
	if _, _, err := c.Login(t.Context(), "admin", goodPassword, "[2001:db8::aaaa]:1"); !same(err, &ThrottledError{}) {
		t.Errorf("log-in from there: %v", err)
	}
	if _, _, err := c.Login(t.Context(), "admin", goodPassword, "[2001:db8:0:1::1]:1"); err != nil {
		t.Errorf("log-in from elsewhere: %v", err)
	}
	// Old passwords are throttled like log-ins.
	_, p := mustLogin(t, c, "admin")
	for tries = 0; tries < 20; tries++ {
		if err = c.ChangePassword(t.Context(), p, "wrong", strings.Repeat("x", 12)); err != ErrBadLogin {
			break
		}
	}
	if !same(err, &ThrottledError{}) {
		t.Errorf("guessing the old password: %v", err)
	}
}
