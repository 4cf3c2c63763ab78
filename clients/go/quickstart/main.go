// Command quickstart stores two documents on a server, asks a question, follows
// another as it is answered, and cleans up:
//
//	go run ./clients/go/quickstart -server http://127.0.0.1:8080
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

const index = "go-quickstart"

func main() {
	server := flag.String("server", "http://127.0.0.1:8080", "address of the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *server, os.Getenv("NEEDLE_API_KEY")); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server, key string) (err error) {
	needle, err := client.New(server, nil)
	if err != nil {
		return err
	}
	needle = needle.WithKey(key)
	if err := needle.CreateIndex(ctx, index); err != nil && !errors.Is(err, retriever.ErrIndexExists) {
		return err
	}
	defer func() { err = errors.Join(err, needle.DropIndex(context.WithoutCancel(ctx), index)) }()

	stored, err := needle.Put(ctx, index, []retriever.Document{
		{ID: "memo/boiler", Text: "The boiler in Brno is inspected every April by Jana Dvorakova.", Metadata: map[string]any{"site": "brno"}},
		{ID: "memo/canteen", Text: "The canteen in Delft was painted by Osric Penhaligon.", Metadata: map[string]any{"site": "delft"}},
	})
	if err != nil {
		return err
	}
	for _, s := range stored {
		fmt.Println(s.ID, s.Status)
	}

	result, err := needle.Ask(ctx, pipeline.Request{Index: index, Question: "Who inspects the boiler in Brno?"})
	if err != nil {
		return err
	}
	for _, a := range result.Answers {
		fmt.Printf("%s (%.2f), from %s\n", a.Text, a.Probability, a.DocumentID)
	}

	// With Progress the answer is streamed: candidates come first.
	result, err = needle.Ask(ctx, pipeline.Request{
		Index: index, Question: "Who painted the canteen?", Filter: &retriever.Filter{Field: "site", Equals: "delft"},
		Progress: func(p pipeline.Progress) {
			if p.Candidates != nil {
				fmt.Println("reading", len(p.Candidates), "passages")
			}
		},
	})
	if err != nil {
		return err
	}
	for _, a := range result.Answers {
		fmt.Println("at last:", a.Text)
	}
	return nil
}
