// Package api serves a [pipeline.Service] over HTTP.
//
//	server, err := api.New(p, api.Config{}, logger)
//	...
//	err = server.Serve(ctx, listener)	// until ctx ends, then it drains
//
// The routes, their bodies and their errors are described in openapi.yaml,
// which the tests check every response against, and in docs/api.md. A [Server]
// is safe for concurrent use; it does not own the service, which must stay open
// until Serve has returned.
//
// This is the only package that turns errors into status codes. Every error is
// an application/problem+json body with a stable code, what to do about it and
// the id under which the server logged its cause.
package api
