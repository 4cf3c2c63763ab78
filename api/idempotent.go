package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/store"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	// headerReplayed tells an answer that was given before.
	headerReplayed = "Idempotency-Replayed"
	// keyBody is where a request keeps a body that was read already.
	keyBody = "needle.body"
)

// keptHeaders are those of an answer that are given again.
var keptHeaders = [...]string{"Content-Type", "Location", "Etag"}

// maxIdempotencyKey is the longest Idempotency-Key in bytes.
const maxIdempotencyKey = 255

// noIdempotency refuses an Idempotency-Key where it could not be honoured,
// because ignoring it would break what the client relies on.
func noIdempotency(why string, h handler) handler {
	return func(c *gin.Context) error {
		if c.GetHeader(headerIdempotencyKey) != "" {
			return problemError{wire.CodeInvalidParameter, headerIdempotencyKey + ": is not supported here: " + why}
		}
		return h(c)
	}
}

// idempotent lets a write with an Idempotency-Key happen once: a repetition gets
// the answer of the first. Writes that fail are forgotten, so that they can be
// tried again under the same key.
func (s *Server) idempotent(h handler) handler {
	return func(c *gin.Context) error {
		given := c.Request.Header.Values(headerIdempotencyKey)
		if len(given) == 0 {
			return h(c)
		}
		key := given[0]
		if len(given) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.IndexFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
			return problemError{wire.CodeInvalidParameter, fmt.Sprintf("%s: allowed is one, of 1 to %d printable ASCII characters.", headerIdempotencyKey, maxIdempotencyKey)}
		}
		kept, err := s.store()
		if err != nil {
			return err
		}
		body, release, err := s.takeBody(c, s.config.MaxBodyBytes)
		if err != nil {
			return err
		}
		defer release()
		c.Set(keyBody, body)
		attempt, answer, err := kept.Begin(c.Request.Context(), identity(c).ID, key, fingerprint(c.Request, body))
		if err != nil {
			return err
		}
		if answer != nil {
			s.replay(c, answer)
			return nil
		}
		recorder := &recorder{ResponseWriter: c.Writer}
		c.Writer = recorder
		// The outcome is noted whether the client is still there or not.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), 10*time.Second)
		defer cancel()
		finished := false
		defer func() {
			c.Writer = recorder.ResponseWriter
			if !finished {
				if err := attempt.Abandon(ctx); err != nil {
					s.logger.Warn("the Idempotency-Key of a failed write stays blocked for minutes", "request_id", requestID(c), "cause", err)
				}
			}
		}()
		if err := h(c); err != nil {
			return err
		}
		status := recorder.Status()
		if status < 200 || status > 299 {
			return nil
		}
		response := store.Response{Status: status, Body: recorder.body, Header: map[string]string{}}
		for _, name := range keptHeaders {
			if v := recorder.Header().Get(name); v != "" {
				response.Header[name] = v
			}
		}
		if err := attempt.Finish(ctx, response); err != nil {
			// The write is done and was answered; only a repetition would do it
			// again, which writes by id survive.
			s.logger.Error("the answer to a write was not kept", "request_id", requestID(c), "cause", err)
			return nil
		}
		finished = true
		return nil
	}
}

func (s *Server) replay(c *gin.Context, r *store.Response) {
	for name, value := range r.Header {
		c.Header(name, value)
	}
	c.Header(headerReplayed, "true")
	if len(r.Body) == 0 {
		c.Status(r.Status)
		c.Writer.WriteHeaderNow()
		return
	}
	s.write(c, r.Status, r.Header["Content-Type"], r.Body)
}

// fingerprint hashes what makes a request the same as another.
func fingerprint(r *http.Request, body []byte) string {
	hash := sha256.New()
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("If-Match"), r.Header.Get("If-None-Match")} {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	hash.Write(body)
	return hex.EncodeToString(hash.Sum(nil))
}

// recorder keeps what is answered.
type recorder struct {
	gin.ResponseWriter
	body []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return r.ResponseWriter.Write(p)
}

func (r *recorder) WriteString(p string) (int, error) { return r.Write([]byte(p)) }

// Unwrap lets http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// takeBody reads a body of at most limit bytes. Its memory is accounted for
// until release is called. A body that was read already is returned again.
func (s *Server) takeBody(c *gin.Context, limit int64) (body []byte, release func(), err error) {
	if body, ok := c.Value(keyBody).([]byte); ok {
		if int64(len(body)) > limit {
			return nil, nil, tooLarge(limit)
		}
		return body, func() {}, nil
	}
	if c.Request.ContentLength > limit {
		return nil, nil, tooLarge(limit)
	}
	if release, err = s.reserve(c, limit); err != nil {
		return nil, nil, err
	}
	// The limit is given the connection's own writer, so that it can close the
	// connection instead of reading on.
	data, err := io.ReadAll(http.MaxBytesReader(unwrap(c.Writer), c.Request.Body, limit))
	if err != nil {
		release()
		return nil, nil, bodyError(c.Request.Context(), err)
	}
	// The time to send the body is over; from here on only the client's leaving
	// ends the request.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Time{})
	return data, release, nil
}
