package api_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// fakeService keeps documents in memory and answers every question with the
// first words of the first document. It refuses what a pipeline refuses. An
// error or function that is set takes the place of what it does.
type fakeService struct {
	mu         sync.Mutex
	indexes    map[string]map[string]retriever.Document
	generation uint64
	puts       []int // documents of every Put

	err      error
	ready    error
	ask      func(ctx context.Context, request pipeline.Request) (*pipeline.Result, error)
	put      func(ctx context.Context, index string, documents []retriever.Document) ([]pipeline.PutResult, error)
	requests []pipeline.Request
	searches []pipeline.SearchRequest
	reads    []pipeline.ReadRequest
}

var _ pipeline.Service = (*fakeService)(nil)

func newFake() *fakeService {
	f := &fakeService{indexes: make(map[string]map[string]retriever.Document)}
	f.indexes["default"] = map[string]retriever.Document{"tower.md": {
		ID: "tower.md", Title: "The tower", Text: "Ada Lane designed the tower <in> 1889.",
		Metadata: map[string]any{"year": int64(1889), "height": 300.5, "open": true, "tags": []string{"iron", "city"}},
		Source:   retriever.Source{URI: "docs/tower.md", MediaType: "text/markdown"},
	}}
	f.generation = 7
	return f
}

func (f *fakeService) begin(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return f.err
}

func (f *fakeService) index(name string) (map[string]retriever.Document, error) {
	name = cmp.Or(name, "default")
	if err := retriever.ValidIndexName(name); err != nil {
		return nil, err
	}
	index, ok := f.indexes[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", retriever.ErrIndexNotFound, name)
	}
	return index, nil
}

func check(text string, topK int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return fmt.Errorf("%w: write what you want to know", pipeline.ErrEmptyQuestion)
	case len(text) > pipeline.MaxQuestionBytes:
		return fmt.Errorf("%w: it has %d bytes", pipeline.ErrQuestionTooLong, len(text))
	case !utf8.ValidString(text) || strings.Contains(text, "\x00"):
		return pipeline.ErrInvalidText
	case topK < 0 || topK > pipeline.MaxTopK:
		return fmt.Errorf("%w: top_k: %d; allowed is 1 to %d", pipeline.ErrInvalidRequest, topK, pipeline.MaxTopK)
	}
	return nil
}

var fields = map[string]retriever.FieldType{
	"year": retriever.Number, "height": retriever.Number, "open": retriever.Boolean, "tags": retriever.Keyword,
}

func (f *fakeService) Ask(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	f.mu.Unlock()
	if f.ask != nil {
		return f.ask(ctx, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.begin(ctx), check(r.Question, r.TopK), r.Filter.Validate(fields)); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", pipeline.CodePoints, pipeline.Bytes, pipeline.UTF16}, r.OffsetUnit) {
		return nil, fmt.Errorf("%w: offset_unit: %q", pipeline.ErrInvalidRequest, r.OffsetUnit)
	}
	if _, err := f.index(r.Index); err != nil {
		return nil, err
	}
	start, end := 0, 38
	result := &pipeline.Result{
		Question: r.Question, Answerable: true, NoAnswerProbability: 0.125,
		Answers: []pipeline.Answer{{
			Text: "Ada Lane", Probability: 0.75, DocumentID: "tower.md", Title: "The tower", Start: 0, End: 8,
			Context: "Ada Lane designed the tower <in> 1889.", ContextStart: 0, ContextEnd: 8,
			Source: pipeline.SourceRef{URI: "docs/tower.md", MediaType: "text/markdown", Headings: []string{"History"}, Start: &start, End: &end},
			Scores: pipeline.Scores{Scores: retriever.Scores{BM25: 1.5}, SpanLogit: 9.25, NullLogit: -1.5, Fused: 2},
		}},
		CandidatesRead: 1, Complete: true, Calibrated: true,
		TimingsMS: map[string]float64{"retrieve": 0.5, "total": 12.25},
		Model:     pipeline.ModelRef{Name: "fake", Hash: "00ff", Precision: "int8"},
		Index:     cmp.Or(r.Index, "default"), Generation: f.generation,
	}
	if r.Explain {
		result.Candidates = []pipeline.Candidate{f.candidate(true)}
	}
	return result, nil
}

func (f *fakeService) candidate(explain bool) pipeline.Candidate {
	c := pipeline.Candidate{
		PassageID: "tower.md#0", DocumentID: "tower.md", Title: "The tower", Start: 0, End: 38,
		Text:     "Ada Lane designed the tower <in> 1889.",
		Source:   pipeline.SourceRef{URI: "docs/tower.md", MediaType: "text/markdown"},
		Metadata: map[string]any{"year": int64(1889), "height": 300.5, "open": true, "tags": []string{"iron", "city"}},
		Scores:   retriever.Scores{BM25: 1.5},
	}
	if explain {
		c.Terms = []retriever.TermScore{{Term: "tower", TermFrequency: 1, DocumentFrequency: 1, IDF: 0.25, Score: 1.5}}
	}
	return c
}

func (f *fakeService) Search(ctx context.Context, r pipeline.SearchRequest) (*pipeline.SearchResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searches = append(f.searches, r)
	if err := errors.Join(f.begin(ctx), check(r.Query, r.TopK), r.Filter.Validate(fields)); err != nil {
		return nil, err
	}
	if _, err := f.index(r.Index); err != nil {
		return nil, err
	}
	if err := retriever.ValidateFacets(r.Facets, fields); err != nil {
		return nil, err
	}
	result := &pipeline.SearchResult{
		Query: r.Query, Hits: []pipeline.Candidate{f.candidate(r.Explain)}, Terms: []string{"tower"},
		TimingsMS: map[string]float64{"total": 0.5}, Index: cmp.Or(r.Index, "default"), Generation: f.generation,
	}
	for _, facet := range r.Facets {
		counted := retriever.Facet{Field: facet.Field, Type: fields[facet.Field], Other: 2, Missing: 1}
		for _, each := range facet.Ranges {
			counted.Ranges = append(counted.Ranges, retriever.FacetRangeCount{FacetRange: each, Count: 3})
		}
		if facet.Ranges == nil {
			counted.Values = []retriever.FacetValue{{Value: 1889.0, Count: 3}}
		}
		documents := uint64(6)
		result.Facets, result.MatchedDocuments = append(result.Facets, counted), &documents
	}
	return result, nil
}

// Read finds the first word of the first document.
func (f *fakeService) Read(ctx context.Context, r pipeline.ReadRequest) (*pipeline.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, r)
	if err := errors.Join(f.begin(ctx), check(r.Question, r.TopK)); err != nil {
		return nil, err
	}
	if len(r.Documents) == 0 || r.Documents[0].Text == "" || r.OffsetUnit == "grapheme" {
		return nil, fmt.Errorf("%w: documents[0] or offset_unit", pipeline.ErrInvalidRequest)
	}
	d := r.Documents[0]
	word, _, _ := strings.Cut(d.Text, " ")
	n := utf8.RuneCountInString(word)
	return &pipeline.Result{
		Question: r.Question, Answerable: true, NoAnswerProbability: 0.25,
		Answers: []pipeline.Answer{{Text: word, Probability: 0.5, DocumentID: cmp.Or(d.ID, "0"), Title: d.Title, End: n, Context: d.Text, ContextEnd: n,
			Scores: pipeline.Scores{SpanLogit: 3, NullLogit: 1, Fused: 2}}},
		CandidatesRead: 1, Complete: true, Warnings: []string{"rough"},
		TimingsMS: map[string]float64{"total": 1.5}, Model: pipeline.ModelRef{Name: "fake", Hash: "00ff"},
	}, nil
}

// Rerank prefers short documents.
func (f *fakeService) Rerank(ctx context.Context, r pipeline.RerankRequest) (*pipeline.RerankResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.begin(ctx), check(r.Query, r.TopN)); err != nil {
		return nil, err
	}
	if len(r.Documents) == 0 {
		return nil, fmt.Errorf("%w: documents: there are 0", pipeline.ErrInvalidRequest)
	}
	result := &pipeline.RerankResult{
		Score: pipeline.ScoreSpanMargin, Warnings: []string{}, Model: "fake", ModelHash: "00ff", TimingsMS: map[string]float64{"total": 2},
	}
	for i, text := range r.Documents {
		hit := pipeline.RerankHit{Index: i, RelevanceScore: 1 / float64(1+len(text))}
		if r.ReturnDocuments {
			hit.Document = &pipeline.RerankDocument{Text: text}
		}
		result.Results = append(result.Results, hit)
	}
	slices.SortStableFunc(result.Results, func(a, b pipeline.RerankHit) int { return -cmp.Compare(a.RelevanceScore, b.RelevanceScore) })
	if r.TopN > 0 {
		result.Results = result.Results[:min(r.TopN, len(result.Results))]
	}
	return result, nil
}

func (f *fakeService) stats(name string) retriever.Statistics {
	n := uint64(len(f.indexes[name]))
	return retriever.Statistics{
		Name: name, Documents: n, Passages: n, Generation: f.generation, Bytes: 4096,
		Analyzer: "en", K1: 1.2, B: 0.75, AverageLength: 5, Fields: fields,
	}
}

func (f *fakeService) Indexes(ctx context.Context) ([]retriever.Statistics, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []retriever.Statistics
	for _, name := range slices.Sorted(maps.Keys(f.indexes)) {
		all = append(all, f.stats(name))
	}
	return all, f.begin(ctx)
}

func (f *fakeService) CreateIndex(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = cmp.Or(name, "default")
	if err := errors.Join(f.begin(ctx), retriever.ValidIndexName(name)); err != nil {
		return err
	}
	if _, ok := f.indexes[name]; ok {
		return fmt.Errorf("%w: %q", retriever.ErrIndexExists, name)
	}
	f.indexes[name] = make(map[string]retriever.Document)
	return nil
}

func (f *fakeService) DropIndex(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.index(name); err != nil {
		return err
	}
	delete(f.indexes, cmp.Or(name, "default"))
	return f.begin(ctx)
}

func (f *fakeService) Stats(ctx context.Context, name string) (retriever.Statistics, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.index(name); err != nil {
		return retriever.Statistics{}, err
	}
	return f.stats(cmp.Or(name, "default")), f.begin(ctx)
}

func (f *fakeService) Put(ctx context.Context, name string, documents []retriever.Document) ([]pipeline.PutResult, error) {
	if f.put != nil {
		return f.put(ctx, name, documents)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts = append(f.puts, len(documents))
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	name = cmp.Or(name, "default")
	index := f.indexes[name]
	if index == nil {
		index = make(map[string]retriever.Document)
		f.indexes[name] = index
	}
	f.generation++
	results := []pipeline.PutResult{}
	var refused []error
	seen := make(map[string]bool)
	for i, d := range documents {
		err := d.Validate()
		if err == nil && seen[d.ID] {
			err = fmt.Errorf("%w: document %q is given twice", retriever.ErrInvalidDocument, d.ID)
		}
		for key, value := range d.Metadata {
			if typ, ok := retriever.TypeOf(value); ok && err == nil && fields[key] != "" && fields[key] != typ {
				err = fmt.Errorf("%w: %q is a %s", retriever.ErrFieldConflict, key, fields[key])
			}
		}
		if err != nil {
			refused = append(refused, &pipeline.DocumentError{Position: i, ID: d.ID, Err: err})
			continue
		}
		seen[d.ID] = true
		status := pipeline.Created
		if _, ok := index[d.ID]; ok {
			status = pipeline.Updated
		}
		index[d.ID] = d
		results = append(results, pipeline.PutResult{ID: d.ID, Status: status, Passages: 1, Generation: f.generation})
	}
	return results, errors.Join(refused...)
}

func (f *fakeService) Document(ctx context.Context, name, id string) (retriever.Document, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, err := f.index(name)
	if err := errors.Join(f.begin(ctx), err); err != nil {
		return retriever.Document{}, err
	}
	d, ok := index[id]
	if !ok {
		return d, fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
	}
	return d, nil
}

func (f *fakeService) List(ctx context.Context, name, after string, limit int) ([]retriever.DocumentInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, err := f.index(name)
	if err := errors.Join(f.begin(ctx), err); err != nil {
		return nil, err
	}
	var infos []retriever.DocumentInfo
	for _, id := range slices.Sorted(maps.Keys(index)) {
		if id > after && len(infos) < limit {
			d := index[id]
			infos = append(infos, retriever.DocumentInfo{ID: id, Title: d.Title, ContentHash: "abc", Passages: 1, Runes: utf8.RuneCountInString(d.Text), Source: d.Source, Groups: d.Groups})
		}
	}
	return infos, nil
}

func (f *fakeService) Delete(ctx context.Context, name string, ids []string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, err := f.index(name)
	if err := errors.Join(f.begin(ctx), err); err != nil {
		return 0, err
	}
	n := 0
	for _, id := range ids {
		if _, ok := index[id]; ok {
			delete(index, id)
			n++
		}
	}
	return n, nil
}

func (f *fakeService) Ready(context.Context) error { return f.ready }
