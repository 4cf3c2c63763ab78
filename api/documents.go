package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// defaultListLimit is how many documents a page has if nothing is said.
const defaultListLimit = 100

func (s *Server) listDocuments(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	after, limit := c.Query("after"), defaultListLimit
	if !utf8.ValidString(after) || strings.IndexByte(after, 0) >= 0 {
		return problemError{wire.CodeInvalidParameter, "after: is not valid UTF-8 or holds a NUL byte."}
	}
	if given, ok := c.GetQuery("limit"); ok {
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > pipeline.MaxListLimit {
			return fmt.Errorf("%w: limit: %q; allowed is 1 to %d", pipeline.ErrInvalidRequest, clip(given), pipeline.MaxListLimit)
		}
	}
	infos, err := s.view(c).List(c.Request.Context(), name, after, limit)
	if err != nil {
		return err
	}
	page := wire.Documents{Documents: list(infos)}
	if len(infos) == limit {
		// There may be more; a last page without documents is possible.
		page.Next = infos[limit-1].ID
	}
	return s.writeJSON(c, http.StatusOK, page)
}

func (s *Server) getDocument(c *gin.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	document, err := s.view(c).Document(c.Request.Context(), name, id)
	if err != nil {
		return err
	}
	tag, err := etagOf(document)
	if err != nil || unchanged(c, tag) {
		return err
	}
	return s.writeJSON(c, http.StatusOK, wire.FromDocument(document))
}

// documentPath returns index and document id of a path.
func documentPath(c *gin.Context) (name, id string, err error) {
	if name, err = indexName(c); err != nil {
		return "", "", err
	}
	id, err = documentID(c)
	return name, id, err
}

func (s *Server) postDocument(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	return s.storeDocument(c, name, "")
}

func (s *Server) putDocument(c *gin.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	return s.storeDocument(c, name, id)
}

// storeDocument stores the document in the body. If the path names an id, the
// body may leave it out but not give another.
func (s *Server) storeDocument(c *gin.Context, name, id string) error {
	var body wire.Document
	if err := s.readJSON(c, s.config.MaxBodyBytes, &body, true, false); err != nil {
		return err
	}
	switch {
	case id == "" && body.ID == "":
		return fmt.Errorf("%w: the id is missing; give one, or PUT the document to its path", retriever.ErrInvalidDocument)
	case id != "" && body.ID != "" && body.ID != id:
		return fmt.Errorf("%w: the body's id %q is not the path's %q", retriever.ErrInvalidDocument, clip(body.ID), clip(id))
	case id != "":
		body.ID = id
	}
	document, err := body.Document()
	if err != nil {
		return err
	}
	condition, err := preconditionOf(c)
	if err != nil {
		return err
	}
	ctx, view := c.Request.Context(), s.view(c)
	var results []pipeline.PutResult
	var tag string
	err = view.change(ctx, name, document.ID, condition, func() (err error) {
		if results, err = view.put(ctx, name, []retriever.Document{document}); err != nil {
			return err
		}
		counted(c, len(results))
		c.Set(keySubject, document.ID)
		tag, err = view.storedTag(ctx, name, document.ID)
		return err
	})
	if err != nil {
		return err
	}
	if tag != "" {
		c.Header("ETag", tag)
	}
	if len(results) != 1 {
		return errors.New("api: the service stored one document and gave " + strconv.Itoa(len(results)) + " results")
	}
	status := http.StatusOK
	if results[0].Status == pipeline.Created {
		status = http.StatusCreated
		c.Header("Location", "/v1/indexes/"+c.Param("index")+"/documents/"+wire.EscapeID(results[0].ID))
	}
	return s.writeJSON(c, status, results[0])
}

func (s *Server) deleteDocument(c *gin.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	condition, err := preconditionOf(c)
	if err != nil {
		return err
	}
	ctx, view := c.Request.Context(), s.view(c)
	var n int
	err = view.change(ctx, name, id, condition, func() (err error) {
		n, err = view.delete(ctx, name, []string{id})
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
	}
	noContent(c)
	return nil
}

// deleteDocuments deletes many documents at once; those that are not there are
// no error.
func (s *Server) deleteDocuments(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	var body wire.DeleteDocuments
	// An id has at most 512 bytes, three times as much when it is escaped.
	if err := s.readJSON(c, wire.MaxDeleteIDs*(3*retriever.MaxIDBytes+4), &body, false, false); err != nil {
		return err
	}
	if len(body.IDs) == 0 || len(body.IDs) > wire.MaxDeleteIDs {
		return fmt.Errorf("%w: ids: has %d; allowed are 1 to %d", pipeline.ErrInvalidRequest, len(body.IDs), wire.MaxDeleteIDs)
	}
	for i, id := range body.IDs {
		if id == "" {
			return fmt.Errorf("%w: ids[%d]: is empty", pipeline.ErrInvalidRequest, i)
		}
	}
	n, err := s.view(c).Delete(c.Request.Context(), name, body.IDs)
	if err != nil {
		return err
	}
	counted(c, n)
	return s.writeJSON(c, http.StatusOK, wire.Deleted{Deleted: n})
}
