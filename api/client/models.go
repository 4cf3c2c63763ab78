package client

import (
	"context"
	"net/http"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

var (
	_ pipeline.ModelManager = (*Client)(nil)
	_ pipeline.Predictor    = (*Client)(nil)
)

// Models describes the models that the server uses.
func (c *Client) Models(ctx context.Context) ([]pipeline.ModelStatus, error) {
	var answer wire.Models
	err := c.call(ctx, http.MethodGet, "/v1/models", nil, &answer)
	return answer.Models, err
}

// UseModel exchanges the model that reads; directories are those of the
// server's machine.
func (c *Client) UseModel(ctx context.Context, use pipeline.ModelUse) (*pipeline.ModelSwap, error) {
	var swap pipeline.ModelSwap
	if err := c.call(ctx, http.MethodPut, "/v1/models/reader", use, &swap); err != nil {
		return nil, err
	}
	return &swap, nil
}

// Predict runs texts through a head of the reader's bundle or of a named model.
func (c *Client) Predict(ctx context.Context, request pipeline.PredictRequest) (*pipeline.PredictResult, error) {
	var result pipeline.PredictResult
	if err := c.call(ctx, http.MethodPost, "/v1/predict", request, &result); err != nil {
		return nil, err
	}
	return &result, nil
}
