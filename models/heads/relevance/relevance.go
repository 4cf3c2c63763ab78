// Package relevance is the prediction head of a cross-encoder: one logit that
// says whether a passage answers a question. Its layers are those of a
// classification head with a single output; see package classification for the
// tensors of the split form. Fused, it passes on the graph's logits [1].
//
//	head, err := relevance.New(spec, bundle.ReadFile, width)
package relevance

import (
	"fmt"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/classification"
	"github.com/needle-search/needle/models/heads/weights"
)

// Options are the settings of the head in a manifest.
type Options struct {
	// Pooling of a split head: cls (the default), mean or pooled.
	Pooling weights.Pooling `json:"pooling"`
}

// New makes the head. Errors wrap models.ErrInvalidBundle.
func New(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error) {
	var options Options
	if err := weights.DecodeOptions(spec, &options); err != nil {
		return nil, err
	}
	layers, err := classification.NewLayers(spec, readFile, options.Pooling, 1, width)
	if err != nil {
		return nil, err
	}
	return &head{layers}, nil
}

type head struct{ layers *classification.Layers }

var _ models.RelevanceHead = (*head)(nil)

func (*head) Kind() string         { return models.HeadRelevance }
func (h *head) Requires() []string { return h.layers.Requires() }

func (h *head) Relevance(outputs models.Outputs, e models.Encoding) (float32, error) {
	logits, err := h.layers.Logits(outputs, e)
	if err != nil {
		return 0, fmt.Errorf("relevance head: %w", err)
	}
	return logits[0], nil
}
