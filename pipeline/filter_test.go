package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// TestFilterForms finds the same documents with a filter in YAML, in JSON and in
// Go.
func TestFilterForms(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}), pipeline.WithoutReader())
	for n := range 6 {
		putIn(t, p, "docs", retriever.Document{ID: fmt.Sprint(n), Text: "a tower", Metadata: map[string]any{
			"n": int64(n), "even": n%2 == 0, "day": time.Date(2024, 1, 1+n, 0, 0, 0, 0, time.UTC), "tags": []string{"all", fmt.Sprint("t", n%3)},
		}})
	}
	putIn(t, p, "docs", retriever.Document{ID: "none", Text: "a tower"})
	yes, no := true, false
	for _, test := range []struct {
		name, yaml, json string
		filter           retriever.Filter
		want             string
	}{
		{"equals", "field: n\nequals: 3", `{"field": "n", "equals": 3}`, retriever.Filter{Field: "n", Equals: 3}, "3"},
		{"in", "{field: tags, in: [t0, t2]}", `{"field": "tags", "in": ["t0", "t2"]}`, retriever.Filter{Field: "tags", In: []any{"t0", "t2"}}, "0235"},
		{"boolean", "{field: even, equals: false}", `{"field": "even", "equals": false}`, retriever.Filter{Field: "even", Equals: false}, "135"},
		{"exists", "{field: n, exists: true}", `{"field": "n", "exists": true}`, retriever.Filter{Field: "n", Exists: &yes}, "012345"},
		{"exists not", "{field: n, exists: false}", `{"field": "n", "exists": false}`, retriever.Filter{Field: "n", Exists: &no}, "none"},
		{"range", "{field: n, gt: 1, lte: 4.5}", `{"field": "n", "gt": 1, "lte": 4.5}`, retriever.Filter{Field: "n", GT: 1, LTE: 4.5}, "234"},
		{"dates", "{field: day, gte: 2024-01-03, lt: \"2024-01-05T00:00:00Z\"}", `{"field": "day", "gte": "2024-01-03", "lt": "2024-01-05T00:00:00Z"}`, retriever.Filter{Field: "day", GTE: time.Date(2024, 1, 3, 0, 0, 0, 0, time.UTC), LT: "2024-01-05"}, "23"},
		{
			"and, or, not", "and:\n  - or:\n      - {field: n, lt: 2}\n      - {field: n, gt: 3}\n  - not: {field: even, equals: true}\n",
			`{"and": [{"or": [{"field": "n", "lt": 2}, {"field": "n", "gt": 3}]}, {"not": {"field": "even", "equals": true}}]}`,
			retriever.Filter{And: []retriever.Filter{
				{Or: []retriever.Filter{{Field: "n", LT: 2}, {Field: "n", GT: 3}}}, {Not: &retriever.Filter{Field: "even", Equals: true}},
			}}, "15",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var decoded retriever.Filter
			if err := json.Unmarshal([]byte(test.json), &decoded); err != nil {
				t.Fatal(err)
			}
			filters := map[string]*retriever.Filter{"Go": &test.filter, "JSON": &decoded}
			for name, text := range map[string]string{"YAML": test.yaml, "JSON as YAML": test.json} {
				f, err := pipeline.ParseFilter([]byte(text))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				filters[name] = f
			}
			for name, f := range filters {
				result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "tower", Index: "docs", TopK: 100, Filter: f, Access: pipeline.FullAccess()})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got := ""
				for _, hit := range result.Hits {
					got += hit.DocumentID
				}
				if got != test.want {
					t.Errorf("%s finds %s, want %s", name, got, test.want)
				}
			}
		})
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":     {"field: n\nequal: 3", "equal"},
		"unknown in JSON": {`{"field": "n", "equal": 3}`, "equal"},
		"no YAML":         {"field: [", "YAML"},
		"two documents":   {"field: n\nequals: 1\n---\nfield: n\nequals: 2", "after the filter"},
		"a word":          {"sales", "YAML"},
		"key twice":       {"field: n\nequals: 1\nequals: 2", "equals"},
		"broken JSON":     {`{"field": "n"`, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := pipeline.ParseFilter([]byte(test.text)); !errors.Is(err, retriever.ErrInvalidFilter) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want ErrInvalidFilter that says %q", f, err, test.want)
			}
		})
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add("field: n\nequals: 3")
	f.Add("and: [{field: lang, in: [a, 1, 2.5, true, 2024-01-01]}, {not: {field: n, exists: false}}]")
	f.Add(`{"field": "n", "gt": 1, "lte": 4.5}`)
	fields := map[string]retriever.FieldType{"n": retriever.Number, "lang": retriever.Keyword}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := pipeline.ParseFilter([]byte(text))
		if err == nil {
			err = filter.Validate(fields)
		}
		if err != nil && !errors.Is(err, retriever.ErrInvalidFilter) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestDeclaredInConfiguration: fields have their types before any document
// carries them, in new indexes and in those that were there before.
func TestDeclaredInConfiguration(t *testing.T) {
	cfg := fakes(t, modelstest.Options{})
	p := open(t, cfg, pipeline.WithoutReader())
	putIn(t, p, "old", retriever.Document{ID: "a", Text: "text", Metadata: map[string]any{"lang": "en", "year": int64(1)}})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Indexes = map[string]pipeline.IndexSection{
		"new": {Fields: map[string]retriever.FieldType{"year": retriever.Number}},
		"old": {Fields: map[string]retriever.FieldType{"draft": retriever.Boolean}},
	}
	p = open(t, cfg, pipeline.WithoutReader())
	for index, document := range map[string]retriever.Document{
		"new": {ID: "b", Text: "text", Metadata: map[string]any{"year": "old"}},
		"old": {ID: "b", Text: "text", Metadata: map[string]any{"draft": "yes"}},
	} {
		results, err := p.Put(t.Context(), index, []retriever.Document{document})
		if !errors.Is(err, retriever.ErrFieldConflict) {
			t.Errorf("%s: %+v, %v; want ErrFieldConflict", index, results, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	// What contradicts the documents is not declared, and the index works.
	cfg.Indexes = map[string]pipeline.IndexSection{"old": {Fields: map[string]retriever.FieldType{"lang": retriever.Date}}}
	p = open(t, cfg, pipeline.WithoutReader())
	putIn(t, p, "old", retriever.Document{ID: "c", Text: "text", Metadata: map[string]any{"lang": "de"}})
}
