package pipeline_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

// A program needs no server and no configuration file. ONNX Runtime must be
// there: run `needle setup` once.
func Example() {
	dir, err := os.MkdirTemp("", "needle-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = dir

	ctx := context.Background()
	p, err := pipeline.Open(ctx, cfg)
	if err != nil {
		log.Fatal(err) // says what to run if ONNX Runtime is missing
	}
	defer p.Close()
	_, err = p.Put(ctx, "", []retriever.Document{
		{ID: "lyon", Text: "The lease of the Lyon office ends in March 2031. The landlord is Immobilier Rhône."},
		{ID: "brno", Text: "The plant in Brno is ours; it was bought in 1998."},
	})
	if err != nil {
		log.Fatal(err)
	}
	res, err := p.Ask(ctx, pipeline.Request{Question: "When does the lease of the Lyon office end?", TopK: 1})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range res.Answers {
		fmt.Printf("%s (%s)\n", a.Text, a.DocumentID)
	}
	// Output: March 2031 (lyon)
}
