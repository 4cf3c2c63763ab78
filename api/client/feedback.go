package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/store"
)

// AddFeedback keeps what somebody says of an answer and returns its id. User is
// the person behind the caller, in any words; the server keeps a hash.
func (c *Client) AddFeedback(ctx context.Context, f store.Feedback) (id string, err error) {
	var answer wire.FeedbackStored
	err = c.call(ctx, http.MethodPost, "/v1/feedback", wire.Feedback{
		Question: f.Question, Index: f.Index, Verdict: string(f.Verdict), DocumentID: f.DocumentID, Answer: f.Answer,
		Start: f.Start, End: f.End, ReplacesStart: f.ReplacesStart, ReplacesEnd: f.ReplacesEnd, Comment: f.Comment, User: f.User,
		Model: f.Model, Generation: int64(f.Generation),
	}, &answer)
	return answer.ID, err
}

// FeedbackPage asks for cases; the zero value means the first ones of the
// configured index, in any state.
type FeedbackPage struct {
	Index string
	State store.CaseState
	// After is the Next of the page before.
	After string
	Limit int
}

// FeedbackCases is a page of cases.
type FeedbackCases struct {
	Cases  []store.Case
	Next   string // empty on the last page
	Counts map[store.CaseState]int
}

// Feedback returns questions that there is feedback about, the last one first.
func (c *Client) Feedback(ctx context.Context, page FeedbackPage) (FeedbackCases, error) {
	query := url.Values{}
	for key, value := range map[string]string{"index": page.Index, "state": string(page.State), "after": page.After} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if page.Limit > 0 {
		query.Set("limit", strconv.Itoa(page.Limit))
	}
	var answer wire.FeedbackCases
	if err := c.call(ctx, http.MethodGet, "/v1/feedback?"+query.Encode(), nil, &answer); err != nil {
		return FeedbackCases{}, err
	}
	out := FeedbackCases{Cases: fromWireCases(answer.Cases), Next: answer.Next, Counts: make(map[store.CaseState]int)}
	for state, n := range answer.Counts {
		out.Counts[store.CaseState(state)] = n
	}
	return out, nil
}

func fromWireCases(cases []wire.FeedbackCase) []store.Case {
	list := make([]store.Case, len(cases))
	for i, one := range cases {
		list[i] = one.Case()
	}
	return list
}

// ReviewFeedback keeps a decision about feedback, by their ids or the last eight
// letters of them, and returns the cases that they belong to.
func (c *Client) ReviewFeedback(ctx context.Context, index string, ids []string, decision store.Decision, note string) ([]store.Case, error) {
	body := wire.FeedbackReview{Index: index, IDs: ids, Note: note}
	for name, its := range wire.Decisions() {
		if its == decision {
			body.Decision = name
		}
	}
	var answer wire.FeedbackReviewed
	err := c.call(ctx, http.MethodPost, "/v1/feedback/review", body, &answer)
	return fromWireCases(answer.Cases), err
}

// ExportFeedback returns what feedback about an index has settled, as a data set
// in the format of SQuAD 2.0. An empty name means the configured index.
func (c *Client) ExportFeedback(ctx context.Context, index string) (json.RawMessage, error) {
	path := "/v1/feedback/export"
	if index != "" {
		path += "?index=" + url.QueryEscape(index)
	}
	var set json.RawMessage
	err := c.call(ctx, http.MethodGet, path, nil, &set)
	return set, err
}
