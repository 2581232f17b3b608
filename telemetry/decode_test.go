package telemetry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cuulong/devices"
	. "cuulong/telemetry"
)

// brief writes a batch as one line a value, for comparing: metric=value@time, time
// relative to now in ms, "-" for none; then reason×count of what was set aside.
func brief(b Batch) string {
	var out []string
	for _, o := range b.Observations {
		at := "-"
		if o.At != 0 {
			at = fmt.Sprint(o.At - now)
		}
		s := fmt.Sprintf("%s=%g@%s", o.Metric, o.Value, at)
		if o.Flag != 0 {
			s += fmt.Sprintf("!%d %s", o.Flag, o.Test)
		}
		if o.Device != "dev" {
			s = string(o.Device) + "/" + s
		}
		out = append(out, s)
	}
	for _, a := range b.SetAside {
		out = append(out, fmt.Sprintf("%s×%d", a.Reason, a.Count))
	}
	return strings.Join(out, " ")
}

func TestDecodeTelemetry(t *testing.T) {
	deep := strings.Repeat("[", 30) + strings.Repeat("]", 30)
	for _, c := range []struct{ name, payload, want string }{
		{"milliseconds", `{"ts":1772323199000,"values":{"salinity":3.2}}`, "salinity=3.2@-1000"},
		{"RFC 3339", `{"ts":"2026-03-01T07:00:00+07:00","values":{"salinity":3.2}}`, "salinity=3.2@0"},
		{"RFC 3339 in small letters", `{"ts":"2026-03-01t00:00:00z","values":{"salinity":3.2}}`, "salinity=3.2@0"},
		{"RFC 3339 wants two digits", `[{"ts":"2026-03-01T7:00:00Z","values":{"ph":7}},{"ts":"2026-3-01T07:00:00Z","values":{"ph":7}}]`, "bad_time×2"},
		{"RFC 3339 has offsets of a day", `[{"ts":"2026-03-01T00:00:00+24:00","values":{"ph":7}},{"ts":"2026-03-01T07:00:00+06:60","values":{"ph":7}},{"ts":"2026-03-01T07:30:00+07:30","values":{"ph":8}}]`, "ph=8@0 bad_time×2"},
		{"RFC 3339 wants a point", `{"ts":"2026-03-01T00:00:00,5Z","values":{"ph":7}}`, "bad_time×1"},
		{"RFC 3339 wants an offset", `[{"ts":"2026-03-01T00:00:00","values":{"ph":7}},{"ts":"2026-03-01 00:00:00Z","values":{"ph":7}}]`, "bad_time×2"},
		{"RFC 3339 cut to ms", `{"ts":"2026-02-28T23:59:59.9999Z","values":{"level":-1}}`, "level=-1@-1"},
		{"fraction of ms", `{"ts":1772323199000.9,"values":{"level":1}}`, "level=1@-1000"},
		{"exponent", `{"ts":1.772323199e12,"values":{"level":1e-1}}`, "level=0.1@-1000"},
		{"no ts", `{"values":{"salinity":3.2,"ph":7}}`, "salinity=3.2@- ph=7@-"},
		{"null ts", `{"ts":null,"values":{"ph":7}}`, "ph=7@-"},
		{"ts last", `{"values":{"ph":7,"do":5},"ts":1772323199000}`, "ph=7@-1000 do=5@-1000"},
		{"white space", " {\r\n\t\"values\" : { \"ph\" : 7 } , \"ts\" : 1772323199000 } \n", "ph=7@-1000"},
		{"byte order mark", "\ufeff{\"values\":{\"ph\":7}}", "ph=7@-"},
		{"unknown fields", `{"ts":1772323199000,"seq":9,"x":{"y":[1,{"z":null}]},"values":{"ph":7}}`, "ph=7@-1000"},
		{"escaped names", `{"v\u0061lues":{"p\u0068":7}}`, "ph=7@-"},
		{"attributes among values", `{"values":{"fw":"1.2","ok":true,"off":false,"none":null,"ph":7}}`, "ph=7@-"},
		{"nothing measured", `{"values":{}}`, ""},
		{"array", `[{"ts":1772323199000,"values":{"ph":7}},{"ts":1772323199500,"values":{"ph":8}}]`, "ph=7@-1000 ph=8@-500"},
		{"empty array", `[]`, ""},
		{"-0", `{"values":{"ph":-0}}`, "ph=-0@-"},

		{"name twice", `{"values":{"ph":7,"do":5,"ph":8}}`, "ph=8@- do=5@-"},
		{"values twice", `{"values":{"ph":7},"values":{"do":5}}`, "do=5@-"},
		{"ts twice", `{"ts":1,"ts":1772323199000,"values":{"do":5}}`, "do=5@-1000"},

		{"1e999", `{"values":{"ph":1e999,"do":5,"ec":-1e999}}`, "do=5@- not_finite×2"},
		{"NaN as Python writes it", `{"values":{"ph":NaN,"do":5,"ec":-Infinity,"level":Infinity}}`, "do=5@- not_finite×3"},
		{"too small is zero", `{"values":{"ph":1e-999}}`, "ph=0@-"},
		{"bad names", `{"values":{"pH":7,"":1,"a-b":1,"do":5}}`, "do=5@- bad_metric×3"},
		{"long name", `{"values":{"` + strings.Repeat("a", 65) + `":7,"` + strings.Repeat("b", 64) + `":1}}`, strings.Repeat("b", 64) + "=1@- bad_metric×1"},
		{"no numbers", `{"values":{"ph":{"v":7},"do":[5],"ec":1}}`, "ec=1@- bad_value×2"},

		{"6 minutes ahead", `{"ts":1772323560000,"values":{"ph":7,"do":5}}`, "bad_time×2"},
		{"5 minutes ahead", `{"ts":1772323500000,"values":{"ph":7}}`, "ph=7@300000"},
		{"1999", `{"ts":946684799999,"values":{"ph":7}}`, "bad_time×1"},
		{"2000", `{"ts":946684800000,"values":{"ph":7}}`, fmt.Sprintf("ph=7@%d", 946684800000-int64(now))},
		{"seconds", `{"ts":1772323199,"values":{"ph":7}}`, "bad_time×1"},
		{"ts 0", `{"ts":0,"values":{"ph":7}}`, "bad_time×1"},
		{"negative ts", `{"ts":-5,"values":{"ph":7}}`, "bad_time×1"},
		{"ts 1e999", `{"ts":1e999,"values":{"ph":7}}`, "bad_time×1"},
		{"ts NaN", `{"ts":NaN,"values":{"ph":7}}`, "bad_time×1"},
		{"ts is a word", `{"ts":"yesterday","values":{"ph":7}}`, "bad_time×1"},
		{"ts is an object", `{"ts":{},"values":{"ph":7}}`, "bad_time×1"},
		{"one bad time of two", `[{"ts":1,"values":{"ph":7}},{"ts":1772323199000,"values":{"ph":8}}]`, "ph=8@-1000 bad_time×1"},

		{"no UTF-8 in what is passed over", "{\"values\":{\"ph\":7,\"fw\":\"\xff\"}}", "bad_json×1"},
		{"empty", ``, "bad_json×1"},
		{"cut", `{"ts":1772323199000,"values":{"salinity":3.2}`, "bad_json×1"},
		{"cut in a number", `{"values":{"salinity":3.`, "bad_json×1"},
		{"more behind", `{"values":{"ph":7}} x`, "bad_json×1"},
		{"comma at the end", `{"values":{"ph":7,}}`, "bad_json×1"},
		{"comma at the end of an array", `[{"values":{"ph":7}},]`, "bad_json×1"},
		{"two commas", `{"values":{"ph":7,,"do":1}}`, "bad_json×1"},
		{"leading zero", `{"values":{"ph":07}}`, "bad_json×1"},
		{"plus", `{"values":{"ph":+7}}`, "bad_json×1"},
		{"hex", `{"values":{"ph":0x7}}`, "bad_json×1"},
		{"bare minus", `{"values":{"ph":-}}`, "bad_json×1"},
		{"bare point", `{"values":{"ph":.5}}`, "bad_json×1"},
		{"single quotes", `{'values':{'ph':7}}`, "bad_json×1"},
		{"bad escape", `{"values":{"p\x":7}}`, "bad_json×1"},
		{"control in a string", "{\"values\":{\"p\nh\":7}}", "bad_json×1"},
		{"truth", `{"values":{"ph":tru}}`, "bad_json×1"},
		{"too deep", `{"x":` + deep + `,"values":{"ph":7}}`, "bad_json×1"},
		{"garbage", "\x00\x01garbage", "bad_json×1"},
		{"flat", `{"salinity":3.2}`, "bad_shape×1"},
		{"values is no object", `{"values":3}`, "bad_shape×1"},
		{"a number", `3.2`, "bad_shape×1"},
		{"a string", `"salinity"`, "bad_shape×1"},
		{"one element is no object", `[{"values":{"ph":7}},3,[],{"ts":1772323199000}]`, "ph=7@- bad_shape×3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := DecodeTelemetry("dev", "test", []byte(c.payload), now)
			if got := brief(b); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.payload, got, c.want)
			}
			for _, a := range b.SetAside {
				if a.Source != "test" || string(a.Payload) != c.payload || a.Seen != now {
					t.Errorf("set aside %+v", a)
				}
			}
			for _, o := range b.Observations {
				if o.Seen != now {
					t.Errorf("seen at %d", o.Seen)
				}
			}
		})
	}
}

func TestDecodeBounds(t *testing.T) {
	many := func(n int) []byte {
		return []byte("[" + strings.Repeat(`{"values":{"ph":7}},`, n-1) + `{"values":{"ph":7}}]`)
	}
	if b := DecodeTelemetry("dev", "test", many(MaxObservations), now); len(b.Observations) != MaxObservations || len(b.SetAside) != 0 {
		t.Errorf("10,000: %d observations, set aside %d", len(b.Observations), len(b.SetAside))
	}
	if b := DecodeTelemetry("dev", "test", many(MaxObservations+1), now); brief(b) != "too_many×1" {
		t.Errorf("10,001: %d observations, %d set aside", len(b.Observations), len(b.SetAside))
	}
	var wide strings.Builder
	wide.WriteString(`{"values":{"m0":0`)
	for i := 1; i <= MaxObservations; i++ {
		fmt.Fprintf(&wide, `,"m%d":%d`, i, i)
	}
	wide.WriteString("}}")
	if b := DecodeTelemetry("dev", "test", []byte(wide.String()), now); brief(b) != "too_many×1" {
		t.Errorf("10,001 values of one object: %d observations", len(b.Observations))
	}
	big := []byte(`{"values":{"ph":7},"x":"` + strings.Repeat("x", MaxPayload) + `"}`)
	if b := DecodeTelemetry("dev", "test", big, now); brief(b) != "too_many×1" {
		t.Errorf("1 MiB and more: %d observations", len(b.Observations))
	}
	// A name told again among many is found as it is among few.
	twice := strings.Replace(wide.String(), `"m9999":9999,"m10000":10000`, `"m3":33,"m9":99`, 1)
	b := DecodeTelemetry("dev", "test", []byte(twice), now)
	if len(b.Observations) != MaxObservations-1 || b.Observations[3].Value != 33 || b.Observations[9].Value != 99 {
		t.Errorf("repeated among many: %d observations", len(b.Observations))
	}
}

// TestDecodeAllocates holds the common message to one allocation: the observations.
func TestDecodeAllocates(t *testing.T) {
	for payload, ceiling := range map[string]float64{
		`{"ts":1772323199000,"values":{"salinity":3.21}}`:                                          1,
		`{"ts":1772323199000,"values":{"salinity":3.21,"ec25":6.02,"level":1.37,"ph":7.1}}`:        1,
		`[{"ts":1772323199000,"values":{"salinity":3.21}},{"ts":1772323199000,"values":{"ph":7}}]`: 1,
	} {
		p := []byte(payload)
		if n := testing.AllocsPerRun(200, func() { DecodeTelemetry("dev", "test", p, now) }); n > ceiling {
			t.Errorf("%s: %v allocations, at most %v", payload, n, ceiling)
		}
	}
}

func TestDecodeGateway(t *testing.T) {
	isChild := func(id devices.ID) bool { return slices.Contains([]devices.ID{"a", "b"}, id) }
	for _, c := range []struct{ payload, want string }{
		{`{"a":{"ts":1772323199000,"values":{"ph":7}},"b":[{"values":{"do":5}}]}`, "a/ph=7@-1000 b/do=5@-"},
		{`{"a":{"values":{"ph":7}},"x":{"values":{"ph":1}},"b":{"values":{"ph":8}}}`, "a/ph=7@- b/ph=8@- not_child×1"},
		{`{"a":{"values":{"ph":7}},"b":3}`, "a/ph=7@- bad_shape×1"},
		{`{"a":[{"bn":"urn:dev:x:","n":"ph","v":7,"t":-2}]}`, "a/ph=7@-2000"},
		{`{"a":{"values":{"ph":NaN}},"b":{"ts":5,"values":{"ph":7}}}`, "not_finite×1 bad_time×1"},
		{`{}`, ""},
		{`[]`, "bad_shape×1"},
		{`{"a":{"values":{"ph":7}}`, "bad_json×1"},
		{"\ufeff" + `{"a":{"values":{"ph":7}}}`, "a/ph=7@-"},
		{"{\"a\":{\"values\":{\"ph\":7,\"fw\":\"\xff\"}}}", "bad_json×1"},
		{``, "bad_json×1"},
	} {
		b := DecodeGateway(isChild, "gw", []byte(c.payload), now)
		if got := brief(b); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.payload, got, c.want)
		}
	}
	b := DecodeGateway(isChild, "gw", []byte(`{"a":{"values":{"ph":7}},"x":{"values":{"ph":1}}}`), now)
	if string(b.SetAside[0].Payload) != `{"values":{"ph":1}}` {
		t.Errorf("set aside %q: the part of the child alone", b.SetAside[0].Payload)
	}
}

// TestStrangersOfGateway: however many devices a gateway makes up, their entries are bounded and count them all.
func TestStrangersOfGateway(t *testing.T) {
	payload := []byte("{")
	const n = 20_000
	for i := range n {
		if i == n/2 {
			payload = append(payload, `"a":{"values":{"ph":NaN}},`...)
		}
		payload = fmt.Appendf(payload, `"x%d":0,`, i)
	}
	payload[len(payload)-1] = '}'
	b := DecodeGateway(func(id devices.ID) bool { return id == "a" }, "gw", payload, now)
	count := map[string]int{}
	for _, a := range b.SetAside {
		count[a.Reason] += a.Count
	}
	if len(b.SetAside) != 102 || count[NotChild] != n || count[NotFinite] != 1 {
		t.Errorf("%d entries, which stand for %v", len(b.SetAside), count)
	}
	if rest := b.SetAside[100]; string(rest.Payload) != string(payload) || rest.Count != n-100 {
		t.Errorf("the entry of the many: %d devices, %d bytes", rest.Count, len(rest.Payload))
	}
}

func TestDecodeNetJSON(t *testing.T) {
	const full = `{"type":"DeviceMonitoring",
		"general":{"hostname":"ap-1","local_time":12,"uptime":86400},
		"resources":{"load":[0.31,0.2,0.1],"memory":{"total":128}},
		"interfaces":[
			{"name":"eth0","statistics":{"rx_bytes":1000,"tx_bytes":500}},
			{"name":"wlan0","type":"wireless","statistics":{"rx_bytes":20,"tx_bytes":30},
			 "wireless":{"noise":-95,"channel_utilization":41,"clients":[{"mac":"00:00:00:00:00:01"},{"mac":"00:00:00:00:00:02"}]}},
			{"name":"wlan1","wireless":{"noise":-90,"clients":[{"mac":"00:00:00:00:00:03"}]}}]}`
	for _, c := range []struct{ name, payload, want string }{
		{"full", full, "uptime=86400@- ap_load=0.31@- ap_rx_bytes=1020@- ap_tx_bytes=530@- ap_clients=3@- ap_noise=-90@- ap_channel_utilisation=41@-"},
		{"nothing given", `{"type":"DeviceMonitoring"}`, ""},
		{"no clients", `{"type":"DeviceMonitoring","interfaces":[{"wireless":{"clients":[]}}]}`, "ap_clients=0@-"},
		{"wrong types beside right ones", `{"type":"DeviceMonitoring","general":[],"resources":{"load":3},"interfaces":[7,{"statistics":{"rx_bytes":"many","tx_bytes":5}}]}`, "ap_tx_bytes=5@- bad_value×1"},
		{"no numbers", `{"type":"DeviceMonitoring","general":{"uptime":"1"},"resources":{"load":["0.3"]},"interfaces":[{"wireless":{"noise":false,"channel_utilization":null}}]}`, "bad_value×3"},
		{"byte order mark", "\ufeff" + `{"type":"DeviceMonitoring","general":{"uptime":1}}`, "uptime=1@-"},
		{"not finite", `{"type":"DeviceMonitoring","general":{"uptime":1e999},"resources":{"load":[1]}}`, "ap_load=1@- not_finite×1"},
		{"configuration", `{"type":"DeviceConfiguration","general":{"uptime":1}}`, "bad_netjson×1"},
		{"no type", `{"general":{"uptime":1}}`, "bad_netjson×1"},
		{"array", `[]`, "bad_netjson×1"},
		{"cut", full[:100], "bad_json×1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := brief(DecodeNetJSON("dev", "test", []byte(c.payload), now)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDecodeAttributes(t *testing.T) {
	m, err := DecodeAttributes([]byte(`{"firmware":"1.2","position":{"lon":106.3,"lat":10.3},"n":3,"list":[1,2]}`))
	if err != nil || m["firmware"] != "1.2" || m["n"] != 3.0 || m["position"].(map[string]any)["lon"] != 106.3 {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := DecodeAttributes([]byte("\ufeff{\"a\":1}")); err != nil || m["a"] != 1.0 {
		t.Errorf("behind a byte order mark: %v, %v", m, err)
	}
	for name, payload := range map[string]string{
		"empty": "", "array": "[]", "null": "null", "cut": `{"a":1`, "NaN": `{"a":NaN}`, "1e999": `{"a":1e999}`, "more": `{} {}`,
		"no UTF-8": "{\"a\":\"\xff\"}",
		"deep":     strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9),
		"big":      `{"a":"` + strings.Repeat("x", 64<<10) + `"}`,
	} {
		if m, err := DecodeAttributes([]byte(payload)); err == nil {
			t.Errorf("%s is read as %.60v", name, m)
		}
	}
	if _, err := DecodeAttributes([]byte(strings.Repeat(`{"a":`, 8) + "1" + strings.Repeat("}", 8))); err != nil {
		t.Errorf("eight levels: %v", err)
	}
}

func TestCatalogue(t *testing.T) {
	want := `salinity:g/l ec25:mS/cm ec:mS/cm water_temperature:°C air_temperature:°C level:m discharge:m3/s ph: do:mg/l turbidity:NTU rain:mm
		wind_speed:m/s wind_direction:deg humidity:% soil_moisture:% pressure:hPa pm2_5:µg/m³ pm10:µg/m³ no2:µg/m³ so2:µg/m³ co:µg/m³ o3:µg/m³
		battery:V rssi:dBm uptime:s ap_clients: ap_rx_bytes:B ap_tx_bytes:B ap_channel_utilisation:% ap_noise:dBm ap_load:`
	var got []string
	for _, m := range Catalogue() {
		got = append(got, m.Name+":"+m.Unit)
		if !GoodMetric(m.Name) || m.TitleVI == "" || m.TitleEN == "" || m.Min >= m.Max {
			t.Errorf("%+v", m)
		}
		if l, ok := Lookup(m.Name); !ok || l != m {
			t.Errorf("Lookup(%s) = %+v", m.Name, l)
		}
	}
	if !slices.Equal(got, strings.Fields(want)) {
		t.Errorf("the contract's metrics\n got %v\nwant %v", got, strings.Fields(want))
	}
	if _, ok := Lookup("frogs"); ok {
		t.Error("frogs are known")
	}
}

// TestTimeOfTests keeps now what its comment says.
func TestTimeOfTests(t *testing.T) {
	if got := time.UnixMilli(now).UTC().Format(time.RFC3339); got != "2026-03-01T00:00:00Z" {
		t.Error(got)
	}
}
