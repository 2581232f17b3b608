package tsdb

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"cuulong/telemetry"
	"cuulong/telemetry/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(appendIn); dir != "" { // the process whose power is cut
		fmt.Fprintln(os.Stderr, appendUntilKilled(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openAt opens the engine and closes it with the test, unless the test did.
func openAt(t testing.TB, dir string, o Options) *DB {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet()
	}
	db, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Engine {
		dir := t.TempDir()
		db := openAt(t, dir, Options{})
		return storetest.Engine{Store: db, Reopen: func(t *testing.T) telemetry.Store {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, dir, Options{})
		}}
	})
}
