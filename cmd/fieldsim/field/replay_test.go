package field

import (
	"compress/gzip"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadSamples(t *testing.T) {
	var bad []string
	o := ReplayOptions{Bad: func(line int, why string) { bad = append(bad, fmt.Sprint(line, " ", why)) }}
	const text = "\ufeffDateTimeStamp,Temp,Other,Sal\n7/2/2021 0:15,30.5,x,7.9\n7/2/2021 0:30,,x,NA\nyesterday,1,2,3\n7/2/2021 0:45,warm,x,8\n\"7/2/2021 1:00\",1e999,x\n7/2/2021 1:15,31\n"
	rows, r, err := readSamples(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`4 "yesterday" is no time`, `5 column 2 (water_temperature): "warm" is no number`, `6 column 2 (water_temperature): "1e999" is no number`,
	}
	if !slices.Equal(bad, want) || r.Bad != 3 || r.Rows != 3 || r.Observations != 4 {
		t.Errorf("%+v\n got %q\nwant %q", r, bad, want)
	}
	at := time.Date(2021, 7, 2, 0, 15, 0, 0, time.UTC).UnixMilli()
	if rows[0].at != at || !slices.Equal(rows[0].readings, []reading{{"water_temperature", 30.5}, {"salinity", 7.9}}) || rows[2].at != at+3600_000 {
		t.Errorf("rows %+v", rows)
	}
	o = ReplayOptions{Time: "when", Map: map[string]string{"muoi": "salinity"}, Zone: time.FixedZone("", 7*3600)}
	rows, _, err = readSamples(strings.NewReader("muoi,when\n2.5,2026-03-01 07:00\n2.6,1772323200\n2.7,1772323200000\n2.8,2026-03-01T00:00:00Z\n"), o)
	if err != nil || len(rows) != 4 {
		t.Fatal(rows, err)
	}
	for _, row := range rows {
		if row.at != 1_772_323_200_000 {
			t.Errorf("%+v", row)
		}
	}
	for want, o := range map[string]ReplayOptions{
		`no column "Nope"`:             {Map: map[string]string{"sal": "salinity", "Nope": "ph"}},
		`not the name of a metric`:     {Map: map[string]string{"sal": "Salinity"}},
		`"sal" and "temp" are both ph`: {Map: map[string]string{"sal": "ph", "temp": "ph"}},
	} {
		if _, _, err := readSamples(strings.NewReader("t,sal,temp\n1,2,3\n"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", o.Map, err, want)
		}
	}
	if _, r, err := readSamples(strings.NewReader("t,sal\n1,1_0\n2,0x1p3\n3,1e1\n4,-.5\n"), ReplayOptions{}); err != nil || r.Bad != 2 || r.Observations != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, none := range []string{"", "a,b\n1,2\n", "t,b\n1,2\n", "sal,temp\n1,2\n"} {
		if _, _, err := readSamples(strings.NewReader(none), ReplayOptions{}); err == nil {
			t.Errorf("%q is no station's file", none)
		}
	}
}

// TestReadEstuaries reads two real stations' files.
func TestReadEstuaries(t *testing.T) {
	for file, want := range map[string]int{"apacpwq.csv": 4, "gndblwq2021.csv": 7} {
		f, err := os.Open("../../../telemetry/testdata/estuary/" + file + ".gz")
		if err != nil {
			t.Fatal(err)
		}
		text, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		rows, r, err := readSamples(text, ReplayOptions{})
		_ = f.Close()
		most := 0
		for _, row := range rows {
			most = max(most, len(row.readings))
		}
		if err != nil || r.Rows < 5000 || r.Bad > 0 || most != want {
			t.Errorf("%s: %+v, %d metrics at most, want %d; %v", file, r, most, want, err)
		}
	}
}

func FuzzReadSamples(f *testing.F) {
	f.Add("t,sal\n1772323200,2.5\n")
	f.Add("DateTimeStamp,Temp\n7/2/2021 0:15,\"1\n")
	f.Add("t,sal\n\"\"x,1\n,,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, r, err := readSamples(strings.NewReader(text), ReplayOptions{})
		if err == nil && (len(rows) != r.Rows || r.Observations < r.Rows) {
			t.Errorf("%d rows, %+v", len(rows), r)
		}
	})
}
