package api

import (
	"net/http"

	"github.com/needle-search/needle/auth"
)

// A rule says who may use a route. The zero value lets nobody through.
type rule struct {
	// open lets everybody through, whatever keys there are.
	open bool
	// roles are those of which the caller needs one.
	roles []auth.Role
	// on says where the role is needed.
	on scope
	// audited requests leave a line in the audit log.
	audited bool
}

// A scope says on which index a role is needed.
type scope int

const (
	// onServer needs the role on all indexes.
	onServer scope = iota
	// onIndex needs it on the index in the path.
	onIndex
	// onAny needs it on at least one index: the service decides about the one
	// that the body names, or there is none.
	onAny
)

// rules returns the rule of every route, by method and pattern. A route without
// one is closed, and a test fails that walks through all routes.
func rules() map[string]rule {
	public := rule{open: true}
	search := rule{roles: []auth.Role{auth.Search}, on: onAny}
	table := map[string]rule{
		"GET /healthz": public, "HEAD /healthz": public,
		"GET /readyz": public, "HEAD /readyz": public,
		"GET /openapi.json": public,

		"POST /v1/ask":    search,
		"POST /v1/search": search,
		"POST /v1/read":   search,
		"POST /v1/rerank": search,
		"POST /v2/rerank": search,
		"POST /rerank":    search,

		"GET /metrics": {roles: []auth.Role{auth.Monitor, auth.Admin}, on: onServer},

		"POST /v1/predict":      search,
		"GET /v1/models":        {roles: []auth.Role{auth.Search}, on: onAny},
		"PUT /v1/models/reader": {roles: []auth.Role{auth.Admin}, on: onServer, audited: true},

		"GET /v1/shadow":    {roles: []auth.Role{auth.Monitor, auth.Admin}, on: onServer},
		"PUT /v1/shadow":    {roles: []auth.Role{auth.Admin}, on: onServer, audited: true},
		"DELETE /v1/shadow": {roles: []auth.Role{auth.Admin}, on: onServer, audited: true},

		"POST /v1/feedback":        {roles: []auth.Role{auth.Search}, on: onAny, audited: true},
		"GET /v1/feedback":         {roles: []auth.Role{auth.Admin}, on: onAny},
		"GET /v1/feedback/:case":   {roles: []auth.Role{auth.Admin}, on: onAny},
		"POST /v1/feedback/review": {roles: []auth.Role{auth.Admin}, on: onAny, audited: true},
		"GET /v1/feedback/export":  {roles: []auth.Role{auth.Admin}, on: onAny, audited: true},

		"GET /v1/indexes":           {roles: []auth.Role{auth.Search, auth.Write}, on: onAny},
		"GET /v1/indexes/:index":    {roles: []auth.Role{auth.Search, auth.Write}, on: onIndex},
		"PUT /v1/indexes/:index":    {roles: []auth.Role{auth.Admin}, on: onIndex, audited: true},
		"DELETE /v1/indexes/:index": {roles: []auth.Role{auth.Admin}, on: onIndex, audited: true},

		"GET /v1/indexes/:index/documents":     {roles: []auth.Role{auth.Search}, on: onIndex},
		"GET /v1/indexes/:index/documents/*id": {roles: []auth.Role{auth.Search}, on: onIndex},
	}
	for _, route := range []string{
		"POST /v1/indexes/:index/bulk", "POST /v1/indexes/:index/files", "POST /v1/indexes/:index/delete", "POST /v1/indexes/:index/documents",
		"PUT /v1/indexes/:index/documents/*id", "DELETE /v1/indexes/:index/documents/*id",
	} {
		table[route] = rule{roles: []auth.Role{auth.Write}, on: onIndex, audited: true}
	}
	for _, route := range []string{
		"POST /v1/indexes/:index/compact", "POST /v1/indexes/:index/verify", "POST /v1/indexes/:index/swap", "POST /v1/indexes/:index/rebuild", "POST /v1/indexes/:index/fields",
		"GET /v1/indexes/:index/rebuild", "GET /v1/indexes/:index/backup", "POST /v1/indexes/:index/restore",
	} {
		table[route] = rule{roles: []auth.Role{auth.Admin}, on: onIndex, audited: route != "GET /v1/indexes/:index/rebuild"}
	}
	for _, route := range []string{"GET /v1/keys", "POST /v1/keys", "DELETE /v1/keys/:key"} {
		table[route] = rule{roles: []auth.Role{auth.Admin}, on: onServer, audited: route != "GET /v1/keys"}
	}
	for _, path := range pagePaths() {
		table[http.MethodGet+" "+path], table[http.MethodHead+" "+path] = public, public
	}
	return table
}
