package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// argon2id's cost: OWASP's second choice, 19 MiB and some 30 ms. The cost is
// stored in each hash, so it may change without breaking what is stored.
const (
	argonMemoryKiB = 19 * 1024
	argonTime      = 2
	argonThreads   = 1
	argonSaltLen   = 16
	argonKeyLen    = 32
)

const (
	minPasswordRunes = 10
	maxPasswordBytes = 1024

	hashingAtOnce  = 2   // so that log-ins take at most 2 × 19 MiB and never all cores
	hashingWaiting = 256 // beyond it ErrBusy
)

// CheckPassword says why a password will not do for an account (*FieldError), or nil.
func CheckPassword(username, password string) error {
	switch {
	case len(password) > maxPasswordBytes:
		return &FieldError{"password", fmt.Sprintf("at most %d bytes", maxPasswordBytes)}
	case utf8.RuneCountInString(password) < minPasswordRunes:
		return &FieldError{"password", fmt.Sprintf("at least %d characters", minPasswordRunes)}
	case strings.EqualFold(password, username):
		return &FieldError{"password", "must differ from the user name"}
	}
	return nil
}

// phc is an argon2id hash with its cost, as the PHC string format writes it:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>, unpadded standard base64.
type phc struct {
	memoryKiB, time uint32
	threads         uint8
	salt, key       []byte
}

func (h phc) String() string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memoryKiB, h.time, h.threads, b.EncodeToString(h.salt), b.EncodeToString(h.key))
}

var errPHC = errors.New("stored password is not an argon2id hash")

// parsePHC reads a stored hash. Costs are bounded, so that a damaged row
// cannot take the memory of the machine.
func parsePHC(s string) (phc, error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errPHC
	}
	var cost [3]uint64
	params := strings.Split(f[3], ",")
	if len(params) != 3 {
		return phc{}, errPHC
	}
	for i, name := range []string{"m=", "t=", "p="} {
		v, ok := strings.CutPrefix(params[i], name)
		if !ok {
			return phc{}, errPHC
		}
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return phc{}, errPHC
		}
		cost[i] = n
	}
	if cost[0] < 8 || cost[0] > 1<<20 || cost[1] < 1 || cost[1] > 64 || cost[2] < 1 || cost[2] > 16 {
		return phc{}, errPHC
	}
	h := phc{memoryKiB: uint32(cost[0]), time: uint32(cost[1]), threads: uint8(cost[2])}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(f[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return phc{}, errPHC
	}
	if h.key, err = base64.RawStdEncoding.Strict().DecodeString(f[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return phc{}, errPHC
	}
	return h, nil
}

// hasher runs argon2id a few at a time.
type hasher struct {
	cost    phc // of new hashes, and of strangers' log-ins; without salt and key
	running chan struct{}
	waiting chan struct{}
}

func newHasher() *hasher {
	return &hasher{cost: phc{memoryKiB: argonMemoryKiB, time: argonTime, threads: argonThreads},
		running: make(chan struct{}, hashingAtOnce), waiting: make(chan struct{}, hashingWaiting)}
}

func (h *hasher) key(ctx context.Context, password string, p phc, keyLen int) ([]byte, error) {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return nil, ErrBusy
	}
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memoryKiB, p.threads, uint32(keyLen)), nil
}

// hash makes the string to store.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	p := h.cost
	p.salt = make([]byte, argonSaltLen)
	rand.Read(p.salt) // never fails (crypto/rand, Go 1.24)
	key, err := h.key(ctx, password, p, argonKeyLen)
	if err != nil {
		return "", err
	}
	p.key = key
	return p.String(), nil
}

// verify compares a password with a stored hash. An empty one is an unknown
// user's: it is compared with nobody's, so that it takes the time of a known one.
func (h *hasher) verify(ctx context.Context, password, stored string) (bool, error) {
	p, known := h.cost, stored != ""
	if known {
		var err error
		if p, err = parsePHC(stored); err != nil {
			return false, err
		}
	} else {
		p.salt, p.key = make([]byte, argonSaltLen), make([]byte, argonKeyLen)
	}
	key, err := h.key(ctx, password, p, len(p.key))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, p.key) == 1 && known, nil
}
