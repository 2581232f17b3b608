package video

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxURL = 2048 // bytes

// parseAddress reads a camera's URL. why, if not empty, says what is wrong
// without a word of the URL: net/url's own errors repeat it, password and all.
func parseAddress(text string) (u *url.URL, why string) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil, "is missing"
	case len(text) > maxURL:
		return nil, "must be at most 2048 bytes"
	case !utf8.ValidString(text) || strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) >= 0:
		return nil, "must be UTF-8 text without spaces and control characters"
	}
	u, err := url.Parse(text)
	const form = "must be rtsp://[user:password@]host[:port]/path, with % escapes for / ? # @ : in user and password"
	switch {
	case err != nil || u.Opaque != "":
		return nil, form
	case u.Scheme == "rtsps":
		return nil, "must begin with rtsp://; RTSP over TLS is not supported"
	case u.Scheme != "rtsp" || u.Hostname() == "" || strings.Contains(text, "#"):
		return nil, form
	}
	if u.Host = strings.TrimSuffix(u.Host, ":"); u.Host[0] != '[' && strings.Count(u.Host, ":") > 1 || u.Hostname() == "" {
		return nil, form // net/url takes "::" for a host
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, "must have a port from 1 to 65535"
		}
	}
	u.Host = strings.ToLower(u.Host)
	if len(u.String()) > maxURL { // as it is stored, with escapes
		return nil, "must be at most 2048 bytes, escapes counted"
	}
	return u, ""
}

// hidden stands where a secret is.
const hidden = "*"

// shown is u as anybody may see it: without user and password, and with the
// values of parameters that cameras take secrets by hidden.
func shown(u *url.URL) string {
	pieces := split(u)
	for i, p := range pieces {
		if cut := secretAt(p); cut >= 0 {
			pieces[i] = p[:cut] + hidden
		}
	}
	return origin(u) + strings.Join(pieces, "")
}

// origin is scheme, host and port as text, with what a zone needs escaped.
func origin(u *url.URL) string { return (&url.URL{Scheme: "rtsp", Host: u.Host}).String() }

// split cuts path and query before each separator, so that its pieces join again.
func split(u *url.URL) []string {
	rest := u.EscapedPath()
	if u.RawQuery != "" || u.ForceQuery {
		rest += "?" + u.RawQuery
	}
	var pieces []string
	for rest != "" {
		end := strings.IndexAny(rest[1:], "/?&;")
		if end < 0 {
			return append(pieces, rest)
		}
		pieces = append(pieces, rest[:end+1])
		rest = rest[end+1:]
	}
	return pieces
}

// secretWords make a parameter's name suspicious wherever they stand in it:
// authToken, access_token, userName.
var secretWords = []string{"user", "usr", "pass", "pw", "psw", "token", "auth", "key", "secret", "login", "account", "cred", "sign"}

// secretAt is where the value of a secret parameter begins in a piece of path
// or query, or -1. All that follows in the piece counts as value: in
// "user=a_password=b_channel=1" nobody can tell what belongs to the password.
// A piece with user:password@ in it is a secret whatever its name: so are the URLs
// of cameras behind another server written.
func secretAt(piece string) int {
	name, first := 0, -1
	cut := -1
	for i := 0; i < len(piece) && cut < 0; i++ {
		width := 0
		switch {
		case piece[i] == '=':
			width = 1
		case strings.HasPrefix(piece[i:], "%3D"), strings.HasPrefix(piece[i:], "%3d"):
			width = 3
		default:
			continue
		}
		if first < 0 {
			first = i + width
		}
		if secretName(piece[name:i]) {
			cut = i + width
		}
		i += width - 1
		name = i + 1
	}
	login := loginAt(piece)
	whole := 1 // behind the separator
	if first >= 0 && (login < 0 || first <= login) {
		whole = first
	}
	if login >= 0 || piece[whole:] == hidden { // or was, before it was shown
		if cut < 0 || whole < cut {
			cut = whole
		}
	}
	return cut
}

func secretName(name string) bool {
	plain, err := url.PathUnescape(name)
	if err != nil {
		return true // not to be read: not to be shown
	}
	plain = strings.ToLower(plain)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(plain, word) })
}

// loginAt is where the colon of a user:password@ stands, escaped or not; -1: there is none.
func loginAt(piece string) int {
	plain := strings.NewReplacer("%3A", "  :", "%3a", "  :", "%40", "  @").Replace(piece)
	colon := strings.Index(plain, ":")
	if colon < 0 || !strings.Contains(plain[colon:], "@") {
		return -1
	}
	return colon
}

// misread tells that u has no credentials, but an @ behind its host: then it is
// likely that they were written without escapes, and that what stands for the host,
// the port and the path are pieces of them. Another URL within the path may have its own.
func misread(u *url.URL) bool {
	rest := strings.Join(split(u), "")
	before, _, at := strings.Cut(rest, "@")
	return u.User == nil && at && !strings.Contains(before, "://")
}

// complete fills what given leaves out or shows hidden from stored: user and
// password, and the values behind hidden. That is granted while scheme, host and port
// stay, so that no stored secret is sent elsewhere. "rtsp://@host" says that
// there are no credentials. stored is nil for a new camera; lost says that there
// is a stored URL which cannot be opened.
func complete(given, stored *url.URL, lost bool) (full *url.URL, why string) {
	copied := *given
	full = &copied
	if full.User != nil && full.User.Username() == "" {
		if password, _ := full.User.Password(); password != "" {
			return nil, "has a password without a user"
		}
	}
	pieces := split(given)
	stars := false
	for _, p := range pieces {
		if cut := secretAt(p); cut >= 0 && p[cut:] == hidden {
			stars = true
		}
	}
	same := stored != nil && sameHost(given, stored)
	switch {
	case !same && misread(given):
		return nil, "has an @ behind its host: in user and password, / must be written %2F and ? %3F; anywhere else, @ must be written %40"
	case stars && lost:
		return nil, "must be given whole: the stored one cannot be opened"
	case stars && !same:
		return nil, "must be given whole: a value shown as * is kept only while scheme, host and port stay"
	case given.User == nil && lost:
		return nil, "must be given whole, with user and password (rtsp://@host for none): the stored one cannot be opened"
	case given.User == nil && stored != nil && stored.User != nil && !same:
		return nil, "must be given with user and password (rtsp://@host for none): the stored ones are kept only while scheme, host and port stay"
	}
	if given.User == nil && same {
		full.User = stored.User
	}
	if full.User != nil && full.User.Username() == "" {
		full.User = nil
	}
	if stars {
		if !restore(pieces, split(stored)) {
			return nil, "shows * for a value that is not stored"
		}
		again, bad := parseAddress(origin(full) + strings.Join(pieces, ""))
		if bad != "" {
			return nil, bad
		}
		again.User = full.User
		full = again
	}
	return full, ""
}

// restore puts each hidden value's piece back from the stored URL's pieces, in order.
func restore(pieces, stored []string) bool {
	for i, p := range pieces {
		cut := secretAt(p)
		if cut < 0 || p[cut:] != hidden {
			continue
		}
		found := false
		for j, s := range stored {
			// The separator before it may differ where parameters moved.
			if at := secretAt(s); at >= 0 && s[1:at] == p[1:cut] {
				pieces[i] = p[:1] + s[1:]
				stored[j] = " "
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func sameHost(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "554" // RFC 2326 §3.2
	}
	return net.JoinHostPort(u.Hostname(), port)
}
