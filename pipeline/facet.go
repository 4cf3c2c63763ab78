package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/needle-search/needle/retriever"
)

// facets adds the counts that a search asks for. They may be of a generation
// that was committed after the hits were found.
func (p *Pipeline) facets(ctx context.Context, index retriever.Index, want retrieval, requests []retriever.FacetRequest, result *SearchResult) error {
	if len(requests) == 0 {
		return nil
	}
	begin := time.Now()
	faceter, ok := index.(retriever.Faceter)
	if !ok {
		return fmt.Errorf("%w: retriever %q counts none", retriever.ErrInvalidFacet, p.config.Retriever.Type)
	}
	counts, err := faceter.Facets(ctx, retriever.Query{
		Text: want.text, Filter: want.filter, Groups: want.access.Groups, AllGroups: want.access.AllGroups,
	}, requests)
	if err != nil {
		return p.cause(ctx, err)
	}
	result.Facets, result.MatchedDocuments = counts.Facets, &counts.Documents
	result.TimingsMS["facets"] = milliseconds(time.Since(begin))
	return nil
}
