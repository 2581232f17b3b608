package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layer is one package's right to import others of ours.
type layer struct {
	may    []string
	reason string
}

// layers is the design's table. A package that is not in it fails the test.
var layers = map[string]layer{
	"geo":                         {nil, "the map knows nothing of what stands on it"},
	"devices":                     {[]string{"geo"}, "a device has a place and nothing else of ours"},
	"devices/mqtt":                {[]string{"devices"}, "the edge knows who speaks; what is said goes to a func that cmd wires"},
	"telemetry":                   {[]string{"devices", "geo"}, "observations belong to devices; engines and faces come later"},
	"telemetry/tsdb":              {[]string{"telemetry", "devices"}, "an engine fills telemetry's seams, whose shapes name devices"},
	"telemetry/influx":            {[]string{"telemetry", "devices"}, "an engine fills telemetry's seams, whose shapes name devices"},
	"telemetry/influx/influxtest": {nil, "a database for tests knows nothing of who speaks to it"},
	"telemetry/storetest":         {[]string{"telemetry", "devices"}, "the suite knows the seam, not an engine"},
	"alerts":                      {[]string{"telemetry", "devices", "geo", "alerts/cap"}, "rules judge observations of devices in zones, never video or faces"},
	"video":                       {[]string{"devices", "geo", "video/rtsp", "video/fmp4"}, "a camera has a place; alarms are told by funcs that cmd wires"},
	"video/rtsp":                  {nil, "the wire knows cameras, not whose they are"},
	"video/fmp4":                  {nil, "a file format"},
	"ui":                          {[]string{"alerts", "devices", "geo", "telemetry", "video", "alerts/cap", "ui/access", "ui/web"}, "the face shows all domains and drives no adapter"},
	"ui/access":                   {nil, "who may do what is decided without knowing what it is"},
	"ui/web":                      {nil, "built pages, no code"},
	"cmd/ioc":                     {[]string{"*"}, "wiring names everything"},
	"cmd/fieldsim":                {[]string{"*"}, "a command"},
	"cmd/fieldsim/field":          {[]string{"alerts", "devices", "geo", "telemetry", "video", "video/rtsp"}, "the field speaks over the wire; shapes alone are shared"},
	"cmd/ioc/bench":               {[]string{"*"}, "measures the whole"},
}

// owners keeps third-party names behind the package that hides them.
var owners = []struct {
	prefix string
	in     []string
	reason string
}{
	{"github.com/paulmach/orb", []string{"geo"}, "geo hides orb"},
	{"github.com/mochi-mqtt/", []string{"devices/mqtt", "cmd/"}, "devices/mqtt hides the broker"},
	{"github.com/eclipse/paho", []string{"devices/mqtt", "cmd/"}, "devices/mqtt hides the client"},
	{"github.com/cockroachdb/pebble", []string{"telemetry/tsdb"}, "the engine hides its key-value store"},
	{"github.com/influxdata/", []string{"telemetry/influx"}, "the engine hides its client"},
	{"github.com/gorilla/websocket", []string{"ui", "cmd/"}, "ui hides the socket"},
	{"github.com/deepch/vdk", []string{"video/rtsp"}, "one small file hides the codec parsers"},
	{"github.com/pion/", []string{"video/rtsp"}, "video/rtsp hides RTP and SDP"},
	{"modernc.org/sqlite", []string{"cmd/"}, "SQL drivers are named in cmd alone"},
	{"github.com/danielgtaylor/huma", []string{"ui"}, "ui hides the HTTP framework"},
}

type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportRules(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "cuulong/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		checkImports(t, p)
	}
	if seen < 10 {
		t.Fatalf("only %d packages seen; the test looks in the wrong place", seen)
	}
}

func checkImports(t *testing.T, p goPackage) {
	name := strings.TrimPrefix(p.ImportPath, "cuulong/")
	rule, known := layers[name]
	if !known {
		t.Errorf("%s is not in the layout; a new package needs a line here and a reason", name)
		return
	}
	for _, imported := range p.Imports {
		if ours, ok := strings.CutPrefix(imported, "cuulong/"); ok {
			if strings.HasPrefix(ours, "cmd/") && (name != "cmd/ioc" && name != "cmd/ioc/bench" && name != "cmd/fieldsim" || ours != "cmd/fieldsim/field") {
				t.Errorf("%s imports %s: nothing imports cmd, but that commands import the field", name, ours)
			} else if !slices.Contains(rule.may, ours) && !slices.Contains(rule.may, "*") {
				t.Errorf("%s imports %s: %s", name, ours, rule.reason)
			}
		}
		for _, o := range owners {
			if strings.HasPrefix(imported, o.prefix) && !slices.ContainsFunc(o.in, func(in string) bool {
				return name == in || strings.HasSuffix(in, "/") && strings.HasPrefix(name, in)
			}) {
				t.Errorf("%s imports %s: %s", name, imported, o.reason)
			}
		}
	}
}
