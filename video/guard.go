package video

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"cuulong/video/rtsp"
)

// guard keeps the relay from dialling our own machine and its neighbours on the
// wire for whoever may add a camera.
type guard struct {
	allow   []netip.Prefix
	refused func() // counts
}

// Networks that netip has no word for, and those that carry an IPv4 address
// within an IPv6 one.
var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8") // RFC 1122 §3.2.1.3; Linux takes 0.0.0.0 for itself
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	nat64       = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052 §2.1
	nat64Local  = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour   = netip.MustParsePrefix("2002::/16")      // RFC 3056
	compatible  = netip.MustParsePrefix("::/96")          // RFC 4291 §2.5.5.1
)

// may tells whether a camera may stand at a.
func (g *guard) may(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, x := range append(embedded(a), a) {
		if g.allowed(x) {
			continue
		}
		if x.IsLoopback() || x.IsLinkLocalUnicast() || x.IsMulticast() || x.IsUnspecified() || x == broadcast || thisNetwork.Contains(x) {
			return g.allowed(a)
		}
	}
	return a.IsValid()
}

func (g *guard) allowed(a netip.Addr) bool {
	for _, p := range g.allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// embedded lists the IPv4 addresses that an IPv6 address may lead to.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.IsLoopback() || a.IsUnspecified() {
		return nil
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case nat64.Contains(a), compatible.Contains(a):
		return []netip.Addr{last}
	case nat64Local.Contains(a): // any prefix length of RFC 6052 §2.2 may be in use there
		return []netip.Addr{last, netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), netip.AddrFrom4([4]byte{b[9], b[10], b[11], b[12]})}
	case sixToFour.Contains(a):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:]))}
	}
	return nil
}

// mayHost judges a URL's host before anything is dialled: literal addresses and
// localhost. Names are judged by the address that is dialled.
func (g *guard) mayHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return g.may(a)
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761 §6.3
		return g.may(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || g.may(netip.IPv6Loopback())
	}
	return true
}

const refusedNetwork = "lies on a loopback, link-local, multicast or unspecified network, where no camera may stand unless video.allow names it"

// dial is rtsp.Options.Dial. The address is judged when it is known for good,
// after the name was resolved: a name that changes its mind does not help.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err != nil || !g.may(at.Addr()) {
			g.refused()
			return &rtsp.Error{Code: rtsp.AddressRefused, Detail: "the address " + refusedNetwork}
		}
		return nil
	}, KeepAlive: 30 * time.Second}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		var refused *rtsp.Error
		if errors.As(err, &refused) {
			return nil, refused
		}
		return nil, err
	}
	return conn, nil
}
