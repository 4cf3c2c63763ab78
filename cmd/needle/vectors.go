package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// fillVectors makes the vectors that an index lacks and shows progress. It may
// be interrupted and goes on next time.
func fillVectors(ctx context.Context, p *pipeline.Pipeline, index string) error {
	coverage, err := p.VectorCoverage(ctx, index)
	if err != nil || coverage.Complete() {
		return err
	}
	bar := newBar("vectors", int64(coverage.Passages))
	defer bar.Close()
	begin, made := time.Now(), uint64(0)
	err = p.FillVectors(ctx, index, func(c retriever.VectorCoverage) {
		bar.SetTotal(int64(c.Passages))
		bar.Set(int64(c.Vectors))
		made = c.Vectors
	})
	if err == nil && made > coverage.Vectors {
		fmt.Fprintf(os.Stderr, "%d vectors made in %s\n", made-coverage.Vectors, elapsed(time.Since(begin)))
	}
	return err
}
