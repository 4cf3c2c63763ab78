package pipeline

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/needle-search/needle/retriever"
)

// defaultSearchTopK is how many hits a search returns that names no number.
const defaultSearchTopK = 10

// retrieval is what ask and search want from an index.
type retrieval struct {
	index, text string
	topK        int
	filter      *retriever.Filter
	access      Access
	explain     bool
	fresh       bool // past the caches
}

type retrieved struct {
	retriever.Results
	// index stays open until release is called.
	index   retriever.Index
	release func()
	took    time.Duration
	// question is the vector of the question, nil where none was needed.
	question []int8
	// warnings say what of the retrieval did not work.
	warnings []string
}

// retrieve finds candidates; the caller releases what it returns.
func (p *Pipeline) retrieve(ctx context.Context, r retrieval) (retrieved, error) {
	begin := time.Now()
	index, release, err := p.lease(ctx, r.index)
	if err != nil {
		return retrieved{}, err
	}
	found, err := p.retrieveLegs(ctx, index, r)
	end := time.Now()
	p.observer.Stage(ctx, StageRetrieve, begin, end, err)
	if err != nil {
		release()
		return retrieved{}, p.cause(ctx, err)
	}
	found.index, found.release, found.took = index, release, end.Sub(begin)
	return found, nil
}

// Search returns the best passages for a query without reading them. The
// errors are those of [Pipeline.Ask] less the model's.
func (p *Pipeline) Search(ctx context.Context, request SearchRequest) (result *SearchResult, err error) {
	request.Access, request.Groups = request.Access.Narrow(request.Groups), nil
	begin := time.Now()
	defer p.vectors.asking()()
	defer func() { p.observer.Finished(ctx, OperationSearch, nil, begin, time.Now(), err) }()
	if err := errors.Join(checkText(request.Query), checkOptions(request.TopK, request.OffsetUnit)); err != nil {
		return nil, err
	}
	ctx, cancel := p.withTimeout(ctx)
	defer cancel()
	topK := cmp.Or(request.TopK, defaultSearchTopK)
	want := retrieval{
		index: request.Index, text: request.Query, topK: topK,
		filter: request.Filter, access: request.Access, explain: request.Explain,
	}
	if p.config.Ranker.Type != RankerNone {
		want.topK = max(topK, p.config.Retriever.TopK)
	}
	found, err := p.retrieve(ctx, want)
	if err != nil {
		return nil, err
	}
	defer found.release()
	ranked, err := p.rankSearch(ctx, found, want)
	if err != nil {
		return nil, err
	}
	hits := ranked.hits[:min(topK, len(ranked.hits))]
	result = &SearchResult{
		Query:      request.Query,
		Hits:       make([]Candidate, 0, len(hits)),
		Terms:      append([]string{}, found.Terms...),
		Warnings:   append(append([]string{}, found.warnings...), ranked.warnings...),
		Index:      cmp.Or(request.Index, p.config.Index),
		Generation: found.Generation,
		TimingsMS:  map[string]float64{"retrieve": milliseconds(found.took)},
	}
	result.VectorCoverage = ranked.coverage
	if err := p.facets(ctx, found.index, want, request.Facets, result); err != nil {
		return nil, err
	}
	if ranked.took > 0 {
		result.TimingsMS["rank"] = milliseconds(ranked.took)
	}
	if len(found.Terms) == 0 {
		result.Warnings = append(result.Warnings, "the query has only stop words, so nothing can be found")
	}
	for _, h := range hits {
		result.Hits = append(result.Hits, candidate(h))
	}
	units := offsetConverter{index: found.index, unit: request.OffsetUnit}
	if result.Hits, err = units.candidates(ctx, result.Hits); err != nil {
		return nil, err
	}
	result.Warnings = append(result.Warnings, units.warnings()...)
	result.TimingsMS["total"] = milliseconds(time.Since(begin))
	return result, nil
}

// rankSearch orders the candidates of a search. Only those of the configured
// depth are ranked and the others follow, so that asking for more hits changes
// none of the first.
func (p *Pipeline) rankSearch(ctx context.Context, found retrieved, want retrieval) (ranking, error) {
	var rest []retriever.Hit
	if depth := p.config.Retriever.TopK; p.config.Ranker.Type != RankerNone && len(found.Hits) > depth {
		found.Hits, rest = found.Hits[:depth:depth], found.Hits[depth:]
	}
	ranked, err := p.rank(ctx, found, want, p.shareOf(p.slot.peek()))
	if err == nil {
		begin := time.Now()
		err = p.searchRelevance(ctx, want.text, &ranked)
		if ranked.used.has(RankerRelevance) {
			ranked.took += time.Since(begin)
		}
	}
	if err != nil {
		return ranking{}, p.cause(ctx, err)
	}
	ranked.hits = append(ranked.hits, rest...)
	return ranked, nil
}

func candidate(h retriever.Hit) Candidate {
	return Candidate{
		PassageID:  h.ID(),
		DocumentID: h.DocumentID,
		Title:      h.Title,
		Start:      h.Start,
		End:        h.End,
		Text:       h.Text,
		Source:     source(h, h.Start, h.End),
		Metadata:   h.Metadata,
		Scores:     h.Scores,
		Terms:      h.Explanation,
	}
}
