package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func noEnv(string) string { return "" }

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ioc.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConfigReadsEveryKey(t *testing.T) {
	file := writeConfig(t, `
data_dir: /var/lib/ioc
http: {addr: ":8080", public_url: "https://ioc.example.vn"}
mqtt:
  addr: "[::1]:1884"
rtsp: {addr: "0.0.0.0:8554"}
store: {engine: tsdb}
alerts: {enabled: false}
video: {allow: [10.12.0.0/16, "fd00::/8"]}
locale: en
log: {level: debug, format: json}
`)
	c, err := loadConfig(file, false, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/var/lib/ioc" || c.HTTP.Addr != ":8080" || c.MQTT.Addr != "[::1]:1884" || c.RTSP.Addr != "0.0.0.0:8554" ||
		c.Alerts.Enabled || len(c.Video.Allow) != 2 || c.Locale != "en" || c.Log.Level != "debug" || c.Log.Format != "json" {
		t.Errorf("read %+v", c)
	}
}

func TestConfigFaultsAreAllSaidWithTheirPlace(t *testing.T) {
	file := writeConfig(t, `data_dir: x
http:
  adr: ":8080"
  addr: "nowhere"
mqtt:
  addr: "0.0.0.0:99999"
alerts:
  enabled: [no]
video: {allow: [10.0.0.0/99]}
store: {engine: mysql}
colour: red
locale: fr
log: {level: loud, format: xml}
`)
	_, err := loadConfig(file, false, noEnv)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		file + ":3:3: http.adr: is not a key",
		file + ":8:", "alerts.enabled: wants true or false",
		file + ":11:1: colour: is not a key",
		`http.addr: "nowhere" is not host:port`,
		`mqtt.addr: "0.0.0.0:99999": port`,
		`video.allow: "10.0.0.0/99"`,
		`store.engine: "mysql"`, `locale: "fr"`, `log.level: "loud"`, `log.format: "xml"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s\nin:\n%v", want, err)
		}
	}
}

func TestConfigHostileYAML(t *testing.T) {
	for name, text := range map[string]string{
		"not a mapping":    "- a\n- b\n",
		"scalar":           "hello",
		"tab":              "http:\n\taddr: x\n",
		"unclosed":         "http: {addr: [",
		"binary":           "\x00\x01\xff\xfe",
		"two documents":    "locale: vi\n---\nlocale: en\n",
		"empty and second": "---\n---\nlocal: x\n",
		"second and empty": "locale: vi\n---\n",
		"behind its end":   "locale: vi\n...\nlocale: en\n",
		"keys of a metric": "retention: {metrics: {ph: 1d}}",
		"alias":            "retention: {metrics: {ph: &k {raw: 30d}, do: *k}}",
		"tag":              "data_dir: !!str 012",
		"list for a text":  "locale: [vi]\n",
		"text for a group": "http: \":8080\"\n",
		"too large":        "#" + strings.Repeat("x", maxConfigBytes),
	} {
		if _, err := loadConfig(writeConfig(t, text), false, noEnv); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestConfigEnvironmentStandsAboveTheFile(t *testing.T) {
	file := writeConfig(t, "http: {addr: \":1\"}\ndata_dir: a\n")
	env := map[string]string{"IOC_HTTP_ADDR": "[::1]:8443", "IOC_DATA_DIR": "b", "IOC_ADMIN_PASSWORD": "s3cret", "IOC_VIDEO_ALLOW": "10.0.0.0/8,fd00::/8"}
	c, err := loadConfig(file, false, func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Addr != "[::1]:8443" || c.DataDir != "b" || c.adminPassword != "s3cret" || len(c.Video.Allow) != 2 {
		t.Errorf("read %+v", c)
	}
}

func TestConfigTextIsAsWritten(t *testing.T) {
	for _, want := range []string{"012", "0x10", "1_000", "1e3", "-5", "true", ".nan", "2026-01-02", "a: b"} {
		text := want
		if strings.Contains(want, ":") {
			text = `"` + want + `"`
		}
		c, err := loadConfig(writeConfig(t, "%YAML 1.2\n# before\n---\ndata_dir: "+text+"\n"), false, noEnv)
		if err != nil || c.DataDir != want {
			t.Errorf("%s is read as %q, %v", text, c.DataDir, err)
		}
	}
}

func TestDemoStaysOnLoopback(t *testing.T) {
	for given, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "localhost:80": "localhost:80",
		":80": "localhost:80", ":0": "127.0.0.1:0",
		"0.0.0.0:80": "", "[::]:80": "", "192.0.2.1:80": "", "[2001:db8::1]:80": "",
	} {
		c, err := loadConfig("", true, func(k string) string {
			if k == "IOC_HTTP_ADDR" || k == "IOC_MQTT_ADDR" {
				return given
			}
			return ""
		})
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), "http.addr") || !strings.Contains(err.Error(), "mqtt.addr") || !strings.Contains(err.Error(), "loopback")):
			t.Errorf("%s: %v", given, err)
		case want != "" && (err != nil || c.HTTP.Addr != want || c.MQTT.Addr != want):
			t.Errorf("%s: %s, %s, %v", given, c.HTTP.Addr, c.MQTT.Addr, err)
		}
	}
	if c, err := loadConfig("", false, func(k string) string { return map[string]string{"IOC_HTTP_ADDR": ":80"}[k] }); err != nil || c.HTTP.Addr != ":80" {
		t.Errorf("serve: %s, %v", c.HTTP.Addr, err)
	}
}

// Damaged records name their file.
func TestRecordsThatAreNoneAreNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "records.db"), []byte(strings.Repeat("rubbish ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openRecords(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "records.db")) {
		t.Errorf("%v", err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"", "http: {addr: \":8080\"}", "a: &a [*a]", "? x\n: y", "!!binary x", "http:\n  addr: |\n    x\n", "<<: {locale: vi}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := defaults(false)
		for _, err := range decodeStrict(text, &c) {
			if err.Error() == "" {
				t.Error("a fault without words")
			}
		}
	})
}

func TestDataDirRefusesNewerAndSecond(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second server: %v", err)
	}
	d.close()
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(dir); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("newer folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(dir); err == nil {
		t.Error("rubbish stamp accepted")
	}
}

func TestListenNamesATakenPort(t *testing.T) {
	ls, err := listen("http.addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(ls)
	addr := ls[0].Addr().String()
	if _, err := listen("http.addr", addr); err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "http.addr") {
		t.Errorf("taken port: %v", err)
	}
}
