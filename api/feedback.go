package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// maxComment is the longest comment in bytes.
const maxComment = 4 << 10

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
	case len(body.Model) > 200:
		return fmt.Errorf("%w: model: has %d bytes; allowed are 200", store.ErrInvalidRecord, len(body.Model))
	case body.Generation < 0:
		return fmt.Errorf("%w: generation: %d; allowed is 0 or more", store.ErrInvalidRecord, body.Generation)
	}
	ctx, view := c.Request.Context(), s.view(c)
	f := store.Feedback{
		Index: s.indexOf(body.Index), Question: body.Question, Verdict: store.Verdict(body.Verdict), DocumentID: body.DocumentID,
		Answer: body.Answer, Start: body.Start, End: body.End, Comment: body.Comment,
		Model: body.Model, Generation: uint64(body.Generation), By: identity(c).ID,
	}
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
	if text, ok := slice(d.Text, f.Start, f.End); !ok || text != f.Answer {
		return fmt.Errorf("%w: answer: is not what stands at start %d to end %d of the document, in code points", store.ErrInvalidRecord, f.Start, f.End)
	}
	return nil
}

// slice returns a stretch of a text by code points.
func slice(text string, start, end int) (string, bool) {
	if start < 0 || end <= start || end > utf8.RuneCountInString(text) {
		return "", false
	}
	at, from := 0, 0
	for i := range text {
		if at == start {
			from = i
		}
		if at == end {
			return text[from:i], true
		}
		at++
	}
	return text[from:], true
}

// exportFeedback returns the feedback about an index as a data set. The texts
// are those of the documents as they are now.
func (s *Server) exportFeedback(c *gin.Context) error {
	kept, err := s.store()
	if err != nil {
		return err
	}
	index := s.indexOf(c.Query("index"))
	if index == wire.DefaultIndex {
		index = s.config.DefaultIndex
	}
	ctx, view := c.Request.Context(), s.view(c)
	if err := view.may(index, auth.Admin); err != nil {
		return err
	}
	if err := retriever.ValidIndexName(index); err != nil {
		return err
	}
	if _, err := s.service.Stats(ctx, index); err != nil {
		return err
	}
	e := export{view: view, set: wire.SQuAD{Version: "v2.0", Data: []wire.SQuADArticle{}}}
	if err := kept.EachFeedback(ctx, index, func(f store.Feedback) error { return e.add(ctx, f) }); err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, e.set)
}

// export gathers questions by document; feedback comes in order of documents.
type export struct {
	view guarded
	set  wire.SQuAD
	// id and document are those of the last feedback; the document is nil if it
	// is gone.
	id       string
	document *retriever.Document
	open     bool
}

func (e *export) add(ctx context.Context, f store.Feedback) error {
	impossible := f.Verdict == store.Unanswerable
	if f.Erased || f.DocumentID == "" || f.Verdict == store.Wrong || !impossible && f.Answer == "" {
		e.set.LeftOut++
		return nil
	}
	if f.DocumentID != e.id {
		e.id, e.document, e.open = f.DocumentID, nil, false
		d, err := e.view.visible(ctx, f.Index, f.DocumentID)
		switch {
		case err == nil:
			e.document = &d
		case !errors.Is(err, retriever.ErrDocumentNotFound):
			return err
		}
	}
	if e.document == nil {
		e.set.LeftOut++
		return nil
	}
	question := wire.SQuADQuestion{ID: f.ID, Question: strings.TrimSpace(f.Question), IsImpossible: impossible, Answers: []wire.SQuADAnswer{}}
	if !impossible {
		if text, ok := slice(e.document.Text, f.Start, f.End); !ok || text != f.Answer {
			e.set.LeftOut++ // the document has changed since
			return nil
		}
		question.Answers = append(question.Answers, wire.SQuADAnswer{Text: f.Answer, AnswerStart: f.Start})
	}
	if !e.open {
		e.open = true
		title := e.document.Title
		if title == "" {
			title = e.id
		}
		e.set.Data = append(e.set.Data, wire.SQuADArticle{Title: title, Paragraphs: []wire.SQuADParagraph{{
			DocumentID: e.id, Context: e.document.Text, QAs: []wire.SQuADQuestion{},
		}}})
	}
	paragraph := &e.set.Data[len(e.set.Data)-1].Paragraphs[0]
	paragraph.QAs = append(paragraph.QAs, question)
	return nil
}
