package field

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// A csvRow is one line of GET /api/v1/observations as text/csv.
type csvRow struct {
	device, metric string
	at             int64 // Unix ms
	value          float64
}

// readCSV reads device,metric,t,value,unit,flag (columns may be added behind)
// and yields each row until yield says false. t is Unix milliseconds or RFC 3339.
func readCSV(r io.Reader, yield func(csvRow) bool) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return fmt.Errorf("csv: no head: %w", err)
	}
	want := [...]string{"device", "metric", "t", "value", "unit", "flag"}
	if len(head) < len(want) {
		return errors.New("csv: too few columns")
	}
	for i, name := range want {
		if head[i] != name {
			return fmt.Errorf("csv: column %d is %q, not %q", i+1, head[i], name)
		}
	}
	for {
		f, err := in.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		row := csvRow{device: f[0], metric: f[1]}
		if row.at, err = csvTime(f[2]); err != nil {
			return err
		}
		row.value, err = strconv.ParseFloat(f[3], 64)
		if err != nil || math.IsInf(row.value, 0) || math.IsNaN(row.value) {
			return fmt.Errorf("csv: value %q", f[3])
		}
		if !yield(row) {
			return nil
		}
	}
}

func csvTime(s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("csv: time %q", s)
	}
	return t.UnixMilli(), nil
}
