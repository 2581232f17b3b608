package influx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"

	"cuulong/telemetry"
)

// The reasons for which the database, or its protocol, refuses a point: a fixed
// set, which extends telemetry's.
const (
	StoreConflict  = "store_conflict"  // the field has another type there
	StoreRetention = "store_retention" // older than what the bucket keeps
	StoreRefused   = "store_refused"   // anything else that trying again cannot change
)

// Refused are points that the database will not take.
type Refused struct {
	Reason string
	Detail string // what the database said
	Line   string // the point in line protocol
}

// RefusedError lists what was refused while the rest was written.
type RefusedError struct{ List []Refused }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d points were refused, the first because: %s", len(e.List), e.List[0].Detail)
}

// batch is what is delivered together: points, and what no point can be made of.
type batch struct {
	lines
	refused []Refused
}

func (b *batch) reset() {
	b.lines.reset()
	b.refused = nil
}

func (b *batch) add(o *telemetry.Observation) {
	if err := b.lines.add(o); err != nil {
		b.refused = append(b.refused, Refused{StoreRefused, err.Error(), fmt.Sprintf("%.64q %.64q %v at %d", o.Device, o.Metric, o.Value, o.At)})
	}
}

// deliver writes a batch, however often that must be tried, and sets aside what
// is refused. tries 0: until ctx ends. It is safe to deliver a batch again.
func (s *Store) deliver(ctx context.Context, b *batch, tries int) error {
	refused := b.refused
	for i := 0; i < b.len(); {
		j := s.cut(b, i)
		err := s.try(ctx, tries, "InfluxDB", func() error {
			p := pass{s: s, b: b}
			if err := p.put(ctx, i, j); err != nil {
				return err
			}
			if p.written == 0 && p.unsure > 0 {
				return p.last // all of it, and for no reason we know: more likely the address is wrong than every point
			}
			s.count.written.Add(float64(p.written))
			refused = append(refused, p.refused...)
			return nil
		})
		if err != nil {
			return err
		}
		i = j
	}
	if len(refused) == 0 {
		return nil
	}
	if s.o.SetAside == nil {
		s.tell(refused)
		return &RefusedError{refused}
	}
	if err := s.try(ctx, tries, "quarantine", func() error { return s.o.SetAside(ctx, asides(refused)) }); err != nil {
		return err
	}
	s.tell(refused)
	return nil
}

func (s *Store) tell(refused []Refused) {
	s.log.Warn("points refused by InfluxDB are set aside", "points", len(refused), "reason", refused[0].Reason, "detail", refused[0].Detail)
	for _, r := range refused {
		s.count.quarantined.WithLabelValues(r.Reason).Inc()
	}
}

// asides is the list as quarantine keeps it: the point itself is the payload.
func asides(refused []Refused) []telemetry.SetAside {
	now := time.Now().UnixMilli()
	out := make([]telemetry.SetAside, len(refused))
	for i, r := range refused {
		series, _, _ := strings.Cut(r.Line, " ")
		out[i] = telemetry.SetAside{Source: "influx " + series, Reason: r.Reason, Detail: r.Detail, Payload: []byte(r.Line), Seen: now, Count: 1}
	}
	return out
}

// cut is where the write that begins with point i ends.
func (s *Store) cut(b *batch, i int) int {
	j := min(i+s.o.BatchPoints, b.len())
	for j > i+1 && b.bytes(i, j) > s.o.BatchBytes {
		j = i + (j-i)/2
	}
	return j
}

// try repeats what fails, with waits that double up to a bound. who is what does not take it.
func (s *Store) try(ctx context.Context, tries int, who string, do func() error) error {
	wait := s.o.minWait
	for n := 1; ; n++ {
		err := do()
		if err == nil {
			if n > 1 {
				s.log.Info(who+" takes what waits for InfluxDB again", "attempts", n)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n == tries {
			return err
		}
		s.count.failed.Inc()
		if n == 1 {
			s.log.Warn(who+" takes nothing; what is for InfluxDB waits in the log", "err", err)
		}
		length := wait/2 + rand.N(wait/2+1)
		var answer *influxhttp.Error
		if errors.As(err, &answer) && answer.RetryAfter > 0 {
			length = max(length, min(time.Duration(answer.RetryAfter)*time.Second, time.Minute))
		}
		if err := pause(ctx, length); err != nil {
			return err
		}
		wait = min(2*wait, s.o.maxWait)
	}
}

// pass is one attempt at a write; it finds the points that spoil it.
type pass struct {
	s       *Store
	b       *batch
	written int
	unsure  int   // refused for no reason that we know
	last    error // why, the last of them
	refused []Refused
}

// put writes the points i to j. What is refused is halved until each point that
// is to blame stands alone; halves are written in order, so that the later of two
// values of one time stays. The error is that of a database which is away.
func (p *pass) put(ctx context.Context, i, j int) error {
	err := p.s.post(ctx, p.b.text(i, j))
	if err == nil {
		p.written += j - i
		return nil
	}
	reason, sure, dropped := verdict(err)
	if reason == "" {
		return err
	}
	if !sure {
		if p.last = err; p.written == 0 && p.unsure >= 8 {
			return err // spare it and us the thousands of attempts
		}
	}
	if j-i > 1 && dropped != j-i {
		mid := i + (j-i)/2
		if err := p.put(ctx, i, mid); err != nil {
			return err
		}
		return p.put(ctx, mid, j)
	}
	if !sure {
		p.unsure += j - i
	}
	for ; i < j; i++ {
		p.refused = append(p.refused, Refused{reason, said(err), strings.TrimSuffix(p.b.text(i, i+1), "\n")})
	}
	return nil
}

// post is one request.
func (s *Store) post(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	start := time.Now()
	err := s.write.WriteRecord(ctx, text)
	s.count.seconds.Observe(time.Since(start).Seconds())
	return err
}

// droppedPattern is how InfluxDB ends a message about a partial write.
var droppedPattern = regexp.MustCompile(`dropped=(\d+)`)

// verdict tells a write that can never succeed, with a reason, from one that may
// later (reason ""). sure: the message is one that is known to be about points.
// dropped is how many points of the write it was, 0 where that was not said.
func verdict(err error) (reason string, sure bool, dropped int) {
	var answer *influxhttp.Error
	if !errors.As(err, &answer) {
		return "", false, 0
	}
	text := answer.Message
	if text == "" && answer.Err != nil {
		text = answer.Err.Error()
	}
	if m := droppedPattern.FindStringSubmatch(text); m != nil {
		dropped, _ = strconv.Atoi(m[1]) // 0 beyond int: unknown
	}
	switch answer.StatusCode {
	case http.StatusRequestEntityTooLarge:
		return StoreRefused, true, 0
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
	default:
		return "", false, 0 // away, overloaded, no such bucket, not allowed: all of that can be mended
	}
	switch {
	case strings.Contains(text, "field type conflict"):
		return StoreConflict, true, dropped
	case strings.Contains(text, "retention policy") && strings.Contains(text, "dropped"), strings.Contains(text, "outside retention"):
		return StoreRetention, true, dropped
	case strings.Contains(text, "partial write"), strings.Contains(text, "unable to parse"):
		return StoreRefused, true, dropped
	}
	return StoreRefused, false, 0
}

// said is a database's message at a bounded length.
func said(err error) string {
	text := err.Error()
	return text[:min(len(text), 300)]
}
