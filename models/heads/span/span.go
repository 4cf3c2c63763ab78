// Package span is the prediction head that marks where an answer starts and
// ends. Split, it is a linear layer over the hidden states: a safetensors file
// with weight [2, width] and bias [2], row 0 for the start, row 1 for the end.
// Fused, without a file, it passes on the graph's start_logits and end_logits.
//
//	head, err := span.New(spec, bundle.ReadFile, model.Info().Width)
package span

import (
	"fmt"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
)

// New makes the head. It has no options. Errors wrap models.ErrInvalidBundle.
func New(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error) {
	if err := weights.DecodeOptions(spec, &struct{}{}); err != nil {
		return nil, err
	}
	if spec.File == "" {
		return fused{}, nil
	}
	linear, err := weights.LoadLinear(readFile, spec.File, 2, width)
	if err != nil {
		return nil, err
	}
	return &split{linear}, nil
}

type split struct{ linear *weights.Linear }

var _ models.SpanHead = (*split)(nil)

func (*split) Kind() string       { return models.HeadSpan }
func (*split) Requires() []string { return []string{models.OutputHidden} }

func (h *split) Spans(outputs models.Outputs, e models.Encoding) (models.SpanLogits, error) {
	width := h.linear.Width
	hidden, err := weights.Hidden(outputs, e.Len(), width)
	if err != nil {
		return models.SpanLogits{}, fmt.Errorf("span head: %w", err)
	}
	logits := models.SpanLogits{Start: make([]float32, e.Len()), End: make([]float32, e.Len())}
	for i := range logits.Start {
		row := hidden[i*width : (i+1)*width]
		logits.Start[i] = h.linear.Apply(0, row)
		logits.End[i] = h.linear.Apply(1, row)
	}
	return logits, nil
}

type fused struct{}

var _ models.SpanHead = fused{}

func (fused) Kind() string { return models.HeadSpan }
func (fused) Requires() []string {
	return []string{models.OutputStartLogits, models.OutputEndLogits}
}

func (fused) Spans(outputs models.Outputs, e models.Encoding) (models.SpanLogits, error) {
	var logits models.SpanLogits
	for name, target := range map[string]*[]float32{
		models.OutputStartLogits: &logits.Start,
		models.OutputEndLogits:   &logits.End,
	} {
		t, err := outputs.Get(name, e.Len())
		if err != nil {
			return models.SpanLogits{}, fmt.Errorf("span head: %w", err)
		}
		if len(t.Data) != e.Len() {
			return models.SpanLogits{}, fmt.Errorf("span head: output %q has shape %v, want [%d]", name, t.Shape, e.Len())
		}
		*target = t.Data
	}
	return logits, nil
}
