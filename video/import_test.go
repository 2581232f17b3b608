package video

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cuulong/devices"
)

func importCSV(t *testing.T, c *Cameras, text string) (int, []Refusal) {
	t.Helper()
	n, refused, err := c.Import(context.Background(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return n, refused
}

func TestImport(t *testing.T) {
	c := open(t)
	var b strings.Builder
	b.WriteString("id,name,url,lon,lat,bearing,view_deg,kind,group\r\n")
	for i := range 61 {
		switch i {
		case 10:
			b.WriteString("cam-10,Sai kinh độ,rtsp://u:hunter2@10.0.0.10/x,206.1,10.1,,,,\r\n")
		case 20:
			b.WriteString("cam-20,Thiếu cột,rtsp://u:hunter2@10.0.0.20/x,106.1\r\n")
		case 30:
			b.WriteString("cam-7,Trùng,rtsp://u:hunter2@10.0.0.30/x,106.1,10.1,,,,\r\n")
		default:
			fmt.Fprintf(&b, "cam-%d,\"Ngã tư %d, phường 1\",rtsp://u:hunter2@10.0.0.%d/x,106.%d,10.1,%d,90,traffic,Gò Công\r\n", i, i, i+1, i, i)
		}
	}
	n, refused := importCSV(t, c, "\xef\xbb\xbf"+b.String())
	if n != 58 || len(refused) != 3 {
		t.Fatalf("%d taken, refused %v", n, refused)
	}
	for i, want := range []struct {
		line int
		why  string
	}{{12, "position.lon: must be a longitude"}, {22, "has 4 fields instead of 9"}, {32, "id: is on line 9"}} {
		if refused[i].Line != want.line || !strings.Contains(refused[i].Why, want.why) || strings.Contains(refused[i].Why, "hunter") {
			t.Errorf("refused %+v, want line %d: %s", refused[i], want.line, want.why)
		}
	}
	cam, ok := c.Get("cam-5")
	if !ok || cam.Name != "Ngã tư 5, phường 1" || cam.URL != "rtsp://10.0.0.6/x" || cam.Position.Lon != 106.5 || *cam.Bearing != 5 ||
		*cam.ViewDeg != 90 || cam.Kind != Traffic || cam.Group != "Gò Công" || cam.Pull != Always {
		t.Errorf("cam-5 is %+v", cam)
	}

	// A spreadsheet's way of writing, and other columns in another order: a known
	// id is replaced, keeps its password, and what the file does not say.
	n, refused = importCSV(t, c, "sep=;\nLat; URL ;id;NAME;lon;pull\n10.5;rtsp://10.0.0.6/y;cam-5;Mới;106.7;on_demand\n\n10,5;rtsp://10.0.0.9/z;cam-6;Phẩy;106.7;\n")
	if n != 1 || len(refused) != 1 || refused[0].Line != 5 || !strings.Contains(refused[0].Why, "position.lat: has a decimal comma") {
		t.Errorf("%d taken, refused %v", n, refused)
	}
	cam, _ = c.Get("cam-5")
	if cam.Name != "Mới" || cam.Position.Lat != 10.5 || cam.Kind != Traffic || *cam.Bearing != 5 || cam.Pull != OnDemand {
		t.Errorf("cam-5 is %+v", cam)
	}
	rec, _ := c.find("cam-5")
	if got := rec.url.Load().String(); got != "rtsp://u:hunter2@10.0.0.6/y" {
		t.Error("the password was not kept")
	}

	// A list that was exported can be taken again.
	n, refused = importCSV(t, c, "id,name,url,lon,lat,state,since,why\ncam-5,Xuất,rtsp://10.0.0.6/y,106.7,10.5,live,2026-11-22T00:00:00Z,\n")
	if cam, _ = c.Get("cam-5"); n != 1 || len(refused) != 0 || cam.Name != "Xuất" {
		t.Errorf("%d taken, refused %v; cam-5 is %+v", n, refused, cam)
	}

	// Another host without password, quotes that do not match, no UTF-8.
	n, refused = importCSV(t, c, "id\tname\turl\tlon\tlat\ncam-5\tx\trtsp://10.0.0.7/y\t106\t10\ncam-a\t\"x\" y\trtsp://10.0.0.7/y\t106\t10\ncam-b\tNg\xe3 t\xb0\trtsp://10.0.0.7/\t106\t10\ncam-c\tx\trtsp://127.0.0.1/\t106\t10\n")
	if n != 1 || len(refused) != 3 || refused[0].Line != 2 || refused[1].Line != 3 || refused[2].Line != 4 {
		t.Errorf("%d taken, refused %v", n, refused)
	}
}

func TestImportIsBounded(t *testing.T) {
	c := open(t)
	head := "id,name,url,lon,lat\n"
	for name, text := range map[string]string{
		"empty":          "",
		"blank":          " \r\n\n",
		"no header":      "cam-1,a,rtsp://u:hunter2@10.0.0.1/,106,10\n",
		"unknown column": "id,name,url,lon,lat,hunter2\n",
		"column missing": "id,name,url,lon\n",
		"column twice":   "id,name,url,lon,lat,lat\n",
		"broken header":  "\"id,name\nx",
		"UTF-16":         "\xff\xfei\x00d\x00",
		"too many bytes": head + strings.Repeat("x", maxImport),
		"too many lines": head + strings.Repeat("a,b,c,d,e\n", maxLines+1),
	} {
		n, refused, err := c.Import(context.Background(), strings.NewReader(text))
		if n != 0 || refused != nil || err == nil {
			t.Errorf("%s: %d, %v, %v", name, n, len(refused), err)
			continue
		}
		mustContain(t, err, "file")
		if strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: the answer repeats the file: %v", name, err)
		}
	}
	if n := len(c.All()); n != 0 {
		t.Errorf("%d cameras came of it", n)
	}
	// All or nothing: the database fails, and memory knows none of them.
	if err := c.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Import(context.Background(), strings.NewReader(head+"cam-1,a,rtsp://10.0.0.1/,106,10\n")); err == nil {
		t.Error("no error though the database is closed")
	}
	if n := len(c.All()); n != 0 {
		t.Errorf("%d cameras came of it", n)
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte("id,name,url,lon,lat\ncam-1,a,rtsp://u:p@10.0.0.1/,106,10\n"))
	f.Add([]byte("\xef\xbb\xbfid;name;url;lon;lat;bearing\r\ncam-1;\"a;b\";rtsp://10.0.0.1/;106,5;10;\"9\r\n"))
	f.Add([]byte("sep=\t\nid\tname\turl\tlon\tlat\n\n\x00\t\t\t\t\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := readLines(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		last := 0
		for _, l := range lines {
			if l.number <= last {
				t.Fatalf("line %d after %d", l.number, last)
			}
			last = l.number
			if l.why == "" {
				l.camera(nil)
			}
		}
		if most := strings.Count(string(text), "\n") + 1; last > most {
			t.Fatalf("line %d of %d", last, most)
		}
	})
}

func TestNear(t *testing.T) {
	c := open(t)
	// A station at 106.4, 10.2; a degree of latitude is about 110.6 km.
	at := camera("x", "").Position
	add := func(id string, north float64, bearing, view *float64) {
		cam := camera(id, "rtsp://10.0.0.1/"+id)
		cam.Position.Lat += north
		cam.Bearing, cam.ViewDeg = bearing, view
		create(t, c, cam)
	}
	f := func(x float64) *float64 { return &x }
	add("looks-south", 0.005, f(180), f(60))
	add("looks-aside", 0.006, f(211), f(60))
	add("edge", 0.007, f(209), f(60))
	add("looks-north", 0.008, f(0), f(90))
	add("all-round", 0.009, nil, f(360))
	add("unknown", 0.010, nil, nil)
	add("no-angle", 0.011, f(180), nil)
	add("too-far", 0.020, f(180), f(90))
	add("over-north", -0.003, f(350), f(30))
	add("here", 0, f(90), f(10))
	var got []string
	for _, n := range c.Near(at, 20) {
		got = append(got, fmt.Sprintf("%s %v", n.ID, n.Sees))
		if n.ID == "looks-south" && (n.DistanceM < 545 || n.DistanceM > 560) {
			t.Errorf("distance %f", n.DistanceM)
		}
	}
	want := []string{"here true", "over-north true", "looks-south true", "looks-aside false", "edge true", "looks-north false",
		"all-round true", "unknown false", "no-angle false", "too-far false"}
	if !slices.Equal(got, want) {
		t.Errorf("near: %v\nwant  %v", got, want)
	}
	if n := c.Near(at, 2); len(n) != 2 || n[1].ID != "over-north" {
		t.Errorf("two nearest: %+v", n)
	}
	if err := c.Delete(context.Background(), "here"); err != nil {
		t.Fatal(err)
	}
	moved := camera("over-north", "rtsp://10.0.0.1/")
	moved.Position.Lat = 11
	if _, err := c.Update(context.Background(), moved); err != nil {
		t.Fatal(err)
	}
	if n := c.Near(at, 1); len(n) != 1 || n[0].ID != devices.ID("looks-south") {
		t.Errorf("nearest after a change: %+v", n)
	}
}

// A first line of separators alone is one fault, not millions of them.
func TestImportOfEndlessColumns(t *testing.T) {
	c := open(t)
	for _, head := range []string{strings.Repeat(",", 100_000), strings.Repeat("id,", 100_000)} {
		_, _, err := c.Import(context.Background(), strings.NewReader(head+"\n"))
		mustContain(t, err, "file")
		if n := len(err.Error()); n > 1000 {
			t.Errorf("the answer has %d bytes", n)
		}
	}
}
