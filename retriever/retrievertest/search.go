package retrievertest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
)

func testSearch(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("empty index", func(t *testing.T) {
		index := create(t, newBackend)
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: "tower", TopK: 10})
		if err != nil || len(results.Hits) != 0 {
			t.Errorf("Retrieve = %v, %v; want no hits", results.Hits, err)
		}
		wantCounts(t, index, 0, 0)
	})

	t.Run("best first", func(t *testing.T) {
		index := create(t, newBackend,
			Entry("far", "a tower may be mentioned among very many other things that have little to do with it"),
			Entry("near", "tower tower"),
			Entry("none", "a bridge"))
		hits := search(t, index, "TOWER!", 10) // no plural: not every analysis stems
		if got := ids(hits); got != "[near#0 far#0]" {
			t.Fatalf("hits = %s, want [near#0 far#0]", got)
		}
		if hits[0].Scores.BM25 <= hits[1].Scores.BM25 || hits[1].Scores.BM25 <= 0 {
			t.Errorf("scores = %v, %v; want falling and positive", hits[0].Scores.BM25, hits[1].Scores.BM25)
		}
	})

	t.Run("ties", func(t *testing.T) {
		index := create(t, newBackend)
		for _, id := range []string{"e", "c", "a!", "a", "d", "b"} {
			upsert(t, index, Entry(id, "equal text", "equal text"))
		}
		want := []string{"a#0", "a#1", "a!#0", "a!#1", "b#0", "b#1", "c#0", "c#1", "d#0", "d#1", "e#0", "e#1"}
		for k := 1; k <= len(want)+1; k++ {
			if got := ids(search(t, index, "equal", k)); got != fmt.Sprint(want[:min(k, len(want))]) {
				t.Errorf("top %d = %s, want a prefix of %v", k, got, want)
			}
		}
	})

	t.Run("hit", func(t *testing.T) {
		e := overlapping()
		index := create(t, newBackend, e)
		hits := search(t, index, "日本語のテキスト saß", 10)
		if len(hits) == 0 {
			t.Fatal("no hits")
		}
		runes := []rune(e.Document.Text)
		for _, hit := range hits {
			if !reflect.DeepEqual(hit.Passage, e.Passages[hit.Ordinal]) {
				t.Errorf("passage = %+v\nwant %+v", hit.Passage, e.Passages[hit.Ordinal])
			}
			if hit.Text != string(runes[hit.Start:hit.End]) {
				t.Errorf("text = %q, want text[%d:%d]", hit.Text, hit.Start, hit.End)
			}
			if hit.Title != e.Document.Title || !reflect.DeepEqual(hit.Metadata, e.Document.Metadata) || hit.Source != e.Document.Source {
				t.Errorf("hit = %+v, want title, metadata and source of the document", hit)
			}
		}
	})

	t.Run("title", func(t *testing.T) {
		e := Entry("a", "it was built in 1889", "it is made of iron")
		e.Document.Title = "Eiffel Tower"
		index := create(t, newBackend, e, Entry("b", "the house was built in 1889"))
		if got := ids(search(t, index, "when was the Eiffel Tower built?", 1)); got != "[a#0]" {
			t.Errorf("hits = %s, want [a#0]: titles are searched with every passage", got)
		}
	})

	t.Run("stop words", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "the cat and the dog"))
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: "the and of", TopK: 5, AllGroups: true})
		if err != nil || len(results.Hits) != 0 || len(results.Terms) != 0 {
			t.Errorf("Retrieve = %v, %v, %v; want no hits and no terms", results.Hits, results.Terms, err)
		}
		results, err = index.Retrieve(t.Context(), retriever.Query{Text: "the cat!", TopK: 5, AllGroups: true})
		if err != nil || ids(results.Hits) != "[a#0]" || len(results.Terms) != 1 {
			t.Errorf("Retrieve = %s, %v, %v; want [a#0] and one term", ids(results.Hits), results.Terms, err)
		}
		if results.Generation != index.Generation() {
			t.Errorf("generation = %d, want %d", results.Generation, index.Generation())
		}
	})

	t.Run("explanation", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "red red fox"), Entry("b", "red hen"))
		query := retriever.Query{Text: "red fox", TopK: 5, AllGroups: true}
		for _, explain := range []bool{false, true} {
			query.Explain = explain
			results, err := index.Retrieve(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, hit := range results.Hits {
				if !explain {
					if hit.Explanation != nil {
						t.Errorf("%s is explained unasked", hit.ID())
					}
					continue
				}
				sum := 0.0
				for _, term := range hit.Explanation {
					sum += term.Score
				}
				if len(hit.Explanation) == 0 || math.Abs(sum-hit.Scores.BM25) > 1e-6 {
					t.Errorf("%s: the explanation adds up to %v, want %v", hit.ID(), sum, hit.Scores.BM25)
				}
			}
		}
	})

	t.Run("invalid query", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "text"))
		for name, query := range map[string]retriever.Query{
			"no text":   {TopK: 1},
			"blank":     {Text: " \t\n", TopK: 1},
			"bad UTF-8": {Text: "a\xffb", TopK: 1},
			"top_k 0":   {Text: "text"},
			"top_k -1":  {Text: "text", TopK: -1},
		} {
			if _, err := index.Retrieve(t.Context(), query); !errors.Is(err, retriever.ErrInvalidQuery) {
				t.Errorf("%s: %v, want ErrInvalidQuery", name, err)
			}
		}
	})

	t.Run("odd queries", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "plain text"))
		for name, text := range map[string]string{
			"syntax":    `+plain -text "a OR b" field:x^2 ~* (`,
			"NUL":       "plain\x00text",
			"controls":  "plain \u202e \x07 text",
			"long":      strings.Repeat("plain text ", 20_000),
			"long word": strings.Repeat("x", 100_000) + " text",
			"many":      manyWords(20_000) + " text",
		} {
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: 3, AllGroups: true})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if ids(results.Hits) != "[a#0]" && name != "NUL" {
				t.Errorf("%s: hits = %s, want [a#0]", name, ids(results.Hits))
			}
		}
	})
}

func manyWords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "word%d ", i)
	}
	return b.String()
}
