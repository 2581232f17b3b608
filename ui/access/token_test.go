package access

import (
	"strings"
	"testing"
	"time"
)

func TestCreateToken(t *testing.T) {
	c, clk := newControl(t)
	mustCreate(t, c, "lan", Operator, true)
	_, p := mustLogin(t, c, "lan")
	past, soon := clk.now(), clk.now().Add(time.Hour)
	yes, no := true, false
	for _, tc := range []struct {
		name    string
		maker   Principal
		ask     NewToken
		want    error
		role    Role
		cameras bool
	}{
		{"as the maker", p, NewToken{Name: "a"}, nil, Operator, true},
		{"lower", p, NewToken{Name: "a", Role: Viewer}, nil, Viewer, true},
		{"without cameras", p, NewToken{Name: "a", Cameras: &no}, nil, Operator, false},
		{"cameras the maker lacks", Principal{Username: "lan", Role: Viewer, Session: "s"}, NewToken{Name: "a", Cameras: &yes}, nil, Viewer, false},
		{"with an end", p, NewToken{Name: "a", Expires: &soon}, nil, Operator, true},
		{"higher", p, NewToken{Name: "a", Role: Admin}, ErrForbidden, "", false},
		{"unknown role", p, NewToken{Name: "a", Role: "root"}, &FieldError{Field: "role"}, "", false},
		{"no name", p, NewToken{Name: " "}, &FieldError{Field: "name"}, "", false},
		{"control characters", p, NewToken{Name: "a\x00b"}, &FieldError{Field: "name"}, "", false},
		{"long name", p, NewToken{Name: strings.Repeat("a", 201)}, &FieldError{Field: "name"}, "", false},
		{"past", p, NewToken{Name: "a", Expires: &past}, &FieldError{Field: "expires"}, "", false},
		{"nobody", Principal{}, NewToken{Name: "a"}, ErrUnauthenticated, "", false},
		{"maker has gone", Principal{Username: "ba", Role: Viewer}, NewToken{Name: "a"}, ErrUnauthenticated, "", false},
	} {
		tok, bearer, err := c.CreateToken(t.Context(), tc.maker, tc.ask)
		if !same(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err != nil {
			continue
		}
		q, err := c.ByToken(t.Context(), bearer)
		if err != nil || q != (Principal{Username: "lan", Role: tc.role, Cameras: tc.cameras, Token: tok.ID}) {
			t.Errorf("%s: %+v, %v", tc.name, q, err)
		}
		if got, ok := c.Renew(q); !ok || got != q {
			t.Errorf("%s: renew %+v %v", tc.name, got, ok)
		}
	}
}

func TestByToken(t *testing.T) {
	c, clk := newControl(t)
	_, p := mustLogin(t, c, "admin")
	ends := clk.now().Add(time.Hour)
	tok, bearer, err := c.CreateToken(t.Context(), p, NewToken{Name: "a", Expires: &ends})
	if err != nil {
		t.Fatal(err)
	}
	id, secret, _ := strings.Cut(bearer, ".")
	for _, s := range []string{"", ".", id, id + ".", "." + secret, "x." + secret, id + "." + secret + "x", strings.Repeat("a.", 500)} {
		if _, err := c.ByToken(t.Context(), s); err != ErrUnauthenticated {
			t.Errorf("%.40q: %v", s, err)
		}
	}
	clk.add(time.Hour - time.Millisecond)
	if _, err := c.ByToken(t.Context(), bearer); err != nil {
		t.Errorf("before its end: %v", err)
	}
	clk.add(time.Millisecond)
	if _, err := c.ByToken(t.Context(), bearer); err != ErrUnauthenticated {
		t.Errorf("at its end: %v", err)
	}
	if got, ok := c.Token(p, tok.ID); !ok || !got.Expires.Equal(ends) {
		t.Errorf("an expired token is still listed: %+v %v", got, ok)
	}
}

func TestTokensAreSeenByTheirOwnerAndAdmins(t *testing.T) {
	c, clk := newControl(t)
	mustCreate(t, c, "lan", Viewer, false)
	mustCreate(t, c, "ba", Viewer, false)
	_, admin := mustLogin(t, c, "admin")
	_, lan := mustLogin(t, c, "lan")
	_, ba := mustLogin(t, c, "ba")
	tok, bearer, err := c.CreateToken(t.Context(), lan, NewToken{Name: "first"})
	if err != nil {
		t.Fatal(err)
	}
	clk.add(time.Second)
	if _, _, err := c.CreateToken(t.Context(), ba, NewToken{Name: "second"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		who  Principal
		n    int
		sees bool
	}{{admin, 2, true}, {lan, 1, true}, {ba, 1, false}, {Principal{}, 0, false}} {
		if n := len(c.Tokens(tc.who)); n != tc.n {
			t.Errorf("%q lists %d tokens", tc.who.Username, n)
		}
		if _, ok := c.Token(tc.who, tok.ID); ok != tc.sees {
			t.Errorf("%q sees it: %v", tc.who.Username, ok)
		}
	}
	if got := c.Tokens(admin); got[0].Name != "first" {
		t.Errorf("order: %+v", got)
	}
	if err := c.DeleteToken(t.Context(), ba, tok.ID); err != ErrNotFound {
		t.Errorf("a stranger deletes it: %v", err)
	}
	if err := c.DeleteToken(t.Context(), lan, tok.ID); err != nil {
		t.Error(err)
	}
	if _, err := c.ByToken(t.Context(), bearer); err != ErrUnauthenticated {
		t.Errorf("deleted: %v", err)
	}
}

// A token that makes another cannot outlive itself by it.
func TestTokenOfAToken(t *testing.T) {
	c, clk := newControl(t)
	_, p := mustLogin(t, c, "admin")
	ends := clk.now().Add(time.Hour)
	root, bearer, err := c.CreateToken(t.Context(), p, NewToken{Name: "root", Role: Operator, Expires: &ends})
	if err != nil {
		t.Fatal(err)
	}
	rp, err := c.ByToken(t.Context(), bearer)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.CreateToken(t.Context(), rp, NewToken{Name: "up", Role: Admin}); err != ErrForbidden {
		t.Errorf("above the token's role: %v", err)
	}
	later := ends.Add(time.Hour)
	child, childBearer, err := c.CreateToken(t.Context(), rp, NewToken{Name: "child", Expires: &later})
	if err != nil || child.Role != Operator || child.Expires == nil || !child.Expires.Equal(ends) {
		t.Fatalf("%+v, %v", child, err)
	}
	var told []Revoked
	c.OnRevoke(func(r Revoked) { told = append(told, r) })
	if err := c.DeleteToken(t.Context(), p, root.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ByToken(t.Context(), childBearer); err != ErrUnauthenticated {
		t.Errorf("child of a deleted token: %v", err)
	}
	if len(told) != 2 {
		t.Errorf("told %+v", told)
	}
}
