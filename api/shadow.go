package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// shadows returns what has a candidate answer beside, which not every service
// can.
func (s *Server) shadows() (pipeline.ShadowManager, error) {
	if m, ok := s.service.(pipeline.ShadowManager); ok {
		return m, nil
	}
	return nil, problemError{wire.CodeNotFound, "This server lets no candidate answer beside."}
}

func (s *Server) getShadow(c *gin.Context) error {
	m, err := s.shadows()
	if err != nil {
		return err
	}
	status, err := m.ShadowStatus(c.Request.Context())
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, status)
}

// putShadow starts a candidate.
func (s *Server) putShadow(c *gin.Context) error {
	m, err := s.shadows()
	if err != nil {
		return err
	}
	var use pipeline.ShadowUse
	if err := s.readJSON(c, maxQueryBody, &use, false, false); err != nil {
		return err
	}
	if use.Config == "" {
		return invalidBody("config: wanted: YAML with the keys in which the candidate differs from the current configuration.")
	}
	status, err := m.StartShadow(c.Request.Context(), use)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, status)
}

func (s *Server) deleteShadow(c *gin.Context) error {
	m, err := s.shadows()
	if err != nil {
		return err
	}
	status, err := m.StopShadow(c.Request.Context())
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, status)
}
