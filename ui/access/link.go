package access

import (
	"context"
	"sync"
	"time"
)

const (
	linkLife = 10 * time.Minute
	linksMax = 100 // the soonest to end gives way
)

// links are login links not yet used: in memory only, so a restart ends them.
type links struct {
	mu   sync.Mutex
	open map[string]link // by digest of the secret
}

type link struct {
	username string
	ends     time.Time
}

// LoginLink returns a secret good for one log-in as username within ten minutes;
// the page /#login=<secret> exchanges it at POST /api/v1/session {"link": secret}.
func (c *Control) LoginLink(username string) (secret string, err error) {
	if _, ok := c.Account(username); !ok {
		return "", ErrNotFound
	}
	now := c.now()
	l := &c.links
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]link{}
	}
	first := ""
	for d, o := range l.open {
		if !now.Before(o.ends) {
			delete(l.open, d)
		} else if first == "" || o.ends.Before(l.open[first].ends) {
			first = d
		}
	}
	if len(l.open) >= linksMax {
		delete(l.open, first)
	}
	secret = newSecret()
	l.open[digest(secret)] = link{username, now.Add(linkLife)}
	return secret, nil
}

// ExchangeLink is Login by a login link, which it uses up. Errors as Login.
func (c *Control) ExchangeLink(ctx context.Context, secret, remoteAddr string) (cookie string, p Principal, err error) {
	if err := c.look(ctx); err != nil {
		return "", Principal{}, err
	}
	addr := addressKey(remoteAddr)
	if err := c.byAddress.begin(ctx, addr, c.now); err != nil {
		return "", Principal{}, err
	}
	a, err := c.useLink(secret)
	c.byAddress.end(addr, c.now(), guess(err, untried))
	if err != nil {
		return "", Principal{}, err
	}
	return c.begin(ctx, a)
}

func (c *Control) useLink(secret string) (account, error) {
	d := digest(secret)
	c.links.mu.Lock()
	l, ok := c.links.open[d]
	delete(c.links.open, d)
	c.links.mu.Unlock()
	a, known := c.copy.Load().accounts[l.username]
	if !ok || !known || !c.now().Before(l.ends) {
		return account{}, ErrBadLogin
	}
	return a, nil
}
