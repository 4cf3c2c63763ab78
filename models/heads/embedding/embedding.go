// Package embedding is the prediction head that gives a text a place in a
// vector space: pooled hidden states, projected if there is a file with weight
// [dimensions, width] and bias [dimensions], and scaled to length 1.
//
//	head, err := embedding.New(models.HeadSpec{Kind: "embedding"}, bundle.ReadFile, width)
package embedding

import (
	"fmt"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
)

// Options are the settings of the head in a manifest.
type Options struct {
	// Pooling is mean (the default), cls or pooled.
	Pooling weights.Pooling `json:"pooling"`
}

// New makes the head. Errors wrap models.ErrInvalidBundle.
func New(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error) {
	options := Options{Pooling: weights.PoolMean}
	if err := weights.DecodeOptions(spec, &options); err != nil {
		return nil, err
	}
	if err := options.Pooling.Validate(); err != nil {
		return nil, fmt.Errorf("%w: options of the %s head: %w", models.ErrInvalidBundle, spec.Kind, err)
	}
	if width < 1 {
		return nil, fmt.Errorf("%w: the embedding head needs hidden states; the graph gives none", models.ErrInvalidBundle)
	}
	h := &head{pooling: options.Pooling, width: width}
	if spec.File != "" {
		var err error
		if h.projection, err = weights.LoadLinear(readFile, spec.File, -1, width); err != nil {
			return nil, err
		}
		if h.projection.Rows == 0 {
			return nil, weights.Invalid(spec.File, fmt.Errorf("the projection has no rows"))
		}
	}
	return h, nil
}

type head struct {
	pooling    weights.Pooling
	width      int
	projection *weights.Linear // nil when there is none
}

var _ models.EmbeddingHead = (*head)(nil)

func (*head) Kind() string         { return models.HeadEmbedding }
func (h *head) Requires() []string { return []string{h.pooling.Requires()} }

func (h *head) Dimensions() int {
	if h.projection != nil {
		return h.projection.Rows
	}
	return h.width
}

func (h *head) Embed(outputs models.Outputs, e models.Encoding) ([]float32, error) {
	x, err := h.pooling.Pool(outputs, e.Len(), h.width)
	if err != nil {
		return nil, fmt.Errorf("embedding head: %w", err)
	}
	if h.projection != nil {
		x = h.projection.ApplyAll(x)
	}
	return weights.Normalize(x), nil
}
