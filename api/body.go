package api

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/models"
)

// maxQueryBody is the longest body of a question or query. The text itself may
// have 16 KiB; the rest is for filters.
const maxQueryBody = 1 << 20

// patience is how long a request waits until there is memory for its body.
const patience = 5 * time.Second

// readJSON reads and decodes the body of a request; see decodeJSON. An empty
// body is fine if the request may do without.
func (s *Server) readJSON(c *gin.Context, limit int64, target any, exactNumbers, optional bool) error {
	if optional && c.Request.ContentLength == 0 {
		return nil
	}
	if err := checkContentType(c.Request, "application/json"); err != nil {
		return err
	}
	data, release, err := s.takeBody(c, limit)
	if err != nil {
		return err
	}
	defer release()
	return decodeJSON(data, target, exactNumbers)
}

func unwrap(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

// reserve takes memory for a body out of what all bodies may take together.
func (s *Server) reserve(c *gin.Context, limit int64) (release func(), err error) {
	size := limit
	if length := c.Request.ContentLength; length >= 0 {
		size = min(length, limit)
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), patience)
	defer cancel()
	if err := s.memory.Acquire(ctx, size); err != nil {
		if err := c.Request.Context().Err(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("no memory for a body of %d bytes: %w", size, models.ErrOverloaded)
	}
	return func() { s.memory.Release(size) }, nil
}

func tooLarge(limit int64) error {
	return problemError{wire.CodeBodyTooLarge, fmt.Sprintf("At most %d bytes are allowed here.", limit)}
}

// bodyError says why a body could not be read.
func bodyError(ctx context.Context, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.Is(err, errBomb):
		return problemError{wire.CodeBodyTooLarge, sentence(errBomb.Error())}
	case errors.Is(err, errNotGzip):
		return invalidBody("The Content-Encoding is gzip, but the body is not.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Before the context is asked, which this has ended as well.
		return problemError{code: wire.CodeBodyTimeout}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return invalidBody("The body ends early.")
}

// checkContentType demands one of some media types. Besides its purpose it
// makes browsers ask before they send such a request for another site.
func checkContentType(r *http.Request, allowed ...string) error {
	wrong := func(what string) error {
		return problemError{wire.CodeUnsupportedMediaType, what + "; send Content-Type: " + strings.Join(allowed, " or ") + "."}
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return wrong("The request has no Content-Type")
	}
	media, parameters, err := mime.ParseMediaType(given)
	if err != nil || !slices.Contains(allowed, media) {
		return wrong(fmt.Sprintf("The Content-Type is %q", clip(given)))
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return wrong(fmt.Sprintf("The Content-Type is %q", clip(given)))
		}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return problemError{wire.CodeUnsupportedMediaType, fmt.Sprintf("The Content-Encoding is %q; send the body as it is, or with gzip.", clip(encoding))}
	}
	return nil
}
