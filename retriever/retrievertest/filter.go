package retrievertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
)

// day returns a date of 2024.
func day(n int) time.Time { return time.Date(2024, 1, n, 12, 0, 0, 0, time.UTC) }

// metadata is what the filter tests search in: document a to f all match the
// query "item", and f has no metadata at all.
func metadata() []retriever.Entry {
	var entries []retriever.Entry
	for i, m := range []map[string]any{
		{"lang": "de", "tags": []string{"x", "y"}, "year": int64(-1), "price": -2.5, "on": true, "day": day(1)},
		{"lang": "en", "tags": []string{"y"}, "year": int64(0), "price": 0.0, "on": false, "day": day(2)},
		{"lang": "en", "tags": []string{}, "year": int64(255), "price": 1e-9, "on": true, "day": day(3)},
		{"lang": "fr", "tags": []string{"z", "ü 🐞"}, "year": int64(256), "price": 1e18, "day": time.Date(1815, 6, 18, 0, 0, 0, 0, time.UTC)},
		{"lang": "EN", "year": 2020.5, "price": int64(7), "on": false, "day": time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)},
		nil,
	} {
		entries = append(entries, withMetadata(Entry(string(rune('a'+i)), "item", "item too"), m))
	}
	return entries
}

func testFilter(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend)
	for _, e := range metadata() {
		upsert(t, index, e)
	}
	upsert(t, index, metadata()...)
	for _, test := range []struct{ filter, want string }{
		{`{"field": "lang", "equals": "en"}`, "bc"},
		{`{"field": "lang", "equals": "xx"}`, ""},
		{`{"field": "lang", "in": ["de", "fr", "xx"]}`, "ad"},
		{`{"field": "lang", "in": []}`, ""},
		{`{"field": "lang", "exists": true}`, "abcde"},
		{`{"field": "lang", "exists": false}`, "f"},
		{`{"field": "tags", "equals": "y"}`, "ab"},
		{`{"field": "tags", "equals": "ü 🐞"}`, "d"},
		{`{"field": "tags", "in": ["x", "z"]}`, "ad"},
		{`{"field": "year", "equals": 0}`, "b"},
		{`{"field": "year", "equals": 2020.5}`, "e"},
		{`{"field": "year", "in": [-1, 256]}`, "ad"},
		{`{"field": "year", "gt": 0}`, "cde"},
		{`{"field": "year", "gte": 0}`, "bcde"},
		{`{"field": "year", "lt": 256}`, "abc"},
		{`{"field": "year", "lte": 256}`, "abcd"},
		{`{"field": "year", "gt": -1, "lt": 256}`, "bc"},
		{`{"field": "year", "gte": 255, "lte": 255}`, "c"},
		{`{"field": "year", "gt": 255, "lt": 255}`, ""},
		{`{"field": "price", "gt": 0}`, "cde"},
		{`{"field": "price", "gte": 0}`, "bcde"},
		{`{"field": "price", "equals": 0}`, "b"},
		{`{"field": "price", "lt": 0}`, "a"},
		{`{"field": "price", "gte": -2.5, "lt": 1e18}`, "abce"},
		{`{"field": "price", "equals": 7}`, "e"},
		{`{"field": "on", "equals": true}`, "ac"},
		{`{"field": "on", "equals": false}`, "be"},
		{`{"field": "on", "in": [true, false]}`, "abce"},
		{`{"field": "day", "gte": "2024-01-02"}`, "bce"},
		{`{"field": "day", "lt": "2024-01-02"}`, "ad"},
		{`{"field": "day", "gt": "2024-01-02T12:00:00Z", "lte": "2024-01-03T12:00:00Z"}`, "c"},
		{`{"field": "day", "equals": "2024-01-01T13:00:00+01:00"}`, "a"},
		{`{"field": "day", "lt": "1900-01-01"}`, "d"},
		{`{"field": "day", "gt": "2300-01-01"}`, "e"},
		{`{"not": {"field": "lang", "equals": "en"}}`, "adef"},
		{`{"not": {"not": {"field": "on", "exists": true}}}`, "abce"},
		{`{"and": [{"field": "lang", "equals": "en"}, {"field": "on", "equals": true}]}`, "c"},
		{`{"and": [{"field": "lang", "equals": "en"}]}`, "bc"},
		{`{"or": [{"field": "lang", "equals": "fr"}, {"field": "year", "lt": 0}]}`, "ad"},
		{`{"or": [{"and": [{"field": "lang", "exists": true}, {"not": {"field": "on", "exists": true}}]}, {"field": "lang", "exists": false}]}`, "df"},
	} {
		t.Run(test.filter, func(t *testing.T) {
			f, err := retriever.ParseFilter([]byte(test.filter))
			if err != nil {
				t.Fatal(err)
			}
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 100, Filter: f, AllGroups: true})
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]int{}
			for _, hit := range results.Hits {
				found[hit.DocumentID]++
			}
			want := map[string]int{}
			for _, id := range strings.Split(test.want, "") {
				want[id] = 2
			}
			if fmt.Sprint(found) != fmt.Sprint(want) {
				t.Errorf("found %v, want %v", found, want)
			}
		})
	}

	t.Run("inside the retriever", func(t *testing.T) {
		f := &retriever.Filter{Field: "lang", Equals: "EN"}
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 1, Filter: f, AllGroups: true})
		if err != nil || len(results.Hits) != 1 || results.Hits[0].DocumentID != "e" {
			t.Errorf("top 1 = %s, %v; want e: a filter must act before the cut", ids(results.Hits), err)
		}
	})

	t.Run("scores unchanged", func(t *testing.T) {
		all := map[string]float64{}
		for _, hit := range search(t, index, "item", 100) {
			all[hit.ID()] = hit.Scores.BM25
		}
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 100, Filter: &retriever.Filter{Field: "on", Equals: true}, AllGroups: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, hit := range results.Hits {
			if hit.Scores.BM25 != all[hit.ID()] {
				t.Errorf("%s scores %v with a filter, %v without", hit.ID(), hit.Scores.BM25, all[hit.ID()])
			}
		}
	})

	t.Run("values of Go", func(t *testing.T) {
		for _, f := range []*retriever.Filter{
			{Field: "day", Equals: day(2)}, {Field: "year", Equals: 0}, {Field: "year", Equals: int64(0)},
			{Field: "day", GTE: day(2), LT: day(3)},
		} {
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 1, Filter: f, AllGroups: true})
			if err != nil || ids(results.Hits) != "[b#0]" {
				t.Errorf("%+v: %s, %v; want [b#0]", f, ids(results.Hits), err)
			}
		}
	})

	for name, test := range map[string]struct {
		filter retriever.Filter
		field  string
	}{
		"unknown field": {retriever.Filter{Field: "colour", Equals: "red"}, "colour"},
		"wrong type":    {retriever.Filter{Field: "year", Equals: "red"}, "year"},
		"range of text": {retriever.Filter{Field: "lang", GT: "a"}, "lang"},
		"no date":       {retriever.Filter{Field: "day", GT: "yesterday"}, "day"},
		"no condition":  {retriever.Filter{Field: "year"}, "year"},
		"empty":         {retriever.Filter{}, ""},
		"deep inside":   {retriever.Filter{And: []retriever.Filter{{Not: &retriever.Filter{Field: "nix", Equals: 1.0}}}}, "nix"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 1, Filter: &test.filter, AllGroups: true})
			if !errors.Is(err, retriever.ErrInvalidFilter) || !strings.Contains(err.Error(), test.field) {
				t.Errorf("Retrieve: %v, want ErrInvalidFilter that names %q", err, test.field)
			}
		})
	}
}

func testGroups(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend)
	for id, groups := range map[string][]string{"public": nil, "hr": {"hr"}, "both": {"hr", "legal"}, "legal": {"legal"}} {
		e := withMetadata(Entry(id, "secret plan"), map[string]any{"kind": "plan"})
		e.Document.Groups = groups
		upsert(t, index, e)
	}
	for _, test := range []struct {
		name   string
		groups []string
		all    bool
		want   string
	}{
		{"nobody", nil, false, "[public#0]"},
		{"hr", []string{"hr"}, false, "[both#0 hr#0 public#0]"},
		{"legal", []string{"legal", "unknown"}, false, "[both#0 legal#0 public#0]"},
		{"hr and legal", []string{"hr", "legal"}, false, "[both#0 hr#0 legal#0 public#0]"},
		{"unknown", []string{"unknown", "", "h", "hr "}, false, "[public#0]"},
		{"all", nil, true, "[both#0 hr#0 legal#0 public#0]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, f := range []*retriever.Filter{nil, {Field: "kind", Equals: "plan"}, {Not: &retriever.Filter{Field: "kind", Equals: "x"}}} {
				results, err := index.Retrieve(t.Context(), retriever.Query{Text: "secret", TopK: 10, Groups: test.groups, AllGroups: test.all, Filter: f})
				if err != nil || ids(results.Hits) != test.want {
					t.Errorf("filter %+v: %s, %v; want %s", f, ids(results.Hits), err, test.want)
				}
			}
		})
	}
	t.Run("groups change", func(t *testing.T) {
		e := Entry("hr", "secret plan")
		e.Document.Groups = []string{"legal"}
		upsert(t, index, e)
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: "secret", TopK: 10, Groups: []string{"hr"}})
		if err != nil || ids(results.Hits) != "[both#0 public#0]" {
			t.Errorf("hits = %s, %v; want [both#0 public#0]", ids(results.Hits), err)
		}
	})
}
