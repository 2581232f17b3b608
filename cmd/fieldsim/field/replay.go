package field

import (
	"context"
	"crypto/tls"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// ReplayOptions say how a file of a station's past is told again.
type ReplayOptions struct {
	Broker string      // host:port
	TLS    *tls.Config // nil: none
	Login  Login
	Time   string            // column of the time; empty: the first that is called as times are
	Map    map[string]string // column → metric; empty: DefaultColumns
	Zone   *time.Location    // of times that tell none; nil: UTC
	Shift  bool              // move all times so that the last is now
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
	Bad          int `json:"bad"` // rows and cells that could not be read
}

// sampleRow is one row of a file.
type sampleRow struct {
	at       int64 // Unix ms
	readings []reading
}

// Replay tells a file again as a station, at QoS 1, and returns when all of it is
// acknowledged. What cannot be read is told to Bad, and the rest goes on.
func Replay(ctx context.Context, file io.Reader, o ReplayOptions) (ReplayResult, error) {
	rows, result, err := readSamples(file, o)
	if err != nil || len(rows) == 0 {
		return result, err
	}
	if o.Shift {
		by := time.Now().UnixMilli() - rows[len(rows)-1].at
		for i := range rows {
			rows[i].at += by
		}
	}
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + o.Broker).SetClientID(o.Login.Username).
		SetUsername(o.Login.Username).SetPassword(o.Login.Password).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(ackPatience).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			dialCtx, cancel := context.WithTimeout(ctx, ackPatience)
			defer cancel()
			return dial(dialCtx, o.Broker, o.TLS)
		}))
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		return result, token.Error()
	}
	defer client.Disconnect(250)
	return result, tell(ctx, client, "devices/"+o.Login.Username+"/telemetry", rows, o.Speed)
}

// Messages that wait for their acknowledgement, and the rows of one where no pace is asked for.
const (
	replayInflight = 16
	replayBatch    = 200
)

func tell(ctx context.Context, client paho.Client, topic string, rows []sampleRow, speed float64) error {
	var waiting []paho.Token
	settle := func(most int) error {
		for len(waiting) > most {
			if !waiting[0].WaitTimeout(ackPatience) {
				return errors.New("no acknowledgement")
			}
			if err := waiting[0].Error(); err != nil {
				return err
			}
			waiting = waiting[1:]
		}
		return ctx.Err()
	}
	begun, first := time.Now(), rows[0].at
	for len(rows) > 0 {
		n := min(replayBatch, len(rows))
		if speed > 0 {
			n = 1
			due := begun.Add(time.Duration(float64(rows[0].at-first) / speed * float64(time.Millisecond)))
			if !sleep(ctx, time.Until(due)) {
				return ctx.Err()
			}
		}
		payload := []byte{'['}
		for i, r := range rows[:n] {
			if i > 0 {
				payload = append(payload, ',')
			}
			payload = appendSample(payload, r.at, r.readings)
		}
		waiting = append(waiting, client.Publish(topic, 1, false, append(payload, ']')))
		rows = rows[n:]
		if err := settle(replayInflight); err != nil {
			return err
		}
	}
	return settle(0)
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
		row := sampleRow{at: at}
		for i, metric := range metrics {
			if metric == "" || i >= len(f) {
				continue
			}
			text := strings.TrimSpace(f[i])
			if text == "" || strings.EqualFold(text, "NA") {
				continue // there was no value
			}
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
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
	found := false
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
		found = found || metrics[i] != ""
	}
	if timeAt < 0 {
		return 0, nil, fmt.Errorf("no column of the time among %.200q", head)
	}
	if !found {
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
