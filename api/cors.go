package api

import (
	"fmt"
	"net/http"

	"github.com/rs/cors"
)

// crossOrigin answers browsers that ask for pages of the configured origins.
// Cookies are not used, so credentials are not allowed either; keys travel in a
// header that the page sets itself.
func (s *Server) crossOrigin(next http.Handler) (http.Handler, error) {
	if len(s.config.CORSOrigins) == 0 {
		return next, nil
	}
	for _, origin := range s.config.CORSOrigins {
		if err := s.origin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("CORSOrigins: %w", err)
		}
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.config.CORSOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "X-API-Key", "Content-Type", "If-Match", "If-None-Match", headerIdempotencyKey, headerRequestID},
		ExposedHeaders: []string{"ETag", "Location", "Retry-After", headerRequestID, headerReplayed},
		MaxAge:         600,
	}).Handler(next), nil
}
