package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/store"
)

// Health asks whether the process lives, whatever it can do, and returns the
// version of the server's program, "" if it says none.
func (c *Client) Health(ctx context.Context) (version string, err error) {
	var status wire.Status
	err = c.call(ctx, http.MethodGet, "/healthz", nil, &status)
	return status.Version, err
}

// Metrics returns the server's metrics in the text format of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	const path = "/metrics"
	response, err := c.exchange(ctx, http.MethodGet, path, "", nil, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, c.transport(ctx, http.MethodGet, path, err)
	}
	return text, nil
}

// OpenAPI returns the contract of the server's API.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	var document json.RawMessage
	err := c.call(ctx, http.MethodGet, "/openapi.json", nil, &document)
	return document, err
}

// FeedbackCase returns one question and all that was said of it, by the id of
// the case or the last eight letters of the id of a feedback.
func (c *Client) FeedbackCase(ctx context.Context, index, id string) (store.Case, error) {
	if id == "" {
		return store.Case{}, fmt.Errorf("client: feedback case: %w: the id is empty", store.ErrNotFound)
	}
	path := "/v1/feedback/" + wire.EscapeID(id)
	if index != "" {
		path += "?index=" + url.QueryEscape(index)
	}
	var answer wire.FeedbackCase
	if err := c.call(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return store.Case{}, err
	}
	return answer.Case(), nil
}
