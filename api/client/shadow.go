package client

import (
	"context"
	"net/http"

	"github.com/needle-search/needle/pipeline"
)

var _ pipeline.ShadowManager = (*Client)(nil)

// StartShadow implements [pipeline.ShadowManager].
func (c *Client) StartShadow(ctx context.Context, use pipeline.ShadowUse) (status pipeline.ShadowStatus, err error) {
	err = c.call(ctx, http.MethodPut, "/v1/shadow", use, &status)
	return status, err
}

// StopShadow implements [pipeline.ShadowManager].
func (c *Client) StopShadow(ctx context.Context) (status pipeline.ShadowStatus, err error) {
	err = c.call(ctx, http.MethodDelete, "/v1/shadow", nil, &status)
	return status, err
}

// ShadowStatus implements [pipeline.ShadowManager].
func (c *Client) ShadowStatus(ctx context.Context) (status pipeline.ShadowStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/shadow", nil, &status)
	return status, err
}
