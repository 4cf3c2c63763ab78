package infer_test

import (
	"context"
	"fmt"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/modelstest"
)

func Example() {
	ctx := context.Background()
	tokenizer := modelstest.NewTokenizer()
	head := modelstest.NewSpanHead(tokenizer, modelstest.Span{Answer: "Gustave Eiffel", Score: 8})
	service, err := infer.New(modelstest.NewLanguageModel(modelstest.Options{}), infer.Config{Workers: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Close()

	windows, err := tokenizer.Pair(tokenizer.Tokenize("Who built it?"), tokenizer.Tokenize("It was Gustave Eiffel."), 64, 16)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Each hands over the outputs as they come, so that they need not be kept.
	err = service.Each(ctx, windows, func(i int, outputs models.Outputs) error {
		logits, err := head.Spans(outputs, windows[i])
		if err != nil {
			return err
		}
		for k, score := range logits.Start {
			if score > 0 {
				fmt.Println("window", i, "starts at", windows[i].Offsets[k].Start)
			}
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: window 0 starts at 7
}
