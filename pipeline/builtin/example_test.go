package builtin_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

// wholePassage is a prediction head that calls the whole passage the answer.
type wholePassage struct{}

func (wholePassage) Kind() string       { return models.HeadSpan }
func (wholePassage) Requires() []string { return []string{models.OutputHidden} }

func (wholePassage) Spans(_ models.Outputs, e models.Encoding) (models.SpanLogits, error) {
	logits := models.SpanLogits{Start: make([]float32, e.Len()), End: make([]float32, e.Len())}
	logits.Start[e.First], logits.End[e.Last-1] = 10, 10
	return logits, nil
}

// A prediction head of one's own is a type and one line for the registry.
func Example_head() {
	registry := builtin.Registry()
	registry.AddHead(models.HeadSpan, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return wholePassage{}, nil
	})

	dir, err := os.MkdirTemp("", "needle-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := pipeline.DefaultConfig(registry)
	cfg.Data = dir
	ctx := context.Background()
	p, err := pipeline.Open(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Put(ctx, "", []retriever.Document{{ID: "lyon", Text: "The lease of the Lyon office ends in March 2031."}}); err != nil {
		log.Fatal(err)
	}
	result, err := p.Ask(ctx, pipeline.Request{Question: "When does the lease of the Lyon office end?", TopK: 1})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range result.Answers {
		fmt.Println(a.Text)
	}
	// Output: The lease of the Lyon office ends in March 2031.
}
