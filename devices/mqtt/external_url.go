package mqtt

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Endpoint is where an outside broker listens.
type Endpoint struct {
	Addr string // host:port, IPv6 in brackets
	Host string // the name or address that its certificate must show
	TLS  bool
}

// The faults of a broker's address. None repeats the address, which may hold
// a password where none belongs.
var (
	errBrokerURL    = errors.New("is not an address such as mqtts://broker.example.vn:8883 or mqtt://[2001:db8::1]:1883")
	errBrokerScheme = errors.New("wants the scheme mqtt or mqtts (tcp and ssl mean the same)")
	errBrokerUser   = errors.New("holds a user name or password; they belong into username and password_env")
	errBrokerPort   = errors.New("has a port that is not 1 to 65535")
	errBrokerHost   = errors.New("names a host that is neither a name nor an IP address (IPv6 in brackets)")
	errBrokerPath   = errors.New("has more than a host and a port")
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$`)

// ParseBroker reads mqtt://host[:1883] and mqtts://host[:8883].
func ParseBroker(raw string) (Endpoint, error) {
	u, err := url.Parse(raw)
	switch {
	case strings.Contains(raw, "@"): // also where the rest cannot be read
		return Endpoint{}, errBrokerUser
	case err != nil, u.Host == "":
		return Endpoint{}, errBrokerURL
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Endpoint{}, errBrokerPath
	}
	e := Endpoint{Host: u.Hostname()}
	port := u.Port()
	switch u.Scheme {
	case "mqtt", "tcp":
		if port == "" {
			port = "1883"
		}
	case "mqtts", "ssl", "tls":
		if e.TLS = true; port == "" {
			port = "8883"
		}
	default:
		return Endpoint{}, errBrokerScheme
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Endpoint{}, errBrokerPort
	}
	ip, err := netip.ParseAddr(e.Host)
	if err != nil && !hostName.MatchString(e.Host) || ip.Is6() && u.Host[0] != '[' {
		return Endpoint{}, errBrokerHost
	}
	e.Addr = net.JoinHostPort(e.Host, port)
	e.Host, _, _ = strings.Cut(e.Host, "%") // a zone is in no certificate
	return e, nil
}

var shareName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckShare says what is wrong with the name of a shared subscription's
// group; empty means that nothing is shared.
func CheckShare(group string) error {
	if group != "" && !shareName.MatchString(group) {
		return errors.New("is not 1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or digit")
	}
	return nil
}

// filters are the subscriptions of a group, "" for those that are not shared.
func filters(group string) []string {
	plain := []string{"devices/+/telemetry", "devices/+/attributes", "devices/+/netjson", "gateways/+/telemetry"}
	if group != "" {
		for i := range plain {
			plain[i] = "$share/" + group + "/" + plain[i]
		}
	}
	return plain
}
