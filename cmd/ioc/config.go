package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"cuulong/devices/mqtt"
)

// Config is the one configuration file; every key of it, and no other, is known.
// Environment variables IOC_... stand above the file.
type Config struct {
	DataDir   string          `yaml:"data_dir"`
	HTTP      HTTPConfig      `yaml:"http"`
	MQTT      MQTTConfig      `yaml:"mqtt"`
	RTSP      RTSPConfig      `yaml:"rtsp"`
	Store     StoreConfig     `yaml:"store"`
	Alerts    AlertsConfig    `yaml:"alerts"`
	Video     VideoConfig     `yaml:"video"`
	Retention RetentionConfig `yaml:"retention"`
	Locale    string          `yaml:"locale"`
	Log       LogConfig       `yaml:"log"`

	// adminPassword is that of the first administrator; only the environment gives it.
	adminPassword string
	// influxToken is what the variable named store.influx.token_env holds.
	influxToken string
	// brokerPassword is what the variable named mqtt.external.password_env holds.
	brokerPassword string
	// outdated are certificates that clients will refuse. A server starts all the
	// same: browsers and devices are better told so by their own than met by nobody.
	outdated []error
	// warnings are said once at start: keys that are read but do nothing yet.
	warnings []string
}

// HTTPConfig is the face's listener. With cert and key it speaks TLS.
type HTTPConfig struct {
	Addr      string `yaml:"addr"`
	Cert      string `yaml:"cert"`
	Key       string `yaml:"key"`
	PublicURL string `yaml:"public_url"`
}

// MQTTConfig is the edge's listeners.
type MQTTConfig struct {
	Addr     string         `yaml:"addr"`
	TLSAddr  string         `yaml:"tls_addr"`
	Cert     string         `yaml:"cert"`
	Key      string         `yaml:"key"`
	External ExternalConfig `yaml:"external"`
}

// ExternalConfig names an outside broker, whose devices are taken in beside
// those of our own. The password stands in the environment alone.
type ExternalConfig struct {
	URL         string `yaml:"url"`
	Username    string `yaml:"username"`
	PasswordEnv string `yaml:"password_env"`
	Share       string `yaml:"share"`
	CA          string `yaml:"ca"`
}

// RTSPConfig is where cameras are served again.
type RTSPConfig struct {
	Addr string `yaml:"addr"`
}

// StoreConfig chooses the engine of the series.
type StoreConfig struct {
	Engine string       `yaml:"engine"`
	Influx InfluxConfig `yaml:"influx"`
}

// InfluxConfig names an InfluxDB.
type InfluxConfig struct {
	URL      string `yaml:"url"`
	TokenEnv string `yaml:"token_env"`
	Org      string `yaml:"org"`
	Bucket   string `yaml:"bucket"`
	CA       string `yaml:"ca"` // PEM file of a private authority; empty: the machine's
}

// AlertsConfig says whether this process judges alarms.
type AlertsConfig struct {
	Enabled bool `yaml:"enabled"`
}

// VideoConfig lists the networks where cameras may stand although they are local.
type VideoConfig struct {
	Allow []string `yaml:"allow"`
}

// LogConfig is how the process logs.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// videoAllow is video.allow as networks; faults has told those that are none.
func (c *Config) videoAllow() []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range c.Video.Allow {
		if p, err := netip.ParsePrefix(strings.TrimSpace(cidr)); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// The two modes differ in defaults alone.
const (
	loopbackHTTP = "localhost:8080" // both loopbacks, see listen
	loopbackRTSP = "localhost:8554"
)

func defaults(demo bool) Config {
	c := Config{
		DataDir: "./ioc-data",
		HTTP:    HTTPConfig{Addr: loopbackHTTP},
		MQTT:    MQTTConfig{Addr: ":1883"},
		RTSP:    RTSPConfig{Addr: loopbackRTSP},
		Store:   StoreConfig{Engine: "tsdb"},
		Alerts:  AlertsConfig{Enabled: true},
		Locale:  "vi",
		Log:     LogConfig{Level: "info", Format: "text"},
	}
	if demo {
		c.DataDir = "" // a temporary folder
		c.MQTT.Addr = "localhost:1883"
		c.Video.Allow = []string{"127.0.0.0/8", "::1/128"}
	}
	return c
}

// loadConfig reads file (empty: none) over the defaults and the environment
// over both, and says all that is wrong at once.
func loadConfig(file string, demo bool, getenv func(string) string) (Config, error) {
	c := defaults(demo)
	var faults []error
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("read configuration: %w", err)
		}
		for _, err := range decodeStrict(text, &c) {
			faults = append(faults, fmt.Errorf("%s:%w", file, err))
		}
	}
	for name, into := range map[string]*string{
		"IOC_HTTP_ADDR":      &c.HTTP.Addr,
		"IOC_MQTT_ADDR":      &c.MQTT.Addr,
		"IOC_RTSP_ADDR":      &c.RTSP.Addr,
		"IOC_DATA_DIR":       &c.DataDir,
		"IOC_ADMIN_PASSWORD": &c.adminPassword,
	} {
		if v := getenv(name); v != "" {
			*into = v
		}
	}
	if v := getenv("IOC_VIDEO_ALLOW"); v != "" {
		c.Video.Allow = strings.Split(v, ",")
	}
	if c.Store.Influx.TokenEnv != "" {
		c.influxToken = getenv(c.Store.Influx.TokenEnv)
	}
	if name := c.MQTT.External.PasswordEnv; name != "" {
		c.brokerPassword = getenv(name)
	}
	faults = append(faults, c.faults(demo)...)
	if demo {
		faults = append(faults, ownLoopback("http.addr", &c.HTTP.Addr), ownLoopback("mqtt.addr", &c.MQTT.Addr), ownLoopback("rtsp.addr", &c.RTSP.Addr))
	}
	return c, errors.Join(faults...)
}

// ownLoopback holds the demo, whose devices and data are not real, to this
// machine: an address without host means its loopbacks, and any other is a fault.
func ownLoopback(key string, addr *string) error {
	host, port, err := net.SplitHostPort(*addr)
	if err != nil || host == "localhost" {
		return nil // said already, or right
	}
	if host == "" {
		if host = "localhost"; port == "0" {
			host = "127.0.0.1" // port 0 would differ between the two
		}
		*addr = net.JoinHostPort(host, port)
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsLoopback() {
		return fmt.Errorf("%s: %s: the demo listens on loopback only; use ioc serve", key, *addr)
	}
	return nil
}

// faults lists what is wrong with the values; each names its key.
func (c *Config) faults(demo bool) []error {
	var out []error
	bad := func(key, format string, args ...any) {
		out = append(out, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	address := func(key, addr string) {
		if err := checkAddr(addr); err != nil {
			bad(key, "%v", err)
		}
	}
	pair := func(key, cert, file string) {
		if (cert == "") != (file == "") {
			bad(key, "cert and key go together")
			return
		}
		if cert == "" {
			return
		}
		pair, err := loadCertificate(cert, file, nil)
		if err != nil {
			bad(key, "%v", err)
			return
		}
		note, err := pair.validity(time.Now())
		if err != nil {
			c.outdated = append(c.outdated, fmt.Errorf("%s: %w", key, err))
		} else if note != "" {
			c.warnings = append(c.warnings, key+": "+note)
		}
	}
	if c.DataDir == "" && !demo {
		bad("data_dir", "is empty")
	}
	address("http.addr", c.HTTP.Addr)
	address("mqtt.addr", c.MQTT.Addr)
	address("rtsp.addr", c.RTSP.Addr)
	pair("http.cert", c.HTTP.Cert, c.HTTP.Key)
	pair("mqtt.cert", c.MQTT.Cert, c.MQTT.Key)
	if c.MQTT.TLSAddr != "" {
		address("mqtt.tls_addr", c.MQTT.TLSAddr)
		if c.MQTT.Cert == "" {
			bad("mqtt.tls_addr", "wants mqtt.cert and mqtt.key")
		}
	}
	if c.HTTP.PublicURL != "" {
		if u, err := url.Parse(c.HTTP.PublicURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("http.public_url", "%q is not an http or https address", c.HTTP.PublicURL)
		}
	}
	c.externalFaults(bad)
	switch c.Store.Engine {
	case "tsdb":
	case "influx":
		c.influxFaults(bad)
	default:
		bad("store.engine", "%q is neither tsdb nor influx", c.Store.Engine)
	}
	for _, cidr := range c.Video.Allow {
		if _, err := netip.ParsePrefix(strings.TrimSpace(cidr)); err != nil {
			bad("video.allow", "%q is not a network such as 10.1.0.0/16 or fd00::/8", cidr)
		}
	}
	_, _, keeping := c.Retention.keep()
	out = append(out, keeping...)
	if c.Locale != "vi" && c.Locale != "en" {
		bad("locale", "%q is neither vi nor en", c.Locale)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		bad("log.level", "%q is none of debug, info, warn, error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", "%q is neither text nor json", c.Log.Format)
	}
	return out
}

// externalFaults names no value that might be a secret in the wrong place.
func (c *Config) externalFaults(bad func(key, format string, args ...any)) {
	x := c.MQTT.External
	if x == (ExternalConfig{}) {
		return
	}
	broker, err := mqtt.ParseBroker(x.URL)
	if err != nil {
		bad("mqtt.external.url", "%v", err)
	}
	if x.PasswordEnv != "" && c.brokerPassword == "" {
		bad("mqtt.external.password_env", "names an environment variable that is not set")
	}
	if x.PasswordEnv != "" && x.Username == "" {
		bad("mqtt.external.username", "is empty; MQTT has no password without a user name")
	}
	if err := mqtt.CheckShare(x.Share); err != nil {
		bad("mqtt.external.share", "%v", err)
	}
	if x.CA == "" {
		return
	}
	if err == nil && !broker.TLS {
		bad("mqtt.external.ca", "is for mqtts; the url is without TLS")
	}
	if _, err := mqtt.ReadCA(x.CA); err != nil {
		bad("mqtt.external.ca", "%v", err)
	}
}

// checkAddr accepts host:port with a literal address, localhost (both
// loopbacks) or nothing (all addresses) as host.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port (IPv6 in brackets)", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: port %q is not 0 to 65535", addr, port)
	} else if n == 0 && host == "localhost" {
		return fmt.Errorf("%q: port 0 would differ between the two loopbacks", addr)
	}
	if host == "" || host == "localhost" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return fmt.Errorf("%q: host is neither an IP address nor localhost", addr)
	}
	return nil
}
