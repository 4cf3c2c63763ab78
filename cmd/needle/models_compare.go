package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
)

// comparison is what `needle models compare` prints. Differences are B less A.
type comparison struct {
	Dataset string `json:"dataset"`
	eval.Comparison
	// A and B are those of the comparison, with what else is known of them.
	A compared `json:"a"`
	B compared `json:"b"`
	// Speedup is A's time divided by B's.
	Speedup float64 `json:"speedup"`
	// Bound is the allowed loss of F1, nil where none was given, and Within
	// says whether B keeps it.
	Bound  *float64 `json:"bound,omitempty"`
	Within *bool    `json:"within,omitempty"`
}

// compared is one side.
type compared struct {
	Bundle string            `json:"bundle"`
	Model  pipeline.ModelRef `json:"model"`
	eval.Side
	MSPerItem float64 `json:"ms_per_question"`
}

// errBound says that the second bundle is worse than --bound allows.
var errBound = errors.New("models: compare: B is worse than the bound allows")

type compareOptions struct {
	dataset, path string
	limit         int
	bound         float64 // negative: none
}

func (a *app) modelsCompareCommand() *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two bundles, or two precisions, on questions with known answers",
		Long: `Reads the gold paragraph of every question with both bundles, as
"needle eval --stage reader" does. A and B are known names or directories, with
a precision after a colon where it matters, as in builtin:int8. Blocks of
questions go to both in turn, so that other work on the machine disturbs both.`,
		Example: `  needle models compare builtin:int8 ./my-model:fp32 --path dev-v2.0.json --limit 500`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := a.compare(cmd.Context(), args[0], args[1], o)
			if err != nil {
				return err
			}
			if a.json {
				return cmp.Or(printJSON(cmd.OutOrStdout(), result), result.keeps())
			}
			printComparison(cmd.OutOrStdout(), result)
			return result.keeps()
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataset, "dataset", "squad", "format of the data: squad")
	flags.StringVar(&o.path, "path", "", "a SQuAD file")
	flags.Float64Var(&o.bound, "bound", -1, "exit with an error if B's F1 is lower than A's by more than this fraction, for example 0.01")
	flags.IntVar(&o.limit, "limit", 0, "ask only every n-th question so that about this many are asked; 0 asks all")
	return cmd
}

// splitPrecision cuts "bundle:precision".
func splitPrecision(name string) (bundle, precision string) {
	if i := strings.LastIndexByte(name, ':'); i > 0 && slices.Contains([]string{"auto", "fp32", "fp16", "int8"}, name[i+1:]) {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// openReader opens a pipeline with an empty index for one side.
func (a *app) openReader(ctx context.Context, name string) (*pipeline.Pipeline, func(), error) {
	bundle, precision := splitPrecision(name)
	with := *a
	with.indexName = ""
	with.reader = func(cfg *pipeline.Config) {
		cfg.Reader.Bundle, cfg.Reader.Precision = bundle, cmp.Or(precision, cfg.Reader.Precision)
	}
	// Both sides read gold paragraphs; no index is searched.
	return with.openCollection(ctx, &collection{}, pipeline.WithoutRanker())
}

// compareBlocks is into how many blocks the questions are cut.
const compareBlocks = 8

func (a *app) compare(ctx context.Context, nameA, nameB string, o compareOptions) (*comparison, error) {
	switch {
	case o.dataset != "squad":
		return nil, fmt.Errorf("models: compare: --dataset %s; allowed is squad", o.dataset)
	case o.path == "":
		return nil, fmt.Errorf("models: compare: --path is missing: name a SQuAD file")
	}
	c, err := loadCollection(o.dataset, o.path, nil)
	if err != nil {
		return nil, err
	}
	questions := sample(c.dataset.Questions, o.limit)
	if len(questions) == 0 {
		return nil, fmt.Errorf("models: compare: %s has no questions", o.path)
	}
	names := [2]string{nameA, nameB}
	var sides [2]*pipeline.Pipeline
	for i, name := range names {
		p, done, err := a.openReader(ctx, name)
		if err != nil {
			return nil, err
		}
		defer done()
		if err := p.Ready(ctx); err != nil {
			return nil, fmt.Errorf("models: compare: %s: %w", name, err)
		}
		sides[i] = p
	}
	var predicted [2]eval.Predicted
	var took [2]time.Duration
	size := (len(questions) + compareBlocks - 1) / compareBlocks
	for block := range slices.Chunk(questions, size) {
		for i, p := range sides {
			begin := time.Now()
			part, err := readGold(ctx, c, p, block)
			if err != nil {
				return nil, err
			}
			took[i] += time.Since(begin)
			predicted[i].Predictions = append(predicted[i].Predictions, part.Predictions...)
			predicted[i].Probabilities = append(predicted[i].Probabilities, part.Probabilities...)
			predicted[i].Threshold = part.Threshold
		}
	}
	between, err := eval.Compare(questions, predicted[0], predicted[1])
	if err != nil {
		return nil, err
	}
	result := &comparison{Dataset: c.name, Comparison: between, Speedup: took[0].Seconds() / took[1].Seconds()}
	for i, side := range []*compared{&result.A, &result.B} {
		side.Side = []eval.Side{between.A, between.B}[i]
		side.Bundle, side.Model = names[i], sides[i].Model()
		side.MSPerItem = milliseconds(took[i]) / float64(len(questions))
	}
	if o.bound >= 0 {
		if between.Answered == 0 {
			return nil, fmt.Errorf("models: compare: --bound: %s has no question with an answer", o.path)
		}
		within := -between.F1.Mean <= o.bound
		result.Bound, result.Within = &o.bound, &within
	}
	return result, nil
}

// keeps returns errBound if there is a bound and B does not keep it.
func (r *comparison) keeps() error {
	if r.Within == nil || *r.Within {
		return nil
	}
	return fmt.Errorf("%w: its F1 is %.2f points lower, --bound allows %.2f", errBound, -100*r.F1.Mean, 100**r.Bound)
}

func printComparison(w io.Writer, r *comparison) {
	fmt.Fprintf(w, "%s, %d questions, %d with an answer; intervals are 95 %% bootstrap\n", r.Dataset, r.N, r.Answered)
	for i, side := range []compared{r.A, r.B} {
		fmt.Fprintf(w, "%c  %s  %s %s %s  %.2f ms a question\n", 'A'+i, printable(side.Bundle), printable(side.Model.Name), short(side.Model.Hash), side.Model.Precision, side.MSPerItem)
		if r.Answered > 0 {
			fmt.Fprintf(w, "   EM %s  F1 %s\n", side.EM, side.F1)
		}
		for _, name := range []string{eval.MetricNoAnswerAUC, eval.MetricECE, eval.MetricNoAnswerECE} {
			if value, ok := side.Metrics[name]; ok {
				fmt.Fprintf(w, "   %s %.4f\n", name, value)
			}
		}
	}
	if r.Answered > 0 {
		fmt.Fprintf(w, "B - A  EM %s (p %.4f)  F1 %s (p %.4f)\n", r.EM.Estimate, r.EM.P, r.F1.Estimate, r.F1.P)
	}
	fmt.Fprintf(w, "same answer to %.2f %% of the questions; B takes %.2f of A's time\n", 100*r.Agreement, 1/r.Speedup)
}
