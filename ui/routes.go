package ui

import "cuulong/ui/access"

// permissions is what each route asks of its caller. A route that is not here
// does not build a server; a line without a route neither.
var permissions = map[string]access.Permission{
	// Open without log-in (CONTRACT, HTTP).
	"/":                       access.Public, // pages and their assets
	"GET /base/{file}":        access.Public,
	"GET /healthz":            access.Public,
	"GET /readyz":             access.Public,
	"/api/":                   access.Public, // 404 or 405
	"POST /api/v1/session":    access.Public,
	"DELETE /api/v1/session":  access.Self,
	"GET /api/v1/me":          access.Self,
	"GET /api/openapi.json":   access.Self,
	"GET /metrics":            access.Read,
	"GET /live":               access.Read,
	"GET /api/v1/metrics":     access.Read,
	"GET /api/v1/tokens":      access.Self,
	"POST /api/v1/tokens":     access.Self,
	"GET /api/v1/tokens/{id}": access.Self, // their own; an administrator sees all

	"DELETE /api/v1/tokens/{id}":        access.Self,
	"POST /api/v1/accounts/me/password": access.Self,
	"GET /api/v1/accounts":              access.Administer,
	"POST /api/v1/accounts":             access.Administer,
	"GET /api/v1/accounts/{id}":         access.Administer,
	"PATCH /api/v1/accounts/{id}":       access.Administer,
	"DELETE /api/v1/accounts/{id}":      access.Administer,

	"GET /api/v1/devices":                   access.Read,
	"GET /api/v1/devices/{id}":              access.Read,
	"POST /api/v1/devices":                  access.Administer,
	"PUT /api/v1/devices/{id}":              access.Administer,
	"PATCH /api/v1/devices/{id}":            access.Administer,
	"DELETE /api/v1/devices/{id}":           access.Administer,
	"POST /api/v1/devices/{id}/credentials": access.Administer,

	"GET /api/v1/cameras":      access.ViewCameras,
	"GET /api/v1/cameras/{id}": access.ViewCameras,
	"GET /api/v1/cameras/near": access.ViewCameras,

	"GET /api/v1/cameras/{id}/live": access.ViewCameras,

	"POST /api/v1/cameras":        access.Administer, // and ViewCameras, as all that write here
	"PUT /api/v1/cameras/{id}":    access.Administer,
	"PATCH /api/v1/cameras/{id}":  access.Administer,
	"DELETE /api/v1/cameras/{id}": access.Administer,
	"POST /api/v1/cameras/import": access.Administer,
	"POST /api/v1/cameras/probe":  access.Administer,

	"GET /api/v1/latest":       access.Read,
	"GET /api/v1/observations": access.Read,

	// Payloads as they came may hold what a device should not have sent.
	"GET /api/v1/quarantine": access.Administer,

	"GET /api/v1/zones":          access.Read,
	"GET /api/v1/zones/{id}":     access.Read,
	"POST /api/v1/zones":         access.Administer,
	"PUT /api/v1/zones/{id}":     access.Administer,
	"DELETE /api/v1/zones/{id}":  access.Administer,
	"GET /api/v1/rivers":         access.Read,
	"GET /api/v1/rivers/{id}":    access.Read,
	"POST /api/v1/rivers":        access.Administer,
	"PUT /api/v1/rivers/{id}":    access.Administer,
	"DELETE /api/v1/rivers/{id}": access.Administer,

	"GET /api/v1/rules":         access.Read,
	"GET /api/v1/rules/{id}":    access.Read,
	"POST /api/v1/rules":        access.Administer,
	"PUT /api/v1/rules/{id}":    access.Administer,
	"PATCH /api/v1/rules/{id}":  access.Administer,
	"DELETE /api/v1/rules/{id}": access.Administer,

	"GET /api/v1/alarms":               access.Read,
	"GET /api/v1/alarms/{id}":          access.Read,
	"GET /api/v1/alarms/{id}/journal":  access.Read,
	"POST /api/v1/alarms/{id}/ack":     access.Acknowledge,
	"POST /api/v1/alarms/{id}/comment": access.Acknowledge,
}
