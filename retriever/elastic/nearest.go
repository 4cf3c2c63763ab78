package elastic

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/needle-search/needle/retriever"
)

var _ retriever.VectorSearcher = (*Index)(nil)

// nearestCandidates is how many passages of a shard the server compares to find
// k nearest; more make it slower and more exact.
func nearestCandidates(k int) int { return min(max(2*k, 100), pageSize) }

// Nearest implements [retriever.VectorSearcher] by the server's HNSW graphs.
func (x *Index) Nearest(ctx context.Context, model string, vector []int8, query retriever.Query) (retriever.Results, error) {
	var results retriever.Results
	err := x.withView(ctx, func(v *view) error {
		if query.TopK < 1 || query.TopK > pageSize {
			return fmt.Errorf("%w: top_k is %d; it must be 1 to %d", retriever.ErrInvalidQuery, query.TopK, pageSize)
		}
		if err := query.Filter.Validate(v.Fields); err != nil {
			return err
		}
		results.Generation = v.Generation
		dimensions, err := x.dimensionsOf(ctx, model)
		if err != nil || dimensions == 0 {
			return err
		}
		if err := retriever.CheckVector(vector, dimensions); err != nil {
			return err
		}
		if results.Hits, err = x.nearest(ctx, v, model, vector, &query); err != nil {
			return err
		}
		return x.scoreByWords(ctx, v, query.Text, results.Hits)
	})
	if err != nil {
		return retriever.Results{}, x.fail("search", err)
	}
	return results, nil
}

// scoreByWords fills in the BM25 scores of hits.
func (x *Index) scoreByWords(ctx context.Context, v *view, text string, hits []retriever.Hit) error {
	if strings.TrimSpace(text) == "" || len(hits) == 0 {
		return nil
	}
	a, err := x.analyze(ctx, text)
	if err != nil {
		return err
	}
	scored, err := x.scoredQuery(v, a, &retriever.Query{Text: text, AllGroups: true})
	if err != nil || scored == nil {
		return err
	}
	refs, places := make([]string, len(hits)), make(map[string]int, len(hits))
	for i, h := range hits {
		refs[i], places[h.Ref] = h.Ref, i
	}
	list, err := x.page(ctx, page{
		query: object{"bool": object{"must": []any{scored}, "filter": []any{object{"ids": object{"values": refs}}}}},
		sort:  []any{object{"_score": "desc"}}, size: len(hits), bare: true,
	})
	if err != nil {
		return err
	}
	for _, f := range list {
		if i, ok := places[f.ID]; ok {
			hits[i].Scores.BM25 = f.Score
		}
	}
	return nil
}

func (x *Index) nearest(ctx context.Context, v *view, model string, vector []int8, query *retriever.Query) ([]retriever.Hit, error) {
	filter, mustNot, err := x.visible(v, query)
	if err != nil {
		return nil, err
	}
	body := object{
		"knn": object{
			"field": vectorField(model), "query_vector": encodeVector(vector), "k": query.TopK,
			"num_candidates": nearestCandidates(query.TopK), "filter": object{"bool": object{"filter": filter, "must_not": mustNot}},
		},
		"size": query.TopK, "track_total_hits": false, "_source": withoutVectors(),
	}
	var answer struct {
		TimedOut bool `json:"timed_out"`
		Hits     struct {
			Hits []found `json:"hits"`
		} `json:"hits"`
	}
	path := "/" + x.concrete + "/_search?allow_partial_search_results=false"
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body}, &answer); err != nil {
		return nil, err
	}
	if answer.TimedOut {
		return nil, fmt.Errorf("%w: the search timed out on the server", ErrUnavailable)
	}
	hits := make([]retriever.Hit, 0, len(answer.Hits.Hits))
	for i := range answer.Hits.Hits {
		hit, err := answer.Hits.Hits[i].passage()
		if err != nil {
			return nil, err
		}
		// The server's score of a cosine lies between 0 and 1.
		cosine := 2*answer.Hits.Hits[i].Score - 1
		hit.Scores = retriever.Scores{Vector: &cosine}
		hits = append(hits, hit)
	}
	slices.SortStableFunc(hits, func(a, b retriever.Hit) int {
		return cmp.Or(cmp.Compare(*b.Scores.Vector, *a.Scores.Vector), cmp.Compare(a.DocumentID, b.DocumentID), cmp.Compare(a.Ordinal, b.Ordinal))
	})
	return hits, nil
}
