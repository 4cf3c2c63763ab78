package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// ranking is what the rankers made of the candidates.
type ranking struct {
	hits []retriever.Hit
	// used is the ranker that worked; less than the configured one where it
	// could not.
	used RankerType
	// coverage says how much of the index has vectors, nil when all has.
	coverage *float64
	warnings []string
	took     time.Duration
}

// bypassed reports whether the vectors were not ready.
func (r ranking) bypassed(p *Pipeline) bool { return r.used != p.config.Ranker.Type }

// rank orders the candidates of a question by their vectors, if the
// configuration says so and every one of them has its own. The share of the
// vectors is that of the profile.
func (p *Pipeline) rank(ctx context.Context, found retrieved, want retrieval, share func(RankerType) float64) (ranking, error) {
	r := ranking{hits: found.Hits, used: p.config.Ranker.Type}
	s := p.vectors
	if s == nil || len(found.Hits) == 0 {
		return r, nil
	}
	begin := time.Now()
	err := s.rank(ctx, found, want, &r, share)
	end := time.Now()
	r.took = end.Sub(begin)
	p.observer.Stage(ctx, StageRank, begin, end, err)
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil || errors.Is(err, models.ErrOverloaded) || errors.Is(err, ErrClosed) {
		return r, p.cause(ctx, err)
	}
	// The order of retrieval is worth more than no answer.
	p.logger.ErrorContext(ctx, "ranking failed", "error", err)
	r.hits, r.used = found.Hits, r.used.without(RankerVector)
	r.warnings = append(r.warnings, "the candidates could not be ranked by their vectors: "+err.Error())
	return r, nil
}

func (s *vectorStage) rank(ctx context.Context, found retrieved, want retrieval, r *ranking, share func(RankerType) float64) error {
	store, ok := found.index.(retriever.VectorStore)
	if !ok {
		r.used = r.used.without(RankerVector)
		r.warnings = append(r.warnings, fmt.Sprintf("a %s index keeps no vectors, so its candidates are not ranked by them", s.pipeline.config.Retriever.Type))
		return nil
	}
	vectors, err := store.Vectors(ctx, s.model, found.Hits)
	if err != nil {
		return err
	}
	lacking := 0
	for _, v := range vectors {
		if v == nil {
			lacking++
		}
	}
	if lacking > 0 || !s.known(want.index, found.index) {
		coverage, err := store.VectorCoverage(ctx, s.model)
		if err != nil {
			return err
		}
		if !coverage.Complete() || lacking > 0 {
			fraction := math.Min(coverage.Fraction(), 0.9999)
			r.coverage = &fraction
		}
	}
	if lacking > 0 {
		r.used = r.used.without(RankerVector)
		r.warnings = append(r.warnings, fmt.Sprintf("%.1f %% of the passages have their vectors; until these do, candidates are not ranked by them", 100**r.coverage))
		return nil
	}
	question := found.question
	if question == nil {
		if question, err = s.question(ctx, want.text); err != nil {
			return err
		}
	}
	r.hits = ranker.ByVector(found.Hits, question, vectors, share(r.used))
	return nil
}

// profileFor returns the score profile of a model behind a ranker, and whether
// it was fitted for exactly that.
func (p *Pipeline) profileFor(m *loadedModel, used RankerType) (Profile, bool) {
	var bundle string
	var own []Profile
	if m != nil {
		bundle, own = m.bundle.Hash, m.own
	}
	return p.config.profileFor(bundle, p.config.Retriever.Type, used, p.EmbeddingHash(), own)
}

// VectorShare is the part that the vectors have in the order of candidates, as
// the score profile has it.
func (p *Pipeline) VectorShare() float64 {
	return p.shareOf(p.slot.peek())(p.config.Ranker.Type)
}

// shareOf returns the share of the vectors in the order of candidates.
func (p *Pipeline) shareOf(m *loadedModel) func(RankerType) float64 {
	return func(used RankerType) float64 {
		profile, _ := p.profileFor(m, used)
		return profile.VectorShare
	}
}

// cutForReading leaves the candidates that are read. With the relevance ranker
// these are more than are kept in the end.
func (p *Pipeline) cutForReading(r *ranking) {
	n := p.config.Ranker.Reads(r.used)
	if r.used.has(RankerRelevance) {
		n = max(n, p.config.Ranker.Depth)
	}
	r.hits = r.hits[:min(n, len(r.hits))]
}

// readRanked reads the candidates of a ranking. With the relevance ranker more
// of them are read than are kept: the pass of the language model that gives the
// relevance logits gives the spans too, so no window is run twice.
func (p *Pipeline) readRanked(ctx context.Context, m *loadedModel, question string, r *ranking, options reader.Options) (reader.Reading, []retriever.Passage, error) {
	passages := passagesOf(r.hits)
	if !r.used.has(RankerRelevance) {
		reading, err := p.readObserved(ctx, m, question, passages, options)
		return reading, passages, err
	}
	n := p.config.Ranker.Reads(r.used)
	logits := lowest(len(r.hits))
	options.Visit = func(candidate int, e models.Encoding, outputs models.Outputs) error {
		logit, err := m.relevance.Relevance(outputs, e)
		if err == nil && logit != logit {
			err = errors.New("pipeline: the relevance head gave a score that is not a number")
		}
		logits[candidate] = max(logits[candidate], float64(logit))
		return err
	}
	reading, err := p.readObserved(ctx, m, question, passages, options)
	if err != nil {
		return reading, passages, err
	}
	// What a budget left unread has no logit.
	hits := r.hits[:reading.Candidates]
	profile, _ := p.profileFor(m, r.used)
	hits, before := ranker.ByRelevance(hits, logits[:len(hits)], profile.RelevanceShare)
	r.hits = hits[:min(n, len(hits))]
	reading.Spans = moved(reading.Spans, before, len(r.hits))
	return reading, passagesOf(r.hits), nil
}

// moved keeps the spans of the first n candidates of a new order, in which the
// candidate at place i was at place before[i].
func moved(spans []reader.Span, before []int, n int) []reader.Span {
	to := make(map[int]int, n)
	for place, from := range before[:n] {
		to[from] = place
	}
	kept := make([]reader.Span, 0, len(spans))
	for _, s := range spans {
		if place, ok := to[s.Candidate]; ok {
			s.Candidate = place
			kept = append(kept, s)
		}
	}
	return kept
}

// evidence is what a span and its passage bring to the fused score.
func evidence(s reader.Span, h retriever.Hit, bestBM25 float64) ObservedSpan {
	e := ObservedSpan{Margin: s.Margin(), BM25: relative(h.Scores.BM25, bestBM25), Relevance: s.Relevance}
	if h.Scores.Vector != nil {
		e.Vector = *h.Scores.Vector
	}
	return e
}

// searchRelevance orders the first candidates of a search by the relevance head;
// the others follow as they are.
func (p *Pipeline) searchRelevance(ctx context.Context, query string, r *ranking) error {
	if !r.used.has(RankerRelevance) || len(r.hits) == 0 {
		return nil
	}
	m, release, err := p.slot.lease()
	if err == nil {
		defer release()
		err = p.checkQuestion(m, query)
	}
	if err != nil {
		r.used = r.used.without(RankerRelevance)
		r.warnings = append(r.warnings, "the candidates are not ranked by relevance: "+err.Error())
		return nil
	}
	depth := min(p.config.Ranker.Depth, len(r.hits))
	logits, _, err := p.relevance(ctx, m.predictor(), query, passagesOf(r.hits[:depth]))
	if err != nil {
		return err
	}
	profile, _ := p.profileFor(m, r.used)
	ranker.ByRelevance(r.hits[:depth], logits, profile.RelevanceShare)
	return nil
}
