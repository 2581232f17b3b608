package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"cuulong/devices"
)

type observed struct {
	at    int64
	value float64
}

// Union is what several stores hold together, as one InfluxDB behind them would:
// a row that two of them hold with the same value is one. shared counts those.
func Union(stores []Stored, shared *int) Stored {
	return func(ctx context.Context, device devices.ID, metric string, from, to int64, yield func(int64, float64) bool) error {
		all := make([][]observed, len(stores))
		for i, stored := range stores {
			err := stored(ctx, device, metric, from, to, func(at int64, value float64) bool {
				all[i] = append(all[i], observed{at, value})
				return true
			})
			if err != nil {
				return err
			}
		}
		for {
			next := -1
			for i, rows := range all {
				if len(rows) > 0 && (next < 0 || rows[0].at < all[next][0].at) {
					next = i
				}
			}
			if next < 0 {
				return nil
			}
			r := all[next][0]
			all[next] = all[next][1:]
			for i, rows := range all {
				if i != next && len(rows) > 0 && rows[0] == r {
					all[i] = rows[1:]
					*shared++
				}
			}
			if !yield(r.at, r.value) {
				return nil
			}
		}
	}
}

// Influx is an InfluxDB that an ioc feeds, asked by InfluxQL, which 1.8 and 2.x speak.
type Influx struct {
	URL    string
	Bucket string // database/retention policy
	Token  string // of 1.8: user:password
}

// Stored reads raw observations. It is a Stored func.
func (s Influx) Stored(ctx context.Context, device devices.ID, metric string, from, to int64, yield func(at int64, value float64) bool) error {
	db, policy, _ := strings.Cut(s.Bucket, "/")
	text := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'" }
	q := url.Values{"db": {db}, "rp": {policy}, "epoch": {"ms"}, "chunked": {"true"}, "q": {fmt.Sprintf(
		"SELECT value FROM observation WHERE device = %s AND metric = %s AND time >= %dms AND time < %dms", text(string(device)), text(metric), from, to)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(s.URL, "/")+"/query", strings.NewReader(q.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Token "+s.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("influxdb: %s", res.Status)
	}
	for chunks := json.NewDecoder(res.Body); ; {
		more, err := influxRows(chunks, yield)
		if err == io.EOF {
			return nil
		}
		if err != nil || !more {
			return err
		}
	}
}

// influxRows reads one part of an answer.
func influxRows(chunks *json.Decoder, yield func(at int64, value float64) bool) (more bool, err error) {
	var part struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct{ Values [][2]json.Number }
		}
	}
	if err := chunks.Decode(&part); err != nil {
		return false, err
	}
	for _, r := range part.Results {
		if r.Error != "" {
			part.Error = r.Error
		}
		for _, s := range r.Series {
			for _, row := range s.Values {
				at, err := row[0].Int64()
				value, err2 := row[1].Float64()
				if err := errors.Join(err, err2); err != nil {
					return false, fmt.Errorf("influxdb: row %v: %w", row, err)
				}
				if !yield(at, value) {
					return false, nil
				}
			}
		}
	}
	if part.Error != "" {
		return false, errors.New("influxdb: " + part.Error)
	}
	return true, nil
}
