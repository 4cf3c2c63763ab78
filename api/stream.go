package api

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// wantsEvents reports whether a client prefers server-sent events to JSON: it
// names them in Accept and does not name JSON before.
func wantsEvents(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			media, _, err := mime.ParseMediaType(part)
			switch {
			case err != nil:
			case media == wire.EventStream:
				return true
			case media == "application/json":
				return false
			}
		}
	}
	return false
}

// askStream answers with events: the candidates, answers while they improve,
// and at the end the result. A request that fails before the first event gets
// an ordinary problem; later the problem is the last event.
func (s *Server) askStream(c *gin.Context, request pipeline.Request) error {
	events := &eventWriter{server: s, c: c, control: http.NewResponseController(c.Writer)}
	request.Progress = func(p pipeline.Progress) {
		switch {
		case p.Result != nil:
			events.send(wire.EventAnswers, fullResult(p.Result))
		case p.Candidates != nil:
			events.send(wire.EventCandidates, wire.Candidates{Candidates: p.Candidates})
		}
	}
	result, err := s.view(c).Ask(c.Request.Context(), request)
	switch {
	case err == nil:
		events.send(wire.EventComplete, fullResult(result))
	case !events.begun:
		return err
	default:
		problem := problemOf(err)
		problem.Instance, problem.RequestID = c.Request.URL.EscapedPath(), requestID(c)
		c.Set(keyCode, problem.Code)
		if problem.Status >= http.StatusInternalServerError {
			c.Set(keyCause, err)
		}
		events.send(wire.EventError, problem)
	}
	if events.err != nil {
		c.Set(keyCause, events.err)
	}
	return nil
}

// An eventWriter sends server-sent events.
type eventWriter struct {
	server  *Server
	c       *gin.Context
	control *http.ResponseController
	begun   bool
	err     error
}

// send sends one event at once. After a failure it sends no more; the request
// ends by its context, since the client is gone.
func (w *eventWriter) send(name string, value any) {
	if w.err != nil {
		return
	}
	data, err := encodeJSON(value)
	if err != nil {
		w.err = fmt.Errorf("api: encode an event: %w", err)
		return
	}
	if !w.begun {
		w.begun = true
		header := w.c.Writer.Header()
		header.Set("Content-Type", wire.EventStream)
		// Proxies that collect an answer before they pass it on would undo the
		// purpose.
		header.Set("X-Accel-Buffering", "no")
		w.c.Status(http.StatusOK)
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(w.server.config.WriteTimeout))
	// JSON on one line needs no escapes here; it ends with a line feed already.
	if _, err := fmt.Fprintf(w.c.Writer, "event: %s\ndata: %s\n", name, data); err != nil {
		w.err = fmt.Errorf("write an event: %w", err)
		return
	}
	if err := w.control.Flush(); err != nil {
		w.err = fmt.Errorf("write an event: %w", err)
	}
}
