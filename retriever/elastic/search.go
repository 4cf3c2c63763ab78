package elastic

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// pageSize is how many documents one answer of the server holds at most.
const pageSize = 10_000

// maxQueryTerms bounds the distinct terms of a query that the index has. The
// server's own bound depends on its memory and is never lower.
const maxQueryTerms = 1024

// queryTerm is one distinct term of a query.
type queryTerm struct {
	text string
	// count says how often the query has the term.
	count    int
	position int
	// documents is the term's document frequency: of how many passages it is.
	documents int
}

// analysed is a text as the server analyses it, and the statistics of the index.
type analysed struct {
	terms         []queryTerm // in order of appearance
	passages      int
	averageLength float64
}

// analyze lets the server analyse a text like a passage. The request is for the
// term vectors of a passage that is not stored, which brings the document
// frequencies too.
func (x *Index) analyze(ctx context.Context, text string) (*analysed, error) {
	var answer struct {
		TermVectors map[string]struct {
			Statistics struct {
				Passages int   `json:"doc_count"`
				Terms    int64 `json:"sum_ttf"`
			} `json:"field_statistics"`
			Terms map[string]struct {
				Count     int `json:"term_freq"`
				Documents int `json:"doc_freq"`
				Tokens    []struct {
					Position int `json:"position"`
				} `json:"tokens"`
			} `json:"terms"`
		} `json:"term_vectors"`
	}
	body := object{
		"doc": object{fieldContent: text}, "fields": []string{fieldContent},
		"offsets": false, "payloads": false, "positions": true, "term_statistics": true, "field_statistics": true,
	}
	if err := x.client.do(ctx, request{method: http.MethodPost, path: "/" + x.concrete + "/_termvectors", body: body}, &answer); err != nil {
		return nil, err
	}
	vector := answer.TermVectors[fieldContent]
	a := &analysed{passages: max(0, vector.Statistics.Passages)}
	if a.passages > 0 {
		a.averageLength = float64(vector.Statistics.Terms) / float64(a.passages)
	}
	for text, t := range vector.Terms {
		q := queryTerm{text: text, count: t.Count, documents: t.Documents}
		if len(t.Tokens) > 0 {
			q.position = t.Tokens[0].Position
		}
		a.terms = append(a.terms, q)
	}
	slices.SortFunc(a.terms, func(s, t queryTerm) int {
		return cmp.Or(cmp.Compare(s.position, t.position), strings.Compare(s.text, t.text))
	})
	return a, nil
}

// Retrieve implements [retriever.Retriever]. A query with more than 1024
// distinct terms that the index has is refused.
func (x *Index) Retrieve(ctx context.Context, query retriever.Query) (retriever.Results, error) {
	switch {
	case strings.TrimSpace(query.Text) == "":
		return retriever.Results{}, x.fail("search", fmt.Errorf("%w: the text is empty", retriever.ErrInvalidQuery))
	case !utf8.ValidString(query.Text):
		return retriever.Results{}, x.fail("search", fmt.Errorf("%w: the text is not valid UTF-8", retriever.ErrInvalidQuery))
	case query.TopK < 1:
		return retriever.Results{}, x.fail("search", fmt.Errorf("%w: top_k is %d; it must be at least 1", retriever.ErrInvalidQuery, query.TopK))
	}
	var results retriever.Results
	err := x.withView(ctx, func(v *view) error {
		if err := query.Filter.Validate(v.Fields); err != nil {
			return err
		}
		a, err := x.analyze(ctx, query.Text)
		if err != nil {
			return err
		}
		results = retriever.Results{Generation: v.Generation, Terms: make([]string, len(a.terms))}
		for i, t := range a.terms {
			results.Terms[i] = t.text
		}
		results.Hits, err = x.search(ctx, v, a, &query)
		return err
	})
	if err != nil {
		return retriever.Results{}, x.fail("search", err)
	}
	return results, nil
}

// scoredQuery returns the query for the server, or nil if it cannot find
// anything.
func (x *Index) scoredQuery(v *view, a *analysed, query *retriever.Query) (object, error) {
	var should []any
	for _, t := range a.terms {
		// The statistics are those of one shard: with several, another one may
		// have the term.
		if t.documents == 0 && x.meta.shards == 1 {
			continue
		}
		should = append(should, object{"term": object{fieldContent: object{"value": t.text, "boost": t.count}}})
	}
	if len(should) > maxQueryTerms {
		return nil, fmt.Errorf("%w: the text has %d distinct terms; at most %d are allowed", retriever.ErrInvalidQuery, len(should), maxQueryTerms)
	}
	if len(should) == 0 {
		return nil, nil
	}
	filter, mustNot, err := x.visible(v, query)
	if err != nil {
		return nil, err
	}
	return object{"bool": object{"should": should, "minimum_should_match": 1, "filter": filter, "must_not": mustNot}}, nil
}

// visible returns the filters that let pass what is valid, passes the query's
// filter and may be seen, and what must not match.
func (x *Index) visible(v *view, query *retriever.Query) (filter, mustNot []any, err error) {
	filter, mustNot = v.valid()
	if query.Filter != nil {
		f, err := filterQuery(query.Filter, v.Fields)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", retriever.ErrInvalidFilter, err)
		}
		filter = append(filter, f)
	}
	if !query.AllGroups {
		filter = append(filter, groupsQuery(query.Groups))
	}
	return filter, mustNot, nil
}

func (x *Index) search(ctx context.Context, v *view, a *analysed, query *retriever.Query) ([]retriever.Hit, error) {
	scored, err := x.scoredQuery(v, a, query)
	if err != nil || scored == nil {
		return nil, err
	}
	var hits []retriever.Hit
	page := page{
		query: scored, explain: query.Explain,
		// Within a document ordinals order like starts.
		sort: []any{object{"_score": "desc"}, object{fieldDocument: "asc"}, object{fieldOrdinal: "asc"}},
	}
	for len(hits) < query.TopK {
		page.size = min(query.TopK-len(hits), pageSize)
		found, err := x.page(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range found {
			hit, err := found[i].passage()
			if err != nil {
				return nil, err
			}
			hits = append(hits, hit)
		}
		if len(found) < page.size {
			break
		}
		page.after = found[len(found)-1].Sort
	}
	return hits, nil
}

// page is a request for some of the documents that match a query.
type page struct {
	query   object
	sort    []any
	size    int
	after   []json.RawMessage
	explain bool
	pit     string // the id of a point in time, or empty
	bare    bool   // only ids and scores are wanted
}

// found is a document of the server that matched.
type found struct {
	ID          string            `json:"_id"`
	Score       float64           `json:"_score"`
	Sort        []json.RawMessage `json:"sort"`
	Explanation *explanation      `json:"_explanation"`
	Source      struct {
		Document string          `json:"doc"`
		Revision string          `json:"rev"`
		Ordinal  int             `json:"ordinal"`
		Content  []string        `json:"content"`
		Record   json.RawMessage `json:"record"`
	} `json:"_source"`
}

func (x *Index) page(ctx context.Context, p page) ([]found, error) {
	body := object{"query": p.query, "sort": p.sort, "size": p.size, "track_total_hits": false, "_source": withoutVectors()}
	if p.bare {
		body["_source"] = false
	}
	if p.after != nil {
		body["search_after"] = p.after
	}
	if p.explain {
		body["explain"] = true
	}
	// A part of the shards is no answer. With several shards the statistics are
	// collected from all of them first.
	path := "/" + x.concrete + "/_search?allow_partial_search_results=false"
	if x.meta.shards > 1 {
		path += "&search_type=dfs_query_then_fetch"
	}
	if p.pit != "" {
		path = "/_search?allow_partial_search_results=false"
		body["pit"] = object{"id": p.pit, "keep_alive": pitKept}
	}
	var answer struct {
		TimedOut bool `json:"timed_out"`
		Hits     struct {
			Hits []found `json:"hits"`
		} `json:"hits"`
	}
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body}, &answer); err != nil {
		return nil, err
	}
	if answer.TimedOut {
		return nil, fmt.Errorf("%w: the search timed out on the server", ErrUnavailable)
	}
	return answer.Hits.Hits, nil
}

// decode reads what is stored of a passage or a document.
func decode[R any](f *found) (R, error) {
	var record R
	if err := json.Unmarshal(f.Source.Record, &record); err != nil {
		return record, fmt.Errorf("%w: document %q: %w", retriever.ErrCorrupt, f.Source.Document, err)
	}
	return record, nil
}

// passage returns the hit that was found.
func (f *found) passage() (retriever.Hit, error) {
	record, err := decode[passageRecord](f)
	if err != nil {
		return retriever.Hit{}, err
	}
	if len(f.Source.Content) == 0 {
		return retriever.Hit{}, fmt.Errorf("%w: document %q: passage %d has no text", retriever.ErrCorrupt, f.Source.Document, f.Source.Ordinal)
	}
	hit := retriever.Hit{
		Ref: f.ID,
		Passage: retriever.Passage{
			DocumentID: f.Source.Document, Ordinal: f.Source.Ordinal, Start: record.Start, End: record.End,
			Page: record.Page, PageBreaks: record.Breaks, PageStart: record.pageStart(), Headings: record.Headings, Text: f.Source.Content[len(f.Source.Content)-1],
		},
		Source: record.Source, Metadata: retriever.DecodeMetadata(record.Metadata), Scores: retriever.Scores{BM25: f.Score},
	}
	if len(f.Source.Content) > 1 {
		hit.Title = f.Source.Content[0]
	}
	if f.Explanation != nil {
		hit.Explanation = f.Explanation.terms(nil)
	}
	return hit, nil
}

// explanation is Lucene's account of a score, a tree.
type explanation struct {
	Value       float64       `json:"value"`
	Description string        `json:"description"`
	Details     []explanation `json:"details"`
}

// terms adds the shares of the terms that lie below a node of the tree.
func (e *explanation) terms(list []retriever.TermScore) []retriever.TermScore {
	rest, ok := strings.CutPrefix(e.Description, "weight("+fieldContent+":")
	if !ok {
		for i := range e.Details {
			list = e.Details[i].terms(list)
		}
		return list
	}
	if end := strings.LastIndex(rest, " in "); end >= 0 {
		rest = rest[:end]
	}
	return append(list, retriever.TermScore{
		Term: rest, Score: e.Value, IDF: e.find("idf"),
		TermFrequency:     int(math.Round(e.find("freq"))),
		DocumentFrequency: int(math.Round(e.find("n"))),
	})
}

// find returns the value of the first node below that is described by a name and
// a comma.
func (e *explanation) find(name string) float64 {
	for i := range e.Details {
		if strings.HasPrefix(e.Details[i].Description, name+",") {
			return e.Details[i].Value
		}
		if v := e.Details[i].find(name); v != 0 {
			return v
		}
	}
	return 0
}
