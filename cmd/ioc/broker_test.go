package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cuulong/devices"
)

// What a device tells an outside broker is stored, shown and acknowledged as
// if it had told us; who may speak for whom is for the broker's rules.
func TestOutsideBrokerFeedsTheWall(t *testing.T) {
	m := startMosquitto(t, "tram-1", "tram-2", "nobody")
	addrs, stop := startHere(t, t.TempDir(), false, func(c *Config, o *runOptions) {
		c.MQTT.External = ExternalConfig{URL: "mqtts://" + m.tls, Username: "ioc", CA: m.ca}
		c.brokerPassword = brokerPassword
	})
	defer stop()
	c := login(t, addrs.HTTP[0])
	c.station("tram-1", 106.58, 10.28, nil)
	own := c.station("tram-2", 106.60, 10.27, nil)
	eventually(t, "subscribed", func() bool { return counter(t, c, "ioc_mqtt_external_connected") == 1 })
	tell := func(user, topic, payload string) {
		t.Helper()
		if out, err := publish(m.plain, "311", deviceLogin{user, brokerPassword}, topic, payload); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	tell("tram-1", "devices/tram-2/telemetry", `{"values":{"salinity":9}}`) // the broker's rules stop it
	tell("tram-1", "devices/tram-1/telemetry", `{"values":{"salinity":3.25}}`)
	eventually(t, "stored", func() bool { v, ok := c.latest("tram-1", "salinity"); return ok && v == 3.25 })
	if v, ok := c.latest("tram-2", "salinity"); ok {
		t.Errorf("another's value was taken: %v", v)
	}
	tell("tram-1", "devices/tram-1/attributes", `{"firmware":"1.2"}`)
	eventually(t, "attributes are kept", func() bool {
		_, text, err := c.call(http.MethodGet, "/api/v1/devices/tram-1", nil)
		return err == nil && strings.Contains(string(text), `"1.2"`)
	})
	// The listeners of our own go on beside it.
	if out, err := publish(addrs.MQTT[0], "5", own, "devices/tram-2/telemetry", `{"values":{"salinity":1,"firmware":"2.0","door":true}}`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "stored", func() bool { v, ok := c.latest("tram-2", "salinity"); return ok && v == 1 })
	var second devices.Device
	c.must(http.MethodGet, "/api/v1/devices/tram-2", nil, http.StatusOK, &second)
	if second.Attributes["firmware"] != "2.0" || second.Attributes["door"] != true {
		t.Errorf("what it said of itself among its values: %v", second.Attributes)
	}

	// What cannot be kept is set aside, and acknowledged.
	before := counter(t, c, "ioc_observations_total", "quarantined")
	tell("nobody", "devices/nobody/telemetry", `{"values":{"salinity":3}}`)
	tell("tram-1", "devices/tram-1/telemetry", `rubbish`)
	eventually(t, "set aside", func() bool { return counter(t, c, "ioc_observations_total", "quarantined") == before+2 })
	if n := counter(t, c, "ioc_refused_total", `where="mqtt"`, `reason="unknown_device"`); n != 1 {
		t.Errorf("%v unknown", n)
	}
	eventually(t, "acknowledged", func() bool { return counter(t, c, "ioc_mqtt_external_unacked") == 0 })
}

func TestOutsideBrokersConfiguration(t *testing.T) {
	ca, _ := selfMade(t, t.TempDir(), "ca", 1)
	file := writeConfig(t, `
mqtt:
  external: {url: "mqtts://[2001:db8::1]:8883", username: ioc, password_env: BROKER, share: tinh, ca: `+ca+`}
`)
	env := func(k string) string { return map[string]string{"BROKER": "s3cret"}[k] }
	c, err := loadConfig(file, false, env)
	if err != nil {
		t.Fatal(err)
	}
	if c.MQTT.External != (ExternalConfig{"mqtts://[2001:db8::1]:8883", "ioc", "BROKER", "tinh", ca}) || c.brokerPassword != "s3cret" {
		t.Errorf("read %+v", c.MQTT.External)
	}
	for text, want := range map[string]string{
		`{username: ioc}`:                                    "mqtt.external.url: is not an address",
		`{url: "ws://broker"}`:                               "mqtt.external.url: wants the scheme mqtt or mqtts",
		`{url: "mqtt://ioc:hush@broker"}`:                    "mqtt.external.url: holds a user name or password",
		`{url: "mqtt://b", password_env: BROKER}`:            "mqtt.external.username: is empty",
		`{url: "mqtt://b", username: a, password_env: hush}`: "mqtt.external.password_env: names an environment variable that is not set",
		`{url: "mqtt://b", share: "a/b"}`:                    "mqtt.external.share: is not",
		`{url: "mqtt://b", ca: ` + ca + `}`:                  "mqtt.external.ca: is for mqtts",
		`{url: "mqtts://b", ca: /nowhere}`:                   "mqtt.external.ca: open /nowhere",
		`{url: "mqtts://b", ca: ` + file + `}`:               "holds no certificate",
		`{url: "mqtt://b", password: hush}`:                  "mqtt.external.password: is not a key",
	} {
		_, err := loadConfig(writeConfig(t, "mqtt: {external: "+text+"}\n"), false, env)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the fault tells the secret: %v", text, err)
		}
	}
}

func TestBrokerSessionIsKept(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	id, groups, err := d.brokerSession("")
	if err != nil || !brokerSessionID.MatchString(id) || !slices.Equal(groups, []string{""}) {
		t.Fatalf("%q %q %v", id, groups, err)
	}
	for _, share := range []string{"tinh", "", "tinh"} {
		again, groups, err := d.brokerSession(share)
		if err != nil || again != id || !slices.Equal(groups, []string{"", "tinh"}) {
			t.Errorf("%q: %q %q %v", share, again, groups, err)
		}
	}
	if err := os.WriteFile(filepath.Join(d.path, "mqtt-session"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.brokerSession(""); err == nil || !strings.Contains(err.Error(), "mqtt-session") {
		t.Errorf("rubbish: %v", err)
	}
}
