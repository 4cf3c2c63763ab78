package reader

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/needle-search/needle/models"
)

// tokenSpan is a span of one window: tokens [start, end], end inclusive.
type tokenSpan struct {
	start, end int
	logit      float32 // start logit + end logit
}

// compareSpans orders by falling logit; equal ones by start, then by end, so
// that the order never depends on how the spans were found.
func compareSpans(a, b tokenSpan) int {
	return cmp.Or(-cmp.Compare(a.logit, b.logit), cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
}

// bestSpans returns up to n non-overlapping valid spans of a window, best
// first: end not before start, both among the passage's tokens, at most
// maxTokens long.
func bestSpans(encoding models.Encoding, logits models.SpanLogits, maxTokens, n int) ([]tokenSpan, error) {
	if len(logits.Start) != encoding.Len() || len(logits.End) != encoding.Len() {
		return nil, fmt.Errorf("the span head gave %d start and %d end logits for %d tokens", len(logits.Start), len(logits.End), encoding.Len())
	}
	// One best end for every start is enough for non-overlapping spans: of two
	// spans with one start, both contain that start, so at most one is kept.
	spans := make([]tokenSpan, 0, encoding.Last-encoding.First)
	for i := encoding.First; i < encoding.Last; i++ {
		best := i
		for j := i + 1; j < min(i+maxTokens, encoding.Last); j++ {
			if logits.End[j] > logits.End[best] {
				best = j
			}
		}
		span := tokenSpan{start: i, end: best, logit: logits.Start[i] + logits.End[best]}
		if span.logit != span.logit {
			return nil, fmt.Errorf("the model gave logits that are not numbers")
		}
		spans = append(spans, span)
	}
	slices.SortFunc(spans, compareSpans)
	kept := spans[:0]
	for _, s := range spans {
		if len(kept) == n {
			break
		}
		if !slices.ContainsFunc(kept, func(k tokenSpan) bool { return s.start <= k.end && k.start <= s.end }) {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// nullLogit is the score of "no answer here": start and end on the first
// token, as in SQuAD 2.0 models (Devlin et al. 2019, section 4.3).
func nullLogit(logits models.SpanLogits) float32 { return logits.Start[0] + logits.End[0] }
