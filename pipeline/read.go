package pipeline

import (
	"context"

	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// ReadPassages reads the given passages without retrieval and returns the raw
// spans: the reader alone, for evaluation and benchmarks. The errors are those
// of [Pipeline.Ask].
func (p *Pipeline) ReadPassages(ctx context.Context, question string, passages []retriever.Passage) (reader.Reading, error) {
	if err := checkText(question); err != nil {
		return reader.Reading{}, err
	}
	if p.model == nil {
		return reader.Reading{}, ErrNoReader
	}
	return p.model.reader.Read(ctx, question, passages, reader.Options{})
}

// NoAnswerProbability returns what the score profile makes of the greatest
// margin of a reading without retrieval.
func (p *Pipeline) NoAnswerProbability(margin float64) float64 {
	return p.model.profile.NoAnswer.probability(p.model.profile.fused(margin, 1), 0)
}

// NoAnswerThreshold is the no-answer probability from which on a question
// counts as not answerable.
func (p *Pipeline) NoAnswerThreshold() float64 { return p.model.profile.NoAnswerThreshold }
