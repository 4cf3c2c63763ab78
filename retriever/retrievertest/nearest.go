package retrievertest

import (
	"errors"
	"testing"

	"github.com/needle-search/needle/retriever"
)

// testNearest tests back ends that search by vectors; the others have nothing to
// show. The indexes are so small that an approximate search finds all.
func testNearest(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	const model = "model-a"
	private := Entry("d", "xyz zyx")
	private.Document.Groups = []string{"staff"}
	index, store := createStore(t, newBackend,
		withMetadata(Entry("a", "aaaa", "bbbb"), map[string]any{"lang": "en"}), withMetadata(Entry("b", "aaab"), map[string]any{"lang": "de"}),
		Entry("c", "zzzz"), private)
	searcher, ok := index.(retriever.VectorSearcher)
	if !ok {
		t.Skip("the index does not search by vectors")
	}
	nearest := func(text string, query retriever.Query) []retriever.Hit {
		t.Helper()
		vector := vectorsOf([]retriever.Hit{{Passage: retriever.Passage{Text: text}}})[0]
		results, err := searcher.Nearest(t.Context(), model, vector, query)
		if err != nil {
			t.Fatalf("Nearest(%q): %v", text, err)
		}
		if results.Generation != index.Generation() {
			t.Errorf("Nearest tells generation %d, the index %d", results.Generation, index.Generation())
		}
		for i, h := range results.Hits {
			want := retriever.Cosine(vector, vectorsOf(results.Hits)[i])
			if h.Scores.Vector == nil || *h.Scores.Vector < want-1e-4 || *h.Scores.Vector > want+1e-4 {
				t.Errorf("%s has the cosine %v, want %v", h.ID(), h.Scores.Vector, want)
			}
			if i > 0 && *results.Hits[i-1].Scores.Vector < *h.Scores.Vector {
				t.Errorf("%s stands behind %s, which is farther", h.ID(), results.Hits[i-1].ID())
			}
		}
		return results.Hits
	}
	all := retriever.Query{TopK: 10, AllGroups: true}
	if hits := nearest("aaaa", all); len(hits) != 0 {
		t.Errorf("without vectors: %s, want none", ids(hits))
	}
	fill(t, store, model)
	for name, test := range map[string]struct {
		text  string
		query retriever.Query
		want  string
	}{
		"first":       {"aaaa", retriever.Query{TopK: 2, AllGroups: true}, "[a#0 b#0]"},
		"filter":      {"aaaa", retriever.Query{TopK: 1, AllGroups: true, Filter: &retriever.Filter{Field: "lang", Equals: "de"}}, "[b#0]"},
		"groups":      {"xyz zyx", retriever.Query{TopK: 1, Groups: []string{"staff"}}, "[d#0]"},
		"other group": {"xyz zyx", retriever.Query{TopK: 10, Groups: []string{"board"}, Filter: &retriever.Filter{Field: "lang", Equals: "de"}}, "[b#0]"},
	} {
		if got := ids(nearest(test.text, test.query)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	byWords := search(t, index, "aaaa", 1)
	for _, h := range nearest("aaaa", retriever.Query{Text: "aaaa", TopK: 10, AllGroups: true}) {
		want := 0.0
		if h.ID() == byWords[0].ID() {
			want = byWords[0].Scores.BM25
		}
		if h.Scores.BM25 < want-1e-4 || h.Scores.BM25 > want+1e-4 {
			t.Errorf("%s has the BM25 score %v, want %v", h.ID(), h.Scores.BM25, want)
		}
	}
	for _, h := range nearest("xyz zyx", retriever.Query{TopK: 10}) {
		if h.DocumentID == "d" {
			t.Error("a caller without groups sees a document of a group")
		}
	}
	if hits := nearest("aaaa", all); len(hits) != 5 {
		t.Errorf("%s, want all 5 passages", ids(hits))
	}
	// What changed is not found under its old vector, nor what was deleted.
	upsert(t, index, Entry("b", "yyyy"))
	if _, err := index.Delete(t.Context(), []string{"c"}); err != nil {
		t.Fatal(err)
	}
	if hits := nearest("aaab", all); len(hits) != 3 {
		t.Errorf("after a change: %s, want a#0, a#1 and d#0", ids(hits))
	}
	if _, err := searcher.Nearest(t.Context(), model, []int8{1, 2}, all); !errors.Is(err, retriever.ErrInvalidVector) {
		t.Errorf("a vector of another length: %v, want ErrInvalidVector", err)
	}
	if _, err := searcher.Nearest(t.Context(), model, []int8{1}, retriever.Query{}); !errors.Is(err, retriever.ErrInvalidQuery) {
		t.Errorf("top_k 0: %v, want ErrInvalidQuery", err)
	}
	if _, err := searcher.Nearest(t.Context(), model, []int8{1}, retriever.Query{TopK: 1, Filter: &retriever.Filter{Field: "absent", Equals: 1}}); !errors.Is(err, retriever.ErrInvalidFilter) {
		t.Errorf("an unknown field: %v, want ErrInvalidFilter", err)
	}
}
