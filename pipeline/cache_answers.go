package pipeline

import (
	"context"
	"slices"
	"time"

	"github.com/needle-search/needle/retriever"
)

// answerLookup is the place of one question's answer in the cache.
type answerLookup struct {
	cache *cache
	key   cacheKey
	begin time.Time
	// remote says that the index has to be asked for its generation first.
	remote bool
}

func (p *Pipeline) lookupAnswer(m *loadedModel, want retrieval, request Request, begin time.Time) answerLookup {
	if p.cache == nil || want.fresh {
		return answerLookup{}
	}
	key, ok := p.answerKey(m, want, request)
	if !ok {
		return answerLookup{}
	}
	return answerLookup{cache: p.cache, key: key, begin: begin}
}

// early finds an answer before the retrieval, where the index knows its own
// generation.
func (l *answerLookup) early(ctx context.Context, p *Pipeline, name string) *Result {
	if l.cache == nil {
		return nil
	}
	index, release, err := p.lease(ctx, name)
	if err != nil {
		return nil // the retrieval says what is wrong
	}
	defer release()
	if !exclusive(index) {
		l.remote = true
		return nil
	}
	return l.get(index, index.Generation())
}

// late finds it after the retrieval, which has told the generation.
func (l answerLookup) late(found retrieved) *Result {
	if l.cache == nil || exclusive(found.index) {
		return nil
	}
	return l.get(found.index, found.Generation)
}

func (l answerLookup) get(index retriever.Index, generation uint64) *Result {
	v, ok := l.cache.get(cacheAnswers, index, generation, l.key)
	if !ok {
		return nil
	}
	stored, ok := v.(*Result)
	if !ok {
		return nil
	}
	result := copyResult(stored)
	took := milliseconds(time.Since(l.begin))
	result.TimingsMS["cache"], result.TimingsMS["total"] = took, took
	return result
}

// store keeps a result that holds all there is to know.
func (l answerLookup) store(found retrieved, result *Result) {
	if l.cache == nil || !result.Complete {
		return
	}
	kept := copyResult(result)
	l.cache.put(cacheAnswers, found.index, found.Generation, l.key, kept, resultSize(kept))
}

// query is what the index is asked.
func (r retrieval) query() retriever.Query {
	return retriever.Query{
		Text: r.text, TopK: r.topK, Filter: r.filter,
		Groups: r.access.Groups, AllGroups: r.access.AllGroups, Explain: r.explain,
	}
}

// retrieveCached is a retrieval through the cache.
func (p *Pipeline) retrieveCached(ctx context.Context, index retriever.Index, r retrieval) (retriever.Results, error) {
	query := r.query()
	key, ok := cacheKey{}, false
	if p.cache != nil && !r.fresh && exclusive(index) {
		key, ok = r.key()
	}
	if !ok {
		return index.Retrieve(ctx, query)
	}
	if v, hit := p.cache.get(cacheCandidates, index, index.Generation(), key); hit {
		if stored, ok := v.(retriever.Results); ok {
			// Rankers reorder the hits in place.
			stored.Hits = slices.Clone(stored.Hits)
			return stored, nil
		}
	}
	results, err := index.Retrieve(ctx, query)
	if err != nil {
		return results, err
	}
	kept := results
	kept.Hits = slices.Clone(results.Hits)
	p.cache.put(cacheCandidates, index, results.Generation, key, kept, hitsSize(kept.Hits))
	return results, nil
}
