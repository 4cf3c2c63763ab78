package main

import (
	"context"
	"time"
	"unicode/utf8"

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
	var entries []retriever.Entry
	flush := func() error {
		err := index.Upsert(ctx, entries)
		entries = entries[:0]
		return err
	}
	err = readLines(job.Corpus, func(d document) error {
		entries = append(entries, retriever.Entry{
			Document: retriever.Document{ID: d.ID, Text: d.Text},
			Passages: []retriever.Passage{{DocumentID: d.ID, Text: d.Text, End: utf8.RuneCountInString(d.Text)}},
		})
		if len(entries) == 1<<15 {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
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
