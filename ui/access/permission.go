package access

import "fmt"

// Role is what an account or token is for; each may all that the one below it may.
type Role string

// The roles, highest first.
const (
	Admin    Role = "admin"
	Operator Role = "operator"
	Viewer   Role = "viewer"
)

// rank orders roles; 0 is no role at all.
func (r Role) rank() int {
	switch r {
	case Admin:
		return 3
	case Operator:
		return 2
	case Viewer:
		return 1
	}
	return 0
}

func lower(a, b Role) Role {
	if a.rank() < b.rank() {
		return a
	}
	return b
}

// Permission is what a route asks of its caller. The zero value is granted to
// nobody, so that a forgotten permission denies.
type Permission uint8

// The permissions; the set is closed.
const (
	_           Permission = iota
	Public                 // everybody, without log-in
	Self                   // who is logged in, about themselves: own password, session, tokens
	Read                   // every role
	ViewCameras            // accounts with cameras
	Acknowledge            // operator and admin: acknowledge and comment
	Administer             // admin
)

var permissionNames = [...]string{Public: "public", Self: "self", Read: "read",
	ViewCameras: "view_cameras", Acknowledge: "acknowledge", Administer: "administer"}

// Valid says whether p is one of the set.
func (p Permission) Valid() bool { return p >= Public && p <= Administer }

func (p Permission) String() string {
	if !p.Valid() {
		return fmt.Sprintf("permission(%d)", uint8(p))
	}
	return permissionNames[p]
}

// Principal is who calls, as of the moment it was asked for. The zero value is nobody.
type Principal struct {
	Username string
	Role     Role
	Cameras  bool
	Session  string // id of the session, not its cookie; empty with a token
	Token    string // id of the token; empty with a session
}

// May says whether p has the permission. What is not granted here is denied.
func (p Principal) May(want Permission) bool {
	if want == Public {
		return true
	}
	if p.Username == "" || p.Role.rank() == 0 {
		return false
	}
	switch want {
	case Self, Read:
		return true
	case ViewCameras:
		return p.Cameras
	case Acknowledge:
		return p.Role == Admin || p.Role == Operator
	case Administer:
		return p.Role == Admin
	}
	return false
}

// Revoked says whose live connections end: all of an account's, or those of
// one session or token. Exactly one field is set.
type Revoked struct {
	Username string
	Session  string
	Token    string
}

// Hits says whether p's live connections end.
func (r Revoked) Hits(p Principal) bool {
	switch {
	case r.Username != "":
		return r.Username == p.Username
	case r.Session != "":
		return r.Session == p.Session
	case r.Token != "":
		return r.Token == p.Token
	}
	return false
}
