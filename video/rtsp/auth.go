package rtsp

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxChallenges bounds what one answer may offer.
const maxChallenges = 8

// challenge is one scheme that a server offers in WWW-Authenticate. The texts
// of realm, nonce and opaque stay as they were quoted: RFC 7616 hashes and
// echoes them so.
type challenge struct {
	digest    bool // else Basic
	algorithm string
	hash      func(string) string // of algorithm; nil for Basic
	session   bool                // the algorithm is one of -sess
	realm     string
	nonce     string
	opaque    string
	hasOpaque bool
	qop       string // "auth", "auth-int", or "" where the server knows none
	stale     bool
	userhash  bool
}

// Digest's hashes, with their worth.
var digestHashes = map[string]struct {
	hash     func(string) string
	strength int
}{
	"MD5":     {md5Hex, 1},
	"SHA-256": {sha256Hex, 2},
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// strength orders challenges: what is not understood does not get this far.
func (c challenge) strength() int {
	if !c.digest {
		return 0
	}
	return digestHashes[strings.TrimSuffix(c.algorithm, "-SESS")].strength
}

// chooseChallenge gives the strongest challenge that is understood of all values of
// WWW-Authenticate, the first of equals.
func chooseChallenge(values []string) (best challenge, ok bool) {
	seen := 0
	for _, v := range values {
		for _, p := range splitChallenges(v) {
			if seen++; seen > maxChallenges {
				return best, ok
			}
			c, understood := makeChallenge(p)
			if understood && (!ok || c.strength() > best.strength()) {
				best, ok = c, true
			}
		}
	}
	return best, ok
}

// schemeParams is a scheme and its parameters, names in lower case, quoted
// values as they stand between the quotes.
type schemeParams struct {
	scheme string
	params map[string]string
}

func makeChallenge(p schemeParams) (challenge, bool) {
	c := challenge{realm: p.params["realm"]}
	switch p.scheme {
	case "basic":
		return c, true
	case "digest":
	default:
		return c, false
	}
	c.digest = true
	c.nonce = p.params["nonce"]
	c.opaque, c.hasOpaque = p.params["opaque"]
	c.stale = strings.EqualFold(p.params["stale"], "true")
	c.userhash = strings.EqualFold(p.params["userhash"], "true")
	c.algorithm = strings.ToUpper(p.params["algorithm"])
	if c.algorithm == "" {
		c.algorithm = "MD5" // RFC 2617 §3.2.1
	}
	var plain string
	plain, c.session = strings.CutSuffix(c.algorithm, "-SESS")
	known, ok := digestHashes[plain]
	if !ok || c.nonce == "" {
		return c, false
	}
	c.hash = known.hash
	if qops, has := p.params["qop"]; has && strings.TrimSpace(qops) != "" {
		for q := range strings.SplitSeq(qops, ",") {
			switch q = strings.ToLower(strings.TrimSpace(q)); {
			case q == "auth", q == "auth-int" && c.qop == "":
				c.qop = q
			}
		}
		if c.qop == "" {
			return c, false
		}
	}
	return c, true
}

// splitChallenges reads one header value, which may hold several challenges
// between commas. What cannot be read ends it; what was read before counts.
func splitChallenges(v string) (all []schemeParams) {
	rest := strings.TrimLeft(v, " \t,")
	for rest != "" && len(all) < maxChallenges {
		word, after := cutToken(rest)
		if word == "" {
			return all
		}
		after = strings.TrimLeft(after, " \t")
		if value, isParam := strings.CutPrefix(after, "="); isParam && len(all) > 0 {
			var text string
			text, rest = cutValue(strings.TrimLeft(value, " \t"))
			name := strings.ToLower(word)
			if _, twice := all[len(all)-1].params[name]; !twice {
				all[len(all)-1].params[name] = text
			}
		} else if isParam {
			return all
		} else {
			all = append(all, schemeParams{strings.ToLower(word), map[string]string{}})
			rest = after
		}
		rest = strings.TrimLeft(rest, " \t,")
	}
	return all
}

func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] < 0x7f && s[i] != '=' && s[i] != ',' && s[i] != '"' {
		i++
	}
	return s[:i], s[i:]
}

// cutValue cuts a token or a quoted string, whose escapes stay.
func cutValue(s string) (value, rest string) {
	if s == "" || s[0] != '"' {
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:]
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:]
		}
	}
	return s[1:], "" // no closing quote: some cameras forget it
}

// login answers a server's challenge, request by request.
type login struct {
	user, password string
	challenge      challenge
	count          uint32
	cnonce         func() string // a fresh one for each request
}

func newLogin(user, password string, c challenge) *login {
	return &login{user: user, password: password, challenge: c, cnonce: randomText}
}

// randomText gives 16 hexadecimal digits.
func randomText() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// name tells the way of logging in, for messages.
func (l *login) name() string {
	if l.challenge.digest {
		return "digest"
	}
	return "basic"
}

// authorization gives the Authorization header of a request without a body.
func (l *login) authorization(method, uri string) string {
	c := &l.challenge
	if !c.digest {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.password))
	}
	l.count++
	cnonce, nc := l.cnonce(), fmt.Sprintf("%08x", l.count)
	user := quote(l.user)
	if c.userhash {
		user = c.hash(l.user + ":" + c.realm) // RFC 7616 §3.4.4
	}
	d := digest{user: l.user, password: l.password, method: method, uri: uri, nc: nc, cnonce: cnonce}
	var b strings.Builder
	fmt.Fprintf(&b, `Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
		user, c.realm, c.nonce, quote(uri), d.response(c))
	if c.algorithm != "MD5" {
		// Without qop this is RFC 2069's answer, which old cameras read without an algorithm.
		fmt.Fprintf(&b, `, algorithm=%s`, algorithmName(c.algorithm))
	} else if c.qop != "" {
		b.WriteString(`, algorithm=MD5`)
	}
	if c.hasOpaque {
		fmt.Fprintf(&b, `, opaque="%s"`, c.opaque)
	}
	if c.qop != "" {
		fmt.Fprintf(&b, `, qop=%s, nc=%s, cnonce="%s"`, c.qop, nc, cnonce)
	} else if c.session {
		fmt.Fprintf(&b, `, cnonce="%s"`, cnonce)
	}
	if c.userhash {
		b.WriteString(", userhash=true")
	}
	return b.String()
}

func algorithmName(upper string) string { return strings.Replace(upper, "-SESS", "-sess", 1) }

// digest is what a client puts into its answer.
type digest struct {
	user, password, method, uri, nc, cnonce string
}

// response computes RFC 7616 §3.4.1 to 3.4.3, and RFC 2069 where there is no qop.
func (d digest) response(c *challenge) string {
	a1 := d.user + ":" + c.realm + ":" + d.password
	if c.session {
		a1 = c.hash(a1) + ":" + c.nonce + ":" + d.cnonce
	}
	a2 := d.method + ":" + d.uri
	if c.qop == "auth-int" {
		a2 += ":" + c.hash("") // no request of ours has a body
	}
	if c.qop == "" {
		return c.hash(c.hash(a1) + ":" + c.nonce + ":" + c.hash(a2))
	}
	return c.hash(strings.Join([]string{c.hash(a1), c.nonce, d.nc, d.cnonce, c.qop, c.hash(a2)}, ":"))
}

func quote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

func unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
