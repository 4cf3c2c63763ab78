package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/web"
)

// pagePolicy lets the page load its own files and call its own server, and
// nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// page serves one file of the web page.
func (s *Server) page(file web.File) handler {
	return func(c *gin.Context) error {
		header := c.Writer.Header()
		header.Set("Content-Security-Policy", pagePolicy)
		// Asked for again every time, so that page and server never differ, but
		// sent only when it has changed.
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", file.ETag)
		if c.GetHeader("If-None-Match") == file.ETag {
			c.Status(http.StatusNotModified)
			c.Writer.WriteHeaderNow()
			return nil
		}
		s.write(c, http.StatusOK, file.MediaType, file.Data)
		return nil
	}
}

// pagePaths returns the paths of the page's files.
func pagePaths() []string {
	var paths []string
	for _, file := range web.Files() {
		paths = append(paths, file.Path)
	}
	return paths
}
