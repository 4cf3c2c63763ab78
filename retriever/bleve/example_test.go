package bleve_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

func Example() {
	dir, err := os.MkdirTemp("", "needle")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()
	ctx := context.Background()
	index, err := backend.Create(ctx, "handbook")
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()

	text := "Travel must be booked two weeks ahead."
	err = index.Upsert(ctx, []retriever.Entry{{
		Document: retriever.Document{ID: "travel", Title: "Business trips", Text: text, Metadata: map[string]any{"year": int64(2024)}},
		Passages: []retriever.Passage{{DocumentID: "travel", End: len(text), Text: text}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	results, err := index.Retrieve(ctx, retriever.Query{
		Text:   "When do I have to book a trip?",
		TopK:   10,
		Filter: &retriever.Filter{Field: "year", GTE: 2020},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range results.Hits {
		fmt.Println(hit.DocumentID, hit.Start, hit.End, hit.Text)
	}
	// Output: travel 0 38 Travel must be booked two weeks ahead.
}
