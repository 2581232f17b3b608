package tsdb

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"cuulong/telemetry"
	"cuulong/telemetry/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
