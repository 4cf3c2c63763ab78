// Package tokens is the prediction head that labels every token, as for
// entities. Split, it is a linear layer over the hidden states: a safetensors
// file with weight [labels, width] and bias [labels]. Fused, without a file, it
// passes on the graph's logits [tokens, labels].
//
//	spec := models.HeadSpec{Kind: "tokens", File: "entities.safetensors",
//		Options: json.RawMessage(`{"labels": ["O", "B-PER", "I-PER"]}`)}
//	head, err := tokens.New(spec, bundle.ReadFile, width)
package tokens

import (
	"fmt"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/classification"
	"github.com/needle-search/needle/models/heads/weights"
)

// Options are the settings of the head in a manifest.
type Options struct {
	// Labels names the outputs in order; at least one.
	Labels []string `json:"labels"`
}

// New makes the head. Errors wrap models.ErrInvalidBundle.
func New(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error) {
	var options Options
	if err := weights.DecodeOptions(spec, &options); err != nil {
		return nil, err
	}
	if err := classification.CheckLabels(options.Labels); err != nil {
		return nil, fmt.Errorf("%w: options of the %s head: %w", models.ErrInvalidBundle, spec.Kind, err)
	}
	h := &head{labels: options.Labels}
	if spec.File != "" {
		var err error
		if h.linear, err = weights.LoadLinear(readFile, spec.File, len(options.Labels), width); err != nil {
			return nil, err
		}
	}
	return h, nil
}

type head struct {
	labels []string
	linear *weights.Linear // nil when the graph is fused
}

var _ models.TokenHead = (*head)(nil)

func (*head) Kind() string       { return models.HeadTokens }
func (h *head) Labels() []string { return append([]string(nil), h.labels...) }

func (h *head) Requires() []string {
	if h.linear == nil {
		return []string{models.OutputLogits}
	}
	return []string{models.OutputHidden}
}

func (h *head) Tag(outputs models.Outputs, e models.Encoding) (models.Tensor, error) {
	n := len(h.labels)
	if h.linear == nil {
		t, err := outputs.Get(models.OutputLogits, e.Len())
		if err == nil && len(t.Data) != e.Len()*n {
			err = fmt.Errorf("output %q has shape %v, want [%d, %d]", models.OutputLogits, t.Shape, e.Len(), n)
		}
		if err != nil {
			return models.Tensor{}, fmt.Errorf("tokens head: %w", err)
		}
		return t, nil
	}
	width := h.linear.Width
	hidden, err := weights.Hidden(outputs, e.Len(), width)
	if err != nil {
		return models.Tensor{}, fmt.Errorf("tokens head: %w", err)
	}
	t := models.Tensor{Shape: []int{e.Len(), n}, Data: make([]float32, 0, e.Len()*n)}
	for i := range e.Len() {
		for label := range n {
			t.Data = append(t.Data, h.linear.Apply(label, hidden[i*width:(i+1)*width]))
		}
	}
	return t, nil
}
