package bleve

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/needle-search/needle/retriever"
)

var _ retriever.Faceter = (*Index)(nil)

// Facets implements [retriever.Faceter]. All counts are exact.
func (x *Index) Facets(ctx context.Context, query retriever.Query, requests []retriever.FacetRequest) (retriever.FacetCounts, error) {
	switch {
	case strings.TrimSpace(query.Text) == "":
		return retriever.FacetCounts{}, x.fail("count facets of", fmt.Errorf("%w: the text is empty", retriever.ErrInvalidQuery))
	case !utf8.ValidString(query.Text):
		return retriever.FacetCounts{}, x.fail("count facets of", fmt.Errorf("%w: the text is not valid UTF-8", retriever.ErrInvalidQuery))
	}
	var counts retriever.FacetCounts
	err := x.withView(ctx, func(v view) error {
		if err := query.Filter.Validate(v.state.Fields); err != nil {
			return err
		}
		if err := retriever.ValidateFacets(requests, v.state.Fields); err != nil {
			return err
		}
		matched, err := x.matchedDocuments(ctx, v, &query)
		if err != nil {
			return err
		}
		counts.Generation = v.state.Generation
		for i := range matched {
			counts.Documents += matched[i].documents.GetCardinality()
		}
		for _, r := range requests {
			facet, err := countFacet(ctx, matched, r, v.state.Fields[r.Field])
			if err != nil {
				return err
			}
			counts.Facets = append(counts.Facets, facet)
		}
		return nil
	})
	if err != nil {
		return retriever.FacetCounts{}, x.fail("count facets of", err)
	}
	return counts, nil
}

// matchedSegment is a segment with the documents of it that match a query.
type matchedSegment struct {
	passages
	// documents holds one passage of each document: all passages of a document
	// carry the same metadata.
	documents *roaring.Bitmap
}

// matchedDocuments returns what matches the query in each segment.
func (x *Index) matchedDocuments(ctx context.Context, v view, query *retriever.Query) ([]matchedSegment, error) {
	terms := x.queryTerms(query.Text)
	matched := make([]matchedSegment, 0, len(v.Segments()))
	for _, s := range v.Segments() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dictionary, err := s.Segment().Dictionary(fieldText)
		if err != nil {
			return nil, err
		}
		found := &passages{segment: s, dictionary: dictionary, fields: v.state.Fields}
		set := roaring.New()
		for i := range terms {
			if err := found.or(set, string(terms[i].text)); err != nil {
				return nil, err
			}
		}
		hidden, err := excluded(ctx, s, v.state.Fields, query)
		if err != nil {
			return nil, err
		}
		if hidden != nil {
			set.AndNot(hidden)
		}
		m := matchedSegment{passages: *found}
		if m.dictionary, err = s.Segment().Dictionary(fieldFilter); err != nil {
			return nil, err
		}
		flat := x.flats.acquire(s)
		m.documents, err = onePerDocument(ctx, s.Segment(), flat, set)
		if flat != nil {
			flat.release()
		}
		if err != nil {
			return nil, err
		}
		matched = append(matched, m)
	}
	return matched, nil
}

// onePerDocument keeps the first passage of each document. One batch writes a
// document, so no other segment has a passage of it.
func onePerDocument(ctx context.Context, s segment.Segment, flat *flat, set *roaring.Bitmap) (*roaring.Bitmap, error) {
	words := (s.Count() + 63) / 64
	kept := make([]uint64, words)
	parents := make([]uint64, words)
	var ids map[string]struct{}
	left := checkEvery
	for all := set.Iterator(); all.HasNext(); {
		n := uint64(all.Next())
		if left--; left == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			left = checkEvery
		}
		if flat != nil {
			if parent, ok := flat.parent(n); ok {
				if word, bit := &parents[parent/64], uint64(1)<<(parent%64); *word&bit == 0 {
					*word |= bit
					kept[n/64] |= 1 << (n % 64)
				}
				continue
			}
		}
		key, err := s.DocID(n)
		if err != nil {
			return nil, err
		}
		id, _, err := splitPassageKey(string(key))
		if err != nil {
			return nil, err
		}
		if ids == nil {
			ids = make(map[string]struct{}, set.GetCardinality())
		}
		if _, known := ids[id]; !known {
			ids[id] = struct{}{}
			kept[n/64] |= 1 << (n % 64)
		}
	}
	return roaring.FromDense(kept, false), nil
}

// countFacet counts one field.
func countFacet(ctx context.Context, matched []matchedSegment, r retriever.FacetRequest, typ retriever.FieldType) (retriever.Facet, error) {
	facet := retriever.Facet{Field: r.Field, Type: typ}
	// rest is what of the documents with the field is not listed.
	rest := make([]*roaring.Bitmap, len(matched))
	for i := range matched {
		m := &matched[i]
		rest[i] = roaring.New()
		if err := m.or(rest[i], existsTerm(r.Field)); err != nil {
			return facet, err
		}
		rest[i].And(m.documents)
		facet.Missing += m.documents.GetCardinality() - rest[i].GetCardinality()
	}
	var err error
	if len(r.Ranges) > 0 {
		facet.Ranges, err = countRanges(ctx, matched, r, rest)
	} else {
		facet.Values, err = countValues(ctx, matched, r, typ, rest)
	}
	for i := range rest {
		facet.Other += rest[i].GetCardinality()
	}
	return facet, err
}

func countRanges(ctx context.Context, matched []matchedSegment, r retriever.FacetRequest, rest []*roaring.Bitmap) ([]retriever.FacetRangeCount, error) {
	counts := make([]retriever.FacetRangeCount, len(r.Ranges))
	for i, each := range r.Ranges {
		counts[i].FacetRange = each
		filter := each.Filter(r.Field)
		for n := range matched {
			set, err := matched[n].matching(ctx, &filter)
			if err != nil {
				return nil, err
			}
			counts[i].Count += set.AndCardinality(matched[n].documents)
			rest[n].AndNot(set)
		}
	}
	return counts, nil
}

// facetTerm is a term of a field that may be listed.
type facetTerm struct {
	term  string
	count uint64
}

// facetTerms is a heap with the term on top that goes first.
type facetTerms []facetTerm

func (h facetTerms) Len() int { return len(h) }
func (h facetTerms) Less(i, j int) bool {
	if h[i].count != h[j].count {
		return h[i].count < h[j].count
	}
	return h[i].term > h[j].term
}
func (h facetTerms) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *facetTerms) Push(t any)   { *h = append(*h, t.(facetTerm)) }
func (h *facetTerms) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// countValues lists the most frequent values. It goes through the terms of all
// segments in their order side by side, so that it never holds more of them
// than it lists, and reads the postings only of those that can be listed.
func countValues(ctx context.Context, matched []matchedSegment, r retriever.FacetRequest, typ retriever.FieldType, rest []*roaring.Bitmap) ([]retriever.FacetValue, error) {
	prefix := valuePrefix(r.Field, typ)
	terms, err := newTermMerger(matched, prefix)
	if err != nil {
		return nil, err
	}
	best := facetTerms{}
	limit, left, scratch := r.Limit(), checkEvery/16, roaring.New()
	for {
		term, passages, members, err := terms.next()
		if err != nil {
			return nil, err
		}
		if members == nil {
			break
		}
		if left--; left == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			left = checkEvery / 16
		}
		// No more documents have the value than passages do, and of equal counts
		// the term that came before is listed.
		full := len(best) == limit
		if full && passages <= best[0].count || len(term)-len(prefix) > retriever.MaxFacetValue {
			continue
		}
		var count uint64
		for _, n := range members {
			scratch.Clear()
			if err := matched[n].or(scratch, term); err != nil {
				return nil, err
			}
			count += scratch.AndCardinality(matched[n].documents)
		}
		switch {
		case count == 0:
		case !full:
			heap.Push(&best, facetTerm{term, count})
		case count > best[0].count:
			best[0] = facetTerm{term, count}
			heap.Fix(&best, 0)
		}
	}
	values := make([]retriever.FacetValue, len(best))
	for i := len(values) - 1; i >= 0; i-- {
		t := heap.Pop(&best).(facetTerm)
		values[i] = retriever.FacetValue{Value: facetValue(typ, t.term[len(prefix):]), Count: t.count}
		for n := range matched {
			scratch.Clear()
			if err := matched[n].or(scratch, t.term); err != nil {
				return nil, err
			}
			rest[n].AndNot(scratch)
		}
	}
	return values, nil
}

// valuePrefix is what the terms of a field's exact values begin with.
func valuePrefix(field string, typ retriever.FieldType) string {
	switch typ {
	case retriever.Keyword:
		return taggedPrefix(field, tagKeyword)
	case retriever.Boolean:
		return taggedPrefix(field, tagBoolean)
	}
	return taggedPrefix(field, tagNumber) + "0"
}

// facetValue is the inverse of keywordTerm, booleanTerm and numberTerm, without
// the prefix.
func facetValue(typ retriever.FieldType, text string) any {
	switch typ {
	case retriever.Boolean:
		return text == "1"
	case retriever.Number, retriever.Date:
		if len(text) != 8 {
			return text // no term that this program writes
		}
		encoded := binary.BigEndian.Uint64([]byte(text))
		if typ == retriever.Number {
			return decodeFloat(encoded)
		}
		return retriever.FacetDate(decodeTime(encoded))
	}
	return text
}

// decodeFloat is the inverse of encodeFloat.
func decodeFloat(encoded uint64) float64 {
	if encoded>>63 != 0 {
		return math.Float64frombits(encoded &^ (1 << 63))
	}
	return math.Float64frombits(^encoded)
}

// decodeTime is the inverse of encodeTime.
func decodeTime(encoded uint64) time.Time { return time.UnixMicro(int64(encoded ^ 1<<63)).UTC() }

// termMerger goes through the terms with a prefix in several segments.
type termMerger struct {
	iterators []segment.DictionaryIterator
	current   []*index.DictEntry // nil at the end
	members   []int
}

func newTermMerger(matched []matchedSegment, prefix string) (*termMerger, error) {
	m := &termMerger{iterators: make([]segment.DictionaryIterator, len(matched)), current: make([]*index.DictEntry, len(matched))}
	end := []byte(prefix)
	end[len(end)-1]++ // a letter or digit
	for i := range matched {
		if matched[i].documents.IsEmpty() {
			continue
		}
		m.iterators[i] = matched[i].dictionary.AutomatonIterator(nil, []byte(prefix), end)
		if err := m.advance(i); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *termMerger) advance(i int) (err error) {
	m.current[i], err = m.iterators[i].Next()
	return err
}

// next returns the next term, in how many passages it is, deleted ones
// included, and the segments that have it: none at the end.
func (m *termMerger) next() (term string, passages uint64, members []int, err error) {
	m.members = m.members[:0]
	for i, entry := range m.current {
		if entry == nil || len(m.members) > 0 && entry.Term > term {
			continue
		}
		if len(m.members) == 0 || entry.Term < term {
			term, passages, m.members = entry.Term, 0, m.members[:0]
		}
		passages += entry.Count
		m.members = append(m.members, i)
	}
	if len(m.members) == 0 {
		return "", 0, nil, nil
	}
	for _, i := range m.members {
		if err := m.advance(i); err != nil {
			return "", 0, nil, err
		}
	}
	return term, passages, m.members, nil
}
