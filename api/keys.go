package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/store"
)

func (s *Server) store() (*store.Store, error) {
	if s.config.Store == nil {
		return nil, wire.ErrNoStore
	}
	return s.config.Store, nil
}

func (s *Server) listKeys(c *gin.Context) error {
	kept, err := s.store()
	if err != nil {
		return err
	}
	keys, err := kept.Keys(c.Request.Context())
	if err != nil {
		return err
	}
	answer := wire.Keys{Keys: make([]wire.Key, len(keys))}
	for i, k := range keys {
		answer.Keys[i] = wire.FromKey(k, time.Now())
	}
	return s.writeJSON(c, http.StatusOK, answer)
}

// createKey makes a key. Its secret is in the answer and nowhere else.
func (s *Server) createKey(c *gin.Context) error {
	kept, err := s.store()
	if err != nil {
		return err
	}
	var body wire.NewKey
	if err := s.readJSON(c, maxQueryBody, &body, false, false); err != nil {
		return err
	}
	grants, err := auth.ParseGrants(body.Roles)
	if err != nil {
		return fmt.Errorf("%w: roles: %s", store.ErrInvalidRecord, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	k := store.Key{
		Name: body.Name, Grants: grants, Groups: body.Groups, AllGroups: body.AllGroups,
		Rate: body.Rate, Burst: body.Burst, CreatedBy: identity(c).ID,
	}
	if body.ExpiresAt != "" {
		if k.ExpiresAt, err = time.Parse(time.RFC3339, body.ExpiresAt); err != nil {
			return fmt.Errorf("%w: expires_at: %q is no RFC 3339 time such as 2030-01-31T00:00:00Z", store.ErrInvalidRecord, clip(body.ExpiresAt))
		}
	}
	k, secret, err := kept.CreateKey(c.Request.Context(), k)
	if err != nil {
		return err
	}
	c.Set(keySubject, k.ID)
	answer := wire.FromKey(k, time.Now())
	answer.Secret = secret
	c.Header("Location", "/v1/keys/"+k.ID)
	return s.writeJSON(c, http.StatusCreated, answer)
}

func (s *Server) revokeKey(c *gin.Context) error {
	kept, err := s.store()
	if err != nil {
		return err
	}
	k, err := kept.RevokeKey(c.Request.Context(), c.Param("key"))
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, wire.FromKey(k, time.Now()))
}
