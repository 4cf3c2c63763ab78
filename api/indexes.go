package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
)

func (s *Server) listIndexes(c *gin.Context) error {
	indexes, err := s.view(c).Indexes(c.Request.Context())
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, wire.Indexes{Indexes: list(indexes)})
}

func (s *Server) getIndex(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	stats, err := s.view(c).Stats(c.Request.Context(), name)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, stats)
}

// putIndex makes an index. The body, which may be missing, declares the types of
// its metadata fields.
func (s *Server) putIndex(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	var body wire.Fields
	if err := s.readFields(c, &body, true); err != nil {
		return err
	}
	if err := s.view(c).CreateIndex(c.Request.Context(), name); err != nil {
		return err
	}
	if len(body.Fields) > 0 {
		_, keeper, err := s.keep(c)
		if err != nil {
			return err
		}
		if err := keeper.DeclareFields(c.Request.Context(), name, body.Fields); err != nil {
			return err
		}
	}
	stats, err := s.view(c).Stats(c.Request.Context(), name)
	if err != nil {
		return err
	}
	c.Header("Location", "/v1/indexes/"+stats.Name)
	return s.writeJSON(c, http.StatusCreated, stats)
}

func (s *Server) deleteIndex(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	if err := s.view(c).DropIndex(c.Request.Context(), name); err != nil {
		return err
	}
	noContent(c)
	return nil
}

func noContent(c *gin.Context) {
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}
