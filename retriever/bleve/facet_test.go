package bleve_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// TestFacetsWithFlatFiles compares counts that find a passage's document in the
// flat files with those that read it from the keys.
func TestFacetsWithFlatFiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	index := create(t, bleve.DefaultConfig())
	for range 5 {
		batch := map[string]retriever.Entry{}
		for range 30 {
			e := numberedEntry(fmt.Sprintf("doc%d", random.IntN(80)), random.IntN(1000))
			e.Document.Metadata = randomMetadata(random)
			batch[e.Document.ID] = e
		}
		var entries []retriever.Entry
		for _, e := range batch {
			entries = append(entries, e)
		}
		if err := index.Upsert(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
	}
	requests := []retriever.FacetRequest{
		{Field: "word"}, {Field: "word", Size: 2}, {Field: "number", Size: 5}, {Field: "flag"}, {Field: "date", Size: 3},
		{Field: "number", Ranges: []retriever.FacetRange{{LT: 0}, {GTE: 0, LT: 255}, {GT: 1e9}}},
	}
	query := retriever.Query{Text: "version part", AllGroups: true}
	index.SetFlatRecords(bleve.NoFlat)
	want, err := index.Facets(t.Context(), query, requests)
	if err != nil {
		t.Fatal(err)
	}
	warm(t, index)
	got, err := index.Facets(t.Context(), query, requests)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts with flat files differ (-without +with):\n%s", diff)
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Documents != stats.Documents || len(got.Facets[0].Values) != 5 {
		t.Errorf("%d of %d documents and %d words were counted; want all and 5", got.Documents, stats.Documents, len(got.Facets[0].Values))
	}
}

func TestFacetLongValuesAreOthers(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	for id, length := range map[string]int{"short": 1024, "long": 1025} {
		e := entry(id, "", "item")
		e.Document.Metadata = map[string]any{"word": strings.Repeat("x", length)}
		if err := index.Upsert(t.Context(), []retriever.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	counts, err := index.Facets(t.Context(), retriever.Query{Text: "item", AllGroups: true}, []retriever.FacetRequest{{Field: "word"}})
	if err != nil {
		t.Fatal(err)
	}
	if f := counts.Facets[0]; len(f.Values) != 1 || len(f.Values[0].Value.(string)) != 1024 || f.Other != 1 {
		t.Errorf("got %d values and %d others, want the short value and 1", len(f.Values), f.Other)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := index.Facets(ctx, retriever.Query{Text: "item"}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
