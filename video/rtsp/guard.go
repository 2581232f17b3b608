package rtsp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// nonceLife is how long a nonce of ours is good; after it a client is asked to
// answer anew, without asking its user.
const nonceLife = 5 * time.Minute

// guard is the server's side of Basic and Digest. It keeps no state: a nonce is
// its time and a seal on it, so that an answer which was overheard can be said
// again, for the same request, while its nonce lives. Safe for concurrent use.
type guard struct {
	realm    string
	basic    bool
	password func(user string) (password string, ok bool)
	now      func() time.Time
	key      [32]byte
}

// newGuard makes a guard who lets in whom password knows; basic offers Basic
// beside Digest.
func newGuard(realm string, basic bool, password func(user string) (string, bool)) *guard {
	g := &guard{realm: realm, basic: basic, password: password, now: time.Now}
	rand.Read(g.key[:]) // never fails
	return g
}

// verdict is what a guard thinks of a request.
type verdict int

const (
	denied  verdict = iota // no credentials, or wrong ones
	stale                  // right, but the nonce is old
	granted                // right
)

// challenge adds the WWW-Authenticate lines of a 401, the strongest first. Old
// clients take the last Digest that they see: that is MD5.
func (g *guard) challenge(h *header, v verdict) {
	tail := ""
	if v == stale {
		tail = ", stale=true"
	}
	nonce := g.nonce(g.now())
	for _, algorithm := range []string{"SHA-256", "MD5"} {
		h.add("WWW-Authenticate", `Digest realm="`+quote(g.realm)+`", nonce="`+nonce+`", qop="auth", algorithm=`+algorithm+tail)
	}
	if g.basic {
		h.add("WWW-Authenticate", `Basic realm="`+quote(g.realm)+`"`)
	}
}

// verify judges a request by its Authorization header, and names its user.
func (g *guard) verify(r *request) (user string, v verdict) {
	scheme, rest, _ := strings.Cut(r.header.get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Basic") && g.basic:
		return g.verifyBasic(strings.TrimSpace(rest))
	case strings.EqualFold(scheme, "Digest"):
		return g.verifyDigest(r)
	}
	return "", denied
}

func (g *guard) verifyBasic(text string) (string, verdict) {
	raw, err := base64.StdEncoding.DecodeString(text)
	user, given, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return "", denied
	}
	want, known := g.password(user)
	// Sums are compared: their length says nothing of the password's.
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || !known {
		return "", denied
	}
	return user, granted
}

func (g *guard) verifyDigest(r *request) (string, verdict) {
	all := splitChallenges(r.header.get("Authorization"))
	if len(all) != 1 {
		return "", denied
	}
	p := all[0].params
	c, ok := makeChallenge(all[0])
	if !ok || c.session || c.qop == "auth-int" || c.realm != quote(g.realm) {
		return "", denied
	}
	if c.qop != "" && (p["nc"] == "" || p["cnonce"] == "") {
		return "", denied
	}
	made, sealed := g.made(c.nonce)
	uri := unquote(p["uri"])
	if !sealed || !sameResource(r.url, uri) {
		return "", denied
	}
	user := unquote(p["username"])
	want, known := g.password(user)
	d := digest{user: user, password: want, method: r.method, uri: uri, nc: p["nc"], cnonce: p["cnonce"]}
	expected := d.response(&c)
	if subtle.ConstantTimeCompare([]byte(expected), []byte(strings.ToLower(p["response"]))) != 1 || !known {
		return "", denied
	}
	if age := g.now().Sub(made); age < -time.Second || age > nonceLife {
		return user, stale
	}
	return user, granted
}

// sameResource tells whether an answer for uri serves a request for url:
// clients also sign the stream's URL when they ask for one of its tracks.
func sameResource(url, uri string) bool {
	uri = strings.TrimSuffix(uri, "/")
	return uri != "" && (url == uri || strings.HasPrefix(url, uri+"/") || strings.HasPrefix(url, uri+"?"))
}

// nonce seals a time.
func (g *guard) nonce(at time.Time) string {
	var b [8 + 16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli()))
	copy(b[8:], g.seal(b[:8]))
	return hex.EncodeToString(b[:])
}

// made gives a nonce's time, if the nonce is ours.
func (g *guard) made(nonce string) (time.Time, bool) {
	b, err := hex.DecodeString(nonce)
	if err != nil || len(b) != 8+16 || !hmac.Equal(b[8:], g.seal(b[:8])) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]))), true
}

func (g *guard) seal(b []byte) []byte {
	m := hmac.New(sha256.New, g.key[:])
	m.Write(b)
	return m.Sum(nil)[:16]
}
