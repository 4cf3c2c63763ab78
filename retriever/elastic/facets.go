package elastic

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

var _ retriever.Faceter = (*Index)(nil)

// The numbers of documents up to which the server's counts of documents are
// exact: that of all that match, which is counted once, and those of a value.
// Above they are within a few percent (HyperLogLog++). It takes eight bytes of
// the server's memory a document, for each value that is counted.
const (
	exactTotal = 40_000 // the server allows no more
	exactValue = 3_000
)

// The server counts passages when it looks for the most frequent values, and
// documents only of those that it found. So more are looked for than are asked
// for.
func facetCandidates(limit int) int { return min(10*limit+100, 10_000) }

// Facets implements [retriever.Faceter]. Counts above 3,000 are within a few
// percent, and where a field has very many values, one that many documents share,
// but with few passages each, may be passed over.
//
// An index that was made before values could be counted has to be made anew.
func (x *Index) Facets(ctx context.Context, query retriever.Query, requests []retriever.FacetRequest) (retriever.FacetCounts, error) {
	switch {
	case strings.TrimSpace(query.Text) == "":
		return retriever.FacetCounts{}, x.fail("count facets of", fmt.Errorf("%w: the text is empty", retriever.ErrInvalidQuery))
	case !utf8.ValidString(query.Text):
		return retriever.FacetCounts{}, x.fail("count facets of", fmt.Errorf("%w: the text is not valid UTF-8", retriever.ErrInvalidQuery))
	}
	var counts retriever.FacetCounts
	err := x.withView(ctx, func(v *view) error {
		if err := query.Filter.Validate(v.Fields); err != nil {
			return err
		}
		if err := retriever.ValidateFacets(requests, v.Fields); err != nil {
			return err
		}
		a, err := x.analyze(ctx, query.Text)
		if err != nil {
			return err
		}
		scored, err := x.scoredQuery(v, a, &query)
		if err != nil {
			return err
		}
		counts, err = x.countFacets(ctx, v, scored, requests)
		counts.Generation = v.Generation
		return err
	})
	if err != nil {
		return retriever.FacetCounts{}, x.fail("count facets of", err)
	}
	return counts, nil
}

// documentCount counts documents where the server counts passages.
func documentCount(exact int) object {
	return object{"documents": object{"cardinality": object{"field": fieldDocument, "precision_threshold": exact}}}
}

func exists(field string) object { return term(fieldMetadata, field+tagExists) }

func not(query object) object { return object{"bool": object{"must_not": []any{query}}} }

// counted is an aggregation's answer, as far as any of ours has it.
type counted struct {
	Documents struct {
		Value uint64 `json:"value"`
	} `json:"documents"`
	Values struct {
		Buckets []bucket `json:"buckets"`
	} `json:"values"`
	Ranges struct {
		Buckets []counted `json:"buckets"`
	} `json:"ranges"`
}

// bucket is a value with what was counted of it.
type bucket struct {
	Key string `json:"key"`
	counted
}

// countFacets counts what a query finds; nil finds nothing.
func (x *Index) countFacets(ctx context.Context, v *view, query object, requests []retriever.FacetRequest) (retriever.FacetCounts, error) {
	counts := retriever.FacetCounts{Facets: make([]retriever.Facet, len(requests))}
	aggregations := documentCount(exactTotal)
	for i, r := range requests {
		f := &counts.Facets[i]
		f.Field, f.Type = r.Field, v.Fields[r.Field]
		aggregations["missing"+strconv.Itoa(i)] = object{"filter": not(exists(r.Field)), "aggs": documentCount(exactTotal)}
		if len(r.Ranges) == 0 {
			f.Values = []retriever.FacetValue{}
			aggregations["facet"+strconv.Itoa(i)] = object{"filter": exists(r.Field), "aggs": object{"values": valuesOf(r, f.Type)}}
			continue
		}
		f.Ranges = make([]retriever.FacetRangeCount, len(r.Ranges))
		ranges := make([]any, len(r.Ranges))
		for n, each := range r.Ranges {
			f.Ranges[n].FacetRange = each
			filter := each.Filter(r.Field)
			q, err := filterQuery(&filter, v.Fields)
			if err != nil {
				return counts, err
			}
			ranges[n] = q
		}
		aggregations["facet"+strconv.Itoa(i)] = object{
			"filter": exists(r.Field),
			"aggs":   object{"ranges": object{"filters": object{"filters": ranges}, "aggs": documentCount(exactValue)}},
		}
	}
	if query == nil {
		return counts, nil
	}
	answer, err := x.aggregate(ctx, query, aggregations)
	if err != nil {
		return counts, err
	}
	var total struct {
		Value uint64 `json:"value"`
	}
	if err := json.Unmarshal(answer["documents"], &total); err != nil {
		return counts, err
	}
	counts.Documents = total.Value
	// What is not listed can only be counted when it is known what is.
	others := object{}
	for i, r := range requests {
		f := &counts.Facets[i]
		var found, missing counted
		if err := json.Unmarshal(answer["facet"+strconv.Itoa(i)], &found); err != nil {
			return counts, err
		}
		if err := json.Unmarshal(answer["missing"+strconv.Itoa(i)], &missing); err != nil {
			return counts, err
		}
		f.Missing = missing.Documents.Value
		var listed object
		if f.Ranges != nil {
			listed, err = found.listRanges(f, v.Fields)
		} else {
			listed = found.listValues(f, r)
		}
		if err != nil {
			return counts, err
		}
		others["other"+strconv.Itoa(i)] = object{
			"filter": object{"bool": object{"filter": []any{exists(r.Field)}, "must_not": []any{listed}}}, "aggs": documentCount(exactTotal),
		}
	}
	if answer, err = x.aggregate(ctx, query, others); err != nil {
		return counts, err
	}
	for i := range requests {
		var other counted
		if err := json.Unmarshal(answer["other"+strconv.Itoa(i)], &other); err != nil {
			return counts, err
		}
		counts.Facets[i].Other = other.Documents.Value
	}
	return counts, nil
}

// aggregate runs aggregations over what a query finds.
func (x *Index) aggregate(ctx context.Context, query, aggregations object) (map[string]json.RawMessage, error) {
	if len(aggregations) == 0 {
		return nil, nil
	}
	var answer struct {
		TimedOut     bool                       `json:"timed_out"`
		Aggregations map[string]json.RawMessage `json:"aggregations"`
	}
	body := object{"size": 0, "track_total_hits": false, "query": query, "aggs": aggregations}
	path := "/" + x.concrete + "/_search?allow_partial_search_results=false"
	err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body}, &answer)
	var e *esclient.Error
	switch {
	case errors.As(err, &e) && strings.Contains(e.Reason, "Can't load fielddata on ["+fieldMetadata+"]"):
		return nil, fmt.Errorf("%w: the index was made before values could be counted; make it anew", retriever.ErrInvalidFacet)
	case err != nil:
		return nil, err
	case answer.TimedOut:
		return nil, fmt.Errorf("%w: the search timed out on the server", ErrUnavailable)
	}
	return answer.Aggregations, nil
}

// valuesOf asks for the most frequent values of a field.
func valuesOf(r retriever.FacetRequest, typ retriever.FieldType) object {
	return object{
		"terms": object{
			"field": fieldMetadata, "include": literal(r.Field+valueTag(typ)) + ".*", "size": facetCandidates(r.Limit()),
			"order": []any{object{"_count": "desc"}, object{"_key": "asc"}}, "collect_mode": "breadth_first",
		},
		"aggs": documentCount(exactValue),
	}
}

// valueTag is the tag of a type's values; digests of long keywords have another
// one, so that they are never listed.
func valueTag(typ retriever.FieldType) string {
	switch typ {
	case retriever.Keyword:
		return tagKeyword
	case retriever.Boolean:
		return tagBoolean
	}
	return tagNumber
}

// literal is text as a regular expression of Lucene.
func literal(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`.?+*|{}[]()"\#@&<>~^$-`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// listValues fills in the values of a facet and returns what matches them.
func (c *counted) listValues(f *retriever.Facet, r retriever.FacetRequest) object {
	buckets := slices.Clone(c.Values.Buckets)
	slices.SortFunc(buckets, func(a, b bucket) int {
		return cmp.Or(cmp.Compare(b.Documents.Value, a.Documents.Value), strings.Compare(a.Key, b.Key))
	})
	var terms []string
	for _, b := range buckets[:min(len(buckets), r.Limit())] {
		text := strings.TrimPrefix(b.Key, r.Field+valueTag(f.Type))
		f.Values = append(f.Values, retriever.FacetValue{Value: facetValue(f.Type, text), Count: b.Documents.Value})
		terms = append(terms, b.Key)
	}
	return anyOf(fieldMetadata, terms)
}

// listRanges fills in the ranges of a facet and returns what matches them.
func (c *counted) listRanges(f *retriever.Facet, fields map[string]retriever.FieldType) (object, error) {
	if len(c.Ranges.Buckets) != len(f.Ranges) {
		return nil, fmt.Errorf("the server counted %d ranges, asked for were %d", len(c.Ranges.Buckets), len(f.Ranges))
	}
	listed := make([]retriever.Filter, len(f.Ranges))
	for i := range f.Ranges {
		f.Ranges[i].Count = c.Ranges.Buckets[i].Documents.Value
		listed[i] = f.Ranges[i].Filter(f.Field)
	}
	return filterQuery(&retriever.Filter{Or: listed}, fields)
}

// facetValue is the inverse of [valueTerm], without the key and the tag.
func facetValue(typ retriever.FieldType, text string) any {
	switch typ {
	case retriever.Boolean:
		return text == "1"
	case retriever.Number, retriever.Date:
		encoded, err := strconv.ParseUint(text, 16, 64)
		switch {
		case err != nil:
			return text // no term that this program writes
		case typ == retriever.Date:
			return retriever.FacetDate(time.UnixMicro(int64(encoded ^ 1<<63)))
		case encoded>>63 != 0:
			return math.Float64frombits(encoded &^ (1 << 63))
		}
		return math.Float64frombits(^encoded)
	}
	return text
}
