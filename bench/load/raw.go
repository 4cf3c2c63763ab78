package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/models/tokenizer"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// A rawReader reads what the server read, in this process: no HTTP, no
// retrieval, no ranking.
type rawReader struct {
	service *infer.Service
	reader  *reader.Reader
	// items are questions with the passages that the server reads for them.
	items []rawItem
	next  atomic.Int64
}

type rawItem struct {
	question string
	passages []retriever.Passage
}

// openRaw opens the embedded bundle, as the server does, and asks the server what
// it reads for each question.
func openRaw(ctx context.Context, c *client.Client, questions []string) (raw *rawReader, err error) {
	library, err := onnx.Locate(onnx.LocateOptions{})
	if err != nil {
		return nil, err
	}
	bundle, err := builtin.Bundle()
	if err != nil {
		return nil, err
	}
	vocabulary, err := bundle.ReadFile(bundle.Manifest.Tokenizer)
	if err != nil {
		return nil, err
	}
	cutter, err := tokenizer.Load(vocabulary)
	if err != nil {
		return nil, err
	}
	model, err := onnx.Open(ctx, onnx.Config{LibraryPath: library.Path}, bundle)
	if err != nil {
		return nil, err
	}
	spec, _ := bundle.Head(models.HeadSpan)
	head, err := span.New(spec, bundle.ReadFile, model.Info().Width)
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	raw = &rawReader{}
	if raw.service, err = infer.New(model, infer.Config{}); err != nil {
		return nil, errors.Join(err, model.Close())
	}
	if raw.reader, err = reader.New(cutter, raw.service, head.(models.SpanHead), nil, reader.DefaultConfig()); err != nil {
		return nil, errors.Join(err, raw.service.Close())
	}
	for _, question := range questions {
		result, err := c.Ask(ctx, pipeline.Request{Question: question, Explain: true})
		if err != nil {
			return nil, errors.Join(err, raw.service.Close())
		}
		if result.Model.Hash != bundle.Hash {
			return nil, errors.Join(fmt.Errorf("the server reads with %s, not with the embedded bundle", result.Model.Name), raw.service.Close())
		}
		item := rawItem{question: question}
		for _, hit := range result.Candidates {
			item.passages = append(item.passages, retriever.Passage{DocumentID: hit.DocumentID, Start: hit.Start, End: hit.End, Text: hit.Text})
		}
		raw.items = append(raw.items, item)
	}
	return raw, nil
}

// measure has a number of askers read one question after the other.
func (raw *rawReader) measure(ctx context.Context, askers int, duration time.Duration) row {
	r := row{What: "raw reader", Askers: askers, LoadStart: loadAverage()}
	var mu sync.Mutex
	var times []float64
	begin := time.Now()
	var group sync.WaitGroup
	for range askers {
		group.Go(func() {
			for time.Since(begin) < duration {
				item := raw.items[int(raw.next.Add(1))%len(raw.items)]
				start := time.Now()
				_, err := raw.reader.Read(ctx, item.question, item.passages, reader.Options{})
				took := float64(time.Since(start).Microseconds()) / 1000
				mu.Lock()
				if err == nil {
					times = append(times, took)
				} else {
					r.Failed++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	r.finish(times, time.Since(begin))
	return r
}
