package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/needle-search/needle/models"
)

// A BundleCheck is one thing that was looked at in a bundle.
type BundleCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// The texts of the prediction that every head makes once.
const (
	smokeQuestion = "Who designed the tower?"
	smokePassage  = "The Eiffel Tower, which Gustave Eiffel's company designed, was built from 1887 to 1889 for the World's Fair in Paris."
)

// CheckHead opens a head of a bundle, predicts once and says in words what it
// gives, after making sure that these are numbers. Errors of heads that do not
// fit wrap models.ErrInvalidBundle.
func (r *Registry) CheckHead(ctx context.Context, bundle *models.Bundle, kind string, tokenizer models.Tokenizer, model models.Inferencer) (string, error) {
	head, err := r.OpenHead(bundle, kind, model.Info())
	if err != nil {
		return "", err
	}
	question, passage := tokenizer.Tokenize(smokeQuestion), tokenizer.Tokenize(smokePassage)
	encodings, err := tokenizer.Pair(question, passage, model.Info().MaxLength, 0)
	if err != nil {
		return "", err
	}
	outputs, err := model.Run(ctx, encodings[:1])
	if err != nil {
		return "", err
	}
	detail, err := predict(head, outputs[0], encodings[0])
	if err != nil {
		return "", fmt.Errorf("%w: head %s of %q: %w", models.ErrInvalidBundle, kind, bundle.Manifest.Name, err)
	}
	return detail, nil
}

// predict says in words what a head gives, after checking that it is numbers.
func predict(head models.Head, outputs models.Outputs, e models.Encoding) (string, error) {
	var values []float32
	var detail string
	var err error
	switch h := head.(type) {
	case models.SpanHead:
		var logits models.SpanLogits
		logits, err = h.Spans(outputs, e)
		values, detail = slices.Concat(logits.Start, logits.End), fmt.Sprintf("start and end of %d tokens", e.Len())
	case models.RelevanceHead:
		var logit float32
		logit, err = h.Relevance(outputs, e)
		values, detail = []float32{logit}, fmt.Sprintf("relevance %.3f", logit)
	case models.EmbeddingHead:
		values, err = h.Embed(outputs, e)
		detail = fmt.Sprintf("a vector of %d dimensions", len(values))
		if err == nil && len(values) != h.Dimensions() {
			err = fmt.Errorf("it gives %d dimensions and promises %d", len(values), h.Dimensions())
		}
	case models.LabelHead:
		values, err = h.Classify(outputs, e)
		detail = fmt.Sprintf("%d labels", len(values))
		if err == nil && len(values) != len(h.Labels()) {
			err = fmt.Errorf("it gives %d logits for %d labels", len(values), len(h.Labels()))
		}
	case models.TokenHead:
		var tags models.Tensor
		tags, err = h.Tag(outputs, e)
		values, detail = tags.Data, fmt.Sprintf("%d labels for %d tokens", len(h.Labels()), e.Len())
		if err == nil && len(tags.Data) != e.Len()*len(h.Labels()) {
			err = fmt.Errorf("it gives %d logits for %d tokens and %d labels", len(tags.Data), e.Len(), len(h.Labels()))
		}
	default:
		return "it opens; what this kind predicts is not known here", nil
	}
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return "", fmt.Errorf("it gives %v, which is no number", v)
		}
	}
	return detail + ", all finite", nil
}
