package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

func (s *Server) ask(c *gin.Context) error {
	var body wire.Ask
	if err := s.readJSON(c, maxQueryBody, &body, false, false); err != nil {
		return err
	}
	if body.BudgetMS < 0 || body.BudgetMS > wire.MaxBudget.Milliseconds() {
		return fmt.Errorf("%w: budget_ms: %d; allowed is 0 (none) to %d", pipeline.ErrInvalidRequest, body.BudgetMS, wire.MaxBudget.Milliseconds())
	}
	request := body.Request
	request.Budget = time.Duration(body.BudgetMS) * time.Millisecond
	if body.Stream || wantsEvents(c.Request) {
		return s.askStream(c, request)
	}
	found, err := s.view(c).Ask(c.Request.Context(), request)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, fullResult(found))
}

// fullResult has lists that are never null. The result may be shared, so it is
// copied.
func fullResult(found *pipeline.Result) *pipeline.Result {
	result := *found
	result.Answers = list(result.Answers)
	result.Warnings = list(result.Warnings)
	if result.TimingsMS == nil {
		result.TimingsMS = map[string]float64{}
	}
	return &result
}

func (s *Server) search(c *gin.Context) error {
	var request pipeline.SearchRequest
	if err := s.readJSON(c, maxQueryBody, &request, false, false); err != nil {
		return err
	}
	found, err := s.view(c).Search(c.Request.Context(), request)
	if err != nil {
		return err
	}
	result := *found
	result.Hits = list(result.Hits)
	result.Terms = list(result.Terms)
	result.Warnings = list(result.Warnings)
	if result.TimingsMS == nil {
		result.TimingsMS = map[string]float64{}
	}
	return s.writeJSON(c, http.StatusOK, &result)
}

// list makes a nil slice an empty list in JSON.
func list[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// healthz says that the process is alive, whatever it can do.
func (s *Server) healthz(c *gin.Context) error {
	return s.writeJSON(c, http.StatusOK, wire.Status{Status: "alive", Version: s.config.Version})
}

// readyz says whether questions can be answered at full speed.
func (s *Server) readyz(c *gin.Context) error {
	if err := s.service.Ready(c.Request.Context()); err != nil {
		if code := wire.CodeOf(err); code != wire.CodeInternal {
			return err
		}
		return problemError{wire.CodeNotReady, sentence(err.Error())}
	}
	return s.writeJSON(c, http.StatusOK, wire.Status{Status: "ready"})
}
