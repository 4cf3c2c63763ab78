package main

import (
	"context"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// topK is how many passages every system returns, with their text.
const topK = 200

// needleConfig returns the settings of an index with or without stop words.
func needleConfig(mode string) bleve.Config {
	config := bleve.DefaultConfig()
	config.Analyzer = "standard"
	if mode == "keep" {
		config.Analyzer = "words"
	}
	return config
}

// needleIndex indexes a corpus with fsync before each acknowledgement.
func needleIndex(ctx context.Context, job job) error {
	backend, err := bleve.New(needleConfig(job.Mode), job.Dir)
	if err != nil {
		return err
	}
	index, err := backend.Create(ctx, "bench")
	if err != nil {
		return err
	}
	defer index.Close()
	// The next part is read while the one before is written.
	parts := make(chan []retriever.Entry, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for entries := range parts {
			if err := index.Upsert(ctx, entries); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(parts)
		return readParts(ctx, job.Corpus, parts)
	})
	return group.Wait()
}

// partPassages is how many passages an Upsert gets.
const partPassages = 1 << 15

func readParts(ctx context.Context, corpus string, parts chan<- []retriever.Entry) error {
	var entries []retriever.Entry
	send := func() error {
		select {
		case parts <- entries:
			entries = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := readLines(corpus, func(d document) error {
		entries = append(entries, retriever.Entry{
			Document: retriever.Document{ID: d.ID, Text: d.Text},
			Passages: []retriever.Passage{{DocumentID: d.ID, Text: d.Text, End: utf8.RuneCountInString(d.Text)}},
		})
		if len(entries) == partPassages {
			return send()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return send()
}

// needleServe answers questions until its input ends.
func needleServe(ctx context.Context, job job) error {
	backend, err := bleve.New(needleConfig(job.Mode), job.Dir)
	if err != nil {
		return err
	}
	opened, err := backend.Open(ctx, "bench")
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := opened.(*bleve.Index).Warm(ctx); err != nil {
		return err
	}
	return serve(func(text string) ([]string, time.Duration, error) {
		start := time.Now()
		results, err := opened.Retrieve(ctx, retriever.Query{Text: text, TopK: topK, AllGroups: true})
		took := time.Since(start)
		ids := make([]string, len(results.Hits))
		for i, hit := range results.Hits {
			ids[i] = hit.DocumentID
		}
		return ids, took, err
	})
}
