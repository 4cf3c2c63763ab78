package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/store"
)

// AddFeedback keeps what somebody says of an answer and returns its id.
func (c *Client) AddFeedback(ctx context.Context, f store.Feedback) (id string, err error) {
	var answer wire.FeedbackStored
	err = c.call(ctx, http.MethodPost, "/v1/feedback", wire.Feedback{
		Question: f.Question, Index: f.Index, Verdict: string(f.Verdict), DocumentID: f.DocumentID, Answer: f.Answer,
		Start: f.Start, End: f.End, Comment: f.Comment, Model: f.Model, Generation: int64(f.Generation),
	}, &answer)
	return answer.ID, err
}

// ExportFeedback returns the feedback about an index as a data set in the
// format of SQuAD 2.0. An empty name means the configured index.
func (c *Client) ExportFeedback(ctx context.Context, index string) (json.RawMessage, error) {
	path := "/v1/feedback/export"
	if index != "" {
		path += "?index=" + url.QueryEscape(index)
	}
	var set json.RawMessage
	err := c.call(ctx, http.MethodGet, path, nil, &set)
	return set, err
}
