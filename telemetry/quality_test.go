package telemetry

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cuulong/devices"
)

// march is when these tests happen: 2026-03-01T00:00:00Z, Unix ms.
const march = 1_772_323_200_000

// judged runs values, a minute apart, through the tests of limits.
func judged(l devices.Limits, values ...float64) (flags []Flag, tests []string) {
	q := quality{of: func(devices.ID, string) *devices.Limits { return &l }}
	for i, v := range values {
		o := Observation{Device: "s", Metric: "salinity", At: march + int64(i)*60_000, Value: v, Flag: Pass}
		q.judge(0, &o, false)
		flags, tests = append(flags, o.Flag), append(tests, o.Test)
	}
	return flags, tests
}

func TestQuality(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits devices.Limits
		values []float64
		want   []Flag
		test   string
	}{
		{"none", devices.Limits{}, []float64{1, 99, -5}, []Flag{1, 1, 1}, ""},
		{"gross range", devices.Limits{Fail: &[2]float64{0, 40}, Suspect: &[2]float64{0, 30}}, []float64{0, 30, 30.1, 40, 40.1, -1}, []Flag{1, 1, 3, 3, 4, 4}, TestGrossRange},
		{"spike", devices.Limits{Spike: &[2]float64{2, 5}}, []float64{1, 2, 1.5, 4, 1.5, 9, 1, 1, 1}, []Flag{1, 1, 1, 3, 1, 4, 3, 3, 1}, TestSpike},
		{"rate", devices.Limits{RatePerHour: 60}, []float64{1, 2, 3.5, 3.5}, []Flag{1, 1, 3, 1}, TestRateOfChange},
		{"flat line", devices.Limits{Flat: &devices.Flat{Eps: 0.015, Suspect: 3, Fail: 5}}, []float64{1, 1.01, 1, 1, 1.005, 1, 1.2, 1.2}, []Flag{1, 1, 3, 3, 4, 4, 1, 1}, TestFlatLine},
	} {
		flags, tests := judged(c.limits, c.values...)
		if !slices.Equal(flags, c.want) {
			t.Errorf("%s: flags %v, want %v", c.name, flags, c.want)
		}
		for i, f := range flags {
			if (f == Pass) != (tests[i] == "") || f != Pass && tests[i] != c.test {
				t.Errorf("%s: value %d has flag %d by %q", c.name, i, f, tests[i])
			}
		}
	}
	// A gap: nothing to compare with.
	l := devices.Limits{GapS: 600, Spike: &[2]float64{1, 2}}
	q := quality{of: func(devices.ID, string) *devices.Limits { return &l }}
	for i, want := range []Flag{1, 1, 1, NotEvaluated, 1} {
		o := Observation{At: march + []int64{0, 1, 2, 60, 61}[i]*60_000, Value: []float64{1, 1, 1, 30, 30}[i], Flag: Pass}
		if q.judge(0, &o, false); o.Flag != want {
			t.Errorf("gap, value %d: flag %d, want %d", i, o.Flag, want)
		}
	}
}

func TestDerive(t *testing.T) {
	wants := map[devices.ID]map[string]string{
		"a": {"salinity": devices.FromEC25},
		"b": {"salinity_pss78": devices.FromEC},
	}
	b := Batch{Observations: []Observation{
		{Device: "a", Metric: "ec25", At: march, Value: 7.276}, {Device: "a", Metric: "ph", At: march, Value: 7},
		{Device: "a", Metric: "ec25", At: march + 1, Value: 3.796}, {Device: "a", Metric: "salinity", At: march + 1, Value: 9},
		{Device: "b", Metric: "ec", At: march, Value: 42.914}, {Device: "b", Metric: "water_temperature", At: march, Value: 15 / 1.00024}, {Device: "b", Metric: "salinity", At: march, Value: 33},
		{Device: "b", Metric: "ec", At: march + 5, Value: 42.914},
		{Device: "c", Metric: "ec25", At: march, Value: 5},
	}}
	n := len(b.Observations)
	Derive(&b, func(id devices.ID) map[string]string { return wants[id] })
	added := b.Observations[n:]
	if len(added) != 2 || added[0] != (Observation{Device: "a", Metric: "salinity", At: march, Value: 4, Flag: Pass}) ||
		added[1] != (Observation{Device: "b", Metric: "salinity_pss78", At: march, Value: 35, Flag: NotEvaluated}) {
		t.Errorf("derived %+v", added)
	}
}

// TestDeriveByElement: what tells no time is derived within its element of an array, of whatever child.
func TestDeriveByElement(t *testing.T) {
	of := func(devices.ID) map[string]string { return map[string]string{"salinity": devices.FromEC} }
	for payload, want := range map[string]string{
		`[{"values":{"ec":40,"water_temperature":10}},{"values":{"ec":40,"water_temperature":30}}]`:              "36.965 22.95",
		`[{"values":{"ec":40,"water_temperature":10}},{"values":{"ec":40}},{"values":{"water_temperature":30}}]`: "36.965",
		`[{"values":{"ec":40,"salinity":7}},{"values":{"water_temperature":30,"ec":40}}]`:                        "22.95",
		`{"values":{"water_temperature":30,"ec":40}}`:                                                            "22.95",
		`[{"ts":1772323199000,"values":{"ec":40}},{"ts":1772323199000,"values":{"water_temperature":30}}]`:       "22.95",
		`[{"n":"ec","v":40},{"n":"water_temperature","v":30}]`:                                                   "22.95",
	} {
		b := DecodeGateway(func(devices.ID) bool { return true }, "gw", []byte(`{"broken":[{"values":{"ph":7}},{"values":{"ph":7}},3`+`],"a":`+payload+`,"b":`+payload+`}`), march)
		n := len(b.Observations)
		Derive(&b, of)
		var got []string
		for _, o := range b.Observations[n:] {
			got = append(got, fmt.Sprint(o.Value))
		}
		if got := strings.Join(got, " "); got != want+" "+want {
			t.Errorf("%s gives %s, want twice %s", payload, got, want)
		}
	}
}

// TestDeriveFlag: what comes from an implausible value is implausible.
func TestDeriveFlag(t *testing.T) {
	b := Batch{Observations: []Observation{
		{Device: "a", Metric: "ec", At: 1, Value: 1}, {Device: "a", Metric: "water_temperature", At: 1, Value: 70},
		{Device: "a", Metric: "ec", At: 2, Value: 1}, {Device: "a", Metric: "water_temperature", At: 2, Value: 20},
		{Device: "a", Metric: "ec", At: 3, Value: 900}, {Device: "a", Metric: "water_temperature", At: 3, Value: 20},
	}}
	n := len(b.Observations)
	Derive(&b, func(devices.ID) map[string]string { return map[string]string{"salinity": devices.FromEC} })
	want := []Flag{Fail, Pass, Fail}
	for i, o := range b.Observations[n:] {
		if o.Flag != want[i] || o.Flag == Fail && o.Test != TestGrossRange {
			t.Errorf("%+v, want flag %d", o, want[i])
		}
	}
}

// TestEstuary runs the tests over two months of a real station and holds our
// flags against those that its operators have published (NERRS: <0> passed, <1>
// suspect, <-3> rejected; others say that there is no value).
func TestEstuary(t *testing.T) {
	f, err := os.Open("testdata/estuary/gndblwq2021.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]int{}
	for i, name := range rows[0] {
		columns[name] = i
	}
	flat := func(eps float64) *devices.Flat { return &devices.Flat{Eps: eps, Suspect: 24, Fail: 96} }
	parameters := []struct {
		column, metric string
		limits         devices.Limits
	}{
		{"Temp", "water_temperature", devices.Limits{Suspect: &[2]float64{0, 38}, Spike: &[2]float64{2, 6}, RatePerHour: 6, Flat: flat(0.001), GapS: 7200}},
		{"SpCond", "ec25", devices.Limits{Suspect: &[2]float64{0.1, 60}, Spike: &[2]float64{4, 12}, RatePerHour: 16, Flat: flat(0.001), GapS: 7200}},
		{"Sal", "salinity", devices.Limits{Suspect: &[2]float64{0.1, 38}, Spike: &[2]float64{3, 8}, RatePerHour: 10, Flat: flat(0.001), GapS: 7200}},
		{"DO_mgl", "do", devices.Limits{Suspect: &[2]float64{0.2, 15}, Spike: &[2]float64{3, 8}, RatePerHour: 8, Flat: flat(0.001), GapS: 7200}},
		{"pH", "ph", devices.Limits{Suspect: &[2]float64{5.5, 9.5}, Spike: &[2]float64{0.5, 1.5}, RatePerHour: 1.5, Flat: flat(0.001), GapS: 7200}},
		{"Turb", "turbidity", devices.Limits{Suspect: &[2]float64{0, 400}, Spike: &[2]float64{100, 600}, Flat: flat(0.001), GapS: 7200}},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-8s %8s | published suspect or rejected: found, missed | published passed: passed, flagged\n", "", "values")
	found, missed, passed, flagged := 0, 0, 0, 0
	for _, p := range parameters {
		q := quality{of: func(devices.ID, string) *devices.Limits { return &p.limits }}
		var tp, fn, tn, fp int
		for _, row := range rows[1:] {
			v, err := strconv.ParseFloat(row[columns[p.column]], 64)
			at, timeErr := time.Parse("1/2/2006 15:04", row[columns["DateTimeStamp"]])
			if err != nil || timeErr != nil {
				continue
			}
			o := Observation{Device: "gndblwq", Metric: p.metric, At: at.UnixMilli(), Value: v}
			judge(&o)
			q.judge(0, &o, false)
			bad := o.Flag == Suspect || o.Flag == Fail
			switch published := row[columns["F_"+p.column]]; {
			case strings.HasPrefix(published, "<1>"), strings.HasPrefix(published, "<-3>"):
				if bad {
					tp++
				} else {
					fn++
				}
			case strings.HasPrefix(published, "<0>"):
				if bad {
					fp++
				} else {
					tn++
				}
			}
		}
		fmt.Fprintf(&table, "%-8s %8d | %10d %10d | %10d %10d (%.2f %%)\n", p.column, tp+fn+tn+fp, tp, fn, tn, fp, 100*float64(fp)/float64(max(tn+fp, 1)))
		found, missed, passed, flagged = found+tp, missed+fn, passed+tn, flagged+fp
	}
	fmt.Fprintf(&table, "%-8s %8d | %10d %10d | %10d %10d (%.2f %%)", "all", found+missed+passed+flagged, found, missed, passed, flagged, 100*float64(flagged)/float64(passed+flagged))
	t.Log(table.String())
	if passed+flagged < 10_000 {
		t.Errorf("only %d values that passed were read", passed+flagged)
	}
	if rate := float64(flagged) / float64(passed+flagged); rate > 0.02 {
		t.Errorf("%.1f %% of what its operators passed is flagged", 100*rate)
	}
}

// BenchmarkQuality is what all tests cost a value.
func BenchmarkQuality(b *testing.B) {
	l := devices.Limits{Fail: &[2]float64{0, 40}, Suspect: &[2]float64{0, 30}, Spike: &[2]float64{2, 5}, RatePerHour: 60, Flat: &devices.Flat{Eps: 0.01, Suspect: 30}, GapS: 600}
	q := quality{of: func(devices.ID, string) *devices.Limits { return &l }}
	o := Observation{Flag: Pass}
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			q.begin()
		}
		o.At, o.Value, o.Flag = int64(i)*60_000, float64(i%37)/10, Pass
		q.judge(0, &o, false)
	}
}
