package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/api/web"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

func (s *Server) routes(e *gin.Engine) {
	e.Use(s.measure, s.observe, s.recoverPanic, s.guard, s.audit, s.authenticate, s.unzip)
	e.NoRoute(func(c *gin.Context) { s.fail(c, problemError{code: wire.CodeNotFound}) })
	e.NoMethod(func(c *gin.Context) {
		s.fail(c, problemError{wire.CodeMethodNotAllowed, c.Request.Method + " is not allowed here; allowed: " + c.Writer.Header().Get("Allow") + "."})
	})

	for _, method := range []string{http.MethodGet, http.MethodHead} {
		e.Handle(method, "/healthz", s.free(s.healthz))
		e.Handle(method, "/readyz", s.free(s.readyz))
	}
	e.GET("/openapi.json", s.free(s.openAPI))
	e.GET("/metrics", s.free(s.metrics))

	for _, file := range web.Files() {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			e.Handle(method, file.Path, s.free(s.page(file)))
		}
	}

	e.POST("/v1/ask", s.limited(s.ask))
	e.POST("/v1/search", s.limited(s.search))
	e.POST("/v1/read", s.limited(s.read))
	e.POST("/v1/rerank", s.limited(s.rerank))
	// Where the clients of other servers look for it.
	e.POST("/v2/rerank", s.limited(s.rerank))
	e.POST("/rerank", s.limited(s.rerank))

	e.POST("/v1/feedback", s.limited(s.idempotent(s.addFeedback)))
	e.GET("/v1/feedback", s.limited(s.listFeedback, "index", "state", "after", "limit"))
	e.POST("/v1/feedback/review", s.limited(noIdempotency("the same review twice changes nothing.", s.reviewFeedback)))
	e.GET("/v1/feedback/export", s.limited(s.exportFeedback, "index", "format", "include"))
	e.GET("/v1/feedback/:case", s.limited(s.getFeedbackCase, "index"))

	e.GET("/v1/keys", s.limited(s.listKeys))
	e.POST("/v1/keys", s.limited(noIdempotency("the answer holds a secret, which is not kept.", s.createKey)))
	e.DELETE("/v1/keys/:key", s.limited(s.revokeKey))

	e.POST("/v1/predict", s.limited(s.predict))
	e.GET("/v1/models", s.limited(s.listModels))
	e.PUT("/v1/models/reader", s.limited(s.putReader))
	e.GET("/v1/shadow", s.limited(s.getShadow))
	e.PUT("/v1/shadow", s.limited(s.putShadow))
	e.DELETE("/v1/shadow", s.limited(s.deleteShadow))

	e.GET("/v1/indexes", s.limited(s.listIndexes))
	e.GET("/v1/indexes/:index", s.limited(s.getIndex))
	e.PUT("/v1/indexes/:index", s.limited(s.idempotent(s.putIndex)))
	e.DELETE("/v1/indexes/:index", s.limited(s.idempotent(s.deleteIndex)))
	e.POST("/v1/indexes/:index/bulk", s.limited(noIdempotency("a line that is sent again replaces the same document by its id.", s.bulk)))
	e.POST("/v1/indexes/:index/files", s.limited(s.uploadFiles))
	e.POST("/v1/indexes/:index/delete", s.limited(s.idempotent(s.deleteDocuments)))

	e.POST("/v1/indexes/:index/compact", s.limited(s.compactIndex))
	e.POST("/v1/indexes/:index/verify", s.limited(s.verifyIndex))
	e.POST("/v1/indexes/:index/swap", s.limited(s.swapIndex))
	e.POST("/v1/indexes/:index/fields", s.limited(s.declareFields))
	e.GET("/v1/indexes/:index/rebuild", s.limited(s.rebuildStatus))
	e.POST("/v1/indexes/:index/rebuild", s.limited(s.startRebuild))
	e.GET("/v1/indexes/:index/backup", s.limited(s.backupIndex))
	e.POST("/v1/indexes/:index/restore", s.limited(s.restoreIndex, "replace"))

	e.GET("/v1/indexes/:index/documents", s.limited(s.listDocuments, "after", "limit"))
	e.POST("/v1/indexes/:index/documents", s.limited(s.idempotent(s.postDocument)))
	e.GET("/v1/indexes/:index/documents/*id", s.limited(s.getDocument))
	e.PUT("/v1/indexes/:index/documents/*id", s.limited(s.idempotent(s.putDocument)))
	e.DELETE("/v1/indexes/:index/documents/*id", s.limited(s.idempotent(s.deleteDocument)))
}

// A handler answers a request or returns why it could not.
type handler func(c *gin.Context) error

// free wraps a handler that must answer under any load.
func (s *Server) free(h handler, parameters ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		err := checkParameters(c.Request.URL, parameters)
		if err == nil {
			err = h(c)
		}
		if err != nil {
			s.fail(c, err)
		}
	}
}

// limited wraps a handler of which only so many may run at once.
func (s *Server) limited(h handler, parameters ...string) gin.HandlerFunc {
	return s.free(func(c *gin.Context) error {
		select {
		case s.running <- struct{}{}:
			defer func() { <-s.running }()
			return h(c)
		default:
			return fmt.Errorf("%d requests are running already: %w", cap(s.running), models.ErrOverloaded)
		}
	}, parameters...)
}

// checkParameters refuses query parameters that a route does not know: a
// misspelt one would be ignored otherwise.
func checkParameters(u *url.URL, known []string) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return problemError{wire.CodeInvalidParameter, "The query string cannot be read: " + err.Error() + "."}
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return problemError{wire.CodeInvalidParameter, fmt.Sprintf("Unknown query parameter %q; allowed: %s.", name, listOrNone(known))}
		case len(given) > 1:
			return problemError{wire.CodeInvalidParameter, fmt.Sprintf("Query parameter %q is given %d times.", name, len(given))}
		}
	}
	return nil
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// indexName returns the index that the path names, empty for the configured
// one.
func indexName(c *gin.Context) (string, error) {
	name, err := url.PathUnescape(c.Param("index"))
	if err != nil {
		return "", problemError{code: wire.CodeNotFound}
	}
	if name == wire.DefaultIndex {
		return "", nil
	}
	return name, retriever.ValidIndexName(name)
}

// documentID returns the document id that the rest of the path is.
func documentID(c *gin.Context) (string, error) {
	id, err := url.PathUnescape(strings.TrimPrefix(c.Param("id"), "/"))
	switch {
	case err != nil || id == "":
		return "", problemError{code: wire.CodeNotFound, detail: "The path ends without a document id."}
	case !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0:
		return "", fmt.Errorf("%w: the id in the path is not valid UTF-8 or holds a NUL byte", retriever.ErrInvalidDocument)
	case len(id) > retriever.MaxIDBytes:
		return "", fmt.Errorf("%w: the id is %d bytes long; at most %d are allowed", retriever.ErrInvalidDocument, len(id), retriever.MaxIDBytes)
	}
	return id, nil
}
