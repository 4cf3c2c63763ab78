package api

import (
	"context"
	"net"
)

// localOnly marks the context of connections that take the local token only.
type localOnly struct{}

// ServeLocal is [Server.Serve] for a second listener on loopback, for tools of
// this machine beside a server that encrypts or demands client certificates:
// it takes the local token and nothing else.
func (s *Server) ServeLocal(ctx context.Context, listener net.Listener) error {
	return s.Serve(context.WithValue(ctx, localOnly{}, true), listener)
}
