package main

import (
	"context"
	"fmt"
	"os"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// calibrateFeedback fits the profile on what feedback has settled: over the
// index itself, or, while a server holds it, over a copy.
func (a *app) calibrateFeedback(ctx context.Context, pending bool, limit, documents int) (pipeline.Profile, error) {
	c := newCollection("feedback")
	var questions []eval.Question
	own := false
	err := a.withGold(ctx, pending, func(gold *monitor.GoldSet, service *connection) error {
		questions = sample(gold.Dataset().Questions, limit)
		if own = service.local != nil; own {
			return nil
		}
		for _, d := range gold.Documents {
			c.documents = append(c.documents, d)
		}
		err := a.eachDocument(ctx, service, documents, func(d retriever.Document) error {
			if _, there := gold.Documents[d.ID]; !there {
				c.documents = append(c.documents, d)
			}
			return nil
		})
		fmt.Fprintf(os.Stderr, "a server holds the index, so the questions are asked over a copy of %d documents\n", len(c.documents))
		return err
	})
	if err != nil {
		return pipeline.Profile{}, err
	}
	over := *a
	over.indexName = ""
	if own {
		// openCollection takes the index itself where one is named.
		cfg, err := a.config()
		if err != nil {
			return pipeline.Profile{}, err
		}
		over.indexName = cfg.Index
	}
	p, done, err := over.openCollection(ctx, c)
	if err != nil {
		return pipeline.Profile{}, err
	}
	defer done()
	return fitProfile(ctx, p, questions, "feedback")
}
