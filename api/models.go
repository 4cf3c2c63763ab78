package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// manager returns what exchanges models, which not every service can.
func (s *Server) manager() (pipeline.ModelManager, error) {
	if m, ok := s.service.(pipeline.ModelManager); ok {
		return m, nil
	}
	return nil, problemError{wire.CodeNotFound, "This server's models cannot be managed."}
}

func (s *Server) listModels(c *gin.Context) error {
	manager, err := s.manager()
	if err != nil {
		return err
	}
	status, err := manager.Models(c.Request.Context())
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, wire.Models{Models: list(status)})
}

// putReader exchanges the model that reads.
func (s *Server) putReader(c *gin.Context) error {
	manager, err := s.manager()
	if err != nil {
		return err
	}
	var use pipeline.ModelUse
	if err := s.readJSON(c, maxReadBody, &use, false, false); err != nil {
		return err
	}
	swap, err := manager.UseModel(c.Request.Context(), use)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, swap)
}

// predict answers with what a head says of single texts.
func (s *Server) predict(c *gin.Context) error {
	predictor, ok := s.service.(pipeline.Predictor)
	if !ok {
		return problemError{wire.CodeNotFound, "This server gives no predictions of single heads."}
	}
	var request pipeline.PredictRequest
	if err := s.readJSON(c, maxReadBody, &request, false, false); err != nil {
		return err
	}
	result, err := predictor.Predict(c.Request.Context(), request)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, result)
}
