package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/store"
)

// serverAccess opens the store and decides who may use the server.
func serverAccess(ctx context.Context, cfg *pipeline.Config, p *pipeline.Pipeline) (api.Access, error) {
	kept, err := p.Store(ctx)
	if errors.Is(err, store.ErrLocked) {
		return api.Access{}, fmt.Errorf("serve: %w; wait until the command that works on it has finished", err)
	}
	if err != nil {
		return api.Access{}, err
	}
	has, err := kept.HasKeys(ctx)
	if err != nil {
		return api.Access{}, err
	}
	if err := cfg.Server.CheckExposure(has); err != nil {
		return api.Access{}, err
	}
	return api.Access{
		Store:        kept,
		RequireKeys:  cfg.Server.Auth.Required,
		LocalToken:   "needle_local_" + strings.ToLower(rand.Text()),
		DefaultIndex: cfg.Index,
	}, nil
}
