package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// keeper returns what looks after an index, for a caller that administers it
// and sees all of it: a backup holds every document, and a swap moves them.
func (g guarded) keeper(index string) (pipeline.Keeper, error) {
	if err := g.may(index, auth.Admin); err != nil {
		return nil, err
	}
	if !g.seesAll(index) {
		return nil, fmt.Errorf("%w: it sees a part of the documents only", auth.ErrForbidden)
	}
	keeper, ok := g.server.service.(pipeline.Keeper)
	if !ok {
		return nil, problemError{wire.CodeNotFound, "This server does not look after indexes."}
	}
	return keeper, nil
}

func (s *Server) keep(c *gin.Context) (name string, keeper pipeline.Keeper, err error) {
	if name, err = indexName(c); err == nil {
		keeper, err = s.view(c).keeper(name)
	}
	return name, keeper, err
}

func (s *Server) compactIndex(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	report, err := keeper.Compact(c.Request.Context(), name)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, report)
}

func (s *Server) verifyIndex(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	if err := keeper.Verify(c.Request.Context(), name); err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, wire.Status{Status: "whole"})
}

func (s *Server) swapIndex(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	var body wire.Swap
	if err := s.readJSON(c, maxQueryBody, &body, false, false); err != nil {
		return err
	}
	if err := retriever.ValidIndexName(body.With); err != nil {
		return err
	}
	if _, err := s.view(c).keeper(body.With); err != nil {
		return err
	}
	if err := keeper.SwapIndexes(c.Request.Context(), name, body.With); err != nil {
		return err
	}
	noContent(c)
	return nil
}

func (s *Server) startRebuild(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	var body wire.Rebuild
	if err := s.readJSON(c, maxQueryBody, &body, false, true); err != nil {
		return err
	}
	if err := keeper.StartRebuild(c.Request.Context(), name, pipeline.RebuildOptions{Split: body.Split}); err != nil {
		return err
	}
	status, err := keeper.RebuildStatus(c.Request.Context(), name)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusAccepted, status)
}

func (s *Server) rebuildStatus(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	status, err := keeper.RebuildStatus(c.Request.Context(), name)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, status)
}

// backupIndex sends a backup as it is made. One that ends early has no last line
// and is refused wherever it is read.
func (s *Server) backupIndex(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	w := &patientWriter{c: c, control: http.NewResponseController(c.Writer), silence: s.config.WriteTimeout}
	_, err = keeper.Backup(c.Request.Context(), name, w)
	if err != nil && w.started {
		// The status is sent already; the connection must not end as if all were
		// well.
		s.logger.Error("a backup ended early", "index", name, "error", err, "request_id", requestID(c))
		panic(http.ErrAbortHandler)
	}
	return err
}

// patientWriter sends an answer of any length, which may take as long as
// somebody reads it.
type patientWriter struct {
	c       *gin.Context
	control *http.ResponseController
	silence time.Duration
	started bool
}

func (w *patientWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.started = true
		w.c.Header("Content-Type", wire.BackupType)
		w.c.Status(http.StatusOK)
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(w.silence))
	return w.c.Writer.Write(p)
}

func (s *Server) restoreIndex(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	if err := checkContentType(c.Request, wire.BackupType); err != nil {
		return err
	}
	options := pipeline.RestoreOptions{}
	switch given := c.Query("replace"); given {
	case "", "false":
	case "true":
		options.Replace = true
	default:
		return problemError{wire.CodeInvalidParameter, fmt.Sprintf("replace: %q; allowed: true, false.", clip(given))}
	}
	body := &patientReader{c.Request.Body, http.NewResponseController(c.Writer), s.config.BodyTimeout}
	report, err := keeper.Restore(c.Request.Context(), name, body, options)
	if err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, report)
}

func (s *Server) declareFields(c *gin.Context) error {
	name, keeper, err := s.keep(c)
	if err != nil {
		return err
	}
	var body wire.Fields
	if err := s.readFields(c, &body, false); err != nil {
		return err
	}
	if err := keeper.DeclareFields(c.Request.Context(), name, body.Fields); err != nil {
		return err
	}
	noContent(c)
	return nil
}

// readFields reads and checks types of fields.
func (s *Server) readFields(c *gin.Context, body *wire.Fields, optional bool) error {
	if err := s.readJSON(c, maxQueryBody, body, false, optional); err != nil {
		return err
	}
	for name, typ := range body.Fields {
		if _, err := retriever.ParseFieldType(string(typ)); err != nil {
			return problemError{wire.CodeInvalidBody, fmt.Sprintf("fields: %q: %v.", clip(name), err)}
		}
	}
	return nil
}
