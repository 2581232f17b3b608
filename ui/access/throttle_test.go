package access

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	t0 := newClock().now()
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	type step struct {
		after  time.Duration // since the step before
		refund bool
		wait   time.Duration
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"free attempts", []step{{0, false, 0}, {0, false, 0}, {0, false, 0}, {0, false, s(1)}}},
		{"doubling", []step{{0, false, 0}, {0, false, 0}, {0, false, 0}, {s(1), false, 0}, {s(1), false, s(0.9)}}},
		{"asking during the wait costs nothing", []step{{0, false, 0}, {0, false, 0}, {0, false, 0}, {s(0.5), false, s(0.5)}, {s(0.5), false, 0}}},
		{"success costs nothing", []step{{0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}}},
		{"forgiven with time", []step{{0, false, 0}, {0, false, 0}, {0, false, 0}, {4 * forgiveEvery, false, 0}, {0, false, 0}, {0, false, 0}, {0, false, s(1)}}},
	} {
		th := newThrottle(2, 8*time.Second, 100)
		now := t0
		for i, st := range tc.steps {
			now = now.Add(st.after)
			got := th.charge("k", now)
			// Forgiveness in between shortens a wait by some hundredths.
			if (got == 0) != (st.wait == 0) || got > st.wait+s(1) || got < st.wait-s(0.1) {
				t.Errorf("%s, step %d: wait %v, want about %v", tc.name, i, got, st.wait)
			}
			if st.refund {
				th.refund("k")
			}
		}
	}
}

func TestThrottleNeverWaitsLongerThanItsMost(t *testing.T) {
	th := newThrottle(0, time.Minute, 10)
	now := newClock().now()
	for range 200 {
		if wait := th.charge("k", now); wait > time.Minute {
			t.Fatalf("wait %v", wait)
		} else {
			now = now.Add(wait)
		}
	}
	if wait := th.charge("other", now); wait != 0 {
		t.Errorf("another key waits %v", wait)
	}
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	th := newThrottle(2, time.Minute, 50)
	now := newClock().now()
	for range 4 {
		th.charge("guesser", now)
		now = now.Add(2 * time.Second)
	}
	for i := range 5000 {
		th.charge(fmt.Sprint(i), now)
		if len(th.keys) > 50 {
			t.Fatalf("%d keys", len(th.keys))
		}
	}
	if th.keys["guesser"] == nil {
		t.Error("a flood of single attempts has washed the guesser out")
	}
}

func TestThrottleCountsAttemptsAtOnce(t *testing.T) {
	th := newThrottle(3, time.Minute, 50)
	now := newClock().now()
	var through atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if th.charge("k", now) == 0 {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	if n := through.Load(); n != 4 { // the free ones, and the one that starts the wait
		t.Errorf("%d attempts went through", n)
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
