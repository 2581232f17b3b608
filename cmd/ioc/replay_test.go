package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cuulong/cmd/fieldsim/field"
)

// TestReplay: a file of a station's past, told again over MQTT, is the stored series.
func TestReplay(t *testing.T) {
	addrs, stop := startHere(t, t.TempDir(), false)
	t.Cleanup(func() { stop() })
	c := login(t, addrs.HTTP[0])
	station := c.station("replay", 106.58, 10.28, nil)
	var file strings.Builder
	file.WriteString("t,sal,temp\n")
	const rows = 1500
	for i := range rows {
		fmt.Fprintf(&file, "%d,%.2f,%s\n", 1_772_323_200+i*900, float64(i%300)/10, []string{"28.5", "NA", "oops"}[i%3])
	}
	told := 0
	r, err := field.Replay(t.Context(), strings.NewReader(file.String()), field.ReplayOptions{
		Broker: addrs.MQTT[0], Login: field.Login{Username: station.Username, Password: station.Password}, Bad: func(int, string) { told++ },
	})
	if err != nil || r.Rows != rows || r.Bad != rows/3 || told != r.Bad || r.Observations != rows+rows/3 {
		t.Fatalf("%+v, %d told, %v", r, told, err)
	}
	_, points := c.raw("/api/v1/observations?device=replay&metric=salinity&from=0")
	if len(points) != rows {
		t.Fatalf("%d points, want %d", len(points), rows)
	}
	for i, p := range points {
		if int64(p[0]) != (1_772_323_200+int64(i)*900)*1000 || p[1] != float64(i%300)/10 {
			t.Fatalf("point %d is %v", i, p)
		}
	}
	if _, points := c.raw("/api/v1/observations?device=replay&metric=water_temperature&from=0"); len(points) != rows/3 {
		t.Errorf("%d temperatures", len(points))
	}
}

// TestReplayTellsWhatIsSetAside: rows that the server sets aside are told by their lines.
func TestReplayTellsWhatIsSetAside(t *testing.T) {
	addrs, stop := startHere(t, t.TempDir(), false)
	t.Cleanup(func() { stop() })
	c := login(t, addrs.HTTP[0])
	station := c.station("replay", 106.58, 10.28, nil)
	replay := func(file string, shift bool) (field.ReplayResult, []int) {
		t.Helper()
		var lines []int
		r, err := field.Replay(t.Context(), strings.NewReader(file), field.ReplayOptions{
			Broker: addrs.MQTT[0], Login: field.Login{Username: station.Username, Password: station.Password}, Shift: shift,
			Bad: func(line int, _ string) { lines = append(lines, line) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return r, lines
	}
	var file strings.Builder
	file.WriteString("t,sal\n")
	for i := range 500 {
		at := 1_772_323_200 + i*900
		if i == 7 || i == 450 {
			at = 1_900_000_000 + i
		}
		fmt.Fprintf(&file, "%d,1\n", at)
	}
	if r, lines := replay(file.String(), false); r.Rows != 500 || r.Refused != 2 || r.Bad != 0 || !slices.Equal(lines, []int{9, 452}) {
		t.Errorf("%+v, lines %v", r, lines)
	}
	if _, points := c.raw("/api/v1/observations?device=replay&metric=salinity&from=0"); len(points) != 498 {
		t.Errorf("%d points", len(points))
	}
	// The newest first, as spreadsheets are sorted: the newest is now.
	if r, lines := replay("t,depth\n1772323200,1\n1772319600,2\n1772316000,3\n", true); r.Refused != 0 || len(lines) != 0 {
		t.Errorf("%+v, lines %v", r, lines)
	}
	if _, points := c.raw("/api/v1/observations?device=replay&metric=level"); len(points) != 3 || points[2][1] != 1 {
		t.Errorf("%v", points)
	}
}
