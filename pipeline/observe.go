package pipeline

import (
	"context"
	"slices"

	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// Observe asks a question twice for [FitProfile]: as it is, and with the
// document that holds its answer hidden. The function correct judges an answer
// in the first case; in the second none counts as correct, since what the same
// words elsewhere are worth is not known.
func (p *Pipeline) Observe(ctx context.Context, question, goldDocument string, correct func(documentID, text string) bool) (with, without Observation, err error) {
	m, release, err := p.slot.lease()
	if err != nil {
		return with, without, err
	}
	defer release()
	n := p.config.Ranker.TopK
	// A few more, so that hiding passages still leaves the usual number.
	found, err := p.retrieve(ctx, retrieval{text: question, topK: n + 8, access: FullAccess()})
	if err != nil {
		return with, without, err
	}
	defer found.release()
	with.Answered = true
	if with.Spans, err = p.observe(ctx, m, question, found.Hits[:min(n, len(found.Hits))], correct); err != nil {
		return with, without, err
	}
	hidden := slices.DeleteFunc(slices.Clone(found.Hits), func(h retriever.Hit) bool { return h.DocumentID == goldDocument })
	without.Spans, err = p.observe(ctx, m, question, hidden[:min(n, len(hidden))], func(string, string) bool { return false })
	return with, without, err
}

func (p *Pipeline) observe(ctx context.Context, m *loadedModel, question string, hits []retriever.Hit, correct func(documentID, text string) bool) ([]ObservedSpan, error) {
	passages := make([]retriever.Passage, len(hits))
	best := 0.0
	for i, h := range hits {
		passages[i] = h.Passage
		best = max(best, h.Scores.BM25)
	}
	reading, err := m.reader.Read(ctx, question, passages, reader.Options{})
	if err != nil {
		return nil, err
	}
	spans := make([]ObservedSpan, len(reading.Spans))
	for i, s := range reading.Spans {
		h := hits[s.Candidate]
		spans[i] = ObservedSpan{Margin: s.Margin(), BM25: relative(h.Scores.BM25, best), Correct: correct(h.DocumentID, s.Text)}
	}
	return spans, nil
}
