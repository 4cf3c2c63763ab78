package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// collection is a data set and the documents that its questions are asked over.
type collection struct {
	name    string
	dataset *eval.Dataset
	// documents are the paragraphs of the data set and of the corpus files, one
	// document each.
	documents []retriever.Document
	// text finds a gold paragraph by document id.
	text map[string]string
	// known are the paragraphs that are there already. A corpus may hold those
	// of the data set once more; a gold paragraph must not have a double.
	known map[string]bool
}

func loadCollection(format, path string, corpus []string) (*collection, error) {
	c := newCollection(filepath.Base(path))
	var err error
	if c.dataset, err = readDataset(format, path); err != nil {
		return nil, err
	}
	c.add(c.dataset)
	return c, c.addCorpus(corpus)
}

// readDataset reads questions in the format squad or nq-open.
func readDataset(format, path string) (*eval.Dataset, error) {
	if format != "nq-open" {
		return readSQuAD(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dataset, err := eval.ReadNQOpen(f)
	if err != nil {
		return nil, fmt.Errorf("eval: %s: %w", path, err)
	}
	return dataset, nil
}

func readSQuAD(path string) (*eval.Dataset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dataset, err := eval.ReadSQuAD(f, filepath.Base(path))
	if err != nil {
		return nil, fmt.Errorf("eval: %s: %w", path, err)
	}
	return dataset, nil
}

func newCollection(name string) *collection {
	return &collection{name: name, text: make(map[string]string), known: make(map[string]bool)}
}

// add takes all paragraphs of a data set.
func (c *collection) add(dataset *eval.Dataset) {
	for _, p := range dataset.Paragraphs {
		c.text[p.ID], c.known[p.Text] = p.Text, true
		c.documents = append(c.documents, retriever.Document{ID: p.ID, Title: p.Title, Text: p.Text})
	}
}

// addCorpus takes the paragraphs of files, or of the .json files of
// directories, that are not there yet.
func (c *collection) addCorpus(paths []string) error {
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err != nil {
			return err
		} else if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil || len(files) == 0 {
				return fmt.Errorf("eval: no .json file in %s", path)
			}
		}
		for _, file := range files {
			dataset, err := readSQuAD(file)
			if err != nil {
				return err
			}
			dataset.Paragraphs = slices.DeleteFunc(dataset.Paragraphs, func(p eval.Paragraph) bool { return c.known[p.Text] })
			c.add(dataset)
		}
	}
	return nil
}

// openCollection indexes the collection in a temporary place and opens it.
// Title and text are indexed as they are; the questions may be longer than a
// user's.
func (a *app) openCollection(ctx context.Context, c *collection, options ...pipeline.Option) (*pipeline.Pipeline, func(), error) {
	cfg, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	cfg.Limits.MaxQuestionTokens = cfg.Reader.MaxSeqLength / 2
	cfg.Limits.Timeout, cfg.Limits.MaxWait = 0, 0
	if a.indexName != "" {
		p, err := pipeline.Open(ctx, cfg, append(options, pipeline.WithoutModels())...)
		if err == nil {
			if err = fillVectors(ctx, p, ""); err != nil && !errors.Is(err, pipeline.ErrNoVectors) {
				return nil, nil, errors.Join(err, p.Close())
			}
		}
		if err != nil && !errors.Is(err, pipeline.ErrNoVectors) {
			return nil, nil, err
		}
		return p, func() { p.Close() }, nil
	}
	dir, err := os.MkdirTemp("", "needle-eval-")
	if err != nil {
		return nil, nil, err
	}
	// What is measured is what answers; its record stays in the real directory.
	if a.reader == nil {
		if err := cfg.ApplyChoice(); err != nil {
			os.RemoveAll(dir)
			return nil, nil, err
		}
	}
	if err := cfg.LoadProfiles(); err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	cfg.Data = dir
	if cfg.Shared() {
		// The place is a server that others use, so the name must be nobody's.
		cfg.Index = "eval-" + strings.ToLower(rand.Text())
	}
	p, err := pipeline.Open(ctx, cfg, append(options, pipeline.WithoutModels())...)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	closeAll := func() {
		if cfg.Shared() {
			// Also when the evaluation was interrupted.
			if err := p.DropIndex(context.WithoutCancel(ctx), ""); err != nil && !errors.Is(err, retriever.ErrIndexNotFound) {
				fmt.Fprintf(os.Stderr, "the temporary index %s could not be dropped: %v\n", cfg.Index, err)
			}
		}
		p.Close()
		os.RemoveAll(dir)
	}
	begin := time.Now()
	const batch = 500
	for from := 0; from < len(c.documents); from += batch {
		part := c.documents[from:min(from+batch, len(c.documents))]
		if _, err := p.Put(ctx, "", part); err != nil {
			closeAll()
			return nil, nil, err
		}
	}
	if len(c.documents) > 0 {
		fmt.Fprintf(os.Stderr, "%d documents indexed in %s\n", len(c.documents), elapsed(time.Since(begin)))
		if err := fillVectors(ctx, p, ""); err != nil && !errors.Is(err, pipeline.ErrNoVectors) {
			closeAll()
			return nil, nil, err
		}
	}
	return p, closeAll, nil
}

// each calls do for every question, several at once, and shows progress.
func each[Q any](ctx context.Context, label string, questions []Q, do func(ctx context.Context, i int, q Q) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	bar := newBar(label, int64(len(questions)))
	defer bar.Close()
	var done atomic.Int64
	for i, q := range questions {
		group.Go(func() error {
			if err := do(ctx, i, q); err != nil {
				return err
			}
			bar.Set(done.Add(1))
			return nil
		})
	}
	return group.Wait()
}
