package influx

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cuulong/telemetry"
	"cuulong/telemetry/influx/influxtest"
	"cuulong/telemetry/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

var databases atomic.Int64

// open opens a store on a new database of the server.
func open(t testing.TB, server *influxtest.Server, o Options) *Store {
	t.Helper()
	o.URL, o.Token, o.Logger = server.URL, influxtest.Token, quiet()
	if o.Bucket == "" {
		o.Bucket = server.Create(t, fmt.Sprintf("province%d", databases.Add(1)))
	}
	if o.minWait == 0 {
		o.minWait, o.maxWait = 5*time.Millisecond, 100*time.Millisecond
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { _ = s.Close() }) })
	return s
}

func TestStore(t *testing.T) {
	server := influxtest.Start(t, "127.0.0.1", nil)
	storetest.Run(t, func(t *testing.T) storetest.Engine {
		s := open(t, server, Options{})
		return storetest.Engine{Store: s, Reopen: func(t *testing.T) telemetry.Store {
			server.Kill()
			server.Start(t)
			return open(t, server, Options{Bucket: s.o.Bucket})
		}}
	})
}
