package api

import (
	_ "embed"
	"net/http"

	"github.com/gin-gonic/gin"
)

// openAPIDocument is openapi.yaml as JSON; a test keeps the two equal.
//
//go:embed openapi.json
var openAPIDocument []byte

func (s *Server) openAPI(c *gin.Context) error {
	s.write(c, http.StatusOK, "application/json", openAPIDocument)
	return nil
}
