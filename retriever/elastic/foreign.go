package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// foreign is an index that others made and write to, see [Existing]. A document
// of it is a document of Needle, cut into passages when it is read.
type foreign struct {
	named  string
	its    Existing
	client *client
	types  map[string]retriever.FieldType // of the metadata, fixed when it is opened

	life   sync.RWMutex
	closed bool

	// What is seen of the index's changes. Its generation starts with the time,
	// so that it grows from one start of the program to the next.
	changeLock  sync.Mutex
	generation  uint64
	fingerprint string
	checked     time.Time
	first       string // one of the Elasticsearch indexes
}

var _ retriever.Index = (*foreign)(nil)

func (b *Backend) openForeign(ctx context.Context, name string, e Existing) (*foreign, error) {
	x := &foreign{named: name, its: e, client: b.client, generation: uint64(time.Now().UnixMilli())}
	var err error
	if x.types, err = x.readFields(ctx); err != nil {
		return nil, err
	}
	if _, err := x.look(ctx); err != nil {
		return nil, err
	}
	return x, nil
}

// readFields makes sure that the configured fields are there and can be used. It
// returns the types of the metadata.
func (x *foreign) readFields(ctx context.Context) (map[string]retriever.FieldType, error) {
	var names []string
	for _, f := range x.its.fields() {
		if f.name != "" {
			names = append(names, f.name)
		}
	}
	var answer struct {
		Indices []string `json:"indices"`
		Fields  map[string]map[string]struct {
			Searchable   bool `json:"searchable"`
			Aggregatable bool `json:"aggregatable"`
		} `json:"fields"`
	}
	path := "/" + x.its.Index + "/_field_caps"
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: object{"fields": names}}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Indices) == 0 {
		return nil, fmt.Errorf("%w: no Elasticsearch index is called %s", retriever.ErrIndexNotFound, x.its.Index)
	}
	x.changeLock.Lock()
	x.first = slices.Min(answer.Indices)
	x.changeLock.Unlock()
	types := map[string]retriever.FieldType{}
	for _, f := range x.its.fields() {
		if f.name == "" {
			continue
		}
		fault := func(format string, args ...any) error {
			return fmt.Errorf("retriever.existing.%s.%s: the field %q of %s %s", x.named, f.key, f.name, x.its.Index, fmt.Sprintf(format, args...))
		}
		its := slices.Sorted(maps.Keys(answer.Fields[f.name]))
		switch {
		case len(its) == 0:
			return nil, fault("is missing")
		case len(its) > 1:
			return nil, fault("has several types: %s", strings.Join(its, ", "))
		case !answer.Fields[f.name][its[0]].Searchable && f.key != "uri":
			return nil, fault("cannot be searched")
		case f.key == "id" && !answer.Fields[f.name][its[0]].Aggregatable:
			return nil, fault("has the type %s, by which cannot be sorted; use one of type keyword", its[0])
		case f.key == "groups" && fieldTypes[its[0]] != retriever.Keyword:
			return nil, fault("has the type %s; groups are of type keyword", its[0])
		}
		if f.metadata != "" {
			typ, ok := fieldTypes[its[0]]
			if !ok {
				return nil, fault("has the type %s, which cannot be filtered by; a field of type text often has one of type keyword below it", its[0])
			}
			types[f.metadata] = typ
		}
	}
	return types, nil
}

func (x *foreign) fail(operation string, err error) error {
	return fmt.Errorf("elastic: %s index %q: %w", operation, x.named, err)
}

// call runs a call while the index is open.
func (x *foreign) call(ctx context.Context, operation string, do func() error) error {
	x.life.RLock()
	defer x.life.RUnlock()
	err := ctx.Err()
	if err == nil && x.closed {
		err = retriever.ErrClosed
	}
	if err == nil {
		err = do()
	}
	if err != nil {
		return x.fail(operation, err)
	}
	return nil
}

// look returns the generation: it grows when the server's counters of writes and
// refreshes have changed. Who may not read them gets a new one every time.
func (x *foreign) look(ctx context.Context) (uint64, error) {
	x.changeLock.Lock()
	defer x.changeLock.Unlock()
	if time.Since(x.checked) < viewAge {
		return x.generation, nil
	}
	var counters json.RawMessage
	path := "/" + x.its.Index + "/_stats/docs,indexing,refresh?filter_path=" +
		"_all.primaries.docs,_all.primaries.indexing.index_total,_all.primaries.indexing.delete_total,_all.primaries.refresh.external_total"
	err := x.client.do(ctx, request{method: http.MethodGet, path: path}, &counters)
	if err != nil && esclient.Status(err) != http.StatusForbidden {
		return 0, err
	}
	if err != nil || string(counters) != x.fingerprint {
		x.generation++
	}
	x.fingerprint, x.checked = string(counters), time.Now()
	return x.generation, nil
}

// Generation implements [retriever.Index]. It is known to this process only and
// a second old at most when something was retrieved.
func (x *foreign) Generation() uint64 {
	x.changeLock.Lock()
	defer x.changeLock.Unlock()
	return x.generation
}

// Retrieve implements [retriever.Retriever]. A document gives its passages that
// have most of the query's terms, all with the document's score.
func (x *foreign) Retrieve(ctx context.Context, query retriever.Query) (results retriever.Results, err error) {
	err = x.call(ctx, "search", func() error {
		switch {
		case strings.TrimSpace(query.Text) == "":
			return fmt.Errorf("%w: the text is empty", retriever.ErrInvalidQuery)
		case !utf8.ValidString(query.Text):
			return fmt.Errorf("%w: the text is not valid UTF-8", retriever.ErrInvalidQuery)
		case query.TopK < 1:
			return fmt.Errorf("%w: top_k is %d; it must be at least 1", retriever.ErrInvalidQuery, query.TopK)
		}
		if err := query.Filter.Validate(x.types); err != nil {
			return err
		}
		if results.Generation, err = x.look(ctx); err != nil {
			return err
		}
		if results.Terms, err = x.terms(ctx, query.Text); err != nil {
			return err
		}
		results.Hits, err = x.search(ctx, &query, results.Terms)
		return err
	})
	return results, err
}

// terms analyses a query like the text. An alias or pattern may stand for indexes
// that analyse differently, of which one is asked.
func (x *foreign) terms(ctx context.Context, text string) ([]string, error) {
	var answer struct {
		Tokens []struct {
			Token string `json:"token"`
		} `json:"tokens"`
	}
	analyze := func() error {
		x.changeLock.Lock()
		path := "/" + x.first + "/_analyze"
		x.changeLock.Unlock()
		return x.client.do(ctx, request{method: http.MethodPost, path: path, body: object{"field": x.its.Text, "text": text}}, &answer)
	}
	err := analyze()
	if errors.Is(err, retriever.ErrIndexNotFound) {
		// It is gone, but the alias or pattern may stand for others now.
		if _, err = x.readFields(ctx); err == nil {
			err = analyze()
		}
	}
	if err != nil {
		return nil, err
	}
	terms := []string{}
	for _, t := range answer.Tokens {
		if !slices.Contains(terms, t.Token) {
			terms = append(terms, t.Token)
		}
	}
	return terms, nil
}

func (x *foreign) search(ctx context.Context, query *retriever.Query, terms []string) ([]retriever.Hit, error) {
	should := []any{object{"match": object{x.its.Text: object{"query": query.Text}}}}
	if x.its.Title != "" {
		should = append(should, object{"match": object{x.its.Title: object{"query": query.Text}}})
	}
	var filter []any
	if query.Filter != nil {
		f, err := x.filter(query.Filter)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", retriever.ErrInvalidFilter, err)
		}
		filter = append(filter, f)
	}
	if x.its.Groups != "" && !query.AllGroups {
		filter = append(filter, object{"bool": object{"minimum_should_match": 1, "should": []any{
			anyOf(x.its.Groups, query.Groups),
			object{"bool": object{"must_not": []any{object{"exists": object{"field": x.its.Groups}}}}},
		}}})
	}
	sort := []any{object{"_score": "desc"}}
	if x.its.ID != "" {
		sort = append(sort, object{x.its.ID: "asc"})
	}
	list, err := x.fetch(ctx, object{
		"query": object{"bool": object{"should": should, "minimum_should_match": 1, "filter": nonNilList(filter)}},
		"sort":  sort, "size": min(query.TopK, pageSize),
	})
	if err != nil {
		return nil, err
	}
	var hits []retriever.Hit
	for i := range list {
		d, err := x.document(&list[i])
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(d.Text) == "" {
			continue // its title was found, but there is nothing to read
		}
		for _, p := range bestPassages(d.ID, d.Text, terms) {
			hits = append(hits, retriever.Hit{
				Passage: p, Title: d.Title, Source: d.Source, Metadata: d.Metadata, Scores: retriever.Scores{BM25: list[i].Score},
			})
		}
	}
	return hits[:min(len(hits), query.TopK)], nil
}

// nonNilList makes JSON write an empty list, where nil would be null.
func nonNilList(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

// Upsert implements [retriever.Indexer]: the index belongs to others.
func (x *foreign) Upsert(ctx context.Context, _ []retriever.Entry) error {
	return x.call(ctx, "write to", func() error { return retriever.ErrReadOnly })
}

// Delete implements [retriever.Indexer]: the index belongs to others.
func (x *foreign) Delete(ctx context.Context, _ []string) (int, error) {
	return 0, x.call(ctx, "delete from", func() error { return retriever.ErrReadOnly })
}

// Stats implements [retriever.Index]. Passages are made when they are read, so
// that their number is that of the documents; what scores are made of is the
// server's business.
func (x *foreign) Stats(ctx context.Context) (stats retriever.Statistics, err error) {
	err = x.call(ctx, "describe", func() error {
		var answer struct {
			Count uint64 `json:"count"`
		}
		if err := x.client.do(ctx, request{method: http.MethodGet, path: "/" + x.its.Index + "/_count"}, &answer); err != nil {
			return err
		}
		generation, err := x.look(ctx)
		if err != nil {
			return err
		}
		stats = retriever.Statistics{
			Name: x.named, Documents: answer.Count, Passages: answer.Count, Generation: generation, Analyzer: "existing", Fields: maps.Clone(x.types),
		}
		return nil
	})
	return stats, err
}

// Close implements [retriever.Index].
func (x *foreign) Close() error {
	x.life.Lock()
	defer x.life.Unlock()
	x.closed = true
	return nil
}
