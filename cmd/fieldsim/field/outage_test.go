package field

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"cuulong/devices"
)

func TestAnOutageIsToldOnce(t *testing.T) {
	var text bytes.Buffer
	o := &outage{log: slog.New(slog.NewTextHandler(&text, nil)), broker: "b"}
	for round := 1; round <= 2; round++ {
		for range 3 {
			for _, id := range []devices.ID{"x", "y", "z"} {
				o.failed(id, errors.New("refused"))
			}
		}
		for _, id := range []devices.ID{"x", "y", "z", "z"} {
			o.connected(id)
		}
		if n := strings.Count(text.String(), "\n"); n != 2*round {
			t.Errorf("%d lines after %d outages:\n%s", n, round, text.String())
		}
	}
}
