package bleve

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/needle-search/needle/retriever"
)

// Retrieve implements [retriever.Retriever].
func (x *Index) Retrieve(ctx context.Context, query retriever.Query) (retriever.Results, error) {
	switch {
	case strings.TrimSpace(query.Text) == "":
		return retriever.Results{}, x.fail("search", fmt.Errorf("%w: the text is empty", retriever.ErrInvalidQuery))
	case !utf8.ValidString(query.Text):
		return retriever.Results{}, x.fail("search", fmt.Errorf("%w: the text is not valid UTF-8", retriever.ErrInvalidQuery))
	case query.TopK < 1:
		return retriever.Results{}, x.fail("search", fmt.Errorf("%w: top_k is %d; it must be at least 1", retriever.ErrInvalidQuery, query.TopK))
	}
	terms := x.queryTerms(query.Text)
	var results retriever.Results
	err := x.withView(ctx, func(v view) error {
		if err := query.Filter.Validate(v.state.Fields); err != nil {
			return err
		}
		results = retriever.Results{Generation: v.state.Generation, Terms: make([]string, len(terms))}
		for i := range terms {
			results.Terms[i] = string(terms[i].text)
		}
		var err error
		results.Hits, err = x.search(ctx, v, terms, &query)
		return err
	})
	if err != nil {
		return retriever.Results{}, x.fail("search", err)
	}
	return results, nil
}

// queryTerm is one distinct term of a query.
type queryTerm struct {
	text []byte
	// count says how often the query has the term.
	count int
	// documents is the term's document frequency: of how many passages it is.
	documents uint64
	idf       float64
}

// weight is what a passage's share of the term is multiplied by.
func (t *queryTerm) weight() float64 { return float64(t.count) * t.idf }

// queryTerms analyses a query into its distinct terms in order of appearance.
func (x *Index) queryTerms(text string) []queryTerm {
	var terms []queryTerm
	known := map[string]int{}
	x.analyzer.each(text, func(term string) {
		i, ok := known[term]
		if !ok {
			i = len(terms)
			known[term] = i
			terms = append(terms, queryTerm{text: []byte(term)})
		}
		terms[i].count++
	})
	return terms
}

// bm25 is the formula of the package comment with the constants of one query.
type bm25 struct {
	k1 float64
	// base and slope make up k1 · (1 - b + b · len / avglen).
	base, slope float64
}

func newBM25(c Config, averageLength float64) bm25 {
	m := bm25{k1: c.K1, base: c.K1 * (1 - c.B)}
	if averageLength > 0 {
		m.slope = c.K1 * c.B / averageLength
	}
	return m
}

// norm returns what a term's weight (count · idf) is multiplied by. It grows with
// the frequency, never with the length, and stays below k1 + 1.
func (m bm25) norm(tf, length uint64) float64 {
	f := float64(tf)
	return f * (m.k1 + 1) / (f + m.base + m.slope*float64(length))
}

func idf(passages, documents uint64) float64 {
	n, df := float64(passages), float64(documents)
	return math.Log(1 + (n-df+0.5)/(df+0.5))
}

// searched is a segment as one query sees it.
type searched struct {
	*scorch.SegmentSnapshot
	dictionary segment.TermDictionary
	excluded   *roaring.Bitmap
	// flat is the segment's flat file, or nil.
	flat *flat
}

// postings returns of how many live passages a term is.
func (s *searched) postings(term []byte) (uint64, error) {
	if s.flat != nil && s.Deleted() == nil {
		t, _ := s.flat.term(term)
		return uint64(t.count), nil
	}
	postings, err := s.dictionary.PostingsList(term, s.Deleted(), nil)
	if err != nil {
		return 0, err
	}
	return postings.Count(), nil
}

// search returns the best hits, complete with what is stored of them.
func (x *Index) search(ctx context.Context, v view, terms []queryTerm, query *retriever.Query) ([]retriever.Hit, error) {
	segments := make([]searched, 0, len(v.Segments()))
	defer func() {
		for i := range segments {
			if segments[i].flat != nil {
				segments[i].flat.release()
			}
		}
	}()
	for _, s := range v.Segments() {
		dictionary, err := s.Segment().Dictionary(fieldText)
		if err != nil {
			return nil, err
		}
		segments = append(segments, searched{SegmentSnapshot: s, dictionary: dictionary, flat: x.flats.acquire(s)})
		for i := range terms {
			// Counted without what is deleted, but with what is filtered out.
			n, err := segments[len(segments)-1].postings(terms[i].text)
			if err != nil {
				return nil, err
			}
			terms[i].documents += n
		}
	}
	for i := range terms {
		terms[i].idf = idf(v.state.Passages, terms[i].documents)
	}
	// Every passage's sum is made in this order, in whatever way it is found, so
	// that equal passages get equal sums.
	ordered := slices.Clone(terms)
	slices.SortStableFunc(ordered, func(a, b queryTerm) int { return cmp.Compare(b.weight(), a.weight()) })
	model := newBM25(x.config, v.state.averageLength())
	best := newTopK(query.TopK, segments)
	for i := range segments {
		if err := x.scoreSegment(ctx, &segments[i], i, v, ordered, model, query, best); err != nil {
			return nil, err
		}
	}
	candidates, err := best.ranked()
	if err != nil {
		return nil, err
	}
	hits, err := fetch(ctx, segments, candidates)
	if err == nil && query.Explain {
		err = explain(segments, candidates, terms, model, hits)
	}
	return hits, err
}

// scratch is the working memory of a query; it is reused.
type scratch struct {
	// scores holds a score for each record of a segment and is all zero between
	// queries.
	scores  []float64
	touched []uint32
	window  window
}

// checkEvery is after how many postings a query looks whether it is cancelled.
const checkEvery = 1 << 14

// lengthKnower is a posting that knows its field's exact length.
type lengthKnower interface{ NormUint64() uint64 }

// scoreSegment adds the best passages of one segment. It goes term by term, in
// the same order for every passage, so that equal passages get equal sums.
func (x *Index) scoreSegment(ctx context.Context, s *searched, number int, v view, terms []queryTerm, model bm25, query *retriever.Query, best *topK) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.excluded, err = excluded(ctx, s.SegmentSnapshot, v.state.Fields, query); err != nil {
		return err
	}
	work, _ := x.scratch.Get().(*scratch)
	if work == nil {
		work = &scratch{}
	}
	if s.flat != nil {
		if err := scoreFlat(ctx, s, number, terms, model, best, &work.window); err != nil {
			return err
		}
		x.scratch.Put(work)
		return nil
	}
	if count := int(s.Segment().Count()); len(work.scores) < count {
		work.scores = make([]float64, count)
	}
	// Given back only when clean: after an error the memory is dropped.
	var postings segment.PostingsList
	var iterator segment.PostingsIterator
	left := checkEvery
	for _, term := range terms {
		if postings, err = s.dictionary.PostingsList(term.text, s.excluded, postings); err != nil {
			return err
		}
		iterator = postings.Iterator(true, true, false, iterator)
		weight := term.weight()
		for {
			posting, err := iterator.Next()
			if err != nil {
				return err
			}
			if posting == nil {
				break
			}
			length, ok := posting.(lengthKnower)
			if !ok {
				return fmt.Errorf("segment of type %T does not know the length of a passage", s.Segment())
			}
			n := posting.Number()
			if work.scores[n] == 0 {
				work.touched = append(work.touched, uint32(n))
			}
			work.scores[n] += weight * model.norm(posting.Frequency(), length.NormUint64())
			if left--; left == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				left = checkEvery
			}
		}
	}
	for _, n := range work.touched {
		if err := best.offer(candidate{score: work.scores[n], segment: number, record: uint64(n)}); err != nil {
			return err
		}
		work.scores[n] = 0
	}
	work.touched = work.touched[:0]
	x.scratch.Put(work)
	return nil
}

// explain fills in how the scores of the hits came about, in the order of the
// query's terms.
func explain(segments []searched, candidates []candidate, terms []queryTerm, model bm25, hits []retriever.Hit) error {
	bySegment := make(map[int][]int)
	for i, c := range candidates {
		bySegment[c.segment] = append(bySegment[c.segment], i)
	}
	for number, members := range bySegment {
		slices.SortFunc(members, func(a, b int) int { return int(candidates[a].record) - int(candidates[b].record) })
		for _, term := range terms {
			postings, err := segments[number].dictionary.PostingsList(term.text, segments[number].excluded, nil)
			if err != nil {
				return err
			}
			iterator := postings.Iterator(true, true, false, nil)
			posting, err := iterator.Next()
			for _, i := range members {
				for err == nil && posting != nil && posting.Number() < candidates[i].record {
					posting, err = iterator.Next()
				}
				if err != nil {
					return err
				}
				if posting == nil || posting.Number() != candidates[i].record {
					continue
				}
				tf, length := posting.Frequency(), posting.(lengthKnower).NormUint64()
				hits[i].Explanation = append(hits[i].Explanation, retriever.TermScore{
					Term: string(term.text), TermFrequency: int(tf), DocumentFrequency: int(term.documents), IDF: term.idf,
					Score: term.weight() * model.norm(tf, length),
				})
			}
		}
	}
	return nil
}
