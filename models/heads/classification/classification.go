// Package classification is the prediction head that labels a whole text.
// Split, it pools the hidden states and applies, from a safetensors file, first
// (if the file has it) the layer dense.weight [width, width] and dense.bias
// with tanh, as BERT's pooler does, then weight [labels, width] and bias.
// Fused, without a file, it passes on the graph's logits [labels].
//
//	spec := models.HeadSpec{Kind: "classification", File: "topic.safetensors",
//		Options: json.RawMessage(`{"labels": ["leave", "travel"], "pooling": "mean"}`)}
//	head, err := classification.New(spec, bundle.ReadFile, width)
package classification

import (
	"errors"
	"fmt"
	"math"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
)

// Options are the settings of the head in a manifest.
type Options struct {
	// Labels names the outputs in order; at least one.
	Labels []string `json:"labels"`
	// Pooling of a split head: cls (the default), mean or pooled.
	Pooling weights.Pooling `json:"pooling"`
}

// New makes the head. Errors wrap models.ErrInvalidBundle.
func New(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error) {
	var options Options
	if err := weights.DecodeOptions(spec, &options); err != nil {
		return nil, err
	}
	if err := CheckLabels(options.Labels); err != nil {
		return nil, fmt.Errorf("%w: options of the %s head: %w", models.ErrInvalidBundle, spec.Kind, err)
	}
	layers, err := NewLayers(spec, readFile, options.Pooling, len(options.Labels), width)
	if err != nil {
		return nil, err
	}
	return &head{labels: options.Labels, layers: layers}, nil
}

// CheckLabels refuses an empty list and labels that are empty or occur twice.
func CheckLabels(labels []string) error {
	if len(labels) == 0 {
		return errors.New("labels is empty; one label for each output is needed")
	}
	seen := map[string]bool{}
	for _, l := range labels {
		if l == "" || seen[l] {
			return fmt.Errorf("label %q is empty or occurs twice", l)
		}
		seen[l] = true
	}
	return nil
}

type head struct {
	labels []string
	layers *Layers
}

var _ models.LabelHead = (*head)(nil)

func (*head) Kind() string         { return models.HeadClassification }
func (h *head) Requires() []string { return h.layers.Requires() }
func (h *head) Labels() []string   { return append([]string(nil), h.labels...) }

func (h *head) Classify(outputs models.Outputs, e models.Encoding) ([]float32, error) {
	logits, err := h.layers.Logits(outputs, e)
	if err != nil {
		return nil, fmt.Errorf("classification head: %w", err)
	}
	return logits, nil
}

// Layers give a text one logit a label; the relevance head uses them too.
type Layers struct {
	labels  int
	pooling weights.Pooling
	dense   *weights.Linear // nil when there is none
	output  *weights.Linear // nil when the graph is fused
}

// NewLayers reads the layers of a head whose pooling is cls unless it says
// otherwise.
func NewLayers(spec models.HeadSpec, readFile func(name string) ([]byte, error), pooling weights.Pooling, labels, width int) (*Layers, error) {
	if spec.File == "" {
		if pooling != "" {
			return nil, fmt.Errorf("%w: options of the %s head: pooling is %q, but the head has no file: the graph pools itself", models.ErrInvalidBundle, spec.Kind, pooling)
		}
		return &Layers{labels: labels}, nil
	}
	if pooling == "" {
		pooling = weights.PoolCLS
	}
	if err := pooling.Validate(); err != nil {
		return nil, fmt.Errorf("%w: options of the %s head: %w", models.ErrInvalidBundle, spec.Kind, err)
	}
	tensors, err := weights.LoadFile(readFile, spec.File, "dense.weight", "dense.bias", "weight", "bias")
	if err != nil {
		return nil, err
	}
	l := &Layers{labels: labels, pooling: pooling}
	if _, ok := tensors["dense.weight"]; ok || len(tensors) > 2 {
		if l.dense, err = weights.NewLinear(tensors, "dense.", width, width); err != nil {
			return nil, weights.Invalid(spec.File, err)
		}
	}
	if l.output, err = weights.NewLinear(tensors, "", labels, width); err != nil {
		return nil, weights.Invalid(spec.File, err)
	}
	return l, nil
}

// Requires returns the output that the layers read.
func (l *Layers) Requires() []string {
	if l.output == nil {
		return []string{models.OutputLogits}
	}
	return []string{l.pooling.Requires()}
}

// Logits returns one logit a label.
func (l *Layers) Logits(outputs models.Outputs, e models.Encoding) ([]float32, error) {
	if l.output == nil {
		t, err := outputs.Get(models.OutputLogits, l.labels)
		if err == nil && len(t.Data) != l.labels {
			err = fmt.Errorf("output %q has shape %v, want [%d]", models.OutputLogits, t.Shape, l.labels)
		}
		return t.Data, err
	}
	x, err := l.pooling.Pool(outputs, e.Len(), l.output.Width)
	if err != nil {
		return nil, err
	}
	if l.dense != nil {
		x = l.dense.ApplyAll(x)
		for i, v := range x {
			x[i] = float32(math.Tanh(float64(v)))
		}
	}
	return l.output.ApplyAll(x), nil
}
