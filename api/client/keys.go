package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/store"
)

func fromKey(k wire.Key) (store.Key, error) {
	grants, err := auth.ParseGrants(k.Roles)
	return store.Key{
		ID: k.ID, Name: k.Name, Grants: grants, Groups: k.Groups, AllGroups: k.AllGroups, Rate: k.Rate, Burst: k.Burst,
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt,
	}, err
}

// CreateKey makes an API key on the server and returns it with its secret,
// which cannot be had again.
func (c *Client) CreateKey(ctx context.Context, k store.Key) (stored store.Key, secret string, err error) {
	body := wire.NewKey{Name: k.Name, Roles: k.Grants.Strings(), Groups: k.Groups, AllGroups: k.AllGroups, Rate: k.Rate, Burst: k.Burst}
	if !k.ExpiresAt.IsZero() {
		body.ExpiresAt = k.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	var answer wire.Key
	if err := c.call(ctx, http.MethodPost, "/v1/keys", body, &answer); err != nil {
		return store.Key{}, "", err
	}
	stored, err = fromKey(answer)
	return stored, answer.Secret, err
}

// Keys lists the server's keys without their secrets.
func (c *Client) Keys(ctx context.Context) ([]store.Key, error) {
	var answer wire.Keys
	if err := c.call(ctx, http.MethodGet, "/v1/keys", nil, &answer); err != nil {
		return nil, err
	}
	keys := make([]store.Key, len(answer.Keys))
	for i, k := range answer.Keys {
		var err error
		if keys[i], err = fromKey(k); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// RevokeKey ends a key for good.
func (c *Client) RevokeKey(ctx context.Context, id string) (store.Key, error) {
	var answer wire.Key
	if err := c.call(ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(id), nil, &answer); err != nil {
		return store.Key{}, err
	}
	return fromKey(answer)
}
