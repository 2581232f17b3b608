package telemetry_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	. "cuulong/telemetry"
)

// TestSenML holds RFC 8428's rules, in JSON; TestSenMLBoth runs the same as CBOR.
var senmlCases = []struct{ name, pack, want string }{
	{"one", `[{"n":"salinity","v":3.2}]`, "salinity=3.2@-"},
	{"base name", `[{"bn":"urn:dev:mac:0024befffe804ff1:","n":"salinity","v":3.2},{"n":"ph","v":7}]`, "salinity=3.2@- ph=7@-"},
	{"base name alone", `[{"bn":"urn:dev:mac:01:"},{"n":"do","v":5}]`, "do=5@-"},
	{"base name is the name", `[{"bn":"dev/salinity","v":3},{"v":4,"t":-1}]`, "salinity=3@- salinity=4@-1000"},
	{"base name changes", `[{"bn":"a/","n":"ph","v":7},{"bn":"b/","n":"do","v":5}]`, "ph=7@- do=5@-"},
	{"capitals, dots, dashes", `[{"n":"dev/Salinity","v":1},{"n":"dev/pm2.5","v":2},{"n":"dev/soil-moisture","v":3}]`, "salinity=1@- pm2_5=2@- soil_moisture=3@-"},

	{"base time", `[{"bt":1772323100,"n":"ph","v":7},{"n":"do","v":5,"t":10}]`, "ph=7@-100000 do=5@-90000"},
	{"negative time", `[{"bt":1772323200.001,"n":"ph","v":7,"t":-5}]`, "ph=7@-4999"},
	{"relative to now", `[{"n":"ph","v":7,"t":-0.5},{"n":"do","v":5,"t":0}]`, "ph=7@-500 do=5@-"},
	{"relative, ahead", `[{"n":"ph","v":7,"t":300},{"n":"do","v":5,"t":301}]`, "ph=7@300000 bad_time×1"},
	{"2^28 is absolute", `[{"n":"ph","v":7,"t":268435456},{"n":"do","v":7,"t":268435455}]`, "bad_time×2"},
	{"absolute, before 2000", `[{"n":"ph","v":7,"t":900000000}]`, "bad_time×1"},
	{"absolute, ahead", `[{"n":"ph","v":7,"t":1772324000}]`, "bad_time×1"},
	{"update time", `[{"n":"ph","v":7,"ut":60}]`, "ph=7@-"},

	{"base value", `[{"bv":20,"n":"ph","v":-13},{"n":"do","v":1},{"n":"level"}]`, "ph=7@- do=21@- level=20@-"},
	{"sum", `[{"n":"rain","s":12.5},{"bs":100,"n":"level","v":1,"s":2}]`, "rain_sum=12.5@- level=1@- level_sum=102@-"},
	{"base value and an attribute", `[{"bv":20,"n":"label","vs":"pump"}]`, ""},
	{"attributes", `[{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"tag","vd":"aGkgCg"},{"n":"ph","v":7}]`, "ph=7@-"},

	{"unit: own", `[{"n":"salinity","u":"g/l","v":3}]`, "salinity=3@-"},
	{"unit: converted", `[{"bu":"Pa","n":"pressure","v":101300},{"n":"level","u":"cm","v":150},{"n":"air_temperature","u":"K","v":300.15},{"n":"humidity","u":"%RH","v":80},{"n":"ec","u":"S/m","v":0.5}]`,
		"pressure=1013@- level=1.5@- air_temperature=27@- humidity=80@- ec=5@-"},
	{"unit: cannot be", `[{"n":"salinity","u":"Cel","v":3}]`, "salinity=3@-!3 unit"},
	{"unit: unconvertible and implausible", `[{"n":"salinity","u":"ppm","v":3000}]`, "salinity=3000@-!4 gross_range"},
	{"unit: unknown metric", `[{"n":"frogs","u":"beat/min","v":3}]`, "frogs=3@-"},
	{"unit names the quantity", `[{"bn":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23},{"u":"%RH","v":60},{"u":"lat","v":10.3}]`, "temperature=23@- humidity=60@- latitude=10.3@-"},
	{"no name for it", `[{"n":"2001:db8::3","u":"/","v":1}]`, "bad_metric×1"},
	{"two devices, one metric", `[{"bn":"a/","n":"ph","v":7},{"n":"do","v":5},{"bn":"b/","n":"ph","v":8},{"n":"do","v":6}]`, "ph=7@- do=5@- ambiguous×2"},

	{"no name", `[{"v":1},{"n":"ph","v":7}]`, "ph=7@- bad_metric×1"},
	{"bad name", `[{"n":"-ph","v":1},{"n":"p h","v":1},{"n":"ph","v":7}]`, "ph=7@- bad_metric×2"},
	{"version 10", `[{"bver":10,"n":"ph","v":7}]`, "ph=7@-"},
	{"version 11", `[{"n":"ph","v":7},{"bver":11,"n":"do","v":5}]`, "bad_senml×1"},
	{"version 0", `[{"bver":0,"n":"ph","v":7}]`, "bad_senml×1"},
	{"extension", `[{"n":"ph","v":7,"l":"x"}]`, "ph=7@-"},
	{"must be understood", `[{"n":"ph","v":7},{"n":"do","v":5,"l_":"x"}]`, "bad_senml×1"},
	{"wrong type in a record", `[{"n":"ph","v":"7"},{"n":3,"v":1},{"n":"do","v":5}]`, "do=5@- bad_senml×2"},
	{"wrong type of a base field", `[{"n":"do","v":5},{"bt":"now","n":"ph","v":7}]`, "bad_senml×1"},
	{"a record is no object", `[{"n":"do","v":5},7]`, "do=5@- bad_senml×1"},
}

func TestSenMLJSON(t *testing.T) {
	for _, c := range append(senmlCases, []struct{ name, pack, want string }{
		{"not finite", `[{"n":"ph","v":1e999},{"n":"do","v":5},{"n":"ec","v":NaN}]`, "do=5@- not_finite×2"},
		{"base not finite", `[{"bv":1e999,"n":"ph","v":1}]`, "bad_senml×1"},
		{"time not finite", `[{"n":"ph","v":1,"t":-1e999},{"n":"do","v":1,"t":NaN}]`, "bad_time×2"},
		{"cut", `[{"n":"ph","v":7},{"n":"do"`, "bad_json×1"},
		{"more behind", `[{"n":"ph","v":7}]]`, "bad_json×1"},
	}...) {
		t.Run(c.name, func(t *testing.T) {
			if got := brief(DecodeTelemetry("dev", "test", []byte(c.pack), now)); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.pack, got, c.want)
			}
		})
	}
}

// number labels a field as RFC 8428 §6, table 4 has it.
var cborLabels = map[string]int{
	"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8,
}

// asCBOR writes a JSON pack as CBOR, with numbers for labels; odd records have text labels for those, too, which is not what the
// RFC asks for but what some senders do.
func asCBOR(t *testing.T, pack string) []byte {
	t.Helper()
	var records []any
	if err := json.Unmarshal([]byte(pack), &records); err != nil {
		t.Fatal(err)
	}
	var out []any
	for i, r := range records {
		fields, ok := r.(map[string]any)
		if !ok {
			out = append(out, r)
			continue
		}
		m := map[any]any{}
		for k, v := range fields {
			if f, is := v.(float64); is && f == math.Trunc(f) {
				v = int64(f)
			}
			if n, known := cborLabels[k]; known && i%2 == 0 {
				m[n] = v
			} else {
				m[k] = v
			}
		}
		out = append(out, m)
	}
	b, err := cbor.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSenMLCBOR(t *testing.T) {
	for _, c := range senmlCases {
		t.Run(c.name, func(t *testing.T) {
			b := asCBOR(t, c.pack)
			if got := brief(DecodeTelemetry("dev", "test", b, now)); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.pack, got, c.want)
			}
			if got := brief(DecodeTelemetry("dev", "test", append([]byte{0xd9, 0xd9, 0xf7}, b...), now)); got != c.want {
				t.Errorf("self-described: got %s", got)
			}
		})
	}
	for _, c := range []struct{ name, bytes, want string }{
		{"half float", "\x81\xa2\x00\x62ph\x02\xf9\x47\x00", "ph=7@-"},
		{"single float", "\x81\xa2\x00\x62ph\x02\xfa\x40\xe0\x00\x00", "ph=7@-"},
		{"indefinite lengths", "\x9f\xbf\x00\x62ph\x02\x07\xff\xff", "ph=7@-"},
		{"NaN", "\x82\xa2\x00\x62ph\x02\xf9\x7e\x00\xa2\x00\x62do\x02\x05", "do=5@- not_finite×1"},
		{"infinity", "\x81\xa2\x00\x62ph\x02\xf9\x7c\x00", "not_finite×1"},
		{"base time NaN", "\x81\xa3\x22\xf9\x7e\x00\x00\x62ph\x02\x07", "bad_senml×1"},
		{"decimal fraction", "\x81\xa2\x00\x62ph\x02\xc4\x82\x20\x18\x47", "ph=7.1@-"},
		{"negative decimal fraction, in a base", "\x81\xa3\x24\xc4\x82\x21\x38\x63\x00\x65level\x02\x01", "level=0@-"},
		{"decimal fraction beyond a float64", "\x81\xa2\x00\x62ph\x02\xc4\x82\x19\x03\xe7\x01", "not_finite×1"},
		{"decimal fraction of one part", "\x81\xa2\x00\x62ph\x02\xc4\x81\x01", "bad_senml×1"},
		{"decimal fraction of floats", "\x81\xa2\x00\x62ph\x02\xc4\x82\x20\xf9\x47\x00", "bad_senml×1"},
		{"bignum", "\x81\xa2\x00\x62ph\x02\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", "bad_senml×1"},
		{"label by number and by name", "\x81\xa3\x61v\x08\x00\x62ph\x02\x07", "ph=7@-"},
		{"label without a name", "\x81\xa3\x00\x62ph\x60\x62do\x02\x07", "ph=7@-"},
		{"label beyond all", "\x81\xa3\x00\x62ph\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x07", "ph=7@-"},
		{"label in more bytes than it needs", "\x81\xa2\x18\x00\x62ph\x19\x00\x02\xf9\x47\x00", "ph=7@-"},
		{"label that is none", "\x81\xa3\x00\x62ph\xf5\x01\x02\x07", "ph=7@-"},
		{"record that is none", "\x82\x01\xa2\x00\x62ph\x02\x07", "ph=7@- bad_senml×1"},
		{"text where a number belongs", "\x81\xa2\x00\x62ph\x02\x617", "bad_senml×1"},
		{"empty pack", "\x80", ""},
		{"unknown number", "\x81\xa3\x00\x62ph\x02\x07\x18\x63\x01", "ph=7@-"},
		{"cut", "\x81\xa2\x00\x62ph\x02", "bad_cbor×1"},
		{"more behind", "\x81\xa2\x00\x62ph\x02\x07\x00", "bad_cbor×1"},
		{"ten thousand promised", "\x99\x27\x10", "bad_cbor×1"},
		{"four billion promised", "\x9a\xff\xff\xff\xff", "bad_cbor×1"},
		{"deep", strings.Repeat("\x81", 100) + "\x00", "bad_cbor×1"},
		{"array as a key", "\x81\xa1\x81\x00\x00", "bad_cbor×1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := brief(DecodeTelemetry("dev", "test", []byte(c.bytes), now)); got != c.want {
				t.Errorf("%x\n got %s\nwant %s", c.bytes, got, c.want)
			}
		})
	}
}

// TestCBORCost: what nobody asked for is not built, however much it would be.
func TestCBORCost(t *testing.T) {
	inner := "\x99\x27\x10" + strings.Repeat("\xa1\x00\x00", 10_000)
	for name, payload := range map[string]string{
		"value": "\x81\xa3\x18\x63\x98\x21" + strings.Repeat(inner, 33) + "\x00\x62ph\x02\x07",
		"key":   "\x81\xa1\x98\x21" + strings.Repeat(inner, 33) + "\x01",
	} {
		if len(payload) > MaxPayload {
			t.Fatal("too long to be read at all")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b := DecodeTelemetry("dev", "test", []byte(payload), now)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 8*MaxPayload {
			t.Errorf("%s: %d bytes of a payload of %d (%s)", name, n, len(payload), brief(b))
		}
	}
}

// published says what becomes of RFC 8428's own examples (core-wg/senml-spec).
var published = map[int]string{
	1:  "temperature=23.1@-",
	2:  "voltage=120.1@- current=1.2@-",
	3:  "voltage=120.1@T1276020076001 current=1.2@T1276020071001 current=1.3@T1276020072001 current=1.4@T1276020073001 current=1.5@T1276020074001 current=1.6@T1276020075001 current=1.7@T1276020076001",
	4:  "humidity=21.2@T1320067464000 humidity=21.3@T1320067474000 humidity=21.4@T1320067484000 humidity=21.4@T1320067494000 humidity=21.5@T1320067504000 humidity=21.5@T1320067514000 humidity=21.5@T1320067524000 humidity=21.6@T1320067534000 humidity=21.7@T1320067544000 humidity=21.5@T1320067554000 humidity=21.5@T1320067555000 humidity=21.5@T1320067556000",
	5:  "humidity=20@T1320067464000 longitude=24.30621@T1320067464000 latitude=60.07965@T1320067464000 humidity=20.3@T1320067524000 longitude=24.30622@T1320067524000 latitude=60.07965@T1320067524000 humidity=20.7@T1320067584000 longitude=24.30623@T1320067584000 latitude=60.07966@T1320067584000 battery_level=98@T1320067614000 humidity=21.2@T1320067644000 longitude=24.30628@T1320067644000 latitude=60.07967@T1320067644000",
	6:  "temperature=25.2@T1320078429000 humidity=30@T1320078429000 ambiguous×2", // two devices in one pack
	7:  "temp=23.1@-",
	8:  "temperature=27.2@T1320078429000 humidity=80@T1320078429000",
	9:  "temp=23.1@- heat=1@- fan=0@-",
	10: "temperature=23.5@T1276020076000 temperature=23.6@T1276020091000",
	11: "temperature=23.5@T1276020076000 temperature=23.6@T1276020091000",
	12: "bad_metric×2", // addresses, and a unit that says nothing
	13: "bad_metric×4",
}

// TestSenMLVectors reads the published examples in all their forms.
func TestSenMLVectors(t *testing.T) {
	const dir = "../../shared/data/senml"
	if _, err := os.Stat(dir); err != nil {
		t.Logf("the published examples are not here (%v): the tables above stand alone", err)
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "ex*"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(filepath.Base(path), "ex%d.", &n); err != nil {
			t.Fatal(err)
		}
		want := published[n]
		if strings.Contains(path, "resolved") {
			want = resolvedForm(want, n)
		}
		got := brief(DecodeTelemetry("dev", "test", b, now))
		for _, word := range strings.Fields(want) { // absolute times read better
			if i := strings.Index(word, "@T"); i >= 0 {
				var ms int64
				fmt.Sscan(word[i+2:], &ms)
				want = strings.ReplaceAll(want, word, fmt.Sprintf("%s@%d", word[:i], ms-now))
			}
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", filepath.Base(path), got, want)
		}
	}
}

// resolvedForm is want where the example's authors filled in the time at which they resolved it.
func resolvedForm(want string, n int) string {
	at := map[int]string{1: "1498780179000", 2: "1498780179000", 7: "1499109309000", 9: "1498780179000"}[n]
	return strings.ReplaceAll(want, "@-", "@T"+at)
}
