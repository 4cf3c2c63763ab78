package onnx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/classification"
	"github.com/needle-search/needle/models/heads/embedding"
	"github.com/needle-search/needle/models/heads/relevance"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/heads/tokens"
	"github.com/needle-search/needle/models/heads/weights"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/onnx"
)

// TestHeadsConform runs the suite for every kind of head, split and fused, on
// graphs that really run: alone, and in padded batches.
func TestHeadsConform(t *testing.T) {
	const width = modelstest.GraphWidth
	linear := func(rows int) []byte {
		data, err := weights.Write(map[string]models.Tensor{
			"weight": {Shape: []int{rows, width}, Data: modelstest.GraphValues(rows*width, 31)}, "bias": {Shape: []int{rows}, Data: modelstest.GraphValues(rows, 32)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	labels := json.RawMessage(`{"labels": ["a", "b", "c"]}`)
	mean := func(labels string) json.RawMessage { return json.RawMessage(`{"pooling": "mean"` + labels + `}`) }
	hidden, logits := []string{models.OutputHidden}, []string{models.OutputLogits}
	tests := []struct {
		name    string
		open    func(models.HeadSpec, func(string) ([]byte, error), int) (models.Head, error)
		spec    models.HeadSpec
		rows    int
		graph   modelstest.Graph
		outputs []string
	}{
		{"span, split", span.New, models.HeadSpec{Kind: models.HeadSpan, File: "f"}, 2, modelstest.Graph{}, hidden},
		{"span, fused", span.New, models.HeadSpec{Kind: models.HeadSpan}, 0, modelstest.Graph{Spans: true}, []string{models.OutputStartLogits, models.OutputEndLogits}},
		{"relevance, split, first token", relevance.New, models.HeadSpec{Kind: models.HeadRelevance, File: "f"}, 1, modelstest.Graph{}, hidden},
		{"relevance, split, mean", relevance.New, models.HeadSpec{Kind: models.HeadRelevance, File: "f", Options: mean("")}, 1, modelstest.Graph{}, hidden},
		{"relevance, fused", relevance.New, models.HeadSpec{Kind: models.HeadRelevance}, 0, modelstest.Graph{Labels: 1}, logits},
		{"embedding, mean", embedding.New, models.HeadSpec{Kind: models.HeadEmbedding}, 0, modelstest.Graph{}, hidden},
		{"embedding, first token, projected", embedding.New, models.HeadSpec{Kind: models.HeadEmbedding, File: "f", Options: json.RawMessage(`{"pooling": "cls"}`)}, 4, modelstest.Graph{}, hidden},
		{"classification, split", classification.New, models.HeadSpec{Kind: models.HeadClassification, File: "f", Options: mean(`, "labels": ["a", "b", "c"]`)}, 3, modelstest.Graph{}, hidden},
		{"classification, fused", classification.New, models.HeadSpec{Kind: models.HeadClassification, Options: labels}, 0, modelstest.Graph{Labels: 3}, logits},
		{"tokens, split", tokens.New, models.HeadSpec{Kind: models.HeadTokens, File: "f", Options: labels}, 3, modelstest.Graph{}, hidden},
		{"tokens, fused", tokens.New, models.HeadSpec{Kind: models.HeadTokens, Options: labels}, 0, modelstest.Graph{Labels: 3, PerToken: true}, logits},
	}
	for _, tt := range tests {
		for _, batchTokens := range []int{0, 1000} {
			t.Run(fmt.Sprintf("%s, batch tokens %d", tt.name, batchTokens), func(t *testing.T) {
				bundle, err := tinyBundle(tt.graph.File(), func(m *models.Manifest) { m.Outputs = tt.outputs })
				if err != nil {
					t.Fatal(err)
				}
				model := open(t, onnx.Config{BatchTokens: batchTokens}, bundle)
				defer model.Close()
				head, err := tt.open(tt.spec, func(string) ([]byte, error) { return linear(tt.rows), nil }, model.Info().Width)
				if err != nil {
					t.Fatal(err)
				}
				modelstest.TestHead(t, head, model)
			})
		}
	}
}

// TestDamagedGraphs: a graph with wrong bytes somewhere is refused with its
// name or runs; the process lives on either way.
func TestDamagedGraphs(t *testing.T) {
	good := modelstest.Graph{Words: 60, Spans: true, Labels: 2}.File()
	state := uint32(7)
	next := func(n int) int {
		state = state*1664525 + 1013904223
		return int(state>>8) % n
	}
	refused := 0
	const tries = 400
	for range tries {
		data := append([]byte(nil), good...)
		for range 1 + next(4) {
			at := next(len(data))
			switch next(4) {
			case 0:
				data[at] ^= 1 << next(8)
			case 1:
				data[at] = byte(next(256))
			case 2:
				data = append(data[:at], data[min(at+1+next(8), len(data)):]...)
			default:
				data = data[:len(data)-next(min(len(data)/4, 64)+1)]
			}
		}
		bundle, err := tinyBundle(data, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := onnx.Open(t.Context(), onnx.Config{LibraryPath: library(t), VocabularySize: 60}, bundle)
		if err == nil {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		refused++
		if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "tiny.onnx") {
			t.Fatalf("got %v, want ErrInvalidBundle that names tiny.onnx", err)
		}
	}
	if refused < tries/4 {
		t.Errorf("%d of %d damaged graphs were refused", refused, tries)
	}
}
