package heads_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/classification"
	"github.com/needle-search/needle/models/heads/embedding"
	"github.com/needle-search/needle/models/heads/relevance"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/heads/tokens"
)

type constructor func(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error)

const width = 3

var (
	encoding = models.Encoding{IDs: make([]int32, 2), TypeIDs: make([]int32, 2), Sequences: make([]int8, 2), Offsets: make([]models.Offset, 2)}
	hidden   = models.Tensor{Shape: []int{2, width}, Data: []float32{1, 2, 3, -1, 0, 2}}
)

type tensor struct {
	name   string
	shape  []int
	values []float32
}

func weightFile(tensors ...tensor) []byte {
	header := map[string]any{}
	var body []byte
	for _, t := range tensors {
		from := len(body)
		for _, v := range t.values {
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
		}
		header[t.name] = map[string]any{"dtype": "F32", "shape": t.shape, "data_offsets": []int{from, len(body)}}
	}
	text, _ := json.Marshal(header)
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, body)
}

func linear(rows int) []byte {
	w, b := tensor{"weight", []int{rows, width}, nil}, tensor{"bias", []int{rows}, nil}
	for i := range rows * width {
		w.values = append(w.values, float32(i+1))
	}
	for i := range rows {
		b.values = append(b.values, float32(i)/2)
	}
	return weightFile(w, b)
}

// predict calls whatever the head predicts with.
func predict(head models.Head, outputs models.Outputs) ([]float32, error) {
	switch h := head.(type) {
	case models.SpanHead:
		l, err := h.Spans(outputs, encoding)
		return slices.Concat(l.Start, l.End), err
	case models.RelevanceHead:
		r, err := h.Relevance(outputs, encoding)
		return []float32{r}, err
	case models.EmbeddingHead:
		v, err := h.Embed(outputs, encoding)
		if err == nil && len(v) != h.Dimensions() {
			err = fmt.Errorf("vector has %d dimensions, the head says %d", len(v), h.Dimensions())
		}
		return v, err
	case models.LabelHead:
		l, err := h.Classify(outputs, encoding)
		if err == nil && len(l) != len(h.Labels()) {
			err = fmt.Errorf("%d logits for %d labels", len(l), len(h.Labels()))
		}
		return l, err
	case models.TokenHead:
		t, err := h.Tag(outputs, encoding)
		if rows, n := t.Rows(); err == nil && (rows != encoding.Len() || n != len(h.Labels())) {
			err = fmt.Errorf("logits have shape %v", t.Shape)
		}
		return t.Data, err
	}
	return nil, fmt.Errorf("head of type %T predicts nothing", head)
}

// TestHeads checks all heads by one table: split and fused forms of the same
// weights predict the same.
func TestHeads(t *testing.T) {
	tanh := func(x float64) float32 { return float32(math.Tanh(x)) }
	split := models.Outputs{models.OutputHidden: hidden}
	tests := []struct {
		name    string
		make    constructor
		spec    models.HeadSpec
		file    []byte
		outputs models.Outputs
		want    []float32
	}{
		{"span split", span.New, models.HeadSpec{Kind: models.HeadSpan, File: "f"}, linear(2), split,
			[]float32{14, 5, 32.5, 8.5}},
		{"span fused", span.New, models.HeadSpec{Kind: models.HeadSpan}, nil,
			models.Outputs{models.OutputStartLogits: {Shape: []int{2}, Data: []float32{14, 5}}, models.OutputEndLogits: {Shape: []int{2}, Data: []float32{32.5, 8.5}}},
			[]float32{14, 5, 32.5, 8.5}},
		{"relevance of the first token", relevance.New, models.HeadSpec{Kind: models.HeadRelevance, File: "f"}, linear(1), split,
			[]float32{14}},
		{"relevance of the mean", relevance.New, models.HeadSpec{Kind: models.HeadRelevance, File: "f", Options: json.RawMessage(`{"pooling":"mean"}`)}, linear(1), split,
			[]float32{9.5}},
		{"relevance fused", relevance.New, models.HeadSpec{Kind: models.HeadRelevance}, nil,
			models.Outputs{models.OutputLogits: {Shape: []int{1}, Data: []float32{2.5}}},
			[]float32{2.5}},
		{"relevance with a dense layer", relevance.New, models.HeadSpec{Kind: models.HeadRelevance, File: "f"},
			weightFile(
				tensor{"dense.weight", []int{3, 3}, []float32{.1, 0, 0, 0, .1, 0, 0, 0, .1}}, tensor{"dense.bias", []int{3}, []float32{0, 0, .2}},
				tensor{"weight", []int{1, 3}, []float32{1, 1, 1}}, tensor{"bias", []int{1}, []float32{0}}),
			split, []float32{tanh(.1) + tanh(.2) + tanh(.5)}},
		{"embedding", embedding.New, models.HeadSpec{Kind: models.HeadEmbedding}, nil, split,
			[]float32{0, 1 / float32(math.Sqrt(7.25)), 2.5 / float32(math.Sqrt(7.25))}},
		{"embedding of the first token", embedding.New, models.HeadSpec{Kind: models.HeadEmbedding, Options: json.RawMessage(`{"pooling":"cls"}`)}, nil, split,
			[]float32{1 / float32(math.Sqrt(14)), 2 / float32(math.Sqrt(14)), 3 / float32(math.Sqrt(14))}},
		{"embedding projected", embedding.New, models.HeadSpec{Kind: models.HeadEmbedding, File: "f"}, weightFile(
			tensor{"weight", []int{2, 3}, []float32{0, 3, 0, 0, 0, 1.6}}, tensor{"bias", []int{2}, []float32{0, 0}}), split,
			[]float32{.6, .8}},
		{"embedding pooled by the graph", embedding.New, models.HeadSpec{Kind: models.HeadEmbedding, Options: json.RawMessage(`{"pooling":"pooled"}`)}, nil,
			models.Outputs{models.OutputPooled: {Shape: []int{3}, Data: []float32{3, 0, 4}}}, []float32{.6, 0, .8}},
		{"classification split", classification.New, models.HeadSpec{Kind: models.HeadClassification, File: "f", Options: json.RawMessage(`{"labels":["a","b"]}`)}, linear(2), split,
			[]float32{14, 32.5}},
		{"classification fused", classification.New, models.HeadSpec{Kind: models.HeadClassification, Options: json.RawMessage(`{"labels":["a","b"]}`)}, nil,
			models.Outputs{models.OutputLogits: {Shape: []int{2}, Data: []float32{14, 32.5}}}, []float32{14, 32.5}},
		{"tokens split", tokens.New, models.HeadSpec{Kind: models.HeadTokens, File: "f", Options: json.RawMessage(`{"labels":["O","B"]}`)}, linear(2), split,
			[]float32{14, 32.5, 5, 8.5}},
		{"tokens fused", tokens.New, models.HeadSpec{Kind: models.HeadTokens, Options: json.RawMessage(`{"labels":["O","B"]}`)}, nil,
			models.Outputs{models.OutputLogits: {Shape: []int{2, 2}, Data: []float32{14, 32.5, 5, 8.5}}}, []float32{14, 32.5, 5, 8.5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head, err := tt.make(tt.spec, func(string) ([]byte, error) { return tt.file, nil }, width)
			if err != nil {
				t.Fatal(err)
			}
			if head.Kind() != tt.spec.Kind {
				t.Errorf("kind: got %q, want %q", head.Kind(), tt.spec.Kind)
			}
			got, err := predict(head, tt.outputs)
			if err != nil {
				t.Fatal(err)
			}
			near := func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }
			if !slices.EqualFunc(got, tt.want, near) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			var names []string
			for name := range tt.outputs {
				names = append(names, name)
			}
			slices.Sort(names)
			required := slices.Sorted(slices.Values(head.Requires()))
			if !slices.Equal(required, names) {
				t.Errorf("requires %q, but reads %q", required, names)
			}
			if _, err := predict(head, models.Outputs{}); !errors.Is(err, models.ErrMissingOutput) {
				t.Errorf("without outputs: got error %v, want ErrMissingOutput", err)
			}
			wrong := models.Outputs{}
			for name := range tt.outputs {
				wrong[name] = models.Tensor{Shape: []int{7}, Data: make([]float32, 7)}
			}
			if _, err := predict(head, wrong); err == nil {
				t.Error("outputs of another shape: got no error")
			}
		})
	}
}

func TestHeadsRefuse(t *testing.T) {
	tests := []struct {
		name string
		make constructor
		spec models.HeadSpec
		file []byte
		want string
	}{
		{"span with options", span.New, models.HeadSpec{Kind: "span", Options: json.RawMessage(`{"x":1}`)}, nil, `options of the span head: json: unknown field "x"`},
		{"span of another width", span.New, models.HeadSpec{Kind: "span", File: "span.safetensors"}, weightFile(tensor{"weight", []int{2, 1}, []float32{1, 2}}, tensor{"bias", []int{2}, []float32{1, 2}}), "span.safetensors: tensor \"weight\" has shape [2 1], want [2 3]"},
		{"relevance pooling", relevance.New, models.HeadSpec{Kind: "relevance", File: "f", Options: json.RawMessage(`{"pooling":"max"}`)}, linear(1), `pooling is "max"; allowed are cls, mean, pooled`},
		{"relevance pooling without a file", relevance.New, models.HeadSpec{Kind: "relevance", Options: json.RawMessage(`{"pooling":"mean"}`)}, nil, `pooling is "mean", but the head has no file`},
		{"relevance with half a dense layer", relevance.New, models.HeadSpec{Kind: "relevance", File: "f"},
			weightFile(tensor{"dense.bias", []int{1}, []float32{1}}, tensor{"weight", []int{1, 3}, []float32{1, 2, 3}}, tensor{"bias", []int{1}, []float32{1}}), `tensor "dense.weight" is missing`},
		{"embedding pooling", embedding.New, models.HeadSpec{Kind: "embedding", Options: json.RawMessage(`{"pooling":""}`)}, nil, `pooling is ""; allowed are cls, mean, pooled`},
		{"classification without labels", classification.New, models.HeadSpec{Kind: "classification", File: "f"}, linear(1), "labels is empty"},
		{"classification with equal labels", classification.New, models.HeadSpec{Kind: "classification", Options: json.RawMessage(`{"labels":["a","a"]}`)}, nil, `label "a" is empty or occurs twice`},
		{"tokens with too few labels", tokens.New, models.HeadSpec{Kind: "tokens", File: "f", Options: json.RawMessage(`{"labels":["a"]}`)}, linear(2), `tensor "weight" has shape [2 3], want [1 3]`},
		{"two option objects", tokens.New, models.HeadSpec{Kind: "tokens", Options: json.RawMessage(`{"labels":["a"]} {}`)}, nil, "something follows the object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.make(tt.spec, func(string) ([]byte, error) { return tt.file, nil }, width)
			if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want ErrInvalidBundle with %s", err, tt.want)
			}
		})
	}
	missing := errors.New("missing")
	if _, err := span.New(models.HeadSpec{Kind: "span", File: "f"}, func(string) ([]byte, error) { return nil, missing }, width); !errors.Is(err, missing) {
		t.Errorf("missing file: got error %v, want %v", err, missing)
	}
}
