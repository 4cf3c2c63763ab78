package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/retriever"
)

// A HybridConfig is a [RetrieverConfig] of a retriever that can find passages by
// their vectors too.
type HybridConfig interface {
	// Hybrid says how the candidates found by words and by vectors are fused, and
	// whether the configuration wants it.
	Hybrid() (ranker.Fusion, bool)
}

// hybrid returns how candidates are fused, and whether they are.
func (c *Config) hybrid() (ranker.Fusion, bool) {
	if h, ok := c.Retriever.Options.(HybridConfig); ok {
		return h.Hybrid()
	}
	return ranker.Fusion{}, false
}

// validateHybrid makes sure that somebody makes the vectors.
func (c *Config) validateHybrid() error {
	if _, wanted := c.hybrid(); wanted && !c.Ranker.Type.has(RankerVector) {
		return fmt.Errorf("retriever.hybrid: needs vectors, which the vector ranker makes; ranker.type is %s", c.Ranker.Type)
	}
	return nil
}

// legTries is how often a retrieval is begun when the index changes between its
// two legs.
const legTries = 3

// retrieveLegs retrieves by words and, if the configuration wants it and the
// index has all its vectors, beside it by vectors.
func (p *Pipeline) retrieveLegs(ctx context.Context, index retriever.Index, r retrieval) (retrieved, error) {
	fusion, wanted := p.config.hybrid()
	searcher, able := index.(retriever.VectorSearcher)
	if !wanted || !able || p.vectors == nil {
		results, err := p.retrieveCached(ctx, index, r)
		return retrieved{Results: results}, err
	}
	ready, err := p.vectors.ready(ctx, r.index, index)
	if err != nil {
		return retrieved{}, err
	}
	if !ready {
		// The ranker says how far the vectors are.
		results, err := p.retrieveCached(ctx, index, r)
		return retrieved{Results: results}, err
	}
	var found retrieved
	depth := min(p.config.Retriever.TopK, r.topK)
	for range legTries {
		var byVector retriever.Results
		var legErr error
		group, both := errgroup.WithContext(ctx)
		group.Go(func() (err error) {
			found.Results, err = p.retrieveCached(both, index, r)
			return err
		})
		group.Go(func() error {
			if found.question == nil {
				found.question, legErr = p.vectors.question(both, r.text)
			}
			if legErr == nil {
				query := r.query()
				query.TopK = depth
				byVector, legErr = searcher.Nearest(both, p.vectors.model, found.question, query)
			}
			return nil // the words alone are worth more than no answer
		})
		if err := group.Wait(); err != nil {
			return retrieved{}, err
		}
		switch {
		case legErr != nil && ctx.Err() != nil:
			return retrieved{}, ctx.Err()
		case legErr != nil && errors.Is(legErr, ErrClosed):
			return retrieved{}, legErr
		case legErr != nil:
			p.logger.ErrorContext(ctx, "retrieval by vectors failed", "error", legErr)
			found.warnings = append(found.warnings, "the candidates were found by their words only: "+legErr.Error())
			return found, nil
		case byVector.Generation == found.Generation:
			found.Hits = fuseLegs(fusion, found.Hits, byVector.Hits, depth, r.topK)
			return found, nil
		}
	}
	found.warnings = append(found.warnings, "the index changes all the time, so the candidates were found by their words only")
	return found, nil
}

// fuseLegs fuses the candidates down to a depth, behind which those that were
// found by words follow, up to a limit: asking for more changes none of the
// first.
func fuseLegs(fusion ranker.Fusion, words, vectors []retriever.Hit, depth, limit int) []retriever.Hit {
	fused := fusion.Fuse(words[:min(depth, len(words))], vectors, depth)
	if limit <= depth {
		return fused
	}
	there := make(map[string]bool, len(fused))
	for _, h := range fused {
		there[h.ID()] = true
	}
	for _, h := range words {
		if !there[h.ID()] && len(fused) < limit {
			fused = append(fused, h)
		}
	}
	return fused
}

// ready reports whether every passage of an index has its vector.
func (s *vectorStage) ready(ctx context.Context, name string, index retriever.Index) (bool, error) {
	store, ok := index.(retriever.VectorStore)
	if !ok || s.known(name, index) {
		return ok, nil
	}
	generation := index.Generation()
	coverage, err := store.VectorCoverage(ctx, s.model)
	if err != nil || !coverage.Complete() {
		return false, err
	}
	if index.Generation() == generation {
		s.complete.Store(cmp.Or(name, s.pipeline.config.Index), completeAt{index, generation})
	}
	return true, nil
}

// question returns the vector of a question.
func (s *vectorStage) question(ctx context.Context, text string) ([]int8, error) {
	embedder, err := s.embedding(ctx)
	if err != nil {
		return nil, err
	}
	return embedder.Question(ctx, text)
}
