package devices_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"cuulong/devices"
	"cuulong/geo"
)

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func open(t testing.TB, snap func(geo.Point) (geo.Chainage, bool)) (*devices.Registry, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.db")
	r, err := devices.Open(t.Context(), openDB(t, path), snap)
	if err != nil {
		t.Fatal(err)
	}
	return r, path
}

func station(id string) devices.Device {
	return devices.Device{
		ID: devices.ID(id), Name: "Trạm " + id, Kind: devices.Station,
		Position: &geo.Point{Lon: 106.75, Lat: 10.27},
		Metrics:  []devices.Expected{{Metric: "salinity", EveryS: 600}, {Metric: "level", EveryS: 60}},
	}
}

func create(t testing.TB, r *devices.Registry, d devices.Device) devices.Credentials {
	t.Helper()
	_, cred, err := r.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func TestCreateAndReadBack(t *testing.T) {
	r, path := open(t, nil)
	gw := devices.Device{ID: "gw-1", Name: "Cổng", Kind: devices.Gateway}
	create(t, r, gw)
	d := station("st-1")
	d.Parent, d.Agency, d.Tags, d.Public, d.Maintenance = "gw-1", "Đài KTTV", []string{"mặn", "b"}, true, true
	made, cred, err := r.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if cred.Username != "st-1" || len(cred.Password) < 24 {
		t.Fatalf("credentials %+v", cred)
	}
	// The caller's copy is not the registry's.
	d.Position.Lon, d.Tags[0], d.Metrics[0].Metric = 0, "x", "y"
	again, err := devices.Open(t.Context(), openDB(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, reg := range map[string]*devices.Registry{"same": r, "reopened": again} {
		got, ok := reg.Get("st-1")
		if !ok {
			t.Fatalf("%s: it is not there", name)
		}
		if got.Position.Lon != 106.75 || got.Tags[0] != "mặn" || got.Metrics[0].Metric != "salinity" || got.Parent != "gw-1" ||
			!got.Public || !got.Maintenance || !got.Created.Equal(made.Created) || got.Agency != "Đài KTTV" {
			t.Errorf("%s: got %+v", name, got)
		}
		if _, ok := reg.Authenticate("st-1", cred.Password); !ok {
			t.Errorf("%s: right password refused", name)
		}
		for _, wrong := range [][2]string{{"st-1", ""}, {"st-1", cred.Password + "x"}, {"gw-1", cred.Password}, {"nobody", cred.Password}, {"", ""}} {
			if _, ok := reg.Authenticate(wrong[0], wrong[1]); ok {
				t.Errorf("%s: let %q in with %q", name, wrong[0], wrong[1])
			}
		}
		if all := reg.All(); len(all) != 2 || all[0].ID != "gw-1" || all[1].ID != "st-1" {
			t.Errorf("%s: All = %+v", name, all)
		}
		if !reg.IsChild("gw-1", "st-1") || reg.IsChild("st-1", "gw-1") || reg.IsChild("", "gw-1") {
			t.Errorf("%s: IsChild is wrong", name)
		}
	}
	if _, _, err := r.Create(t.Context(), station("st-1")); !errors.Is(err, devices.ErrExists) {
		t.Errorf("second Create: %v", err)
	}
}

func TestNoPasswordIsStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	db := openDB(t, path)
	r, err := devices.Open(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	cred := create(t, r, station("s"))
	var secret string
	if err := db.QueryRowContext(t.Context(), `SELECT secret FROM devices WHERE id = 's'`).Scan(&secret); err != nil {
		t.Fatal(err)
	}
	if len(secret) != 64 || strings.Contains(secret, cred.Password) {
		t.Fatalf("stored %q for %q", secret, cred.Password)
	}
}

func TestFaultsAreToldAllAtOnce(t *testing.T) {
	r, _ := open(t, nil)
	create(t, r, station("st-1"))
	create(t, r, devices.Device{ID: "gw-1", Name: "g", Kind: devices.Gateway})
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		change func(*devices.Device)
		fields []string
	}{
		"id empty":          {func(d *devices.Device) { d.ID = "" }, []string{"id"}},
		"id with slash":     {func(d *devices.Device) { d.ID = "a/b" }, []string{"id"}},
		"id begins wrong":   {func(d *devices.Device) { d.ID = "-a" }, []string{"id"}},
		"id too long":       {func(d *devices.Device) { d.ID = devices.ID(strings.Repeat("a", 65)) }, []string{"id"}},
		"name empty":        {func(d *devices.Device) { d.Name = " " }, []string{"name"}},
		"name with newline": {func(d *devices.Device) { d.Name = "a\nb" }, []string{"name"}},
		"name not UTF-8":    {func(d *devices.Device) { d.Name = "a\xff" }, []string{"name"}},
		"kind":              {func(d *devices.Device) { d.Kind = "toaster" }, []string{"kind"}},
		"position":          {func(d *devices.Device) { d.Position = &geo.Point{Lon: 181, Lat: 1e308} }, []string{"position.lon", "position.lat"}},
		"position NaN":      {func(d *devices.Device) { d.Position = &geo.Point{Lon: math.NaN(), Lat: math.Inf(1)} }, []string{"position.lon", "position.lat"}},
		"parent unknown":    {func(d *devices.Device) { d.Parent = "nobody" }, []string{"parent"}},
		"parent no gateway": {func(d *devices.Device) { d.Parent = "st-1" }, []string{"parent"}},
		"parent itself":     {func(d *devices.Device) { d.Parent = d.ID }, []string{"parent"}},
		"gateway's parent":  {func(d *devices.Device) { d.Kind, d.Parent = devices.Gateway, "gw-1" }, []string{"parent"}},
		"agency":            {func(d *devices.Device) { d.Agency = strings.Repeat("đ", 201) }, []string{"agency"}},
		"tags":              {func(d *devices.Device) { d.Tags = many }, []string{"tags"}},
		"tag":               {func(d *devices.Device) { d.Tags = []string{"a", ""} }, []string{"tags[1]"}},
		"metric name":       {func(d *devices.Device) { d.Metrics = []devices.Expected{{"Salinity", 60}} }, []string{"metrics[0].metric"}},
		"metric twice":      {func(d *devices.Device) { d.Metrics = []devices.Expected{{"ph", 60}, {"ph", 60}} }, []string{"metrics[1].metric"}},
		"every_s":           {func(d *devices.Device) { d.Metrics = []devices.Expected{{"ph", 0}, {"do", 604801}} }, []string{"metrics[0].every_s", "metrics[1].every_s"}},
		"several":           {func(d *devices.Device) { d.Name, d.Kind, d.Parent = "", "", "nobody" }, []string{"name", "kind", "parent"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := station("new")
			c.change(&d)
			_, _, err := r.Create(t.Context(), d)
			var all devices.FieldErrors
			if !errors.As(err, &all) {
				t.Fatalf("err = %v", err)
			}
			var got []string
			for _, f := range all {
				got = append(got, f.Field)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.fields) {
				t.Errorf("faults %v, want %v", got, c.fields)
			}
			var one *devices.FieldError
			if !errors.As(err, &one) || one.Field != c.fields[0] || one.Why == "" {
				t.Errorf("single fault: %+v", one)
			}
			if _, there := r.Get(d.ID); there && d.ID != "st-1" {
				t.Error("it was registered all the same")
			}
		})
	}
}

func TestUpdateKeepsWhatIsNotPosted(t *testing.T) {
	r, _ := open(t, nil)
	cred := create(t, r, station("s"))
	before, _ := r.Get("s")
	if err := r.SetAttributes(t.Context(), "s", map[string]any{"fw": "1.2"}); err != nil {
		t.Fatal(err)
	}
	d := station("s")
	d.Name, d.Created, d.Attributes = "Tên mới", time.Unix(1, 0), map[string]any{"x": 1}
	after, err := r.Update(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if after.Name != "Tên mới" || !after.Created.Equal(before.Created) || len(after.Attributes) != 1 || after.Attributes["fw"] != "1.2" {
		t.Errorf("after %+v", after)
	}
	if _, ok := r.Authenticate("s", cred.Password); !ok {
		t.Error("credentials ended")
	}
	if _, err := r.Update(t.Context(), station("nobody")); !errors.Is(err, devices.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestGatewayWithChildren(t *testing.T) {
	r, path := open(t, nil)
	create(t, r, devices.Device{ID: "gw", Name: "g", Kind: devices.Gateway})
	child := station("s")
	child.Parent = "gw"
	create(t, r, child)
	var field *devices.FieldError
	if _, err := r.Update(t.Context(), devices.Device{ID: "gw", Name: "g", Kind: devices.Station}); !errors.As(err, &field) || field.Field != "kind" {
		t.Errorf("a gateway with children became a station: %v", err)
	}
	var changes []devices.Change
	r.OnChange(func(c devices.Change) { changes = append(changes, c) })
	if err := r.Delete(t.Context(), "gw"); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(changes) != fmt.Sprint([]devices.Change{{ID: "gw", Deleted: true}, {ID: "s"}}) {
		t.Errorf("changes %+v", changes)
	}
	again, err := devices.Open(t.Context(), openDB(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, reg := range []*devices.Registry{r, again} {
		if d, ok := reg.Get("s"); !ok || d.Parent != "" {
			t.Errorf("orphan %+v", d)
		}
		if _, ok := reg.Get("gw"); ok {
			t.Error("gateway is still there")
		}
	}
	if err := r.Delete(t.Context(), "gw"); !errors.Is(err, devices.ErrNotFound) {
		t.Errorf("second Delete: %v", err)
	}
}

func TestResetCredentialsEndsTheOld(t *testing.T) {
	r, path := open(t, nil)
	old := create(t, r, station("s"))
	var told devices.Change
	r.OnChange(func(c devices.Change) { told = c })
	fresh, err := r.ResetCredentials(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if told != (devices.Change{ID: "s", CredentialsChanged: true}) {
		t.Errorf("told %+v", told)
	}
	again, err := devices.Open(t.Context(), openDB(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, reg := range []*devices.Registry{r, again} {
		if _, ok := reg.Authenticate("s", old.Password); ok {
			t.Error("old password still works")
		}
		if _, ok := reg.Authenticate("s", fresh.Password); !ok {
			t.Error("new password does not work")
		}
	}
	if _, err := r.ResetCredentials(t.Context(), "nobody"); !errors.Is(err, devices.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestResnap(t *testing.T) {
	river := ""
	snap := func(p geo.Point) (geo.Chainage, bool) {
		return geo.Chainage{River: river, KM: 1}, river != ""
	}
	r, _ := open(t, snap)
	create(t, r, station("a"))
	create(t, r, devices.Device{ID: "nowhere", Name: "n", Kind: devices.Bridge})
	var told []devices.ID
	r.OnChange(func(c devices.Change) { told = append(told, c.ID) })
	river = "tien"
	r.Resnap()
	if d, _ := r.Get("a"); d.Chainage == nil || d.Chainage.River != "tien" {
		t.Errorf("not snapped: %+v", d.Chainage)
	}
	r.Resnap() // nothing moved
	river = ""
	r.Resnap()
	if d, _ := r.Get("a"); d.Chainage != nil {
		t.Errorf("still on %+v", d.Chainage)
	}
	if fmt.Sprint(told) != "[a a]" {
		t.Errorf("told %v", told)
	}
}

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		metrics []devices.Expected
		want    time.Duration
	}{
		{nil, 15 * time.Minute},
		{[]devices.Expected{{"ph", 0}}, 15 * time.Minute},
		{[]devices.Expected{{"ph", 3600}, {"do", 60}, {"ec", 600}}, time.Minute},
	} {
		if got := (devices.Device{Metrics: c.metrics}).Interval(); got != c.want {
			t.Errorf("%v: %v, want %v", c.metrics, got, c.want)
		}
	}
}

func TestState(t *testing.T) {
	r, _ := open(t, nil)
	create(t, r, station("s")) // every 60 s
	t0 := time.UnixMilli(1_800_000_000_000)
	check := func(now time.Time, want devices.State) {
		t.Helper()
		if got := r.State("s", now); got != want {
			t.Errorf("at +%v: %s, want %s", now.Sub(t0), got, want)
		}
	}
	check(t0, devices.Never)
	if _, ok := r.LastHeard("s"); ok {
		t.Error("heard before it spoke")
	}
	r.Heard("s", t0)
	r.Heard("s", t0.Add(-time.Hour)) // late: changes nothing
	r.Heard("nobody", t0)
	if at, ok := r.LastHeard("s"); !ok || !at.Equal(t0) {
		t.Errorf("last heard %v %v", at, ok)
	}
	check(t0, devices.Online)
	check(t0.Add(180*time.Second), devices.Online)
	check(t0.Add(180*time.Second+time.Millisecond), devices.Silent)
	// Voice survives a change of the record.
	d := station("s")
	d.Maintenance = true
	if _, err := r.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	check(t0, devices.Maintenance)
	if at, ok := r.LastHeard("s"); !ok || !at.Equal(t0) {
		t.Errorf("after Update: last heard %v %v", at, ok)
	}
	if got := r.State("nobody", t0); got != devices.Never {
		t.Errorf("unknown: %s", got)
	}
}

// A listener may call the registry, whatever made the change.
func TestOnChangeHoldsNoLock(t *testing.T) {
	r, _ := open(t, nil)
	var told []devices.Change
	r.OnChange(func(c devices.Change) {
		told = append(told, c)
		r.All()
		r.Authenticate("s", "x")
		if c.ID == "s" && !c.Deleted && !c.CredentialsChanged && len(told) == 1 {
			if _, err := r.ResetCredentials(context.Background(), "s"); err != nil {
				t.Error(err)
			}
		}
	})
	create(t, r, station("s"))
	if err := r.Delete(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	want := []devices.Change{{ID: "s"}, {ID: "s", CredentialsChanged: true}, {ID: "s", Deleted: true}}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
}

// Readers see whole devices while writers change them.
func TestConcurrentUse(t *testing.T) {
	r, _ := open(t, nil)
	create(t, r, station("s"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d, ok := r.Get("s"); !ok || d.Name != "Trạm "+d.Agency && d.Agency != "" {
					t.Errorf("torn device %+v", d)
					return
				}
				r.All()
				r.Heard("s", time.Now())
				r.State("s", time.Now())
				r.Authenticate("s", "wrong")
			}
		})
	}
	for i := range 50 {
		d := station("s")
		d.Agency = fmt.Sprint(i)
		d.Name = "Trạm " + d.Agency
		if _, err := r.Update(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if err := r.SetAttributes(t.Context(), "s", map[string]any{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkAuthenticate(b *testing.B) {
	r, _ := open(b, nil)
	cred := create(b, r, station("s"))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Authenticate(cred.Username, cred.Password); !ok {
			b.Fatal("refused")
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("sal-cua-tieu-1")
	f.Add("")
	f.Add("a/b")
	f.Add(".a")
	f.Add(strings.Repeat("x", 65))
	f.Add("trạm")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := devices.ParseID(s)
		if err == nil && (string(id) != s || strings.ContainsAny(s, "/+#$ \x00") || len(s) == 0 || len(s) > 64) {
			t.Errorf("accepted %q as %q", s, id)
		}
		var field *devices.FieldError
		if err != nil && (!errors.As(err, &field) || field.Field != "id" || id != "") {
			t.Errorf("%q: %v", s, err)
		}
	})
}
