package wire

import (
	"time"

	"github.com/needle-search/needle/store"
)

// A FeedbackSpan is a stretch of a document that somebody named, with the
// weight of the voices for and against it.
type FeedbackSpan struct {
	DocumentID string  `json:"document_id"`
	Answer     string  `json:"answer"`
	Start      int     `json:"start"`
	End        int     `json:"end"`
	For        float64 `json:"for"`
	Against    float64 `json:"against"`
	Refuted    bool    `json:"refuted,omitempty"`
}

// A FeedbackJudgement is one feedback within its case.
type FeedbackJudgement struct {
	ID            string     `json:"id"`
	Verdict       string     `json:"verdict"`
	Standing      string     `json:"standing"`
	Weight        float64    `json:"weight"`
	Disputed      bool       `json:"disputed"`
	Question      string     `json:"question"`
	DocumentID    string     `json:"document_id,omitempty"`
	Answer        string     `json:"answer,omitempty"`
	Start         int        `json:"start"`
	End           int        `json:"end"`
	ReplacesStart int        `json:"replaces_start,omitempty"`
	ReplacesEnd   int        `json:"replaces_end,omitempty"`
	Comment       string     `json:"comment,omitempty"`
	Model         string     `json:"model,omitempty"`
	Generation    uint64     `json:"generation,omitempty"`
	By            string     `json:"by,omitempty"`
	User          string     `json:"user,omitempty"`
	At            time.Time  `json:"at"`
	Decision      string     `json:"decision,omitempty"`
	ReviewedBy    string     `json:"reviewed_by,omitempty"`
	ReviewedAt    *time.Time `json:"reviewed_at,omitempty"`
	Note          string     `json:"note,omitempty"`
}

// A FeedbackCase is all that was said of one question.
type FeedbackCase struct {
	ID           string              `json:"id"`
	Index        string              `json:"index"`
	Question     string              `json:"question"`
	State        string              `json:"state"`
	Settled      bool                `json:"settled"`
	Unanswerable bool                `json:"unanswerable"`
	Answers      []FeedbackSpan      `json:"answers"`
	Candidates   []FeedbackSpan      `json:"candidates"`
	Judgements   []FeedbackJudgement `json:"judgements"`
	Last         time.Time           `json:"last"`
}

// FeedbackCases answers GET /v1/feedback.
type FeedbackCases struct {
	Cases []FeedbackCase `json:"cases"`
	// Next is the value of after for the next page; empty on the last one.
	Next string `json:"next,omitempty"`
	// Counts are all cases of the index by state.
	Counts map[string]int `json:"counts"`
}

// FeedbackReview is the body of POST /v1/feedback/review.
type FeedbackReview struct {
	Index string   `json:"index,omitempty"`
	IDs   []string `json:"ids"`
	// Decision is accept, reject or reopen.
	Decision string `json:"decision"`
	Note     string `json:"note,omitempty"`
}

// FeedbackReviewed answers it: the cases that changed, as they are now.
type FeedbackReviewed struct {
	Reviewed int            `json:"reviewed"`
	Cases    []FeedbackCase `json:"cases"`
}

// Decisions returns what the decisions of a review are called in the store.
func Decisions() map[string]store.Decision {
	return map[string]store.Decision{"accept": store.Accepted, "reject": store.Rejected, "reopen": store.Undecided}
}

// FromCase turns a case into its form on the wire.
func FromCase(c store.Case) FeedbackCase {
	out := FeedbackCase{
		ID: c.ID, Index: c.Index, Question: c.Question, State: string(c.State), Settled: c.Settled(), Unanswerable: c.Unanswerable, Last: c.Last,
		Answers: fromSpans(c.Answers), Candidates: fromSpans(c.Candidates), Judgements: make([]FeedbackJudgement, len(c.Judgements)),
	}
	for i, j := range c.Judgements {
		out.Judgements[i] = FeedbackJudgement{
			ID: j.ID, Verdict: string(j.Verdict), Standing: string(j.Standing), Weight: j.Weight, Disputed: j.Disputed, Question: j.Question,
			DocumentID: j.DocumentID, Answer: j.Answer, Start: j.Start, End: j.End, ReplacesStart: j.ReplacesStart, ReplacesEnd: j.ReplacesEnd,
			Comment: j.Comment, Model: j.Model, Generation: j.Generation, By: j.By, User: j.User, At: j.At,
			Decision: string(j.Decision), ReviewedBy: j.ReviewedBy, Note: j.Note,
		}
		if !j.ReviewedAt.IsZero() {
			out.Judgements[i].ReviewedAt = &j.ReviewedAt
		}
	}
	return out
}

// Case turns it back.
func (c FeedbackCase) Case() store.Case {
	out := store.Case{
		ID: c.ID, Index: c.Index, Question: c.Question, State: store.CaseState(c.State), Unanswerable: c.Unanswerable, Last: c.Last,
		Answers: toSpans(c.Answers), Candidates: toSpans(c.Candidates), Judgements: make([]store.Judgement, len(c.Judgements)),
	}
	for i, j := range c.Judgements {
		f := store.Feedback{
			ID: j.ID, Index: c.Index, Question: j.Question, Verdict: store.Verdict(j.Verdict), DocumentID: j.DocumentID, Answer: j.Answer, Start: j.Start, End: j.End,
			ReplacesStart: j.ReplacesStart, ReplacesEnd: j.ReplacesEnd, Comment: j.Comment, Model: j.Model, Generation: j.Generation, By: j.By, User: j.User, At: j.At,
			Decision: store.Decision(j.Decision), ReviewedBy: j.ReviewedBy, Note: j.Note,
		}
		if j.ReviewedAt != nil {
			f.ReviewedAt = *j.ReviewedAt
		}
		out.Judgements[i] = store.Judgement{Feedback: f, Standing: store.Standing(j.Standing), Weight: j.Weight, Disputed: j.Disputed}
	}
	return out
}

func fromSpans(spans []store.Span) []FeedbackSpan {
	list := make([]FeedbackSpan, len(spans))
	for i, s := range spans {
		list[i] = FeedbackSpan(s)
	}
	return list
}

func toSpans(spans []FeedbackSpan) []store.Span {
	list := make([]store.Span, len(spans))
	for i, s := range spans {
		list[i] = store.Span(s)
	}
	return list
}
