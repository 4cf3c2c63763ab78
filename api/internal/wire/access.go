package wire

import (
	"errors"
	"time"

	"github.com/needle-search/needle/store"
)

// Errors that only servers and clients know, for errors.Is.
var (
	// ErrPreconditionFailed says that If-Match or If-None-Match does not hold.
	ErrPreconditionFailed = errors.New("the condition of the request does not hold")
	// ErrNoStore says that the server was started without a store.
	ErrNoStore = errors.New("the server keeps no keys and no feedback")
)

// NewKey is the body of POST /v1/keys. A role is "search" (on all indexes) or
// "search:INDEX"; see auth.ParseGrants.
type NewKey struct {
	Name      string   `json:"name"`
	Roles     []string `json:"roles"`
	Groups    []string `json:"groups,omitempty"`
	AllGroups bool     `json:"all_groups,omitempty"`
	Rate      float64  `json:"rate,omitempty"`
	Burst     int      `json:"burst,omitempty"`
	// ExpiresAt is an RFC 3339 time.
	ExpiresAt string `json:"expires_at,omitempty"`
}

// Key is a key as it is listed.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Roles     []string  `json:"roles"`
	Groups    []string  `json:"groups,omitempty"`
	AllGroups bool      `json:"all_groups,omitempty"`
	Rate      float64   `json:"rate,omitempty"`
	Burst     int       `json:"burst,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	// Status is valid, expired or revoked.
	Status string `json:"status"`
	// Secret is the key itself; only the answer that makes a key has it.
	Secret string `json:"key,omitempty"`
}

// Keys answers GET /v1/keys.
type Keys struct {
	Keys []Key `json:"keys"`
}

// FromKey returns a stored key as it is listed.
func FromKey(k store.Key, now time.Time) Key {
	status := "valid"
	switch {
	case !k.RevokedAt.IsZero():
		status = "revoked"
	case !k.Valid(now):
		status = "expired"
	}
	return Key{
		ID: k.ID, Name: k.Name, Roles: k.Grants.Strings(), Groups: k.Groups, AllGroups: k.AllGroups, Rate: k.Rate, Burst: k.Burst,
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, Status: status,
	}
}
