package main

import (
	"context"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/store"
)

// remoteFeedback is the feedback behind a server.
type remoteFeedback struct {
	service *client.Client
	index   string
}

func (r remoteFeedback) cases(ctx context.Context) ([]store.Case, error) {
	var all []store.Case
	page := client.FeedbackPage{Index: r.index, Limit: 500}
	for {
		got, err := r.service.Feedback(ctx, page)
		if err != nil {
			return nil, err
		}
		all = append(all, got.Cases...)
		if page.After = got.Next; page.After == "" {
			return all, nil
		}
	}
}

func (r remoteFeedback) review(ctx context.Context, ids []string, decision store.Decision, note string) ([]store.Case, error) {
	return r.service.ReviewFeedback(ctx, r.index, ids, decision, note)
}

// caseReport is a case as it is printed.
type caseReport struct {
	ID           string           `json:"id"`
	Index        string           `json:"index"`
	Question     string           `json:"question"`
	State        store.CaseState  `json:"state"`
	Settled      bool             `json:"settled"`
	Unanswerable bool             `json:"unanswerable"`
	Answers      []spanReport     `json:"answers"`
	Candidates   []spanReport     `json:"candidates"`
	Judgements   []judgedFeedback `json:"judgements"`
	Last         time.Time        `json:"last"`
}

type judgedFeedback struct {
	store.Feedback
	Standing store.Standing `json:"standing"`
	Weight   float64        `json:"weight"`
	Disputed bool           `json:"disputed"`
}

type spanReport struct {
	DocumentID string  `json:"document_id"`
	Answer     string  `json:"answer"`
	Start      int     `json:"start"`
	End        int     `json:"end"`
	For        float64 `json:"for"`
	Against    float64 `json:"against"`
	Refuted    bool    `json:"refuted,omitempty"`
}

func reportCases(cases []store.Case) []caseReport {
	list := make([]caseReport, len(cases))
	for i, c := range cases {
		list[i] = caseReport{
			ID: c.ID, Index: c.Index, Question: c.Question, State: c.State, Settled: c.Settled(), Unanswerable: c.Unanswerable, Last: c.Last,
			Answers: []spanReport{}, Candidates: []spanReport{}, Judgements: []judgedFeedback{},
		}
		for _, s := range c.Answers {
			list[i].Answers = append(list[i].Answers, spanReport(s))
		}
		for _, s := range c.Candidates {
			list[i].Candidates = append(list[i].Candidates, spanReport(s))
		}
		for _, j := range c.Judgements {
			list[i].Judgements = append(list[i].Judgements, judgedFeedback{j.Feedback, j.Standing, j.Weight, j.Disputed})
		}
	}
	return list
}
