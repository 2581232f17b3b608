package rtsp

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// maxPath bounds a path with its query, in bytes.
const maxPath = 2 << 10

// A target is a URL on the camera that was dialled: cameras write all sorts of
// hosts and credentials into theirs, of which path and query alone are believed.
type target struct {
	origin string // "rtsp://192.0.2.1:8554", as it was given
	path   string // "/stream/1?sub=1", begins with a slash
}

// newTarget takes what is asked of the camera from its URL.
func newTarget(u *url.URL) (target, error) {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	path, ok := cleanPath(path)
	if !strings.EqualFold(u.Scheme, "rtsp") || u.Hostname() == "" || u.Opaque != "" || !ok {
		return target{}, fault(NotFound, nil, "the address is not an RTSP URL")
	}
	host := u.Host
	if zone, end := strings.IndexByte(host, '%'), strings.LastIndexByte(host, ']'); zone >= 0 && zone < end {
		host = host[:zone] + host[end:] // a zone means something on this machine alone, RFC 6874 §1
	}
	return target{origin: "rtsp://" + host, path: path}, nil
}

func (t target) String() string { return t.origin + t.path }

// address gives host and port to dial.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "554"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// base gives where a description's controls hang: what Content-Base or
// Content-Location tell, and the target asked for without them.
func (t target) base(h header) (base target, told bool) {
	for _, name := range []string{"Content-Base", "Content-Location"} {
		if v := h.get(name); v != "" {
			if path, absolute := pathOf(v); absolute {
				return target{t.origin, path}, true
			}
		}
	}
	return t, false
}

// control gives the URL of an a=control below t. Relative ones are hung behind
// t as a whole, query included, as cameras expect it and RFC 2326 §C.1.1 does not.
func (t target) control(c string) (target, bool) {
	c = strings.TrimSpace(c)
	if c == "" || c == "*" {
		return t, true
	}
	if path, absolute := pathOf(c); absolute && (!strings.HasPrefix(c, "/") || below(t.path, path)) {
		return target{t.origin, path}, true
	}
	base := t.path
	switch {
	case strings.HasPrefix(c, "/"):
		base = strings.TrimSuffix(base, "/")
	case strings.HasPrefix(c, "?"):
	case !strings.HasSuffix(base, "/"):
		base += "/"
	}
	path, ok := cleanPath(base + c)
	return target{t.origin, path}, ok
}

// below tells whether path already holds the whole of base.
func below(base, path string) bool {
	base = strings.TrimSuffix(base, "/")
	return base != "" && strings.HasPrefix(path, base) && (len(path) == len(base) || strings.ContainsRune("/?&", rune(path[len(base)])))
}

// pathOf cuts scheme, credentials, host and port off an absolute URL, and leaves
// an absolute path as it is; absolute is false for anything else.
func pathOf(s string) (path string, absolute bool) {
	if scheme, rest, ok := strings.Cut(s, "://"); ok && isToken(scheme) {
		// Whatever stands before the path, credentials included, is left out.
		if at := strings.IndexAny(rest, "/?"); at >= 0 {
			s = rest[at:]
		} else {
			s = "/"
		}
		if strings.HasPrefix(s, "?") {
			s = "/" + s
		}
	}
	if !strings.HasPrefix(s, "/") {
		return "", false
	}
	return cleanPath(s)
}

// cleanPath makes text of a camera fit for a request line.
func cleanPath(s string) (string, bool) {
	if len(s) > maxPath {
		return "", false
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b.WriteString("%20")
		case c < ' ' || c == 0x7f:
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// redirect follows a Location, to the same host and port alone; remote is the
// address that was dialled, which is the same host however it is called.
func (t target) redirect(location string, remote net.Addr) (target, bool) {
	if path, absolute := pathOf(location); absolute && strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") {
		return target{t.origin, path}, true
	}
	to, err := url.Parse(location)
	from, err2 := url.Parse(t.origin)
	if err != nil || err2 != nil {
		return target{}, false
	}
	next, err := newTarget(to)
	if err != nil {
		return target{}, false
	}
	toHost, toPort, _ := net.SplitHostPort(address(to))
	fromHost, fromPort, _ := net.SplitHostPort(address(from))
	same := strings.EqualFold(toHost, fromHost)
	if ip, err := netip.ParseAddr(toHost); err == nil && remote != nil {
		if dialled, err := netip.ParseAddrPort(remote.String()); err == nil {
			same = same || dialled.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
		}
	}
	return target{t.origin, next.path}, same && toPort == fromPort
}
