package field

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"cuulong/telemetry"
)

// ReplayOptions say how a file of a station's past is told again.
type ReplayOptions struct {
	Broker string      // host:port
	TLS    *tls.Config // nil: none
	Login  Login
	Time   string            // column of the time; empty: the first that is called as times are
	Map    map[string]string // column → metric; empty: DefaultColumns
	Zone   *time.Location    // of times that tell none; nil: UTC
	Shift  bool              // move all times so that the newest is now
	Speed  float64           // how many times as fast as it was; 0: as fast as it is acknowledged
	Bad    func(line int, why string)
}

// DefaultColumns are the metrics of columns as estuary stations call them.
var DefaultColumns = map[string]string{
	"temp": "water_temperature", "spcond": "ec25", "sal": "salinity", "depth": "level", "do_mgl": "do", "ph": "ph", "turb": "turbidity",
}

var timeColumns = []string{"t", "ts", "time", "timestamp", "datetime", "datetimestamp"}

// ReplayResult is what came of it.
type ReplayResult struct {
	Rows         int `json:"rows"`
	Observations int `json:"observations"`
	Bad          int `json:"bad"`     // rows and cells that could not be read
	Refused      int `json:"refused"` // rows of which the server set something aside
}

// sampleRow is one row of a file.
type sampleRow struct {
	line     int
	at       int64 // Unix ms
	readings []reading
}

// Replay tells a file again as a station, at QoS 1, and returns when all of it is
// acknowledged. What cannot be read is told to Bad, and so is what the server sets
// aside; the rest goes on.
func Replay(ctx context.Context, file io.Reader, o ReplayOptions) (ReplayResult, error) {
	rows, result, err := readSamples(file, o)
	if err != nil || len(rows) == 0 {
		return result, err
	}
	if o.Shift {
		newest := slices.MaxFunc(rows, func(a, b sampleRow) int { return cmp.Compare(a.at, b.at) })
		by := time.Now().UnixMilli() - newest.at
		for i := range rows {
			rows[i].at += by
		}
	}
	t, err := newTeller(ctx, o)
	if err != nil {
		return result, err
	}
	defer t.close()
	doubted, err := t.tell(ctx, rows, o.Speed, replayBatch)
	if err != nil || len(doubted) == 0 {
		return result, err
	}
	// A message's answer is for all of its rows: told again alone, each has its own.
	refused, err := t.tell(ctx, doubted, 0, 1)
	result.Refused = len(refused)
	for _, r := range refused {
		if o.Bad != nil {
			o.Bad(r.line, "the server has set the row aside, or a value of it")
		}
	}
	return result, err
}

// Messages that wait for their acknowledgement, and the rows of one where no pace is asked for.
const (
	replayInflight = 16
	replayBatch    = 200
)

// teller is a station's connection. It speaks MQTT 5, whose acknowledgements
// say what was set aside.
type teller struct {
	conn  net.Conn
	topic string
	most  int // messages that may wait for their acknowledgement

	acks    chan packetAck
	waiting map[uint16][]sampleRow
	id      uint16
}

type packetAck struct {
	id     uint16
	reason byte
	err    error // the connection's end
}

func newTeller(ctx context.Context, o ReplayOptions) (*teller, error) {
	dialCtx, cancel := context.WithTimeout(ctx, ackPatience)
	defer cancel()
	conn, err := dial(dialCtx, o.Broker, o.TLS)
	if err != nil {
		return nil, err
	}
	t := &teller{conn: conn, topic: "devices/" + o.Login.Username + "/telemetry", acks: make(chan packetAck, replayInflight), waiting: map[uint16][]sampleRow{}}
	in := &packetReader{in: bufio.NewReader(conn)}
	if err := t.open(in, o.Login); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go t.read(in)
	return t, nil
}

func (t *teller) open(in *packetReader, login Login) error {
	_ = t.conn.SetDeadline(time.Now().Add(ackPatience))
	if _, err := t.conn.Write(connectPacket(5, login, loadKeepAliveS)); err != nil {
		return err
	}
	answer, err := in.next()
	if err != nil {
		return fmt.Errorf("no CONNACK: %w", err)
	}
	code, most, err := answer.connack(5)
	if err == nil && code != 0 {
		err = fmt.Errorf("log-in refused: CONNACK 0x%02x", code)
	}
	t.most = min(replayInflight, most)
	_ = t.conn.SetDeadline(time.Time{})
	return err
}

// read takes acknowledgements until the connection ends.
func (t *teller) read(in *packetReader) {
	defer close(t.acks)
	for {
		p, err := in.next()
		switch {
		case err == nil && p.kind == packetPuback:
			var a packetAck
			a.id, a.reason, a.err = p.puback()
			t.acks <- a
		case err == nil && p.kind == packetDisconnect:
			err = errors.New("the broker said DISCONNECT")
		}
		if err != nil {
			t.acks <- packetAck{err: err}
			return
		}
	}
}

func (t *teller) close() {
	_, _ = t.conn.Write(disconnect)
	_ = t.conn.Close()
	for range t.acks { // until the reader has ended
	}
}

// tell publishes rows, batch to a message, and returns those of messages of
// which something was set aside.
func (t *teller) tell(ctx context.Context, rows []sampleRow, speed float64, batch int) (doubted []sampleRow, err error) {
	settle := func(most int) error {
		for len(t.waiting) > most {
			select {
			case a, ok := <-t.acks:
				if !ok || a.err != nil {
					return fmt.Errorf("the connection is lost: %w", a.err)
				}
				if a.reason >= 0x80 {
					doubted = append(doubted, t.waiting[a.id]...)
				}
				delete(t.waiting, a.id)
			case <-time.After(ackPatience):
				return errors.New("no acknowledgement")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return ctx.Err()
	}
	begun, first := time.Now(), rows[0].at
	for len(rows) > 0 {
		n := min(batch, len(rows))
		if speed > 0 {
			n = 1
			due := begun.Add(time.Duration(float64(rows[0].at-first) / speed * float64(time.Millisecond)))
			if err := t.pause(ctx, due); err != nil {
				return nil, err
			}
		}
		if err := t.publish(rows[:n]); err != nil {
			return nil, err
		}
		rows = rows[n:]
		if err := settle(t.most - 1); err != nil {
			return nil, err
		}
	}
	err = settle(0) // which adds to doubted
	return doubted, err
}

// pause waits until a time, and keeps the connection alive meanwhile.
func (t *teller) pause(ctx context.Context, until time.Time) error {
	for wait := time.Until(until); wait > 0; wait = time.Until(until) {
		if !sleep(ctx, min(wait, loadPingAfter)) {
			return ctx.Err()
		}
		if wait > loadPingAfter {
			if _, err := t.conn.Write(pingreq); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *teller) publish(rows []sampleRow) error {
	payload := []byte{'['}
	for i, r := range rows {
		if i > 0 {
			payload = append(payload, ',')
		}
		payload = appendSample(payload, r.at, r.readings)
	}
	t.id = t.id%65_535 + 1 // as few wait as there are, none has it still
	t.waiting[t.id] = rows
	_ = t.conn.SetWriteDeadline(time.Now().Add(ackPatience))
	_, err := t.conn.Write(appendPublish(nil, 5, 1, t.id, t.topic, append(payload, ']')))
	return err
}

// readSamples reads a file with a head, in the order of its rows.
func readSamples(file io.Reader, o ReplayOptions) (rows []sampleRow, result ReplayResult, err error) {
	in := csv.NewReader(file)
	in.FieldsPerRecord = -1
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, result, fmt.Errorf("no head: %w", err)
	}
	timeAt, metrics, err := columnsOf(head, o)
	if err != nil {
		return nil, result, err
	}
	bad := func(line int, format string, args ...any) {
		result.Bad++
		if o.Bad != nil {
			o.Bad(line, fmt.Sprintf(format, args...))
		}
	}
	for {
		f, err := in.Read()
		if err == io.EOF {
			return rows, result, nil
		}
		if err != nil {
			var parse *csv.ParseError
			if !errors.As(err, &parse) {
				return rows, result, err
			}
			bad(parse.Line, "%v", parse.Err)
			continue
		}
		line, _ := in.FieldPos(0)
		if timeAt >= len(f) {
			bad(line, "no time")
			continue
		}
		at, err := sampleTime(f[timeAt], o.Zone)
		if err != nil {
			bad(line, "%v", err)
			continue
		}
		row := sampleRow{line: line, at: at}
		for i, metric := range metrics {
			if metric == "" || i >= len(f) {
				continue
			}
			text := strings.TrimSpace(f[i])
			if text == "" || strings.EqualFold(text, "NA") {
				continue // there was no value
			}
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || strings.ContainsAny(text, "_xX") { // which are Go's, not a table's
				bad(line, "column %d (%s): %.32q is no number", i+1, metric, text)
				continue
			}
			row.readings = append(row.readings, reading{metric: metric, value: v})
		}
		if len(row.readings) > 0 {
			rows = append(rows, row)
			result.Rows++
			result.Observations += len(row.readings)
		}
	}
}

// columnsOf finds the column of the time and the metric of each other one.
func columnsOf(head []string, o ReplayOptions) (timeAt int, metrics []string, err error) {
	timeAt = -1
	metrics = make([]string, len(head))
	column := map[string]string{} // of a metric
	mapped := 0
	for i, name := range head {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		low := strings.ToLower(name)
		if timeAt < 0 && (o.Time != "" && name == o.Time || o.Time == "" && slices.Contains(timeColumns, low)) {
			timeAt = i
			continue
		}
		if len(o.Map) > 0 {
			metrics[i] = o.Map[name]
		} else {
			metrics[i] = DefaultColumns[low]
		}
		if metric := metrics[i]; metric != "" {
			if !telemetry.GoodMetric(metric) {
				return 0, nil, fmt.Errorf("column %.64q: %.64q is not the name of a metric", name, metric)
			}
			if first, ok := column[metric]; ok {
				return 0, nil, fmt.Errorf("columns %.64q and %.64q are both %s", first, name, metric)
			}
			column[metric] = name
			mapped++
		}
	}
	if timeAt < 0 {
		return 0, nil, fmt.Errorf("no column of the time among %.200q", head)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Map)) {
		if !slices.ContainsFunc(head, func(h string) bool { return strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")) == name }) {
			return 0, nil, fmt.Errorf("no column %.64q among %.200q", name, head)
		}
	}
	if mapped == 0 {
		return 0, nil, fmt.Errorf("no column of a metric among %.200q", head)
	}
	return timeAt, metrics, nil
}

// sampleTime reads Unix seconds or milliseconds, RFC 3339, or what spreadsheets write.
func sampleTime(s string, zone *time.Location) (int64, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n > -1e11 && n < 1e11 {
			n *= 1000 // seconds, until the year 5138
		}
		return n, nil
	}
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "1/2/2006 15:04", "1/2/2006 15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%.40q is no time", s)
}
