package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
)

// An Observer is told of every request: metrics and traces hang on it.
type Observer interface {
	// Begin is told of a request that begins. It returns the context to answer
	// it with, and what to call at its end with the pattern of the route
	// ("none" for an unknown path) and the status.
	Begin(r *http.Request) (context.Context, func(route string, status int))
}

// measure tells the observer. It comes before everything else, so that no
// answer is missing.
func (s *Server) measure(c *gin.Context) {
	if s.config.Observer == nil {
		c.Next()
		return
	}
	ctx, end := s.config.Observer.Begin(c.Request)
	c.Request = c.Request.WithContext(ctx)
	defer func() {
		route := c.FullPath()
		if route == "" {
			route = "none"
		}
		end(route, c.Writer.Status())
	}()
	c.Next()
}

// metrics answers scrapes.
func (s *Server) metrics(c *gin.Context) error {
	if s.config.Metrics == nil {
		return problemError{wire.CodeNotFound, "Metrics are switched off (telemetry.metrics)."}
	}
	s.config.Metrics.ServeHTTP(c.Writer, c.Request)
	return nil
}
