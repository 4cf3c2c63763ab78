package retrievertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
)

// testFacets checks indexes that count values of metadata.
func testFacets(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend)
	faceter, ok := index.(retriever.Faceter)
	if !ok {
		t.Skip("the index does not count facets")
	}
	for _, e := range metadata() {
		upsert(t, index, e) // and once more below, so that there are deleted ones
	}
	other := withMetadata(Entry("other", "another matter"), map[string]any{"lang": "en", "year": int64(5)})
	upsert(t, index, append(metadata(), other)...)
	for _, test := range []struct {
		name, request, want string
		query               retriever.Query
	}{
		{name: "values", request: `"lang"`, want: `EN 1, de 1, fr 1, en 2; other 0, missing 1 of 6`},
		{name: "lists", request: `"tags"`, want: `x 1, z 1, ü 🐞 1, y 2; other 1, missing 2 of 6`},
		{name: "top", request: `{"field": "lang", "size": 1}`, want: `en 2; other 3, missing 1 of 6`},
		{name: "ties by value", request: `{"field": "lang", "size": 3}`, want: `EN 1, de 1, en 2; other 1, missing 1 of 6`},
		{name: "booleans", request: `"on"`, want: `false 2, true 2; other 0, missing 2 of 6`},
		{name: "numbers", request: `"year"`, want: `-1 1, 0 1, 255 1, 256 1, 2020.5 1; other 0, missing 1 of 6`},
		{name: "dates", request: `{"field": "day", "size": 2}`, want: `1815-06-18T00:00:00Z 1, 2024-01-01T12:00:00Z 1; other 3, missing 1 of 6`},
		{
			name: "ranges", request: `{"field": "year", "ranges": [{"name": "old", "lt": 0}, {"gte": 0, "lt": 256}, {"gt": 0}, {"gt": 9000}]}`,
			want: `old 1, [0 256) 2, (0 3, (9000 0; other 0, missing 1 of 6`,
		},
		{
			name: "ranges of dates", request: `{"field": "day", "ranges": [{"gte": "2024-01-01", "lte": "2024-01-02T12:00:00Z"}]}`,
			want: `[2024-01-01 2024-01-02T12:00:00Z] 2; other 3, missing 1 of 6`,
		},
		{name: "filtered", request: `"lang"`, query: retriever.Query{Filter: &retriever.Filter{Field: "on", Equals: true}}, want: `de 1, en 1; other 0, missing 0 of 2`},
		{name: "another query", request: `"lang"`, query: retriever.Query{Text: "matter"}, want: `en 1; other 0, missing 0 of 1`},
		{name: "several terms", request: `"lang"`, query: retriever.Query{Text: "matter item item"}, want: `EN 1, de 1, fr 1, en 3; other 0, missing 1 of 7`},
		{name: "nothing found", request: `"lang"`, query: retriever.Query{Text: "zebra"}, want: `; other 0, missing 0 of 0`},
		{name: "nothing found in ranges", request: `{"field": "year", "ranges": [{"gt": 0}]}`, query: retriever.Query{Text: "zebra"}, want: `(0 0; other 0, missing 0 of 0`},
		{name: "stop words", request: `"lang"`, query: retriever.Query{Text: "the"}, want: `; other 0, missing 0 of 0`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var request retriever.FacetRequest
			if err := json.Unmarshal([]byte(test.request), &request); err != nil {
				t.Fatal(err)
			}
			query := test.query
			query.AllGroups = true
			if query.Text == "" {
				query.Text = "item"
			}
			counts, err := faceter.Facets(t.Context(), query, []retriever.FacetRequest{request})
			if err != nil {
				t.Fatal(err)
			}
			if got := facetText(counts, 0); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if counts.Generation != index.Generation() {
				t.Errorf("generation %d, want %d", counts.Generation, index.Generation())
			}
		})
	}
	for name, test := range map[string]struct {
		request retriever.FacetRequest
		query   string
		want    error
		says    string
	}{
		"unknown field":   {retriever.FacetRequest{Field: "colour"}, "item", retriever.ErrInvalidFacet, `"colour"`},
		"no field":        {retriever.FacetRequest{}, "item", retriever.ErrInvalidFacet, "no field"},
		"ranges of text":  {retriever.FacetRequest{Field: "lang", Ranges: []retriever.FacetRange{{GT: "a"}}}, "item", retriever.ErrInvalidFacet, `"lang"`},
		"no bound":        {retriever.FacetRequest{Field: "year", Ranges: []retriever.FacetRange{{Name: "all"}}}, "item", retriever.ErrInvalidFacet, `"year"`},
		"wrong bound":     {retriever.FacetRequest{Field: "year", Ranges: []retriever.FacetRange{{GT: "x"}}}, "item", retriever.ErrInvalidFacet, `"year"`},
		"negative size":   {retriever.FacetRequest{Field: "lang", Size: -1}, "item", retriever.ErrInvalidFacet, "size"},
		"too many values": {retriever.FacetRequest{Field: "lang", Size: retriever.MaxFacetSize + 1}, "item", retriever.ErrInvalidFacet, "size"},
		"empty query":     {retriever.FacetRequest{Field: "lang"}, " ", retriever.ErrInvalidQuery, "text"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := faceter.Facets(t.Context(), retriever.Query{Text: test.query, AllGroups: true}, []retriever.FacetRequest{test.request})
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("Facets: %v, want %v that says %s", err, test.want, test.says)
			}
		})
	}
	t.Run("groups", func(t *testing.T) { testFacetGroups(t, newBackend) })
	t.Run("against search", func(t *testing.T) { testFacetsAgainstSearch(t, newBackend) })
}

// facetText writes a facet in a form that is easy to compare, values by rising
// count so that a wrong order shows.
func facetText(counts retriever.FacetCounts, i int) string {
	f := counts.Facets[i]
	var parts []string
	values := slices.Clone(f.Values)
	// The order must be the one promised: falling counts, equal ones by value.
	slices.SortStableFunc(values, func(a, b retriever.FacetValue) int { return int(a.Count) - int(b.Count) })
	for _, v := range values {
		parts = append(parts, fmt.Sprint(v.Value, " ", v.Count))
	}
	for i := 1; i < len(f.Values); i++ {
		if f.Values[i-1].Count < f.Values[i].Count {
			parts = append(parts, "(not by falling count)")
		}
	}
	for _, r := range f.Ranges {
		name := r.Name
		for _, bound := range []struct {
			before string
			value  any
			after  string
		}{{"(", r.GT, ""}, {"[", r.GTE, ""}, {" ", r.LT, ")"}, {" ", r.LTE, "]"}} {
			if bound.value != nil && r.Name == "" {
				name += fmt.Sprint(bound.before, bound.value, bound.after)
			}
		}
		parts = append(parts, fmt.Sprint(name, " ", r.Count))
	}
	return fmt.Sprintf("%s; other %d, missing %d of %d", strings.Join(parts, ", "), f.Other, f.Missing, counts.Documents)
}

func testFacetGroups(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend)
	for id, groups := range map[string][]string{"public": nil, "hr": {"hr"}, "both": {"hr", "legal"}, "legal": {"legal"}} {
		e := withMetadata(Entry(id, "secret plan"), map[string]any{"author": "author of " + id, "year": int64(len(id))})
		e.Document.Groups = groups
		upsert(t, index, e)
	}
	requests := []retriever.FacetRequest{
		{Field: "author"}, {Field: "author", Size: 1}, {Field: "year", Ranges: []retriever.FacetRange{{GT: 0}}},
	}
	for _, test := range []struct {
		name   string
		groups []string
		all    bool
		want   [3]string
	}{
		{"nobody", nil, false, [3]string{
			"author of public 1; other 0, missing 0 of 1", "author of public 1; other 0, missing 0 of 1", "(0 1; other 0, missing 0 of 1",
		}},
		{"hr", []string{"hr"}, false, [3]string{
			"author of both 1, author of hr 1, author of public 1; other 0, missing 0 of 3", "author of both 1; other 2, missing 0 of 3", "(0 3; other 0, missing 0 of 3",
		}},
		{"all", nil, true, [3]string{
			"author of both 1, author of hr 1, author of legal 1, author of public 1; other 0, missing 0 of 4", "author of both 1; other 3, missing 0 of 4", "(0 4; other 0, missing 0 of 4",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			counts, err := index.(retriever.Faceter).Facets(t.Context(), retriever.Query{Text: "secret", Groups: test.groups, AllGroups: test.all}, requests)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range test.want {
				if got := facetText(counts, i); got != want {
					t.Errorf("facet %d: got %s, want %s", i, got, want)
				}
			}
		})
	}
}

// testFacetsAgainstSearch compares counts with what a search for everything
// returns.
func testFacetsAgainstSearch(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	random := rand.New(rand.NewPCG(8, 9))
	index := create(t, newBackend)
	words := strings.Fields("apple pear plum cherry")
	for range 6 {
		batch := map[string]retriever.Entry{}
		for range 20 {
			id := fmt.Sprintf("doc%02d", random.IntN(60))
			parts := make([]string, 1+random.IntN(4))
			for i := range parts {
				parts[i] = words[random.IntN(len(words))] + " " + words[random.IntN(len(words))]
			}
			e := withMetadata(Entry(id, parts...), map[string]any{"word": fmt.Sprintf("w%d", random.IntN(12)), "number": int64(random.IntN(9))})
			if random.IntN(4) == 0 {
				delete(e.Document.Metadata, "word")
			}
			batch[id] = e
		}
		var entries []retriever.Entry
		for _, e := range batch {
			entries = append(entries, e)
		}
		upsert(t, index, entries...)
		if _, err := index.Delete(t.Context(), []string{fmt.Sprintf("doc%02d", random.IntN(60))}); err != nil {
			t.Fatal(err)
		}
	}
	for range 40 {
		query := retriever.Query{Text: words[random.IntN(len(words))], TopK: 1000, AllGroups: true}
		if random.IntN(2) == 0 {
			query.Filter = &retriever.Filter{Field: "number", LT: float64(random.IntN(9))}
		}
		size := 1 + random.IntN(12)
		counts, err := index.(retriever.Faceter).Facets(t.Context(), query, []retriever.FacetRequest{{Field: "word", Size: size}})
		if err != nil {
			t.Fatal(err)
		}
		results, err := index.Retrieve(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		found, byValue := map[string]bool{}, map[string]uint64{}
		want := retriever.Facet{Field: "word", Type: retriever.Keyword}
		for _, hit := range results.Hits {
			if found[hit.DocumentID] {
				continue
			}
			found[hit.DocumentID] = true
			if word, ok := hit.Metadata["word"].(string); ok {
				byValue[word]++
			} else {
				want.Missing++
			}
		}
		for word, n := range byValue {
			want.Values = append(want.Values, retriever.FacetValue{Value: word, Count: n})
		}
		slices.SortFunc(want.Values, func(a, b retriever.FacetValue) int {
			if a.Count != b.Count {
				return int(b.Count) - int(a.Count)
			}
			return strings.Compare(a.Value.(string), b.Value.(string))
		})
		if len(want.Values) > size {
			for _, v := range want.Values[size:] {
				want.Other += v.Count
			}
			want.Values = want.Values[:size]
		}
		if got := counts.Facets[0]; fmt.Sprint(got) != fmt.Sprint(want) || counts.Documents != uint64(len(found)) {
			t.Fatalf("%+v, size %d: got %v of %d, want %v of %d", query, size, got, counts.Documents, want, len(found))
		}
	}
}
