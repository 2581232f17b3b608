package ui

import (
	"context"
	"net/http"
	"time"

	"cuulong/ui/access"
)

const publicPermission = access.Public

type loginBody struct {
	Username string `json:"username,omitempty" maxLength:"64"`
	Password string `json:"password,omitempty" maxLength:"1024"`
	Link     string `json:"link,omitempty" maxLength:"256" doc:"a one-use login link's secret, instead of user name and password"`
}

type cookieOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

// cookieAgeS outlives the longest session, so that a wall whose browser was
// started again is still logged in; when a session ends is the server's word.
const cookieAgeS = 7 * 24 * 3600

func sessionCookieOf(value string, r *http.Request, maxAge int) http.Cookie {
	return http.Cookie{Name: sessionCookie, Value: value, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil, MaxAge: maxAge}
}

type meOut struct {
	Username string      `json:"username"`
	Role     access.Role `json:"role" enum:"admin,operator,viewer"`
	Cameras  bool        `json:"cameras"`
	Version  string      `json:"version"`
	Demo     bool        `json:"demo"`
	Locale   string      `json:"locale"`
	MQTTAddr string      `json:"mqtt_addr"`
	Now      int64       `json:"now" doc:"the server's clock, Unix ms"`
}

type tokenIn struct {
	Body struct {
		Name    string     `json:"name" minLength:"1" maxLength:"200"`
		Expires *time.Time `json:"expires,omitempty"`
		Role    string     `json:"role,omitempty" enum:"admin,operator,viewer" doc:"the maker's unless lower"`
		Cameras *bool      `json:"cameras,omitempty"`
	}
}

type tokenMade struct {
	access.Token
	Secret string `json:"token" doc:"shown once"`
}

type accountIn struct {
	Body struct {
		Username string `json:"username" minLength:"1" maxLength:"64"`
		Password string `json:"password" maxLength:"1024"`
		Role     string `json:"role" enum:"admin,operator,viewer"`
		Cameras  bool   `json:"cameras,omitempty"`
	}
}

type accountPatch struct {
	ByID
	Body struct {
		Role     *string `json:"role,omitempty" enum:"admin,operator,viewer"`
		Cameras  *bool   `json:"cameras,omitempty"`
		Password *string `json:"password,omitempty" maxLength:"1024"`
	}
}

type passwordIn struct {
	Body struct {
		Old string `json:"old" maxLength:"1024"`
		New string `json:"new" maxLength:"1024"`
	}
}

func (s *Server) sessionRoutes() {
	c := s.access
	route(s, "POST /api/v1/session", "Log in", http.StatusNoContent, func(ctx context.Context, in *body[loginBody]) (*cookieOut, error) {
		b, r := in.Body, callOf(ctx).r
		var cookie string
		var err error
		switch {
		case b.Link != "" && b.Username == "" && b.Password == "":
			cookie, _, err = c.ExchangeLink(ctx, b.Link, r.RemoteAddr)
		case b.Link != "":
			return nil, invalid("body.link", "stands alone")
		case b.Username == "":
			return nil, invalid("body.username", "missing")
		default:
			cookie, _, err = c.Login(ctx, b.Username, b.Password, r.RemoteAddr)
		}
		if err != nil {
			return nil, err
		}
		return &cookieOut{sessionCookieOf(cookie, r, cookieAgeS)}, nil
	})
	route(s, "DELETE /api/v1/session", "Log out", http.StatusNoContent, func(ctx context.Context, _ *none) (*cookieOut, error) {
		if err := c.Logout(ctx, principal(ctx)); err != nil {
			return nil, err
		}
		return &cookieOut{sessionCookieOf("", callOf(ctx).r, -1)}, nil
	})
	route(s, "GET /api/v1/me", "Who is logged in", http.StatusOK, func(ctx context.Context, _ *none) (*body[meOut], error) {
		p := principal(ctx)
		return &body[meOut]{meOut{p.Username, p.Role, p.Cameras, s.o.Version, s.o.Demo, s.o.Locale, s.o.MQTTAddr, s.o.Now().UnixMilli()}}, nil
	})
	s.tokenRoutes()
	s.accountRoutes()
}

func (s *Server) tokenRoutes() {
	c := s.access
	route(s, "POST /api/v1/tokens", "Make a token", http.StatusCreated, func(ctx context.Context, in *tokenIn) (*body[tokenMade], error) {
		t, secret, err := c.CreateToken(ctx, principal(ctx), access.NewToken{
			Name: in.Body.Name, Role: access.Role(in.Body.Role), Cameras: in.Body.Cameras, Expires: in.Body.Expires})
		if err != nil {
			return nil, err
		}
		return &body[tokenMade]{tokenMade{t, secret}}, nil
	})
	route(s, "GET /api/v1/tokens", "List tokens: one's own, all for an administrator", http.StatusOK, func(ctx context.Context, in *Paging) (*answer[list[access.Token]], error) {
		// Ordered by creation; the key makes that order a string's.
		key := func(t access.Token) string { return t.Created.UTC().Format("20060102150405.000") + t.ID }
		return paged(ctx, s, c.Tokens(principal(ctx)), key, *in)
	}, csvToo[list[access.Token]](s))
	route(s, "GET /api/v1/tokens/{id}", "One token", http.StatusOK, func(ctx context.Context, in *ByID) (*body[access.Token], error) {
		t, ok := c.Token(principal(ctx), in.ID)
		if !ok {
			return nil, notFound("token")
		}
		return &body[access.Token]{t}, nil
	})
	route(s, "DELETE /api/v1/tokens/{id}", "End a token and those it made", http.StatusNoContent, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return nil, c.DeleteToken(ctx, principal(ctx), in.ID)
	})
}

func (s *Server) accountRoutes() {
	c := s.access
	route(s, "POST /api/v1/accounts", "Make an account", http.StatusCreated, func(ctx context.Context, in *accountIn) (*body[access.Account], error) {
		a, err := c.CreateAccount(ctx, access.Account{Username: in.Body.Username, Role: access.Role(in.Body.Role), Cameras: in.Body.Cameras}, in.Body.Password)
		return &body[access.Account]{a}, err
	})
	route(s, "GET /api/v1/accounts", "List accounts", http.StatusOK, func(ctx context.Context, in *Paging) (*answer[list[access.Account]], error) {
		return paged(ctx, s, c.Accounts(), func(a access.Account) string { return a.Username }, *in)
	}, csvToo[list[access.Account]](s))
	route(s, "GET /api/v1/accounts/{id}", "One account", http.StatusOK, func(_ context.Context, in *ByID) (*body[access.Account], error) {
		a, ok := c.Account(in.ID)
		if !ok {
			return nil, notFound("account")
		}
		return &body[access.Account]{a}, nil
	})
	route(s, "PATCH /api/v1/accounts/{id}", "Change an account; its live connections end", http.StatusOK, func(ctx context.Context, in *accountPatch) (*body[access.Account], error) {
		ch := access.AccountChange{Cameras: in.Body.Cameras, Password: in.Body.Password}
		if in.Body.Role != nil {
			r := access.Role(*in.Body.Role)
			ch.Role = &r
		}
		a, err := c.UpdateAccount(ctx, in.ID, ch)
		return &body[access.Account]{a}, err
	})
	route(s, "DELETE /api/v1/accounts/{id}", "Delete an account with its sessions and tokens", http.StatusNoContent, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return nil, c.DeleteAccount(ctx, in.ID)
	})
	route(s, "POST /api/v1/accounts/me/password", "Change one's own password", http.StatusNoContent, func(ctx context.Context, in *passwordIn) (*struct{}, error) {
		err := c.ChangePassword(ctx, principal(ctx), in.Body.Old, in.Body.New)
		if err == access.ErrBadLogin { // who asks is logged in: it is the input that is wrong
			return nil, invalid("body.old", "is not the password")
		}
		return nil, err
	})
}
