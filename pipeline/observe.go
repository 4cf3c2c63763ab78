package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// observeExtra is how many candidates more are looked at than are read, so that
// hiding some still leaves the usual number.
const observeExtra = 8

// Observe asks a question twice for [FitProfile]: as it is, and with the
// document that holds its answer hidden. Candidates are ordered with the given
// shares of the rankers' own scores. The function correct judges an answer
// in the first case; in the second none counts as correct, since what the same
// words elsewhere are worth is not known. It fails with ErrNoVectors if the
// configured ranker needs vectors that are not there.
func (p *Pipeline) Observe(ctx context.Context, question, goldDocument string, shares Profile, correct func(documentID, text string) bool) (with, without Observation, err error) {
	m, release, err := p.slot.lease()
	if err != nil {
		return with, without, err
	}
	defer release()
	ctx = infer.WithPriority(ctx, infer.Bulk)
	ranked, err := p.observeRanking(ctx, question, shares.VectorShare)
	if err != nil {
		return with, without, err
	}
	n := p.config.Ranker.Reads(ranked.used)
	depth := n
	if ranked.used.has(RankerRelevance) {
		depth = max(n, p.config.Ranker.Depth)
	}
	hits := ranked.hits[:min(depth+observeExtra, len(ranked.hits))]
	observe := func(hits []retriever.Hit, correct func(string, string) bool) ([]ObservedSpan, error) {
		hits = slices.Clone(hits[:min(depth, len(hits))])
		if ranked.used.has(RankerRelevance) && len(hits) > 0 {
			logits, _, err := p.relevance(ctx, m.predictor(), question, passagesOf(hits))
			if err != nil {
				return nil, err
			}
			hits, _ = ranker.ByRelevance(hits, logits, shares.RelevanceShare)
		}
		return p.observe(ctx, m, question, hits[:min(n, len(hits))], correct)
	}
	with.Answered = true
	if with.Spans, err = observe(hits, correct); err != nil {
		return with, without, err
	}
	hidden := slices.DeleteFunc(slices.Clone(hits), func(h retriever.Hit) bool { return h.DocumentID == goldDocument })
	without.Spans, err = observe(hidden, func(string, string) bool { return false })
	return with, without, err
}

// observeRanking retrieves and orders by vectors, which must be there.
func (p *Pipeline) observeRanking(ctx context.Context, question string, share float64) (ranking, error) {
	want := retrieval{text: question, topK: p.candidates() + observeExtra, access: FullAccess()}
	found, err := p.retrieve(ctx, want)
	if err != nil {
		return ranking{}, err
	}
	defer found.release()
	ranked, err := p.rank(ctx, found, want, func(RankerType) float64 { return share })
	if err == nil && ranked.bypassed(p) {
		err = fmt.Errorf("%w: %v", ErrNoVectors, ranked.warnings)
	}
	return ranked, err
}

// ObserveRanking retrieves the candidates of a question with both scores of the
// vector ranker, for [FitVectorShare] and to measure what the ranker gains. They
// come in the order of the retrieval.
func (p *Pipeline) ObserveRanking(ctx context.Context, question, goldDocument string) (RankObservation, error) {
	ranked, err := p.observeRanking(ctx, question, 0)
	if err != nil {
		return RankObservation{}, err
	}
	best := 0.0
	for _, h := range ranked.hits {
		best = max(best, h.Scores.BM25)
	}
	o := RankObservation{Candidates: make([]RankedCandidate, len(ranked.hits))}
	for i, h := range ranked.hits {
		c := RankedCandidate{DocumentID: h.DocumentID, BM25: relative(h.Scores.BM25, best), Gold: h.DocumentID == goldDocument}
		if h.Scores.Vector != nil {
			c.Vector = *h.Scores.Vector
		}
		o.Candidates[i] = c
	}
	return o, nil
}

func (p *Pipeline) observe(ctx context.Context, m *loadedModel, question string, hits []retriever.Hit, correct func(documentID, text string) bool) ([]ObservedSpan, error) {
	best := 0.0
	for _, h := range hits {
		best = max(best, h.Scores.BM25)
	}
	reading, err := m.reader.Read(ctx, question, passagesOf(hits), reader.Options{})
	if err != nil {
		return nil, err
	}
	spans := make([]ObservedSpan, len(reading.Spans))
	for i, s := range reading.Spans {
		h := hits[s.Candidate]
		spans[i] = evidence(s, h, best)
		spans[i].Correct = correct(h.DocumentID, s.Text)
	}
	return spans, nil
}
