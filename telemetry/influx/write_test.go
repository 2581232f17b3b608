package influx

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cuulong/devices"
	"cuulong/telemetry"
)

// answerer is a database that answers each write as a func says; what it takes, it keeps.
type answerer struct {
	*httptest.Server
	mu    sync.Mutex
	posts int
	lines []string
}

func answering(t *testing.T, say func(lines []string) (status int, message string)) *answerer {
	a := &answerer{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		a.mu.Lock()
		defer a.mu.Unlock()
		a.posts++
		status, message := say(lines)
		if status == http.StatusNoContent {
			a.lines = append(a.lines, lines...)
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":"invalid","message":%q}`, message)
	}))
	t.Cleanup(a.Close)
	return a
}

func has(lines []string, what string) int {
	n := 0
	for _, l := range lines {
		if strings.Contains(l, what) {
			n++
		}
	}
	return n
}

// TestVerdicts: which answers blame a point, and which the database or us.
func TestVerdicts(t *testing.T) {
	const n = 1000
	bad := map[int]bool{0: true, 333: true, 334: true, n - 1: true}
	for _, tc := range []struct {
		name     string
		say      func(lines []string) (int, string)
		reason   string
		refused  int
		fails    bool
		atMost   int // posts
		tooLarge bool
	}{
		{name: "conflict, counted", say: func(l []string) (int, string) {
			if k := has(l, "metric=bad"); k > 0 {
				return 422, fmt.Sprintf(`failure writing points to database: partial write: field type conflict: input field "value" dropped=%d`, k)
			}
			return 204, ""
		}, reason: StoreConflict, refused: len(bad), atMost: 80},
		{name: "all of them", say: func(l []string) (int, string) {
			return 400, fmt.Sprintf("partial write: points beyond retention policy dropped=%d", len(l))
		}, reason: StoreRetention, refused: n, atMost: 1},
		{name: "one in words that we do not know", say: func(l []string) (int, string) {
			if has(l, "metric=bad") > 0 {
				return 400, "I do not like it"
			}
			return 204, ""
		}, reason: StoreRefused, refused: len(bad), atMost: 80},
		{name: "everything, in words that we do not know", say: func([]string) (int, string) { return 400, "organization name is not right" }, fails: true, atMost: 60},
		{name: "no such bucket", say: func([]string) (int, string) { return 404, "database not found" }, fails: true, atMost: 2},
		{name: "not allowed", say: func([]string) (int, string) { return 401, "unauthorized" }, fails: true, atMost: 2},
		{name: "overloaded", say: func([]string) (int, string) { return 503, "partial write: timeout dropped=3" }, fails: true, atMost: 2},
		{name: "too large", say: func(l []string) (int, string) {
			if len(l) > 100 {
				return 413, "request entity too large"
			}
			return 204, ""
		}, atMost: 40},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := answering(t, tc.say)
			s, err := Open(Options{URL: a.URL, Token: "u:p", Bucket: "b", Logger: quiet(), minWait: time.Millisecond, maxWait: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var b batch
			for i := range n {
				metric := "good"
				if bad[i] {
					metric = "bad"
				}
				b.add(&telemetry.Observation{Device: devices.ID(fmt.Sprintf("d%d", i)), Metric: metric, At: 1e12, Value: 1, Flag: telemetry.Pass})
			}
			err = s.deliver(t.Context(), &b, 2)
			var refused *RefusedError
			switch {
			case tc.fails:
				if err == nil || errors.As(err, &refused) {
					t.Fatalf("%v; want the database's own failure", err)
				}
			case tc.refused == 0:
				if err != nil {
					t.Fatal(err)
				}
			default:
				if !errors.As(err, &refused) || len(refused.List) != tc.refused {
					t.Fatalf("%v; want %d refused", err, tc.refused)
				}
				for _, r := range refused.List {
					if r.Reason != tc.reason || !strings.HasPrefix(r.Line, "observation,device=d") || strings.Contains(r.Line, "\n") {
						t.Fatalf("refused %+v", r)
					}
				}
			}
			if a.posts > tc.atMost {
				t.Errorf("%d writes, want at most %d", a.posts, tc.atMost)
			}
			if !tc.fails && len(a.lines) != n-tc.refused {
				t.Errorf("%d lines taken, want %d", len(a.lines), n-tc.refused)
			}
		})
	}
}

// TestBatchesAreBounded: in points and in bytes, in order.
func TestBatchesAreBounded(t *testing.T) {
	const points, bytes = 100, 4000
	var got []string
	a := answering(t, func(l []string) (int, string) {
		if len(l) > points || len(strings.Join(l, "\n")) > bytes {
			t.Errorf("%d points, %d bytes", len(l), len(strings.Join(l, "\n")))
		}
		got = append(got, l...)
		return 204, ""
	})
	s, err := Open(Options{URL: a.URL, Bucket: "b", Logger: quiet(), BatchPoints: points, BatchBytes: bytes})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b batch
	for i := range 1234 {
		o := telemetry.Observation{Device: "d", Metric: "m", At: 1e12 + int64(i), Value: 1, Flag: telemetry.Pass}
		if i%2 == 0 {
			o.Device = devices.ID(strings.Repeat("d", 60))
		}
		b.add(&o)
	}
	if err := s.deliver(t.Context(), &b, 1); err != nil {
		t.Fatal(err)
	}
	if len(got) != b.len() || strings.Join(got, "\n")+"\n" != b.text(0, b.len()) {
		t.Errorf("%d lines came, or in another order", len(got))
	}
}

// TestRetryAfter: a database that names a wait is not asked before.
func TestRetryAfter(t *testing.T) {
	var asked []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = append(asked, time.Now())
		if len(asked) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	s, err := Open(Options{URL: server.URL, Bucket: "b", Logger: quiet(), minWait: time.Millisecond, maxWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b batch
	b.add(&telemetry.Observation{Device: "d", Metric: "m", At: 1e12, Value: 1, Flag: telemetry.Pass})
	if err := s.deliver(t.Context(), &b, 3); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[1].Sub(asked[0]) < time.Second {
		t.Errorf("asked at %v", asked)
	}
}

// FuzzLine: whatever an observation holds, it becomes one line or is refused.
func FuzzLine(f *testing.F) {
	f.Add("sal-1", "salinity", "gross_range", 3.25, int64(1_772_323_200_000), uint8(4))
	f.Add("a\nb", "x y,z=\\", "\"\\", 1e308, int64(-1), uint8(1))
	f.Fuzz(func(t *testing.T, device, metric, test string, v float64, at int64, flag uint8) {
		var l lines
		err := l.add(&telemetry.Observation{Device: devices.ID(device), Metric: metric, At: at, Seen: at, Value: v, Flag: telemetry.Flag(flag), Test: test})
		if err != nil {
			if len(l.buf) != 0 || l.len() != 0 {
				t.Fatal("something was added all the same")
			}
			return
		}
		text := l.text(0, 1)
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || !strings.HasPrefix(text, "observation,device=") {
			t.Fatalf("%q", text)
		}
		if q := quote(device); strings.ContainsAny(q[1:len(q)-1], "\"$\n") {
			t.Fatalf("quoted %q", q)
		}
	})
}
