package geo

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"
)

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// openAtlas opens an atlas on a new data folder, which holds the built-in rivers.
func openAtlas(t testing.TB) *Atlas {
	t.Helper()
	a, err := Open(t.Context(), openDB(t, filepath.Join(t.TempDir(), "records.db")))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBuiltInRivers(t *testing.T) {
	a := openAtlas(t)
	if n := len(a.Rivers()); n != 12 {
		t.Fatalf("%d built-in rivers; want 12", n)
	}
	for _, v := range a.Rivers() {
		t.Log(v.ID, v.Name, v.LengthKM, v.Joins)
	}
}
