package bleve_test

import (
	"testing"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// entry makes an entry of one passage.
func entry(id, title, text string) retriever.Entry {
	return retriever.Entry{
		Document: retriever.Document{ID: id, Title: title, Text: text},
		Passages: []retriever.Passage{{DocumentID: id, Start: 0, End: len([]rune(text)), Text: text}},
	}
}

// create returns a new index in a fresh directory; it is verified and closed
// when the test ends.
func create(t testing.TB, config bleve.Config) *bleve.Index {
	t.Helper()
	backend, err := bleve.New(config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	index, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := index.Close(); err != nil {
			t.Error(err)
		}
	})
	return index.(*bleve.Index)
}

func TestRoundTrip(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	if err := index.Upsert(t.Context(), []retriever.Entry{entry("a", "Tower", "The tower was built by Eiffel."), entry("b", "", "A house.")}); err != nil {
		t.Fatal(err)
	}
	results, err := index.Retrieve(t.Context(), retriever.Query{Text: "who built the tower?", TopK: 5, AllGroups: true, Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(results.Hits) != 1 || results.Hits[0].DocumentID != "a" || results.Hits[0].Title != "Tower" {
		t.Fatalf("hits = %+v, want document a", results.Hits)
	}
	if err := index.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
