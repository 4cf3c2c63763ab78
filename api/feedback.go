package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// maxComment is the longest comment in bytes.
const maxComment = 4 << 10

// maxUser is the longest name of a person in bytes.
const maxUser = 200

// addFeedback keeps what somebody says of an answer.
func (s *Server) addFeedback(c *gin.Context) error {
	kept, err := s.store()
	if err != nil {
		return err
	}
	var body wire.Feedback
	if err := s.readJSON(c, maxQueryBody, &body, false, false); err != nil {
		return err
	}
	switch {
	case len(body.Question) > pipeline.MaxQuestionBytes:
		return fmt.Errorf("%w: question: has %d bytes; allowed are %d", store.ErrInvalidRecord, len(body.Question), pipeline.MaxQuestionBytes)
	case len(body.Comment) > maxComment:
		return fmt.Errorf("%w: comment: has %d bytes; allowed are %d", store.ErrInvalidRecord, len(body.Comment), maxComment)
	case len(body.User) > maxUser:
		return fmt.Errorf("%w: user: has %d bytes; allowed are %d", store.ErrInvalidRecord, len(body.User), maxUser)
	case len(body.Model) > 200:
		return fmt.Errorf("%w: model: has %d bytes; allowed are 200", store.ErrInvalidRecord, len(body.Model))
	case body.Generation < 0:
		return fmt.Errorf("%w: generation: %d; allowed is 0 or more", store.ErrInvalidRecord, body.Generation)
	}
	ctx, view := c.Request.Context(), s.view(c)
	f := store.Feedback{
		Index: s.indexOf(body.Index), Question: body.Question, Verdict: store.Verdict(body.Verdict), DocumentID: body.DocumentID,
		Answer: body.Answer, Start: body.Start, End: body.End, Comment: body.Comment,
		ReplacesStart: body.ReplacesStart, ReplacesEnd: body.ReplacesEnd,
		Model: body.Model, Generation: uint64(body.Generation), By: identity(c).ID,
	}
	f.User = hashedUser(f.By, body.User)
	if err := view.checkFeedback(ctx, f); err != nil {
		return err
	}
	if f.DocumentID != "" {
		// Nobody deletes the document between the check and the writing, which
		// would bring back what was erased.
		defer s.locks.sharedIDs(f.Index, []string{f.DocumentID})()
		if _, err := view.visible(ctx, f.Index, f.DocumentID); err != nil {
			return err
		}
	}
	if err := s.feedbackAllowed(c); err != nil {
		return err
	}
	f, err = kept.AddFeedback(ctx, f)
	if err != nil {
		return err
	}
	c.Set(keySubject, f.ID)
	return s.writeJSON(c, http.StatusCreated, wire.FeedbackStored{ID: f.ID})
}

// checkFeedback holds feedback against the document that it is about.
func (g guarded) checkFeedback(ctx context.Context, f store.Feedback) error {
	if err := g.may(f.Index, auth.Search); err != nil {
		return err
	}
	if err := retriever.ValidIndexName(f.Index); err != nil {
		return err
	}
	if f.DocumentID == "" {
		if f.Start != 0 || f.End != 0 {
			return fmt.Errorf("%w: start, end: are offsets in a document; document_id is missing", store.ErrInvalidRecord)
		}
		_, err := g.server.service.Stats(ctx, f.Index)
		return err
	}
	d, err := g.visible(ctx, f.Index, f.DocumentID)
	if err != nil {
		return err
	}
	if f.Answer == "" {
		return nil
	}
	if text, ok := d.Slice(f.Start, f.End); !ok || text != f.Answer {
		return fmt.Errorf("%w: answer: is not what stands at start %d to end %d of the document, in code points", store.ErrInvalidRecord, f.Start, f.End)
	}
	if _, ok := d.Slice(f.ReplacesStart, f.ReplacesEnd); !ok && f.ReplacesEnd != 0 {
		return fmt.Errorf("%w: replaces_start, replaces_end: %d to %d is no stretch of the document, in code points", store.ErrInvalidRecord, f.ReplacesStart, f.ReplacesEnd)
	}
	return nil
}

// hashedUser names a person so that the same one is known again, within one
// key, and nobody can read who it is.
func hashedUser(by, user string) string {
	if user == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(by + "\x00" + user))
	return hex.EncodeToString(sum[:8])
}
