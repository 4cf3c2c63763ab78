package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// maxReadBody is the longest body with documents of its own. Their texts may
// have pipeline.MaxReadBytes; escapes make them longer.
const maxReadBody = 3 * pipeline.MaxReadBytes

// read answers from the documents of the request.
func (s *Server) read(c *gin.Context) error {
	var body wire.Read
	if err := s.readJSON(c, maxReadBody, &body, false, false); err != nil {
		return err
	}
	if body.BudgetMS < 0 || body.BudgetMS > wire.MaxBudget.Milliseconds() {
		return fmt.Errorf("%w: budget_ms: %d; allowed is 0 (none) to %d", pipeline.ErrInvalidRequest, body.BudgetMS, wire.MaxBudget.Milliseconds())
	}
	request := body.ReadRequest
	request.Budget = time.Duration(body.BudgetMS) * time.Millisecond
	found, err := s.view(c).Read(c.Request.Context(), request)
	if err != nil {
		return err
	}
	result := *found
	result.Answers = list(result.Answers)
	result.Warnings = list(result.Warnings)
	if result.TimingsMS == nil {
		result.TimingsMS = map[string]float64{}
	}
	return s.writeJSON(c, http.StatusOK, &result)
}

// rerank orders the documents of the request.
func (s *Server) rerank(c *gin.Context) error {
	var body wire.Rerank
	if err := s.readJSON(c, maxReadBody, &body, false, false); err != nil {
		return err
	}
	request := pipeline.RerankRequest{
		Model: body.Model, Query: body.Query, TopN: body.TopN, ReturnDocuments: body.ReturnDocuments,
		Documents: make([]string, len(body.Documents)),
	}
	for i, d := range body.Documents {
		request.Documents[i] = string(d)
	}
	found, err := s.view(c).Rerank(c.Request.Context(), request)
	if err != nil {
		return err
	}
	result := *found
	result.Results = list(result.Results)
	result.Warnings = list(result.Warnings)
	if result.TimingsMS == nil {
		result.TimingsMS = map[string]float64{}
	}
	return s.writeJSON(c, http.StatusOK, &result)
}
