package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

var (
	_ pipeline.ModelManager = (*fakeService)(nil)
	_ pipeline.Predictor    = (*fakeService)(nil)
)

func fakeModel(bundle string) pipeline.ModelStatus {
	return pipeline.ModelStatus{
		Role: pipeline.RoleReader, Bundle: bundle, Configured: "builtin", Chosen: bundle != "builtin",
		Model: pipeline.ModelRef{Name: bundle, Hash: "00ff", Precision: "int8"}, Device: "cpu", Runtime: "fake", MaxLength: 512,
		Heads: []string{models.HeadSpan}, Languages: []string{"en"}, License: "Apache-2.0", Calibrated: true, Since: time.Unix(1700000000, 0).UTC(),
	}
}

func (f *fakeService) Models(ctx context.Context) ([]pipeline.ModelStatus, error) {
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	return []pipeline.ModelStatus{fakeModel("builtin"), fakeNamed()}, nil
}

func fakeNamed() pipeline.ModelStatus {
	s := fakeModel("./topics")
	s.Role, s.Name, s.Configured, s.Chosen, s.Heads, s.Calibrated = pipeline.RolePredict, "topics", s.Bundle, false, []string{models.HeadClassification}, false
	return s
}

func (f *fakeService) UseModel(ctx context.Context, use pipeline.ModelUse) (*pipeline.ModelSwap, error) {
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	if use.Bundle == "broken" {
		return nil, fmt.Errorf("%w: %w: model.onnx is cut off", pipeline.ErrModelRefused, models.ErrInvalidBundle)
	}
	return &pipeline.ModelSwap{
		Previous: fakeModel("builtin"), Current: fakeModel(use.Bundle), Checks: []pipeline.BundleCheck{{Name: "files", OK: true, Detail: "fit"}},
		MaxLoss: use.MaxLoss, Warnings: []string{}, TimingsMS: map[string]float64{"verify": 1},
	}, nil
}

func (f *fakeService) Predict(ctx context.Context, request pipeline.PredictRequest) (*pipeline.PredictResult, error) {
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	result := &pipeline.PredictResult{Head: request.Head, Model: pipeline.ModelRef{Name: "fake" + request.Model, Hash: "00ff"}, Warnings: []string{}, TimingsMS: map[string]float64{"total": 1}}
	for _, text := range request.Texts {
		result.Predictions = append(result.Predictions, pipeline.Prediction{
			Embedding: []float32{0.6, 0.8},
			Labels:    []pipeline.LabelScore{{Label: "travel", Probability: 0.75}, {Label: "leave", Probability: 0.25}},
			Tokens:    []pipeline.TokenLabel{{Start: 0, End: 1, Text: text[:1], Label: "O", Probability: 0.9}},
		})
	}
	return result, nil
}

// TestModelRoutes: the client gives what the service gave, and every body fits
// the contract.
func TestModelRoutes(t *testing.T) {
	h := newHarness(t, api.Config{})
	server := httptest.NewServer(h.handler)
	defer server.Close()
	c, err := client.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Models(t.Context())
	if diff := cmp.Diff([]pipeline.ModelStatus{fakeModel("builtin"), fakeNamed()}, status); diff != "" || err != nil {
		t.Errorf("models: %v\n%s", err, diff)
	}
	use := pipeline.ModelUse{Bundle: "other", MaxLoss: 0.02, Questions: []pipeline.BoundQuestion{{Question: "Who?", Context: "Ada.", Answers: []string{"Ada"}}}}
	want, _ := h.service.UseModel(t.Context(), use)
	swap, err := c.UseModel(t.Context(), use)
	if diff := cmp.Diff(want, swap); diff != "" || err != nil {
		t.Errorf("swap: %v\n%s", err, diff)
	}
	if _, err := c.UseModel(t.Context(), pipeline.ModelUse{Bundle: "broken"}); !errors.Is(err, pipeline.ErrModelRefused) {
		t.Errorf("broken: %v, want ErrModelRefused", err)
	}
	request := pipeline.PredictRequest{Model: "topics", Head: models.HeadClassification, Texts: []string{"abc"}}
	wantResult, _ := h.service.Predict(t.Context(), request)
	result, err := c.Predict(t.Context(), request)
	if diff := cmp.Diff(wantResult, result); diff != "" || err != nil {
		t.Errorf("predict: %v\n%s", err, diff)
	}
	for _, request := range []struct{ method, path, body string }{
		{"GET", "/v1/models", ""},
		{"PUT", "/v1/models/reader", `{"bundle":"other","questions":[{"question":"Who?","context":"Ada.","answers":["Ada"]}],"max_loss":0.1}`},
		{"PUT", "/v1/models/reader", `{"bundle":"broken"}`},
		{"POST", "/v1/predict", `{"head":"tokens","texts":["x"]}`},
		{"POST", "/v1/predict", `{"model":"topics","head":"classification","texts":["x"]}`},
	} {
		h.do(request.method, request.path, request.body)
	}
}
