package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// vectorsWhen says when a command that wrote text makes the vectors.
type vectorsWhen string

const (
	vectorsAuto  vectorsWhen = "auto"
	vectorsNow   vectorsWhen = "now"
	vectorsLater vectorsWhen = "later"

	vectorsHelp = "make the vectors of the ranker now or later; auto makes up to 500 at once and leaves more to `needle index vectors` or the server"
	// vectorsAtOnce is how many vectors are made without asking: some seconds of
	// work on a small machine.
	vectorsAtOnce = 500
)

// String, Set and Type implement the value of a flag.
func (v *vectorsWhen) String() string { return string(*v) }
func (v *vectorsWhen) Type() string   { return "when" }
func (v *vectorsWhen) Set(text string) error {
	switch w := vectorsWhen(text); w {
	case vectorsAuto, vectorsNow, vectorsLater:
		*v = w
		return nil
	}
	return fmt.Errorf("allowed are %s, %s, %s", vectorsAuto, vectorsNow, vectorsLater)
}

// followVectors makes the vectors of what was just written, or says how. The
// text is stored and searchable by then, so a missing runtime is no error.
func followVectors(cmd *cobra.Command, service *connection, index string, when vectorsWhen) error {
	if service.local == nil {
		return nil // a server makes them in the background
	}
	ctx, out := cmd.Context(), cmd.ErrOrStderr()
	coverage, err := service.local.VectorCoverage(ctx, index)
	if errors.Is(err, pipeline.ErrNoVectors) || errors.Is(err, retriever.ErrIndexNotFound) || err == nil && coverage.Complete() {
		return nil
	}
	if err != nil {
		return err
	}
	missing := coverage.Passages - coverage.Vectors
	if when == vectorsNow || when == vectorsAuto && missing <= vectorsAtOnce {
		err := fillVectors(ctx, service.local, index)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, models.ErrRuntimeMissing):
			return err
		}
		fmt.Fprintln(out, err)
	}
	fmt.Fprintf(out, "vectors: %d of %d passages have theirs. The text is searchable; `needle index vectors` makes the others now, a server makes them in the background\n", coverage.Vectors, coverage.Passages)
	return nil
}

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

func (a *app) indexVectorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "vectors",
		Short: "Make the vectors that the ranker needs and the index lacks",
		Long: `A server does this in the background. The command may be interrupted at any time
and goes on where it was.`,
		Args: cobra.NoArgs,
		RunE: a.withIndex(func(cmd *cobra.Command, _ []string, service *connection) error {
			if service.local == nil {
				return errors.New("index vectors: a running server holds the index and makes its vectors in the background; see index stats")
			}
			if err := fillVectors(cmd.Context(), service.local, a.indexName); err != nil {
				return missingIndex(err)
			}
			coverage, err := service.local.VectorCoverage(cmd.Context(), a.indexName)
			if err != nil {
				return missingIndex(err)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), coverage)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d of %d passages have their vectors\n", coverage.Vectors, coverage.Passages)
			return nil
		}),
	}
}

// printVectors says how far the vectors of an index are.
func printVectors(w io.Writer, service *connection, s retriever.Statistics) {
	if len(s.Vectors) == 0 && service.config.Ranker.Type != pipeline.RankerNone && service.config.Ranker.Type != pipeline.RankerRelevance {
		fmt.Fprintf(w, "vectors: none of %d passages\n", s.Passages)
	}
	for _, v := range s.Vectors {
		fmt.Fprintf(w, "vectors: %d of %d passages (%.1f %%), model %s\n", v.Vectors, v.Passages, 100*v.Fraction(), short(v.Model))
	}
}

// rankScores are the scores of the rankers that worked.
func rankScores(s retriever.Scores) string {
	text := ""
	if s.Vector != nil {
		text += fmt.Sprintf(", vector %.3f", *s.Vector)
	}
	if s.Relevance != nil {
		text += fmt.Sprintf(", relevance %.3f", *s.Relevance)
	}
	return text
}
