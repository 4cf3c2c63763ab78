package main

import (
	"cmp"
	"context"
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
	N       int    `json:"n"`
	// Answered is the number of questions with an answer, which EM and F1 are
	// means over.
	Answered int      `json:"answered"`
	A        compared `json:"a"`
	B        compared `json:"b"`
	// Agreement is the share of all questions for which both give the same
	// answer once normalised.
	Agreement float64    `json:"agreement"`
	EM        difference `json:"em"`
	F1        difference `json:"f1"`
	// Speedup is A's time divided by B's.
	Speedup float64 `json:"speedup"`
}

// compared is one side.
type compared struct {
	Bundle    string             `json:"bundle"`
	Model     pipeline.ModelRef  `json:"model"`
	EM        estimate           `json:"em"`
	F1        estimate           `json:"f1"`
	Metrics   map[string]float64 `json:"metrics"`
	MSPerItem float64            `json:"ms_per_question"`
}

// estimate is a mean with its 95 % bootstrap interval.
type estimate struct {
	Mean float64 `json:"mean"`
	eval.Range
}

// difference is an estimate of a mean difference over the same questions, with
// the p-value of the paired permutation test.
type difference struct {
	estimate
	P float64 `json:"p"`
}

type compareOptions struct {
	dataset, path string
	limit         int
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
				return printJSON(cmd.OutOrStdout(), result)
			}
			printComparison(cmd.OutOrStdout(), result)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataset, "dataset", "squad", "format of the data: squad")
	flags.StringVar(&o.path, "path", "", "a SQuAD file")
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
	return with.openCollection(ctx, &collection{})
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
	var predicted [2][]eval.Prediction
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
			predicted[i] = append(predicted[i], part...)
		}
	}
	result := &comparison{Dataset: c.name, N: len(questions), Speedup: took[0].Seconds() / took[1].Seconds()}
	if err := result.score(questions, predicted, sides); err != nil {
		return nil, err
	}
	for i, side := range []*compared{&result.A, &result.B} {
		side.Bundle, side.Model = names[i], sides[i].Model()
		side.MSPerItem = milliseconds(took[i]) / float64(len(questions))
	}
	return result, nil
}

// score fills in the qualities of both sides and what lies between them.
func (r *comparison) score(questions []eval.Question, predicted [2][]eval.Prediction, pipelines [2]*pipeline.Pipeline) error {
	var em, f1 [2][]float64
	same := 0
	for i, q := range questions {
		if eval.Normalize(predicted[0][i].Text) == eval.Normalize(predicted[1][i].Text) {
			same++
		}
		if q.Impossible {
			continue
		}
		r.Answered++
		for side := range predicted {
			e, f := eval.BestMatch(predicted[side][i].Text, texts(q.Answers))
			em[side], f1[side] = append(em[side], e), append(f1[side], f)
		}
	}
	r.Agreement = float64(same) / float64(len(questions))
	for side, to := range []*compared{&r.A, &r.B} {
		predictions := make(map[string]eval.Prediction, len(questions))
		for i, q := range questions {
			predictions[q.ID] = predicted[side][i]
		}
		scores, err := eval.ScoreAnswers(questions, predictions, pipelines[side].NoAnswerThreshold())
		if err != nil {
			return err
		}
		var report eval.Report
		report.SetAnswers(scores)
		to.Metrics = report.Metrics
	}
	if r.Answered == 0 {
		return nil
	}
	for _, m := range []struct {
		values [2][]float64
		a, b   *estimate
		delta  *difference
	}{{em, &r.A.EM, &r.B.EM, &r.EM}, {f1, &r.A.F1, &r.B.F1, &r.F1}} {
		deltas := make([]float64, r.Answered)
		for i := range deltas {
			deltas[i] = m.values[1][i] - m.values[0][i]
		}
		var err error
		for _, e := range []struct {
			to     *estimate
			values []float64
		}{{m.a, m.values[0]}, {m.b, m.values[1]}, {&m.delta.estimate, deltas}} {
			e.to.Mean = eval.Mean(e.values)
			if e.to.Range, err = eval.Interval(e.values, 0.95, eval.Resamples, compareSeed); err != nil {
				return err
			}
		}
		if m.delta.P, err = eval.PairedPermutation(m.values[0], m.values[1], eval.Resamples, compareSeed); err != nil {
			return err
		}
	}
	return nil
}

// compareSeed makes intervals repeatable.
const compareSeed = 1

func printComparison(w io.Writer, r *comparison) {
	fmt.Fprintf(w, "%s, %d questions, %d with an answer; intervals are 95 %% bootstrap\n", r.Dataset, r.N, r.Answered)
	for i, side := range []compared{r.A, r.B} {
		fmt.Fprintf(w, "%c  %s  %s %s %s  %.2f ms a question\n", 'A'+i, printable(side.Bundle), printable(side.Model.Name), short(side.Model.Hash), side.Model.Precision, side.MSPerItem)
		if r.Answered > 0 {
			fmt.Fprintf(w, "   EM %s  F1 %s\n", side.EM, side.F1)
		}
	}
	if r.Answered > 0 {
		fmt.Fprintf(w, "B - A  EM %s (p %.4f)  F1 %s (p %.4f)\n", r.EM.estimate, r.EM.P, r.F1.estimate, r.F1.P)
	}
	fmt.Fprintf(w, "same answer to %.2f %% of the questions; B takes %.2f of A's time\n", 100*r.Agreement, 1/r.Speedup)
}

func (e estimate) String() string {
	return fmt.Sprintf("%.2f [%.2f, %.2f]", 100*e.Mean, 100*e.Lower, 100*e.Upper)
}
