package api

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// Bounds of the routes about feedback.
const (
	standardCases = 50
	maxCases      = 500
	maxReviewed   = 1000
)

// feedbackAllowed takes one off the feedback that the caller may send in an
// hour.
func (s *Server) feedbackAllowed(c *gin.Context) error {
	perHour := s.config.FeedbackPerHour
	wait := s.feedbackLimiters.take(identity(c).ID, rate.Limit(float64(perHour)/3600), perHour)
	if wait <= 0 {
		return nil
	}
	c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return fmt.Errorf("%w: %d feedbacks an hour from one key", auth.ErrRateLimited, perHour)
}

// feedbackIndex returns the index whose feedback an administrator asks for.
func (s *Server) feedbackIndex(c *gin.Context, name string) (string, error) {
	if name == wire.DefaultIndex {
		name = ""
	}
	index := s.indexOf(name)
	if err := s.view(c).may(index, auth.Admin); err != nil {
		return "", err
	}
	if err := retriever.ValidIndexName(index); err != nil {
		return "", err
	}
	_, err := s.service.Stats(c.Request.Context(), index)
	return index, err
}

func (s *Server) cases(ctx context.Context, index string) ([]store.Case, error) {
	kept, err := s.store()
	if err != nil {
		return nil, err
	}
	return kept.Cases(ctx, index, s.config.Judging)
}

// listFeedback returns the questions that there is feedback about, the last one
// first.
func (s *Server) listFeedback(c *gin.Context) error {
	index, err := s.feedbackIndex(c, c.Query("index"))
	if err != nil {
		return err
	}
	limit := standardCases
	if text := c.Query("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxCases {
			return problemError{wire.CodeInvalidParameter, fmt.Sprintf("limit: %q; allowed are 1 to %d.", clip(text), maxCases)}
		}
	}
	given, filtered := c.GetQuery("state")
	state := store.CaseState(given)
	if filtered && !slices.Contains(store.CaseStates(), state) {
		return problemError{wire.CodeInvalidParameter, fmt.Sprintf("state: %q; allowed are open, disputed, agreed, reviewed and quarantined.", clip(string(state)))}
	}
	before, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	all, err := s.cases(c.Request.Context(), index)
	if err != nil {
		return err
	}
	answer := wire.FeedbackCases{Cases: []wire.FeedbackCase{}, Counts: make(map[string]int)}
	for _, state := range store.CaseStates() {
		answer.Counts[string(state)] = 0
	}
	for _, found := range all {
		answer.Counts[string(found.State)]++
		switch {
		case state != "" && found.State != state || !before.isAfter(found):
		case len(answer.Cases) == limit:
			last := answer.Cases[limit-1]
			answer.Next = cursor{last.Last, last.ID}.String()
		default:
			answer.Cases = append(answer.Cases, wire.FromCase(found))
		}
	}
	return s.writeJSON(c, http.StatusOK, answer)
}

// A cursor is the last case of a page. A case that gets new feedback moves to
// the front meanwhile, and others stay where they were.
type cursor struct {
	last time.Time
	id   string
}

func (c cursor) String() string { return strconv.FormatInt(c.last.UnixNano(), 36) + "." + c.id }

func (c cursor) isAfter(found store.Case) bool {
	if c.id == "" {
		return true
	}
	order := found.Last.Compare(c.last)
	return order < 0 || order == 0 && found.ID > c.id
}

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{last: time.Unix(0, math.MaxInt64)}, nil
	}
	at, id, ok := strings.Cut(text, ".")
	nanos, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil || id == "" {
		return cursor{}, problemError{wire.CodeInvalidParameter, "after: is not the next of an earlier page."}
	}
	return cursor{time.Unix(0, nanos), id}, nil
}

// getFeedbackCase returns a case by its id, or by that of a feedback in it.
func (s *Server) getFeedbackCase(c *gin.Context) error {
	index, err := s.feedbackIndex(c, c.Query("index"))
	if err != nil {
		return err
	}
	all, err := s.cases(c.Request.Context(), index)
	if err != nil {
		return err
	}
	id := c.Param("case")
	for _, found := range all {
		if found.ID == id || slices.ContainsFunc(found.Judgements, func(j store.Judgement) bool { return j.Handle() == id }) {
			return s.writeJSON(c, http.StatusOK, wire.FromCase(found))
		}
	}
	return fmt.Errorf("%w: %q", store.ErrFeedbackNotFound, clip(id))
}

// reviewFeedback keeps what an administrator decides about feedback.
func (s *Server) reviewFeedback(c *gin.Context) error {
	var body wire.FeedbackReview
	if err := s.readJSON(c, maxQueryBody, &body, false, false); err != nil {
		return err
	}
	index, err := s.feedbackIndex(c, body.Index)
	if err != nil {
		return err
	}
	decision, known := wire.Decisions()[body.Decision]
	switch {
	case !known:
		return fmt.Errorf("%w: decision: %q; allowed are accept, reject and reopen", store.ErrInvalidRecord, clip(body.Decision))
	case len(body.IDs) == 0 || len(body.IDs) > maxReviewed:
		return fmt.Errorf("%w: ids: has %d; allowed are 1 to %d", store.ErrInvalidRecord, len(body.IDs), maxReviewed)
	case len(body.Note) > maxComment:
		return fmt.Errorf("%w: note: has %d bytes; allowed are %d", store.ErrInvalidRecord, len(body.Note), maxComment)
	}
	kept, err := s.store()
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	reviewed, err := kept.ReviewFeedback(ctx, index, body.IDs, decision, identity(c).ID, body.Note)
	if err != nil {
		return err
	}
	c.Set(keyCount, len(reviewed))
	all, err := s.cases(ctx, index)
	if err != nil {
		return err
	}
	touched := make(map[string]bool, len(reviewed))
	for _, f := range reviewed {
		touched[f.ID] = true
	}
	answer := wire.FeedbackReviewed{Reviewed: len(reviewed), Cases: []wire.FeedbackCase{}}
	for _, found := range all {
		if slices.ContainsFunc(found.Judgements, func(j store.Judgement) bool { return touched[j.ID] }) {
			answer.Cases = append(answer.Cases, wire.FromCase(found))
		}
	}
	return s.writeJSON(c, http.StatusOK, answer)
}

// exportFeedback returns what feedback about an index has settled as a data
// set. The texts are those of the documents as they are now.
func (s *Server) exportFeedback(c *gin.Context) error {
	index, err := s.feedbackIndex(c, c.Query("index"))
	if err != nil {
		return err
	}
	format, include := c.DefaultQuery("format", "squad"), c.DefaultQuery("include", "settled")
	if format != "squad" && format != "beir" {
		return problemError{wire.CodeInvalidParameter, fmt.Sprintf("format: %q; allowed are squad and beir.", clip(format))}
	}
	if include != "settled" && include != "pending" {
		return problemError{wire.CodeInvalidParameter, fmt.Sprintf("include: %q; allowed are settled and pending.", clip(include))}
	}
	ctx := c.Request.Context()
	all, err := s.cases(ctx, index)
	if err != nil {
		return err
	}
	gold, err := monitor.Gold(ctx, all, include == "pending", s.view(c).visible)
	if err != nil {
		return err
	}
	if format == "squad" {
		return s.writeJSON(c, http.StatusOK, gold.SQuAD())
	}
	var archive bytes.Buffer
	if err := gold.WriteBEIR(&archive, nil); err != nil {
		return err
	}
	c.Header("Content-Disposition", `attachment; filename="feedback-beir.zip"`)
	s.write(c, http.StatusOK, "application/zip", archive.Bytes())
	return nil
}
